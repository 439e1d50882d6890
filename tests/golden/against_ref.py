#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program against ref/encoder.py: word pieces, states of every piece, pooled vectors and
logits.

Over the models of tests/golden/models, imported, and with WRITE_FORMS
(tests/reference/test_write_forms.c, built) over every f32 form of tests/support: low rank, sums,
permutations, factorised embeddings, which no Transformers class has.

    against_ref.py PROGRAM [WRITE_FORMS]         exit 77 where numpy is not installed
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "ref"))
try:
    import numpy as np
    import encoder
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

# relative to the largest value: f32 of these depths stays far below
# (tests/reference/ref_compare.py), a wrong term far above
TOLERANCE = 1e-5
VERBS = {"sequence": "classify", "token": "ner", "question": "qa", "masked_lm": "fill-mask"}


def records(program, verb, path, texts, *options):
    out = subprocess.run([program, verb, path, *options, "--json"], input="\n".join(texts) + "\n",
                         check=True, text=True, capture_output=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def logits(program, path, kind, texts, mask):
    """What the head's verb gives: rows [pieces or 1 or masks, K] of each text; a question is the
    pair of the text and itself."""
    if kind == "question":
        rows = records(program, "qa", path, [f"{text}\t{text}" for text in texts], "--logits")
    else:
        rows = records(program, VERBS[kind], path,
                       [f"{text} {mask}" if kind == "masked_lm" else text for text in texts],
                       "--logits")
    return [[m["logits"] for m in row["masks"]] if kind == "masked_lm" else row["logits"]
            for row in rows]


def expected_logits(program, path, model, kind, texts, mask):
    asked = [f"{text}\t{text}" if kind == "question" else f"{text} {mask}" if kind == "masked_lm"
             else text for text in texts]
    for piece in records(program, "tokenize", path, asked,
                         *(["--pair"] if kind == "question" else [])):
        all_rows = np.atleast_2d(model.logits(model.states(piece["ids"], piece["types"])[-1]))
        yield all_rows[[t == mask for t in piece["tokens"]]] if kind == "masked_lm" else all_rows


def check(program, path, name, texts):
    model = encoder.Model(path)
    kind = model.meta.get("sqz.head.kind", "none")
    pieces = records(program, "tokenize", path, texts)
    states = records(program, "embed", path, texts, "--pool", "none", "--no-normalize")
    means = records(program, "embed", path, texts, "--pool", "mean", "--normalize")
    assert len(pieces) == len(states) == len(means) == len(texts), name
    pairs = []
    for piece, state, mean in zip(pieces, states, means):
        hidden = model.states(piece["ids"], piece["types"])[-1]
        pairs += [(state["embeddings"], hidden),
                  (mean["embedding"], model.embedding(hidden, "mean", True))]
    for pool in ["cls", "max", "mean_sqrt_len", "weighted_mean", "last"]:
        for piece, row in zip(pieces, records(program, "embed", path, texts, "--pool", pool)):
            states = model.states(piece["ids"], piece["types"])
            pairs.append((row["embedding"], model.embedding(states[-1], pool)))
    if kind in VERBS:
        pairs += list(zip(logits(program, path, kind, texts, "[MASK]"), expected_logits(
            program, path, model, kind, texts, "[MASK]"), strict=True))
    worst = max(float(np.abs(np.atleast_2d(np.array(got)) - np.atleast_2d(expected)).max() /
                      np.abs(expected).max()) for got, expected in pairs)
    print(f"{name:48} {kind:16} {worst:.1e} of {TOLERANCE:.0e}")
    return worst <= TOLERANCE


def main():
    program, fine = sys.argv[1], []
    with tempfile.TemporaryDirectory() as work:
        for folder in sorted((ROOT / "tests" / "golden" / "models").iterdir()):
            path = f"{work}/{folder.name}.gguf"
            subprocess.run([program, "import", folder, "-o", path], check=True, capture_output=True)
            fine.append(check(program, path, folder.name,
                              ["w3", "w1 w2 w7 unknown", " ".join(f"w{i}" for i in range(12))]))
        if len(sys.argv) > 2:
            forms = subprocess.run([sys.argv[2], work], check=True, text=True,
                                   capture_output=True).stdout.splitlines()
            fine += [check(program, path, name, ["a", "b c xyz 7", " ".join("abcdefghijkl")])
                     for path, _, name in (line.split("\t") for line in forms)]
    return 0 if fine and all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
