# SPDX-License-Identifier: Apache-2.0
"""A small reader of GGUF version 3 (doc/format.md), numpy and the standard library only. For
trusted files: it checks little."""
import struct

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}
STRING, ARRAY = 8, 9
CODES, CENTROIDS = "token_embd.codes", 256
F32, F16, I8, I32, BF16 = 0, 1, 24, 26, 30
TYPES = {F32: np.dtype("<f4"), F16: np.dtype("<f2"), I8: np.dtype("i1"), I32: np.dtype("<i4"),
         BF16: np.dtype("<u2")}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, letter):
        value, = struct.unpack_from("<" + letter, self.data, self.at)
        self.at += struct.calcsize("<" + letter)
        return value

    def string(self):
        n = self.scalar("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            item, n = self.scalar("I"), self.scalar("Q")
            return [self.value(item) for _ in range(n)]
        return self.scalar(SCALARS[kind])


def decode(raw, kind):
    """Numbers in float64; what F16, BF16 and F32 hold is exact in it."""
    if kind == BF16:
        return (raw.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return raw.astype(np.int64 if kind == I32 else np.float64)


def read(path):
    """(metadata, tensors by name in float64). An I8 tensor comes multiplied by its row scales, a
    product-quantised table of words as `token_embd.weight`."""
    data = open(path, "rb").read()
    r = Reader(data)
    magic, version, n_tensors, n_keys = r.scalar("I"), r.scalar("I"), r.scalar("Q"), r.scalar("Q")
    if magic != 0x46554747 or version != 3:
        raise ValueError(f"{path}: not GGUF version 3")
    metadata = {}
    for _ in range(n_keys):
        key = r.string()
        metadata[key] = r.value(r.scalar("I"))
    entries = []
    for _ in range(n_tensors):
        name, n_dims = r.string(), r.scalar("I")
        shape = [r.scalar("Q") for _ in range(n_dims)][::-1]
        entries.append((name, shape, r.scalar("I"), r.scalar("Q")))
    alignment = metadata.get("general.alignment", 32)
    start = -(-r.at // alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in entries:
        raw = np.frombuffer(data, TYPES[kind], int(np.prod(shape)), start + offset).reshape(shape)
        tensors[name] = decode(raw, kind)
    for name, _, kind, _ in entries:
        if kind == I8 and name != CODES:
            tensors[name] *= tensors[name + ".scale"][:, None]
    if CODES in tensors:
        codes = tensors.pop(CODES).astype(np.int64) % CENTROIDS
        parts = tensors.pop("token_embd.centroids").reshape(codes.shape[1], CENTROIDS, -1)
        tensors["token_embd.weight"] = np.concatenate(
            [part[code] for part, code in zip(parts, codes.T)], axis=1)
    return metadata, tensors
