#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two model files hold the same tensors, bit for bit, and the same metadata: same_model.py A.gguf
B.gguf, with nothing but Python's own library.

The config of the source is compared as JSON, and what an export must change in it is left aside:
the weights' type and the name, so also the header's checksum. So are the files that the weights
came from.
"""
import json
import math
import struct
import sys

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}
BYTES = {0: 4, 1: 2, 24: 1, 26: 4, 30: 2}
CHANGED = ("dtype", "torch_dtype", "_name_or_path")


class Reader:
    def __init__(self, path):
        self.data, self.at = open(path, "rb").read(), 0

    def number(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        n = self.number("Q")
        self.at += n
        return self.data[self.at - n : self.at]

    def value(self, kind):
        if kind == 9:
            inner = self.number("I")
            return [self.value(inner) for _ in range(self.number("Q"))]
        return self.string() if kind == 8 else self.number(SCALARS[kind])


def read(path):
    r = Reader(path)
    magic, version, n_tensors, n_values = r.number("I"), r.number("I"), r.number("Q"), r.number("Q")
    assert magic == 0x46554747 and version == 3, path
    values = {}
    for _ in range(n_values):
        key = r.string().decode()
        values[key] = r.value(r.number("I"))
    listed = []
    for _ in range(n_tensors):
        name = r.string().decode()
        shape = [r.number("Q") for _ in range(r.number("I"))]
        listed.append((name, shape, r.number("I"), r.number("Q")))
    start = (r.at + 63) // 64 * 64
    tensors = {name: (shape, kind,
                      r.data[start + offset : start + offset + math.prod(shape) * BYTES[kind]])
               for name, shape, kind, offset in listed}
    return values, tensors


def settings(values):
    for key in ("sqz.source.files", "sqz.source.sha256"):
        assert len(values.pop(key)) > 0
    config = json.loads(values.pop("sqz.source.config"))
    values.pop("sqz.header.sha256")
    return {key: value for key, value in config.items() if key not in CHANGED}


def main():
    (a, x), (b, y) = read(sys.argv[1]), read(sys.argv[2])
    faults = []
    before, after = settings(a), settings(b)
    tolerance = "sqz.verify.tolerance"
    if b"bf16" in a.get("sqz.requires", []) and b[tolerance] < a[tolerance]:
        # the first import counts the rounding of the weights as well; those that come back are bf16
        # already
        a[tolerance] = b[tolerance]
    faults += [f"config: {key} was {before[key]!r}, is {after.get(key)!r}"
               for key in before if after.get(key) != before[key]]
    faults += [f"metadata {key}: {a.get(key)!r} and {b.get(key)!r}"[:300]
               for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    faults += [f"tensor {name} differs"
               for name in sorted(x.keys() | y.keys()) if x.get(name) != y.get(name)]
    print(*faults, f"{len(x)} tensors, {len(a)} metadata", sep="\n")
    return 1 if faults or len(x) < 5 else 0


if __name__ == "__main__":
    sys.exit(main())
