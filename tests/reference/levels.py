#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far the levels of this CPU are apart on one model: hidden states of 4 sequences of 128 random
ids, the norm of the difference over the norm.

    levels.py SOURCE.gguf [MODEL.gguf...] [--levels portable,avx2,...]

SOURCE is the f32 model, run once on the best level; each MODEL, made of it by `squeezebert
quantize`, is compared with it on every level, and with itself between each two. Needs numpy; the
library is the one that sqz.py names.
"""
import argparse
import itertools

import numpy as np

import sqz

TOKENS, SEQUENCES = 128, 4


def states(path, level, sequences):
    engine = sqz.Model(path, 1, level, tokens=TOKENS, sequences=1)
    out = np.concatenate([engine.encode(sqz.Packed([ids])) for ids in sequences]).astype(np.float64)
    engine.close()
    return out


def percent(a, b):
    return f"{100 * np.linalg.norm(a - b) / np.linalg.norm(b):.2f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--levels", default="portable,avx2,avx512,avx512vnni,amx")
    o = parser.parse_args()
    engine = sqz.Model(o.source, tokens=TOKENS, sequences=1)
    sequences = np.random.default_rng(7).integers(0, engine.info.vocabulary, (SEQUENCES, TOKENS))
    engine.close()
    exact, levels = states(o.source, None, sequences), o.levels.split(",")
    print("| model | " + " | ".join(levels) + " | " +
          " | ".join(f"{a}, {b}" for a, b in itertools.combinations(levels, 2)) + " |\n|---" +
          "|---" * (len(levels) * (len(levels) + 1) // 2) + "|")
    for path in o.models:
        got = [states(path, level, sequences) for level in levels]
        print(f"| {path} | " + " | ".join(percent(g, exact) for g in got) + " | " + " | ".join(
            percent(a, b) for a, b in itertools.combinations(got, 2)) + " |", flush=True)


if __name__ == "__main__":
    main()
