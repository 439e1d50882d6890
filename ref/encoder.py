# SPDX-License-Identifier: Apache-2.0
"""doc/model.md as a program: the encoder, its heads and its pooling in float64. The numbers in
brackets are the equations there.

One sequence at a time, no packing and no blocking: this file is to be compared with, not to be
fast. Weights of an I8 file are taken as scale times integer and activations stay float64, so it is
the model that such a file describes, not the rounding of an int8 run.

    encoder.py MODEL.gguf ID ID ...        prints pooled embedding and the head's logits
"""
import math
import sys

import numpy as np

import gguf_file

ERF = np.vectorize(math.erf, otypes=[float])

ACTIVATIONS = {
    "identity": lambda x: x,
    "gelu": lambda x: x / 2 * (1 + ERF(x / math.sqrt(2))),  # (9)
    "gelu_tanh": lambda x: x / 2 * (
        1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))),  # (10)
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}


def block_diagonal(w, x, groups):
    """y_g = W_g x_g for every group (2); x [T, in], w [out, in/G]."""
    rows, parts = np.split(w, groups), np.split(x, groups, axis=-1)
    return np.concatenate([part @ row.T for row, part in zip(rows, parts)], axis=-1)


def layer_norm(x, weight, bias, epsilon):
    """(5): the variance is that of the row, divided by n."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + epsilon) * weight + bias


def softmax(x):
    """(7)"""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Model:
    def __init__(self, path):
        self.meta, self.tensors = gguf_file.read(path)
        missing = set(self.meta.get("sqz.requires", [])) - {
            "groups", "low_rank", "sum", "permutation", "reduced_embedding", "s8", "bf16",
            "bare_embedding"}
        if missing:
            raise ValueError(f"{path}: needs {sorted(missing)}")

    def linear(self, name, x, groups=1, factor_groups=1):
        """(1) to (4): a sum of a block-diagonal and a low-rank part, with permutations and bias."""
        t = self.tensors
        order = self.meta.get(f"sqz.permutation.{name}.in")
        if order is not None:
            x = x[..., order]
        y = 0
        if name + ".weight" in t:
            y = y + block_diagonal(t[name + ".weight"], x, groups)  # (2)
        if name + ".a" in t:
            y = y + block_diagonal(t[name + ".b"], block_diagonal(t[name + ".a"], x, factor_groups),
                                   factor_groups)  # (3)
        if name + ".bias" in t:
            y = y + t[name + ".bias"]  # (1)
        places = self.meta.get(f"sqz.permutation.{name}.out")
        if places is not None:
            moved = np.empty_like(y)
            moved[..., places] = y  # (4)
            y = moved
        return y

    def block_linear(self, i, name, x):
        def count(key):
            return self.meta.get(f"sqz.block.{name}.{key}", {i: 1})[i]
        return self.linear(f"blk.{i}.{name}", x, count("groups"), count("factor_groups"))

    def norm(self, name, x, epsilon):
        return layer_norm(x, self.tensors[name + ".weight"], self.tensors[name + ".bias"], epsilon)

    def embed(self, ids, types):
        """(6)"""
        t = self.tensors
        word = t["token_embd.weight"][ids]
        if "token_embd.projection" in t:
            word = word @ t["token_embd.projection"].T
        bare = "bare_embedding" in self.meta.get("sqz.requires", [])
        x = word if bare else word + t["position_embd.weight"][:len(ids)]
        if "token_types.weight" in t:
            x = x + t["token_types.weight"][types]
        if bare:
            return x
        x = self.norm("token_embd_norm", x, self.meta["sqz.embedding.norm_epsilon"])
        return self.linear("embd_output",
                           x) if "embd_output.weight" in t or "embd_output.a" in t else x

    def attend(self, i, x):
        """(8): softmax(q kT / sqrt(D)) v, head by head."""
        q, k, v = (self.block_linear(i, name, x) for name in ("attn_q", "attn_k", "attn_v"))
        width = self.meta["sqz.block.head_width"][i]
        out = np.empty_like(q)
        for h in range(self.meta["sqz.block.heads"][i]):
            c = slice(h * width, (h + 1) * width)
            out[:, c] = softmax(q[:, c] @ k[:, c].T / math.sqrt(width)) @ v[:, c]
        return out

    def block(self, i, x):
        """(11) to (13)"""
        a = self.block_linear(i, "attn_output", self.attend(i, x)) + x
        a = self.norm(f"blk.{i}.attn_output_norm", a,
                      self.meta["sqz.block.attn_norm_epsilon"][i])  # (11)
        f = self.block_linear(i, "ffn_up", a)
        f = ACTIVATIONS[self.meta["sqz.block.activation"][i]](f)  # (12)
        y = self.block_linear(i, "ffn_down", f) + a
        return self.norm(f"blk.{i}.layer_output_norm", y,
                         self.meta["sqz.block.ffn_norm_epsilon"][i])  # (13)

    def states(self, ids, types=None):
        """Hidden states of one sequence: after the embedding and after every block, L + 1 arrays
        [T, C]."""
        x = self.embed(np.asarray(ids),
                       np.zeros(len(ids), int) if types is None else np.asarray(types))
        all_states = [x]
        for i in range(self.meta["sqz.blocks"]):
            x = self.block(i, x)
            all_states.append(x)
        return all_states

    def pooled(self, hidden, pool):
        """(14): one vector a sequence, or all rows where pool is none."""
        if pool == "none":
            return hidden
        weights = np.arange(1, len(hidden) + 1)[:, None]
        return {"mean": lambda: hidden.mean(0),
                "cls": lambda: hidden[0],
                "max": lambda: hidden.max(0),
                "mean_sqrt_len": lambda: hidden.sum(0) / np.sqrt(len(hidden)),
                "weighted_mean": lambda: (weights * hidden).sum(0) / weights.sum(),
                "last": lambda: hidden[-1],
                "pooler": lambda: np.tanh(self.linear("pooler", hidden[0]))}[pool]()

    def step(self, i, word, x):
        """A layer behind the pooling: dense, dense_ACTIVATION, normalize or norm."""
        if word == "normalize":
            return x / np.linalg.norm(x)
        if word == "norm":
            return self.norm(f"embd_step.{i}", x, 1e-5)
        return ACTIVATIONS[word[6:] or "identity"](self.linear(f"embd_step.{i}", x))

    def embedding(self, hidden, pool=None, normalize=None):
        """(15)"""
        pool = pool or self.meta.get("sqz.pool", "mean")
        e = self.pooled(hidden, pool)
        if pool != "none":
            for i, word in enumerate(self.meta.get("sqz.embed.steps", [])):
                e = self.step(i, word, e)
            e = e[:self.meta.get("sqz.dimensions", len(e))]
        if self.meta.get("sqz.normalize", False) if normalize is None else normalize:
            length = np.linalg.norm(e, axis=-1, keepdims=True)
            e = np.divide(e, length, out=np.zeros_like(e), where=length > 0)
        return e

    def logits(self, hidden):
        """(16): pool, dense, activation, norm, output; None without a head."""
        t = self.tensors
        if self.meta.get("sqz.head.kind", "none") == "none":
            return None
        x = self.pooled(hidden, self.meta.get("sqz.head.pool", "none"))
        if "head.dense.weight" in t:
            x = ACTIVATIONS[self.meta.get("sqz.head.activation",
                                          "identity")](self.linear("head.dense", x))
            if "head.norm.weight" in t:
                x = self.norm("head.norm", x, self.meta.get("sqz.head.norm_epsilon", 1e-12))
        if not self.meta.get("sqz.head.tied", False):
            return self.linear("head.output", x)
        if "token_embd.projection" in t:
            x = x @ t["token_embd.projection"]  # (17)
        return x @ t["token_embd.weight"].T + t.get("head.output.bias", 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    model = Model(sys.argv[1])
    last = model.states([int(word) for word in sys.argv[2:]])[-1]
    print("embedding", *(f"{x:.9g}" for x in model.embedding(last)))
    answer = model.logits(last)
    if answer is not None:
        for row in np.atleast_2d(answer):
            print("logits", *(f"{x:.9g}" for x in row))
