# SPDX-License-Identifier: Apache-2.0
"""What levers make of a model file, written by the gguf package from doc/format.md alone: each of
these functions changes a File, and they go together. Numbers are random: an export must carry any.
Models are those of export_compare.py.
"""
import gguf
import numpy as np

from export_compare import LINEARS, f32, low_rank, read_file, write_file

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
