#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bits of real models on real text: each line alone, all of them in batches of mixed lengths, with
1, 2 and 4 threads, in another order, and run again.

    bits.py MODEL.gguf VOCAB.txt TEXT.gz [--lines 200] [--levels avx512,avx2]      exit 1 if a bit
        differs
"""
import argparse
import gzip
import itertools
import sys

import numpy as np
from tokenizers import BertWordPieceTokenizer

import sqz

BATCH = 32


def lines(path, n):
    with gzip.open(path, "rt", encoding="utf-8") as f:
        return list(itertools.islice((line.strip() for line in f if line.strip()), n))


def states(engine, ids, order, batch):
    """Hidden states of each sequence, run `batch` at a time in this order."""
    out = [None] * len(ids)
    for a in range(0, len(order), batch):
        chosen = order[a:a + batch]
        packed = sqz.Packed([ids[i] for i in chosen])
        hidden = engine.encode(packed)
        for k, i in enumerate(chosen):
            out[i] = hidden[packed.first[k]:packed.first[k + 1]].copy()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "vocab", "text"):
        parser.add_argument(name)
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--levels", default="avx512,avx2")
    o = parser.parse_args()
    tokenizer = BertWordPieceTokenizer(o.vocab, lowercase=True)
    ids = [np.array(tokenizer.encode(text).ids[:512]) for text in lines(o.text, o.lines)]
    given, shuffled = list(range(len(ids))), list(np.random.default_rng(5).permutation(len(ids)))
    print("| level | sequences | pieces | lengths | threads | way | differing bits in |\n"
          "|---|---|---|---|---|---|---|")
    bad = 0
    for level in o.levels.split(","):
        alone = None
        for threads in (1, 2, 4):
            engine = sqz.Model(o.model, threads, level, tokens=BATCH * 512, sequences=BATCH)
            for way, order, batch in (("alone", given, 1), ("in batches of 32", given, BATCH),
                                      ("in batches of 32, shuffled", shuffled, BATCH),
                                      ("alone, again", given, 1)):
                got = states(engine, ids, order, batch)
                alone = alone or got
                differ = sum(a.tobytes() != b.tobytes() for a, b in zip(alone, got))
                bad += differ
                print(f"| {level} | {len(ids)} | {sum(map(len, ids))} | "
                      f"{min(map(len, ids))}-{max(map(len, ids))} | {threads} | {way} | {differ} |",
                      flush=True)
            engine.close()
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
