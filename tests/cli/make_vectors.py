#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""golden.bin of a tiny model (tests/reference/make_golden.py) as a .npz file: make_vectors.py
GOLDEN OUT.npz [FAULT], with nothing but Python's own library.

Prints the tolerance that belongs to the numbers. FAULT: deflated, wide (f8, i4, u4), bytes (types
as u1), first (the first sequence alone, without lengths), order (keys of the headers in another
order, version 2), moved (one hidden number by 1e-3), nan, infinite, half, big, fortran, header,
digits, shape, columns, lengths, zero, long, token, floats, missing, nothing, unknown, twice, cut,
sum, bomb, method.
"""
import struct
import sys
import zipfile


def read(path):
    data = open(path, "rb").read()
    n_sequences, n_tokens, width, rows, classes = struct.unpack_from("<5I", data)
    at = 20
    first = struct.unpack_from(f"<{n_sequences + 1}I", data, at)
    at += 4 * (n_sequences + 1)
    ids = struct.unpack_from(f"<{n_tokens}I", data, at)
    at += 4 * n_tokens
    types = data[at : at + n_tokens]
    at += (n_tokens + 3) // 4 * 4
    tolerance = struct.unpack_from("<2d", data, at)
    hidden = struct.unpack_from(f"<{n_tokens * width}f", data, at + 16)
    logits = struct.unpack_from(f"<{rows * classes}f", data, at + 16 + 4 * n_tokens * width)
    lengths = [b - a for a, b in zip(first, first[1:])]
    return {"ids": [ids, [n_tokens], "<i8"], "lengths": [lengths, [n_sequences], "<i8"],
            "types": [types, [n_tokens], "<i8"],
            "hidden": [hidden, [n_tokens, width], "<f4"],
            "logits": [logits, [rows, classes], "<f4"]}, max(tolerance)


def npy(values, shape, kind, fault):
    form = {"<f2": "e", "<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "<u4": "I", "|u1": "B",
            ">f4": "f"}[kind]
    entries = [f"'descr': '{kind}'", f"'fortran_order': {fault == 'fortran'}",
               "'shape': (" + "".join(f"{n}, " for n in shape) + ")"]
    if fault == "order":
        entries.reverse()
    text = "{" + ", ".join(entries) + (", }" if fault != "header" else "")
    if fault == "digits":
        text = text.replace("(", "(" + "9" * 30)
    start, length = (12, "<I") if fault == "order" else (10, "<H")
    text += " " * (-(start + len(text) + 1) % 64) + "\n"
    version = bytes([2 if fault == "order" else 1, 0])
    numbers = struct.pack((">" if kind[0] == ">" else "<") + form * len(values), *values)
    return b"\x93NUMPY" + version + struct.pack(length, len(text)) + text.encode() + numbers


def change(arrays, fault):
    values, shape, _ = arrays["hidden"]
    width = shape[1]
    if fault == "wide":
        arrays["hidden"][2] = arrays["logits"][2] = "<f8"
        arrays["ids"][2], arrays["lengths"][2] = "<i4", "<u4"
    if fault == "bytes":
        arrays["types"][2] = "|u1"
    if fault == "first":
        n = arrays.pop("lengths")[0][0]
        for name in ("ids", "types"):
            arrays[name][:2] = arrays[name][0][:n], [n]
        arrays["hidden"][:2] = values[: n * width], [n, width]
        rows = n if arrays["logits"][1][0] == shape[0] else 1
        arrays["logits"][:2] = (arrays["logits"][0][: rows * arrays["logits"][1][1]],
                                [rows, arrays["logits"][1][1]])
    if fault in ("moved", "nan", "infinite"):
        number = values[5 * width] + 1e-3 if fault == "moved" else float(
            "nan" if fault == "nan" else "inf")
        arrays["hidden"][0] = values[: 5 * width] + (number,) + values[5 * width + 1 :]
    if fault in ("half", "big"):
        arrays["hidden"][2] = "<f2" if fault == "half" else ">f4"
    if fault == "shape":
        arrays["hidden"][1] = [shape[0], width + 1]
    if fault == "columns":
        arrays["hidden"][1] = [width, shape[0]]
    if fault in ("lengths", "zero", "long"):
        lengths = list(arrays["lengths"][0])
        lengths[0], lengths[1] = {"lengths": (lengths[0] + 1, lengths[1]), "zero": (
            0, lengths[0] + lengths[1]), "long": (1 << 40, lengths[1])}[fault]
        arrays["lengths"][0] = lengths
    if fault == "token":
        arrays["ids"][0] = (-1,) + arrays["ids"][0][1:]
    if fault == "floats":
        arrays["ids"][2] = "<f4"
    if fault == "missing":
        del arrays["ids"]
    if fault == "nothing":
        del arrays["hidden"], arrays["logits"]
    if fault == "unknown":
        arrays["pooled"] = arrays["hidden"]


def main():
    golden, out, fault = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    arrays, tolerance = read(golden)
    change(arrays, fault)
    packing = {"deflated": zipfile.ZIP_DEFLATED, "bomb": zipfile.ZIP_DEFLATED,
               "method": zipfile.ZIP_BZIP2}.get(fault, zipfile.ZIP_STORED)
    with zipfile.ZipFile(out, "w", packing) as z:
        for name, (values, shape, kind) in arrays.items():
            body = npy(values, shape, kind, fault if name == "hidden" or fault == "order" else "")
            z.writestr(name + ".npy",
                       bytes(200 << 20) if fault == "bomb" and name == "ids" else body)
            if fault == "twice" and name == "ids":
                z.writestr("ids.npy", body)
    if fault in ("cut", "sum"):
        data = bytearray(open(out, "rb").read())
        if fault == "sum":
            data[len(data) // 2] ^= 1
        open(out, "wb").write(data[: len(data) * 2 // 3] if fault == "cut" else data)
    print(tolerance)


if __name__ == "__main__":
    main()
