#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/models: tiny random models as Hugging Face folders, and what Transformers
computes with them in float64.

Weights are rounded to f16 before anything is computed, so that the small file is the model itself.
Weights are N(0, 0.2), biases and norms random as well. Beside each folder's weights stands
golden.bin, little endian:

    u32 B, N, C, rows, K; u32 first[B+1]; u32 ids[N]; u8 types[N], padded to 4; f64
    hidden_tolerance, logits_tolerance; f32 hidden[N,C]; f32 logits[rows,K]

The tolerances are derived by moving the float64 computation: every output of a linear and of a norm
is moved by the most that f32 arithmetic could move it, (k + 4) u (|W||x| + |b|) for a linear of
depth k and 16 u (|y| + |b|) for a norm, u = 2^-24, with random signs; the largest deviation over 16
draws, doubled for attention (its products and softmax are not moved), and u times the largest value
for storing them in f32, is the tolerance.

    make_golden.py FOLDER [NAME ...]
"""
import pathlib
import struct
import sys

import numpy as np
import torch
import transformers
from transformers import AutoConfig

LENGTHS, VOCABULARY, POSITIONS, U, DRAWS = [1, 2, 7, 33], 40, 34, 2.0 ** -24, 16
COMMON = dict(vocab_size=VOCABULARY, max_position_embeddings=POSITIONS)


def sizes(width, heads, ffn, layers, **more):
    return dict(COMMON, hidden_size=width, num_attention_heads=heads, intermediate_size=ffn,
                num_hidden_layers=layers, **more)


def distil(width, heads, ffn, layers, **more):
    return dict(COMMON, dim=width, n_heads=heads, hidden_dim=ffn, n_layers=layers, **more)


def squeeze(q, k, v, post, up, down):
    return dict(q_groups=q, k_groups=k, v_groups=v, post_attention_groups=post,
                intermediate_groups=up, output_groups=down)


MODELS = {  # name: model type, class, configuration
    "squeezebert-sequence": ("squeezebert", "SqueezeBertForSequenceClassification",
        sizes(24, 4, 36, 2, num_labels=3, embedding_size=24, **squeeze(3, 2, 6, 1, 4, 12))),
    "squeezebert-masked": ("squeezebert", "SqueezeBertForMaskedLM",
        sizes(20, 2, 30, 1, embedding_size=20, layer_norm_eps=1e-5, **squeeze(5, 1, 2, 2, 10, 5))),
    "squeezebert-token": ("squeezebert", "SqueezeBertForTokenClassification",
        sizes(16, 1, 16, 1, num_labels=5, embedding_size=16, **squeeze(4, 4, 4, 1, 4, 4))),
    "bert-sequence": ("bert", "BertForSequenceClassification",
        sizes(21, 3, 37, 1, num_labels=2, layer_norm_eps=1e-5)),
    "bert-question": ("bert", "BertForQuestionAnswering",
        sizes(20, 5, 33, 1, hidden_act="gelu_new")),
    "bert-choice": ("bert", "BertForMultipleChoice", sizes(18, 2, 20, 1, hidden_act="relu")),
    "bert-masked": ("bert", "BertForMaskedLM", sizes(19, 1, 24, 1)),
    "distilbert-sequence": ("distilbert", "DistilBertForSequenceClassification",
        distil(22, 2, 31, 1, num_labels=4)),
    "distilbert-masked": ("distilbert", "DistilBertForMaskedLM", distil(20, 4, 28, 1)),
    "electra-sequence": ("electra", "ElectraForSequenceClassification",
        sizes(24, 3, 32, 1, embedding_size=10, num_labels=3)),
    "electra-masked": ("electra", "ElectraForMaskedLM", sizes(20, 2, 30, 1, embedding_size=12)),
    "electra-token": ("electra", "ElectraForTokenClassification",
        sizes(16, 2, 24, 1, embedding_size=24, num_labels=3)),
}


@torch.no_grad()
def build(name):
    """The model in float64, its weights exact in f16."""
    kind, class_name, options = MODELS[name]
    torch.manual_seed(20261124 + list(MODELS).index(name))
    model = getattr(transformers, class_name)(AutoConfig.for_model(kind, **options)).float().eval()
    for key, parameter in model.named_parameters():
        gain = "norm" in key.lower() and key.endswith("weight")
        parameter.normal_(1.0 if gain else 0.0, 0.1 if gain else 0.2)
        parameter.copy_(parameter.half().float())
    return model.double()


def batch(model):
    random = np.random.default_rng(11)
    has_types = model.config.model_type != "distilbert"
    ids = [random.integers(0, VOCABULARY, n) for n in LENGTHS]
    return ids, [random.integers(0, 2, n) if has_types else np.zeros(n, int) for n in LENGTHS]


@torch.no_grad()
def run(model, ids, types):
    """Hidden states [N, C] and logits [rows, K], sequence by sequence."""
    hidden, logits = [], []
    choice = "MultipleChoice" in type(model).__name__
    for one, kinds in zip(ids, types):
        inputs = {"input_ids": torch.tensor(one)[None],
                  "attention_mask": torch.ones(1, len(one), dtype=torch.long)}
        if model.config.model_type != "distilbert":
            inputs["token_type_ids"] = torch.tensor(kinds)[None]
        if choice:
            inputs = {key: value[None] for key, value in inputs.items()}
        out = model(**inputs, output_hidden_states=True)
        hidden.append(out.hidden_states[-1].reshape(len(one), -1))
        if hasattr(out, "start_logits"):
            logits.append(torch.stack([out.start_logits[0], out.end_logits[0]], -1))
        else:
            logits.append(out.logits.reshape(-1, out.logits.shape[-1]))
    return torch.cat(hidden).numpy(), torch.cat(logits).numpy()


def move(module, inputs, output):
    """A forward hook: the output moved by what f32 rounding may do, with random signs."""
    if isinstance(module, torch.nn.LayerNorm):
        bias = module.bias.abs()
        if type(module).__name__ == "SqueezeBertLayerNorm":  # [B, C, T]
            bias = bias[:, None]
        bound = 16 * U * (output.abs() + bias)
    else:
        weight, x = module.weight.abs(), inputs[0].abs()
        bias = module.bias.abs() if module.bias is not None else None
        if isinstance(module, torch.nn.Conv1d):
            size = torch.nn.functional.conv1d(x, weight, bias, groups=module.groups)
        else:
            size = torch.nn.functional.linear(x, weight, bias)
        bound = (weight.shape[1] + 4) * U * size
    return output + bound * (torch.randint(0, 2, output.shape) * 2 - 1)


def tolerances(model, ids, types, expected):
    hooks = [m.register_forward_hook(move) for m in model.modules()
             if isinstance(m, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.LayerNorm))]
    torch.manual_seed(3)
    moved = [run(model, ids, types) for _ in range(DRAWS)]
    for hook in hooks:
        hook.remove()
    return [2 * max(np.abs(m[part] - expected[part]).max()
                    for m in moved) + U * np.abs(expected[part]).max() for part in (0, 1)]


def write_golden(path, ids, types, expected, bounds):
    hidden, logits = expected
    first = np.cumsum([0] + LENGTHS)
    kinds = np.concatenate(types).astype(np.uint8).tobytes()
    with open(path, "wb") as f:
        f.write(struct.pack("<5I", len(ids), first[-1], hidden.shape[1], *logits.shape))
        f.write(first.astype("<u4").tobytes() + np.concatenate(ids).astype("<u4").tobytes())
        f.write(kinds + bytes(-len(kinds) % 4) + struct.pack("<2d", *bounds))
        f.write(hidden.astype("<f4").tobytes() + logits.astype("<f4").tobytes())


def vocabulary():
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(VOCABULARY - 5)]


def write_folder(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    model.double()
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in vocabulary()))


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or MODELS:
        model = build(name)
        write_folder(model, folder / name)
        ids, types = batch(model)
        expected = run(model, ids, types)
        bounds = tolerances(model, ids, types, expected)
        write_golden(folder / name / "golden.bin", ids, types, expected, bounds)
        print(f"{name}: hidden to {bounds[0]:.1e}, logits to {bounds[1]:.1e}")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-") or set(sys.argv[2:]) - set(MODELS):
        sys.exit(__doc__ + "    names: " + ", ".join(MODELS))
    main()
