#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model file as the gguf package shows it: gguf_package.py FILE.gguf SOURCE.gguf
Names, shapes and types are those that `info --tensors --json` prints on stdin, the bytes those at
the offsets that it names. Matrices stored in few bits are expanded as doc/format.md says and are
near the f32 matrices of SOURCE. Exit 77 where the package is not there."""
import json
import sys

try:
    import gguf
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}")
    raise SystemExit(77)

TYPES = {"F32": "F32", "F16": "F16", "BF16": "BF16", "I8": "I8", "I32": "I32"}
# bits: lowest level, step, bits of a multiplier
PACKED = {".s4": (4, -8, 1, 4), ".s3": (3, -4, 1, 5), ".s2": (2, -3, 2, 6)}


def unpack(rows, bits, n):
    spread = np.unpackbits(rows, axis=1, bitorder="little")[:, : bits * n]
    return (spread.reshape(len(rows), n, bits).astype(int) << np.arange(bits)).sum(2)


def expand(rows, scale, form, n):
    bits, lowest, step, multiplier_bits = form
    groups = -(-n // 32)
    head = -(-groups * multiplier_bits // 8)
    multipliers = unpack(rows[:, :head], multiplier_bits, groups)
    levels = lowest + step * unpack(rows[:, head:], bits, n)
    return scale[:, None] * multipliers.repeat(32, 1)[:, :n] * levels


def meanings(tensors, sources):
    """Matrices as floats, by the name that they have in the source."""
    for name, tensor in tensors.items():
        stem, dot, ending = name.rpartition(".")
        if stem == "token_embd.weight" and "token_embd.projection" in tensors:
            continue  # as narrow as the projection makes it
        scale = tensors.get((stem if dot + ending in PACKED else name) + ".scale")
        if scale is None:
            continue
        rows = np.asarray(tensor.data)
        if dot + ending in PACKED:
            n = sources[stem].data.shape[1]
            yield stem, expand(rows.view(np.uint8), scale.data, PACKED[dot + ending], n)
        elif name in sources:
            yield name, rows * scale.data[:, None]
    if "token_embd.codes" in tensors:
        codes = tensors["token_embd.codes"].data.view(np.uint8)
        parts = tensors["token_embd.centroids"].data * tensors[
            "token_embd.centroids.scale"].data[:, None]
        parts = parts.reshape(codes.shape[1], 256, -1)
        yield "token_embd.weight", np.concatenate(
            [part[code] for part, code in zip(parts, codes.T)], axis=1)


def main():
    path, source = sys.argv[1:3]
    whole = open(path, "rb").read()
    listed = json.load(sys.stdin)["tensors"]
    reader = gguf.GGUFReader(path)
    tensors = {t.name: t for t in reader.tensors}
    sources = {t.name: t for t in gguf.GGUFReader(source).tensors}
    assert [t["name"] for t in listed] == list(tensors), "other tensors"
    for one in listed:
        tensor = tensors[one["name"]]
        assert list(map(int, tensor.shape))[::-1] == one["shape"], f"{one['name']}: shape"
        assert tensor.tensor_type.name == TYPES[one["type"]], f"{one['name']}: type"
        data = np.asarray(tensor.data).tobytes()
        assert whole[one["offset"]:one["offset"] + len(data)] == data, f"{one['name']}: bytes"
    n = 0
    for name, meant in meanings(tensors, sources):
        exact = sources[name].data
        if exact.shape != meant.shape:
            continue
        error = np.linalg.norm(meant - exact) / np.linalg.norm(exact)
        assert error < 0.35, f"{name}: {error:.2f} off"
        n += 1
    print(f"{path}: {len(tensors)} tensors, {n} of integers near their source; requires",
          *reader.fields["sqz.requires"].contents() if "sqz.requires" in reader.fields else [])


main()
