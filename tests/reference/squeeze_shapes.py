#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each lever costs and gains on shapes other than MiniLM's: BERT-base, SqueezeBERT with random
weights (make_models.py), every linear int8.

    squeeze_shapes.py PROGRAM WORK LOG --texts FILE --vocab VOCAB.txt [--models bertbase,...]
        [--blocks 4] [--levers rank,groups,...] [--time-again]
    squeeze_shapes.py --table LOG

Error: norm of the difference of hidden states over that of the f32 model's, on the last 64 lines
of FILE, and over that of theirs about their mean, which in random models holds most of the norm;
the first 256 lines are calibrated on. Time: the int8 model's over the squeezed one's, 1 x 128, one
thread, CPU time, in turn. With --blocks the models have so many blocks instead of 12, which takes
so much less time; MB are told for 12 all the same. A setting a line of LOG: what stands there
already, made by the same program, is not run again; its file stays in WORK (some 4 GB in all), and
--time-again measures the time of all of them anew. Squeezing has the lowest priority. SQZ_LIBRARY
names the library for hidden states and time; default: that beside PROGRAM.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np

import squeeze_runs

CALIBRATED, JUDGED = 256, 64
SHARES = ["75%", "50%", "25%"]
BLOCKS = 12
WIDTHS = ["576", "384", "192"]


def spread(kept, blocks):
    """So many of the blocks, the first and the last among them."""
    return ",".join(str(round(i * (blocks - 1) / max(kept - 1, 1))) for i in range(kept))


def settings(model, blocks):
    """{lever: {setting: options}}; linears are int8 where nothing else is said."""
    found = {"int8": {"all": []}}
    for lever in ("rank", "neurons"):
        found[lever] = {share: [f"--{lever}", share] for share in SHARES}
    found["layers"] = {f"{share}%": ["--layers", spread(round(blocks * share / 100), blocks)]
                       for share in (75, 50, 25)}
    if model == "bertbase":
        found["groups"] = {n: ["--groups", n] for n in ("2", "4")}
        found["groups and rank"] = {"4, 25%": ["--groups", "4", "--rank", "25%"]}
    found["bits"] = {n: ["--bits", n] for n in ("4", "3")}
    found["heads"] = ({"67%": ["--heads", "67%"], "33%": ["--heads", "34%"]}  # of 4 groups alike
                      if model == "squeezebert" else {s: ["--heads", s] for s in SHARES})
    found["embedding"] = {f"width {w}": ["--embedding", f"width:{w}"] for w in WIDTHS}
    found["embedding"] |= {"4 bits": ["--embedding", "bits:4"],
                           "96 bytes": ["--embedding", "pq:96"],
                           "48 bytes": ["--embedding", "pq:48"]}
    return found


def options_of(levers):
    return levers if "--bits" in levers else ["--bits", "8", *levers]


def write_model(name, options):
    """The f32 file, made where it is not there."""
    path = options.work / f"{name}-{options.blocks}.gguf"
    if not path.exists():
        import make_models
        import model_file
        model_file.write(make_models.build(name, num_hidden_layers=options.blocks),
                         model_file.read_vocabulary(options.vocab), path)
    return path


def judged_texts(options, model):
    """Ids of the last lines, cut at 128; the first ones are written to a file of their own."""
    lines = options.texts.read_text(encoding="utf-8").splitlines()
    if len(lines) < CALIBRATED + JUDGED:
        raise SystemExit(f"{options.texts}: {len(lines)} lines, {CALIBRATED + JUDGED} are needed")
    texts = options.work / "calibration.txt"
    texts.write_text("\n".join(lines[:CALIBRATED]) + "\n", encoding="utf-8")
    said = subprocess.run([options.program, "tokenize", model, "--json"], text=True, check=True,
                          input="\n".join(lines[-JUDGED:]) + "\n", capture_output=True).stdout
    return texts, [np.array(json.loads(line)["ids"][:128]) for line in said.splitlines()]


def hidden(path, sequences):
    import sqz
    model = sqz.Model(path, 1, tokens=128 * JUDGED, sequences=JUDGED)
    states = model.encode(sqz.Packed(sequences)).astype(np.float64)
    model.close()
    return states


def run_setting(options, log, key, levers, given):
    """Squeezes `given`'s model, judges what came out."""
    model, texts, sequences, expected, whole = given
    out = squeeze_runs.file_of(options.work, *key.values())
    said = squeeze_runs.squeeze(options.program, model, out, texts,
                                [*options_of(levers), "--no-fidelity"], options.cache)
    norm = np.linalg.norm(expected)
    error = np.linalg.norm(hidden(out, sequences) - expected) / norm
    about_mean = np.linalg.norm(expected - expected.mean(0)) / norm
    in_blocks = sum(x["bytes_after"] for x in said["parts"] if x["name"].startswith("blk."))
    log.add({**key, "error": round(float(error), 5), "about_mean": round(float(about_mean), 5),
             "bytes": out.stat().st_size,
             "bytes_of_12": out.stat().st_size + round(in_blocks * (BLOCKS / options.blocks - 1)),
             "whole_bytes": model.stat().st_size, "cpu_seconds": said["cpu_seconds"],
             **squeeze_runs.time_ratio(whole, out)})
    print(json.dumps(log.lines[-1]), flush=True)


def run_model(name, options, log):
    model = write_model(name, options)
    texts, sequences = judged_texts(options, model)
    whole = squeeze_runs.file_of(options.work, name, "int8", "all", str(options.blocks))
    expected = None
    for lever, forms in settings(name, options.blocks).items():
        for setting, levers in forms.items():
            if options.levers and lever not in ["int8", *options.levers.split(",")]:
                continue
            key = {"model": name, "lever": lever, "setting": setting,
                   "blocks": str(options.blocks)}
            made = log.get(**key)
            if options.time_again and made:
                out = squeeze_runs.file_of(options.work, *key.values())
                log.add({**made, **squeeze_runs.time_ratio(whole, out)})
            elif not made and not options.time_again:
                expected = hidden(model, sequences) if expected is None else expected
                run_setting(options, log, key, levers, (model, texts, sequences, expected, whole))


def table(log):
    newest = {(x["model"], x["blocks"], x["lever"], x["setting"]): x for x in log.lines}
    for name, blocks in dict.fromkeys(key[:2] for key in newest):
        print(f"\n| {name}, {blocks} blocks | | error | about the mean | MB with 12 | ms | "
              "times as fast | squeezing, CPU s |\n" + "|---" * 8 + "|")
        for (*model, lever, setting), x in newest.items():
            if model == [name, blocks]:
                print(f"| {lever} | {setting} | {x['error']:.3f} | "
                      f"{x['error'] / x['about_mean']:.2f} | {x['bytes_of_12'] / 1e6:.1f} | "
                      f"{x['ms']:.1f} | {x['time_ratio']:.2f} | {x['cpu_seconds']:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, nargs="?")
    parser.add_argument("work", type=pathlib.Path, nargs="?")
    parser.add_argument("log", type=pathlib.Path, nargs="?")
    parser.add_argument("--texts", type=pathlib.Path)
    parser.add_argument("--vocab")
    parser.add_argument("--models", default="bertbase,squeezebert")
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--levers", help="these alone, and int8")
    parser.add_argument("--time-again", action="store_true", help="of what LOG and WORK hold")
    parser.add_argument("--table", type=pathlib.Path, metavar="LOG")
    options = parser.parse_args()
    if options.table:
        return table(squeeze_runs.Log(options.table, {}))
    if not (options.log and options.texts and options.vocab):
        parser.error("PROGRAM, WORK, LOG, --texts and --vocab are needed")
    options.program = options.program.resolve()
    os.environ.setdefault("SQZ_LIBRARY", str(options.program.parent / "libsqueezebert-full.so"))
    options.work.mkdir(parents=True, exist_ok=True)
    made_by = squeeze_runs.digest(options.program)
    log = squeeze_runs.Log(options.log, {"program": made_by})
    options.cache = options.work / f"cache-{made_by}"
    options.cache.mkdir(exist_ok=True)
    for name in options.models.split(","):
        run_model(name, options, log)


if __name__ == "__main__":
    sys.exit(main())
