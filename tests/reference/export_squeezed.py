#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Squeezed model files that left by `export --dense`, against Transformers: what levers make of an
embedding, of linears, of heads and neurons and of the number of blocks, in every combination, is
put into the files of random models by the gguf package, exported, loaded by Transformers and run
in float64 from the f32 weights; our run of a file with the same numbers in f32 is compared. Then
classifiers that no class of Transformers has: sentence-transformers on the folder, our logits of
the file and of the file that an import makes of the folder.

    export_squeezed.py PROGRAM VOCAB.txt [PART OF A NAME]

One line a file, and a summary.
"""
import itertools
import json
import pathlib
import shutil
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers.utils.logging
from transformers import AutoConfig

import sqz
from export_compare import HEADS, TYPES, Tool, batch, build, f32, load, ours, run
from squeezed_file import (WIDTH, File, cut_factors, factorised, factorised_int8,
                           factorised_product, factors, factors_in_three_bits, few_bits,
                           fewer_heads, fewer_neurons, fewer_pieces, four_bits, narrower_heads,
                           product_quantised, two_blocks)

LEVERS = [[None, factorised, factorised_int8, few_bits, fewer_pieces, product_quantised,
           factorised_product],
          [None, fewer_neurons, fewer_heads, narrower_heads],
          [None, factors, four_bits, factors_in_three_bits],
          [None, two_blocks]]


def compare(name, got, exact):
    error, scale = np.abs(got - exact).max(), max(1, np.abs(exact).max())
    good = error <= 1e-5 * scale
    print(f"{name:78} off by {error:.1e} of {np.abs(exact).max():.2g}{'' if good else '  FAILED'}",
          flush=True)
    return good


def no_blocks(tool, kind, head, n):
    """All are dropped; from a folder, as the gguf package writes no empty list."""
    folder, path, back = (tool.work / end for end in ("none", "none.gguf", "out"))
    for one in (folder, back):
        shutil.rmtree(one, ignore_errors=True)
    key = "n_layers" if kind == "distilbert" else "num_hidden_layers"
    build(kind, head, n, **{key: 0}).save_pretrained(folder)
    shutil.copy(tool.vocabulary, folder / "vocab.txt")
    tool("import", folder, "-o", path)
    tool("export", path, "-o", back, "--dense")
    again = load(back, getattr(transformers, TYPES[kind] + head)(
        AutoConfig.from_pretrained(back))).double()
    ids, types = batch(n, kind)
    return compare(f"{kind}{head} + no_blocks", ours(path, ids, types, kind),
                   run(again, ids, types))


def one_file(tool, source, kind, head, levers):
    name = " + ".join([f"{kind}{head}"] + [lever.__name__ for lever in levers])
    path, meant, back = (tool.work / end for end in ("squeezed.gguf", "meant.gguf", "out"))
    file = File(source, np.random.default_rng(9))
    for lever in levers:
        # factors need no matrix that was cut: they take its place
        if lever in (factors, factors_in_three_bits) and any(
                x in levers for x in (fewer_neurons, fewer_heads, narrower_heads)):
            cut_factors(file, lever is factors_in_three_bits)
        else:
            lever(file)
    file.write(path)
    file.write(meant, meant=True)
    shutil.rmtree(back, ignore_errors=True)
    tool("export", path, "-o", back, "--dense")
    settings = json.loads((back / "config.json").read_text())
    again = load(back, getattr(transformers, settings["architectures"][0])(
        AutoConfig.from_pretrained(back))).double()
    ids, types = batch(again.config.vocab_size, kind)
    return compare(name, ours(meant, ids, types, kind), run(again, ids, types))


# ---- heads that no class has ----

def heads_beside():
    """Pool, whether there is a dense layer, its outputs and activation, a norm."""
    for pool in ("cls", "mean", "max", "mean_sqrt_len", "weighted_mean", "last", "pooler"):
        yield pool, 0, None, False
        for activation in ("identity", "tanh", "relu", "gelu"):
            yield pool, 20, activation, activation == "tanh"


def one_head(tool, source, kind, pool, width, activation, norm):
    from sentence_transformers import SentenceTransformer
    name = f"{kind} {pool}{f', {activation} of {width}' if width else ''}{', norm' * norm}"
    path, again, back = (tool.work / end for end in ("head.gguf", "again.gguf", "out"))
    file = File(source, np.random.default_rng(3))
    normal = lambda *shape: f32(file.random.normal(0, 0.3, shape))
    for key in [key for key in file.tensors if key.startswith(("head.dense", "head.norm"))]:
        del file.tensors[key]
    file.more |= {"sqz.head.pool": pool, "sqz.head.norm_epsilon": 1e-5,
                  "sqz.head.activation": "identity"}
    if "pooler.weight" not in file.tensors:
        file.tensors |= {"pooler.weight": normal(WIDTH, WIDTH), "pooler.bias": normal(WIDTH)}
    if width:
        file.tensors |= {"head.dense.weight": normal(width, WIDTH),
                         "head.dense.bias": normal(width)}
        file.more["sqz.head.activation"] = activation
    if norm:
        file.tensors |= {"head.norm.weight": normal(width), "head.norm.bias": normal(width)}
    file.tensors["head.output.weight"] = normal(5, width or WIDTH)
    file.write(path)
    shutil.rmtree(back, ignore_errors=True)
    tool("export", path, "-o", back)
    if not (back / "modules.json").exists():
        print(f"{name:78} has a class", flush=True)
        return True
    text = [" ".join(tool.words[i:i + n]) for i, n in ((0, 1), (3, 9), (30, 20))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = SentenceTransformer(str(back)).double().encode(text)
    tool("import", back, "-o", again)
    good = True
    for label, one in (("", path), (", back again", again)):
        answers = [json.loads(line) for line in tool(
            "classify", one, "--json", stdin="\n".join(text) + "\n").splitlines()]
        good &= compare(name + label, logits_of(one, tool, text), theirs)
        good &= all("class" in json.dumps(answer) for answer in answers)
    return good


def logits_of(path, tool, text):
    lines = tool("tokenize", path, "--json", stdin="\n".join(text) + "\n").splitlines()
    model = sqz.Model(path)
    out = model.logits(sqz.Packed([np.array(json.loads(line)["ids"]) for line in lines]))
    model.close()
    return out


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    part = sys.argv[3] if len(sys.argv) > 3 else ""
    torch.manual_seed(7)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    words = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()[:2500]
    results, made = [], {}
    with tempfile.TemporaryDirectory() as work:
        vocabulary = pathlib.Path(work) / "vocab.txt"
        vocabulary.write_text("\n".join(words) + "\n", encoding="utf-8")
        tool = Tool(sys.argv[1], pathlib.Path(work), vocabulary, [])
        tool.words = [word for word in words if word.isalpha()][-60:]

        def source(kind, head):
            if (kind, head) not in made:
                folder = tool.work / f"{kind}{head}"
                build(kind, head, len(words)).save_pretrained(folder)
                shutil.copy(vocabulary, folder / "vocab.txt")
                made[kind, head] = tool.work / f"{kind}{head}.gguf"
                tool("import", folder, "-o", made[kind, head])
            return made[kind, head]

        every = itertools.cycle(itertools.product(TYPES, HEADS))
        for levers in itertools.product(*LEVERS):
            chosen = [lever for lever in levers if lever]
            kind, head = next(every)
            if part in " + ".join(lever.__name__ for lever in chosen):
                results.append(one_file(tool, source(kind, head), kind, head, chosen))
        for kind, head in itertools.product(TYPES, HEADS):
            if part in "no_blocks":
                results.append(no_blocks(tool, kind, head, len(words)))
        for i, form in enumerate(heads_beside()):
            kind = list(TYPES)[i % len(TYPES)]
            if part in "classifier":
                results.append(one_head(tool, source(kind, "ForSequenceClassification"), kind,
                                        *form))
    print(f"{sum(results)} of {len(results)} as they must be")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
