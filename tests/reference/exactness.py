#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hidden states, logits and pooled output against Transformers in float64, beside the error of Transformers' own f32.

For every model, kernel level and batch shape (lengths 1 to 512, batches 1 to 64, mixed lengths): the largest absolute error of ours and of
Transformers f32. The bars: ours <= 2 x theirs, ours <= 2e-5, and the same argmax wherever the reference's margin is over 4e-5. The model
files are written by model_file.py. Prints a table for doc/results.md; exit 1 if a bar was missed.

    exactness.py WORK_FOLDER --vocab VOCAB.txt [--minilm FOLDER] [--models a,b] [--levels portable,avx2,avx512] [--quick]
"""
import argparse
import pathlib
import sys

import numpy as np
import torch
from transformers import AutoModel

import make_models
import model_file
import sqz

SHAPES = [[1], [2], [7], [16], [128], [511], [512], [33] * 4, [16] * 64, "mixed"]
QUICK = [[1], [7], [128], "mixed"]
FLOOR, FACTOR, MARGIN = 2e-5, 2.0, 4e-5


def sequences(shape, vocabulary, random):
    lengths = random.integers(1, 60, 32) if shape == "mixed" else shape
    return [random.integers(0, vocabulary, n) for n in lengths]


@torch.no_grad()
def transformers_run(model, ids, types):
    """Hidden states [N, C], pooled [B, C] or None, logits [B, K] or None; sequences of one length together, so that nothing is padded."""
    base = getattr(model, model.base_model_prefix, model)
    hidden, pooled, logits = [None] * len(ids), [None] * len(ids), [None] * len(ids)
    for length in {len(s) for s in ids}:
        chosen = [i for i, s in enumerate(ids) if len(s) == length]
        inputs = {"input_ids": torch.tensor(np.stack([ids[i] for i in chosen])), "attention_mask": torch.ones(len(chosen), length, dtype=torch.long)}
        if types is not None:
            inputs["token_type_ids"] = torch.tensor(np.stack([types[i] for i in chosen]).astype(np.int64))
        out = base(**inputs)
        head = model(**inputs).logits if base is not model else None
        for row, i in enumerate(chosen):
            hidden[i] = out.last_hidden_state[row].double().numpy()
            pooled[i] = None if getattr(out, "pooler_output", None) is None else out.pooler_output[row].double().numpy()
            logits[i] = None if head is None else head[row].double().numpy()
    return [None if parts[0] is None else join(parts) for join, parts in ((np.concatenate, hidden), (np.stack, pooled), (np.stack, logits))]


def ours_run(model, ids, types, has_pooler, has_logits):
    batch = sqz.Packed(ids, types)
    return model.encode(batch), model.embed(batch, sqz.POOL_POOLER) if has_pooler else None, model.logits(batch) if has_logits else None


def largest(got, expected):
    return float(np.abs(got.astype(np.float64) - expected).max())


def flips(got, expected):
    ordered = np.sort(expected, axis=-1)
    sure = ordered[:, -1] - ordered[:, -2] > MARGIN
    return int((got.argmax(-1) != expected.argmax(-1))[sure].sum())


def compare(name, model, path, levels, shapes):
    """Rows (model, level, output, ours, theirs, flips)."""
    random = np.random.default_rng(7)
    types_known = getattr(model.config, "type_vocab_size", 0) and model.config.model_type != "distilbert"
    cases = []
    for shape in shapes:
        ids = sequences(shape, model.config.vocab_size, random)
        cases.append((ids, [random.integers(0, 2, len(s)) for s in ids] if types_known else None))
    theirs = [transformers_run(model, *case) for case in cases]
    model.double()
    reference = [transformers_run(model, *case) for case in cases]
    rows = []
    for level in levels:
        engine = sqz.Model(path, 1, level)
        ours = [ours_run(engine, *case, r[1] is not None, r[2] is not None) for case, r in zip(cases, reference)]
        engine.close()
        for part, output in enumerate(("hidden", "pooled", "logits")):
            if reference[0][part] is not None:
                errors = [(largest(o[part], r[part]), largest(t[part], r[part])) for o, t, r in zip(ours, theirs, reference)]
                changed = sum(flips(o[2], r[2]) for o, r in zip(ours, reference)) if output == "logits" else 0
                rows.append((name, level, output, max(e[0] for e in errors), max(e[1] for e in errors), changed))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="model files are written here")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--minilm", help="folder of the real MiniLM-L6 model")
    parser.add_argument("--models", default=",".join(make_models.MODELS))
    parser.add_argument("--levels", default="portable,avx2,avx512")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    vocabulary = model_file.read_vocabulary(options.vocab)
    names = [n for n in options.models.split(",") if n] + (["minilm"] if options.minilm else [])
    print("| model | level | output | ours, max error | Transformers f32 | ratio | argmax changed | bar |\n|---|---|---|---|---|---|---|---|", flush=True)
    missed = 0
    for name in names:
        model = AutoModel.from_pretrained(options.minilm).float().eval() if name == "minilm" else make_models.build(name)
        path = options.folder / (name + ".gguf")
        model_file.write(model, vocabulary, path)
        for _, level, output, ours, theirs, changed in compare(name, model, path, options.levels.split(","), QUICK if options.quick else SHAPES):
            met = ours <= FACTOR * theirs and ours <= FLOOR and not changed
            missed += not met
            print(f"| {name} | {level} | {output} | {ours:.2e} | {theirs:.2e} | {ours / theirs:.2f} | {changed} | {'met' if met else 'MISSED'} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
