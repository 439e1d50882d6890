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

import gguf
import numpy as np
import torch
import transformers.utils.logging
from transformers import AutoConfig

import sqz
from export_compare import (HEADS, LINEARS, TYPES, Tool, batch, build, f32, load, low_rank, ours,
                            read_file, run, write_file)

I8 = gguf.GGMLQuantizationType.I8
BLOCKS, WIDTH, HEADS_WHOLE, HEAD_WIDTH, FFN = 3, 48, 4, 12, 120
# bits: the lowest level, their step, the largest multiplier of a group of 32, its bits
PACKED = {4: (-8, 1, 15, 4), 3: (-4, 1, 31, 5), 2: (-3, 2, 42, 6)}


def pack(numbers, bits):
    """Rows of numbers below 2^bits, from the lowest bit of the first byte on."""
    spread = (numbers[..., None] >> np.arange(bits)) & 1
    return np.packbits(spread.reshape(len(numbers), -1), axis=1, bitorder="little")


class File:
    """A model file being squeezed: tensors and metadata as they are written, and beside what is
    stored as integers the f32 numbers that it means."""

    def __init__(self, path, random):
        self.reader, self.tensors = read_file(path)
        self.meanings, self.more, self.random = {}, {}, random
        self.blocks = list(range(BLOCKS))
        self.requires = set(self.reader.fields["sqz.requires"].contents()
                            if "sqz.requires" in self.reader.fields else [])

    def get(self, name):
        return self.tensors[name][0]

    def integers(self, name, ending, scale, stored, meant):
        """The tensor as integers; `meant` times the scale of its row is what they are."""
        del self.tensors[name]
        self.tensors[name + ending] = stored.view(np.int8), I8
        self.tensors[name + ".scale"] = f32(scale)
        self.meanings[name] = f32(scale[:, None] * meant)
        self.requires.add(ending[1:] or "s8")

    def int8(self, name):
        weight = self.get(name)
        scale = (np.abs(weight).max(1) / 127).astype(np.float32)
        scale[scale == 0] = 1
        numbers = np.rint(weight / scale[:, None]).astype(np.int8)
        self.integers(name, "", scale, numbers, numbers)

    def packed(self, name, bits):
        lowest, step, most, multiplier_bits = PACKED[bits]
        rows, n = self.get(name).shape
        groups = -(-n // 32)
        multipliers = self.random.integers(1, most + 1, (rows, groups))
        codes = self.random.integers(0, 1 << bits, (rows, n))
        levels = lowest + step * codes
        numbers = levels * multipliers.repeat(32, 1)[:, :n]
        scale = (np.abs(self.get(name)).mean(1) / 25).astype(np.float32)
        self.integers(name, f".s{bits}", scale,
                      np.hstack([pack(multipliers, multiplier_bits), pack(codes, bits)]), numbers)

    def matrices(self):
        return [name for name in self.tensors if name.startswith("blk.")
                and name.endswith((".weight", ".a", ".b")) and self.get(name).ndim == 2]

    def write(self, path, meant=False):
        tensors = dict(self.tensors)
        integers = {"s8", "s4", "s3", "s2", "product_quantised"}
        requires = self.requires - (integers if meant else set())
        more = self.more | {"sqz.requires": sorted(requires)}
        if meant:
            for name, meaning in self.meanings.items():
                for ending in ("", ".s4", ".s3", ".s2", ".scale"):
                    tensors.pop(name + ending, None)
                tensors[name] = meaning
            for ending in ("codes", "centroids", "centroids.scale"):
                tensors.pop("token_embd." + ending, None)
        write_file(path, self.reader, tensors, more)


# ---- embeddings ----

def factorised(file, k=11):
    word = file.get("token_embd.weight")
    file.tensors["token_embd.weight"] = f32(file.random.normal(0, 0.3, (len(word), k)))
    file.tensors["token_embd.projection"] = f32(file.random.normal(0, 0.3, (word.shape[1], k)))
    file.requires.add("reduced_embedding")


def factorised_int8(file):
    factorised(file)
    file.int8("token_embd.weight")
    file.int8("token_embd.projection")


def few_bits(file):
    file.packed("token_embd.weight", 3)
    file.packed("position_embd.weight", 2)


def product_quantised(file, parts=4):
    """Rows of 256 centroids a part."""
    rows, width = file.tensors.pop("token_embd.weight")[0].shape
    codes = file.random.integers(0, 256, (rows, parts), dtype=np.uint8)
    centroids = file.random.integers(-127, 128, (parts, 256, width // parts)).astype(np.int8)
    scale = file.random.uniform(0.0005, 0.002, (parts, 256)).astype(np.float32)
    meant = centroids.astype(np.float32) * scale[..., None]
    file.tensors |= {"token_embd.codes": (codes.view(np.int8), I8),
                     "token_embd.centroids": (centroids.reshape(parts * 256, -1), I8),
                     "token_embd.centroids.scale": f32(scale.ravel())}
    file.meanings["token_embd.weight"] = f32(
        np.concatenate([meant[p, codes[:, p]] for p in range(parts)], axis=1))
    file.requires.add("product_quantised")


def factorised_product(file):
    factorised(file, 12)
    product_quantised(file)


def fewer_pieces(file):
    """The first 200 pieces, without a few."""
    kept = [i for i in range(200) if i % 7 != 5 or i < 120]
    names = file.reader.fields["tokenizer.ggml.tokens"].contents()
    file.tensors["token_embd.weight"] = f32(file.get("token_embd.weight")[kept])
    for name in ("head.output.bias", "head.output.weight"):
        if name in file.tensors and len(file.get(name)) == len(names):
            file.tensors[name] = f32(file.get(name)[kept])
    file.more |= {"sqz.vocabulary": len(kept), "tokenizer.ggml.tokens": [names[i] for i in kept]}
    number = {old: new for new, old in enumerate(kept)}
    for field in file.reader.fields.values():
        if field.name.endswith("_token_id"):
            file.more[field.name] = number[field.contents()]
    added = file.reader.fields.get("sqz.tokenizer.added.ids")
    if added:
        file.more[added.name] = [number[i] for i in added.contents()]


# ---- linears ----

def factors(file):
    for i in file.blocks:
        for name in LINEARS:
            low_rank(file.tensors, f"blk.{i}.{name}", file.random)
    file.more |= {f"sqz.block.{name}.groups": [1] * BLOCKS for name in LINEARS
                  if f"sqz.block.{name}.groups" in file.reader.fields}
    file.requires.add("low_rank")


def four_bits(file):
    for name in file.matrices():
        file.packed(name, 4)


def factors_in_three_bits(file):
    factors(file)
    for name in file.matrices():
        file.packed(name, 3)


# ---- shapes ----

def dense(file):
    """Grouped matrices as dense ones, which can lose rows and columns."""
    for name in LINEARS:
        key = f"sqz.block.{name}.groups"
        if key not in file.reader.fields or key in file.more:
            continue
        for i, groups in enumerate(file.reader.fields[key].contents()):
            small = file.get(f"blk.{i}.{name}.weight")
            n_out, n_in = len(small), small.shape[1] * groups
            whole = np.zeros((n_out, n_in), np.float32)
            for g in range(groups):
                rows = slice(g * n_out // groups, (g + 1) * n_out // groups)
                whole[rows, g * n_in // groups:(g + 1) * n_in // groups] = small[rows]
            file.tensors[f"blk.{i}.{name}.weight"] = f32(whole)
        file.more[key] = [1] * BLOCKS


def keep(file, i, kept, up, down):
    for name in up:
        file.tensors[f"blk.{i}.{name}.weight"] = f32(file.get(f"blk.{i}.{name}.weight")[kept])
        file.tensors[f"blk.{i}.{name}.bias"] = f32(file.get(f"blk.{i}.{name}.bias")[kept])
    file.tensors[f"blk.{i}.{down}.weight"] = f32(file.get(f"blk.{i}.{down}.weight")[:, kept])


def fewer_neurons(file):
    dense(file)
    widths = [120, 40, 7]
    for i, n in enumerate(widths):
        keep(file, i, np.sort(file.random.permutation(FFN)[:n]), ["ffn_up"], "ffn_down")
    file.more["sqz.block.ffn_width"] = widths


def cut_heads(file, heads, widths):
    dense(file)
    for i, (n, width) in enumerate(zip(heads, widths)):
        chosen = np.sort(file.random.permutation(HEADS_WHOLE)[:n])
        kept = (chosen[:, None] * HEAD_WIDTH + np.arange(width)).ravel()
        keep(file, i, kept, ["attn_q", "attn_k", "attn_v"], "attn_output")
    file.more |= {"sqz.block.heads": heads, "sqz.block.head_width": widths}


def fewer_heads(file):
    cut_heads(file, [4, 1, 3], [12, 12, 12])


def narrower_heads(file):
    cut_heads(file, [2, 4, 1], [12, 7, 5])
    fewer_neurons(file)


# ---- blocks ----

def keep_blocks(file, kept):
    per_block = {"sqz.block." + key for key in (
        "heads", "head_width", "ffn_width", "activation", "attn_norm_epsilon",
        "ffn_norm_epsilon")} | {f"sqz.block.{name}.{groups}" for name in LINEARS
                                for groups in ("groups", "factor_groups")}
    for key in per_block:
        values = file.more.get(key)
        if values is None and key in file.reader.fields:
            values = file.reader.fields[key].contents()
        if values is not None:
            file.more[key] = [values[i] for i in kept]
    for stored in (file.tensors, file.meanings):
        for name in [name for name in stored if name.startswith("blk.")]:
            value = stored.pop(name)
            _, i, rest = name.split(".", 2)
            if int(i) in kept:
                stored[f"blk.{kept.index(int(i))}.{rest}"] = value
    file.more["sqz.blocks"] = len(kept)


def two_blocks(file):
    keep_blocks(file, [0, 2])


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


def cut_factors(file, bits):
    """Factors of the shape that the matrices have by now."""
    for i in file.blocks:
        for name in LINEARS:
            full = f"blk.{i}.{name}"
            n_out, n_in = file.tensors.pop(full + ".weight")[0].shape
            file.tensors[full + ".a"] = f32(file.random.normal(0, 0.15, (5, n_in)))
            file.tensors[full + ".b"] = f32(file.random.normal(0, 0.15, (n_out, 5)))
            for part in (".a", ".b"):
                if bits:
                    file.packed(full + part, 3)
    file.requires.add("low_rank")


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
        for i, form in enumerate(heads_beside()):
            kind = list(TYPES)[i % len(TYPES)]
            if part in "classifier":
                results.append(one_head(tool, source(kind, "ForSequenceClassification"), kind,
                                        *form))
    print(f"{sum(results)} of {len(results)} as they must be")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
