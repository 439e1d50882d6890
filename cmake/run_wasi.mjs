// SPDX-License-Identifier: Apache-2.0
// Runs a WASI program under Node (18 or later): node run_wasi.mjs PROGRAM.wasm [ARGUMENT...]. It sees the working folder and /tmp.
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const wasi = new WASI({ version: 'preview1', args: process.argv.slice(2), env: process.env, preopens: { '.': '.', '/tmp': '/tmp' } });
const { instance } = await WebAssembly.instantiate(await readFile(process.argv[2]), { wasi_snapshot_preview1: wasi.wasiImport });
process.exitCode = wasi.start(instance);
