# SPDX-License-Identifier: Apache-2.0
"""The inputs of the comparison: shapes of random ids, and `mixed`, 32 sentences of SST-2 dev with
10 to 49 word pieces as they come."""
import csv
import pathlib

import numpy as np

SHAPES = {"1x16": [16], "1x128": [128], "8x128": [128] * 8}


def sentences(data, split="dev"):
    with open(pathlib.Path(data) / "glue" / "SST-2" / f"{split}.tsv", encoding="utf-8") as lines:
        return [row["sentence"]
                for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]


def calibration(tokenizer, data, n=64):
    """Batches of one sentence for engines that quantise by watching a model: n of SST-2's and n of
    STS-B's training split, spread over it."""
    with open(pathlib.Path(data) / "glue" / "STS-B" / "train.tsv", encoding="utf-8") as lines:
        pairs = [row["sentence1"] for row in csv.DictReader(
            lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row["sentence1"]]
    found = []
    for texts in (sentences(data, "train"), pairs):
        found += texts[::len(texts) // n][:n]
    return [padded([np.array(tokenizer.encode(text).ids)]) for text in found]


def mixed(tokenizer, data):
    """The first 32 sentences of 10 to 49 pieces, special tokens included."""
    found = [np.array(ids) for ids in (tokenizer.encode(text).ids for text in sentences(data))
             if 10 <= len(ids) <= 49]
    return found[:32]


def make(shape, vocabulary, tokenizer=None, data=None):
    """A list of id arrays."""
    if shape == "mixed":
        return mixed(tokenizer, data)
    random = np.random.default_rng(len(SHAPES[shape]) * 1000 + SHAPES[shape][0])
    return [random.integers(0, vocabulary, n) for n in SHAPES[shape]]


def padded(ids):
    """ids, mask, types as int64 [B, longest]."""
    longest = max(len(s) for s in ids)
    out = np.zeros((3, len(ids), longest), np.int64)
    for row, s in enumerate(ids):
        out[0, row, :len(s)] = s
        out[1, row, :len(s)] = 1
    return out[0], out[1], out[2]


def ways(shape, ids):
    """How a peer that pads may run the batch: {way: [padded batch]}. With one length there is
    nothing to choose."""
    if shape != "mixed":
        return {"": [padded(ids)]}
    by_length = sorted(ids, key=len)
    return {"padded": [padded(ids)], "one by one": [padded([s]) for s in ids],
            "sorted by 4": [padded(by_length[i:i + 4]) for i in range(0, len(ids), 4)],
            "sorted by 8": [padded(by_length[i:i + 8]) for i in range(0, len(ids), 8)]}
