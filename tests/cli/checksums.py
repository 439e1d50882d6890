#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checksums of model files, computed as doc/format.md says with nothing but Python's own library: checksums.py FILE.gguf...

Prints name, offset and bytes of every tensor of the first file; exits 1 with the reason where a checksum of any file is another.
"""
import hashlib
import math
import re
import struct
import sys

SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
BYTES = {0: 4, 1: 2, 24: 1, 26: 4, 30: 2}
KEYS = (b"sqz.header.sha256", b"sqz.tensors.sha256", b"sqz.tensors.sha256_through")


class Reader:
    def __init__(self, data):
        self.data, self.at, self.values, self.digits = data, 24, {}, []
        n_tensors, n_values = struct.unpack_from("<QQ", data, 8)
        for _ in range(n_values):
            key = self.string()
            self.values[key] = self.value(self.number("I"), key in KEYS)
        self.tensors = [self.tensor() for _ in range(n_tensors)]
        self.begin = (self.at + 63) // 64 * 64

    def number(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        n = self.number("Q")
        self.at += n
        return self.data[self.at - n : self.at]

    def value(self, kind, digits):
        if kind == 9:
            inner = self.number("I")
            return [self.value(inner, digits) for _ in range(self.number("Q"))]
        if kind != 8:
            self.at += SCALARS[kind]
            return None
        text = self.string()
        if digits:
            self.digits.append((self.at - len(text), self.at))
        return text

    def tensor(self):
        name = self.string().decode()
        shape = [self.number("Q") for _ in range(self.number("I"))]
        kind, offset = self.number("I"), self.number("Q")
        return name, offset, math.prod(shape) * BYTES[kind]


def sha256(data):
    return hashlib.sha256(data).hexdigest().encode()


def faults(path, r):
    data = r.data
    if any(key not in r.values for key in KEYS):
        return [f"{path}: a checksum is missing"]
    head = bytearray(data[: r.begin])
    for begin, end in r.digits:
        head[begin:end] = b"0" * (end - begin)
    ends = [r.begin + offset for _, offset, _ in r.tensors[1:]] + [len(data)]
    through = [sha256(data[r.begin : end]) for end in ends]
    found = {KEYS[0]: sha256(head), KEYS[1]: sha256(data[r.begin :]), KEYS[2]: through}
    if not all(re.fullmatch(b"[0-9a-f]{64}", digits) for digits in (data[b:e] for b, e in r.digits)):
        return [f"{path}: a checksum is no SHA-256"]
    return [f"{path}: {key.decode()} is {r.values[key]!r}, {found[key]!r} was computed" for key in KEYS if found[key] != r.values[key]]


def main():
    readers = [(path, Reader(open(path, "rb").read())) for path in sys.argv[1:]]
    wrong = [fault for path, reader in readers for fault in faults(path, reader)]
    print(*(f"{name} {readers[0][1].begin + offset} {n}" for name, offset, n in readers[0][1].tensors), sep="\n")
    if wrong:
        sys.exit("\n".join(wrong))


main()
