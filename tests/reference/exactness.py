#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hidden states, logits and pooled output against Transformers in float64, beside the error of
Transformers' own f32.

For every model, kernel level and batch shape (lengths 1 to 512, batches 1 to 64, mixed lengths; the
float64 results are kept in WORK_FOLDER and used again): the largest absolute error of ours and of
Transformers f32, and the ratio of the root mean squares of the two, which says more than that of
two largest of a few numbers. The bars: ours <= 2 x theirs, ours <= 2e-5, and the same argmax
wherever the reference's margin is over 4e-5. The model files are written by model_file.py. Prints a
table for doc/results.md; exit 1 if a bar was missed.

    exactness.py WORK_FOLDER --vocab VOCAB.txt [--minilm FOLDER] [--models a,b]
        [--levels portable,avx2,avx512] [--shapes a,b]
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

SHAPES = {"1x1": [1], "1x2": [2], "1x7": [7], "1x16": [16], "1x128": [128], "1x511": [511],
          "1x512": [512], "64x1-128": [int(n) for n in np.geomspace(1, 128, 64)]}
FLOOR, FACTOR, MARGIN = 2e-5, 2.0, 4e-5
OUTPUTS = ("hidden", "pooled", "logits")


def batch(shape, config):
    """The ids and types of a shape: the same ones every time."""
    random = np.random.default_rng([7, list(SHAPES).index(shape)])
    ids = [random.integers(0, config.vocab_size, n) for n in SHAPES[shape]]
    has_types = getattr(config, "type_vocab_size", 0) and config.model_type != "distilbert"
    return ids, [random.integers(0, 2, n) for n in SHAPES[shape]] if has_types else None


@torch.no_grad()
def transformers_run(model, ids, types):
    """Hidden states [N, C], pooled [B, C] or None, logits [B, K] or None; sequences of one length
    together, so that nothing is padded."""
    base = getattr(model, model.base_model_prefix, model)
    hidden, pooled, logits = [None] * len(ids), [None] * len(ids), [None] * len(ids)
    for length in {len(s) for s in ids}:
        chosen = [i for i, s in enumerate(ids) if len(s) == length]
        inputs = {"input_ids": torch.tensor(np.stack([ids[i] for i in chosen])),
                  "attention_mask": torch.ones(len(chosen), length, dtype=torch.long)}
        if types is not None:
            inputs["token_type_ids"] = torch.tensor(
                np.stack([types[i] for i in chosen]).astype(np.int64))
        out = base(**inputs)
        head = model(**inputs).logits if base is not model else None
        for row, i in enumerate(chosen):
            hidden[i] = out.last_hidden_state[row].double().numpy()
            pooled[i] = None if getattr(out, "pooler_output",
                                        None) is None else out.pooler_output[row].double().numpy()
            logits[i] = None if head is None else head[row].double().numpy()
    return [None if parts[0] is None else join(parts)
            for join, parts in ((np.concatenate, hidden), (np.stack, pooled), (np.stack, logits))]


def ours_run(model, ids, types, has_pooler, has_logits):
    batch = sqz.Packed(ids, types)
    return model.encode(batch), model.embed(
        batch, sqz.POOL_POOLER) if has_pooler else None, model.logits(batch) if has_logits else None


def flips(got, expected):
    ordered = np.sort(expected, axis=-1)
    sure = ordered[:, -1] - ordered[:, -2] > MARGIN
    return int((got.argmax(-1) != expected.argmax(-1))[sure].sum())


def references(model, name, shapes, folder):
    """{shape: (float64 outputs, f32 outputs)}, from the folder where they are there already. Leaves
    the model in float64."""
    missing = [s for s in shapes if not (folder / f"{name}-{s}.npz").exists()]
    single = {s: transformers_run(model, *batch(s, model.config)) for s in missing}
    model.double()
    for s in missing:
        both = transformers_run(model, *batch(s, model.config)), single.pop(s)
        arrays = {f"{kind}-{output}": array for kind, parts in zip(("f64", "f32"), both)
                  for output, array in zip(OUTPUTS, parts) if array is not None}
        np.savez(folder / f"{name}-{s}.npz", **arrays)
    out = {}
    for s in shapes:
        with np.load(folder / f"{name}-{s}.npz") as stored:
            out[s] = [[stored[f"{kind}-{output}"] if f"{kind}-{output}" in stored else None
                       for output in OUTPUTS] for kind in ("f64", "f32")]
    return out


class Errors:
    """Of one output over all shapes: the largest, the sum of squares, argmaxes that changed."""

    def __init__(self):
        self.largest, self.squares, self.flips = 0.0, 0.0, 0

    def add(self, got, expected, is_logits):
        error = got.astype(np.float64) - expected
        self.largest = max(self.largest, float(np.abs(error).max()))
        self.squares += float((error ** 2).sum())
        self.flips += flips(got, expected) if is_logits else 0


def compare(name, config, path, level, cases):
    """Rows (output, Errors of ours, Errors of Transformers f32)."""
    tokens = max(sum(SHAPES[s]) for s in cases)
    engine, table = sqz.Model(path, 1, level, tokens=tokens), {}
    for shape, (expected, single) in cases.items():
        ours = ours_run(engine, *batch(shape, config), expected[1] is not None,
                        expected[2] is not None)
        for output, o, t, e in zip(OUTPUTS, ours, single, expected):
            if e is not None:
                both = table.setdefault(output, (Errors(), Errors()))
                both[0].add(o, e, output == "logits")
                both[1].add(t, e, False)
    engine.close()
    return [(output, *both) for output, both in table.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="model files are written here")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--minilm", help="folder of the real MiniLM-L6 model")
    parser.add_argument("--models", default=",".join(make_models.MODELS))
    parser.add_argument("--levels", default="portable,avx2,avx512")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    vocabulary = model_file.read_vocabulary(options.vocab)
    names = [n for n in options.models.split(",") if n] + (["minilm"] if options.minilm else [])
    print("| model | level | output | ours, max error | Transformers f32 | ratio | ratio of RMS | "
          "argmax changed | bar |\n|---|---|---|---|---|---|---|---|---|", flush=True)
    missed = 0
    for name in names:
        model = AutoModel.from_pretrained(
            options.minilm).float().eval() if name == "minilm" else make_models.build(name)
        path = options.folder / (name + ".gguf")
        model_file.write(model, vocabulary, path)
        cases = references(model, name, options.shapes.split(","), options.folder)
        config = model.config
        del model
        for level in options.levels.split(","):
            for output, ours, theirs in compare(name, config, path, level, cases):
                met = (ours.largest <= FACTOR * theirs.largest and ours.largest <= FLOOR
                       and not ours.flips)
                missed += not met
                print(f"| {name} | {level} | {output} | {ours.largest:.2e} | {theirs.largest:.2e} "
                      f"| {ours.largest / theirs.largest:.2f} | "
                      f"{(ours.squares / theirs.squares) ** 0.5:.2f} | {ours.flips} | "
                      f"{'met' if met else 'MISSED'} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
