#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten steps of AdamW on the golden tiny models, of every type and head, against PyTorch in float64.

Rate 1e-3, decay 0.1 of matrices and tables, epsilon 1e-6, the gradient clipped to 1; the loss is
half the squared distance of all logits to targets. A batch of other pieces each step, [PAD] in
texts among them. Numbers, pieces and targets are of counters (`bits`), the same here and in
tests/unit/test_steps.c. For every tensor but the biases of keys, whose gradient is 0 in theory,

    |w - w_ref| <= SHARE |w_ref - w_0|      SHARE = 3e-4 in f32, 1e-9 in the double build

    steps_compare.py PROGRAM TEST_STEPS TEST_STEPS_DOUBLE     exit 77 where torch is not installed
    steps_compare.py PROGRAM --vectors > tests/unit/step_vectors.h
"""
import pathlib
import subprocess
import sys
import tempfile
import textwrap

try:
    import gguf
    import numpy as np
    import torch
    import transformers.utils.logging
    import gradients_compare
    import make_golden
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

STEPS, RATE, DECAY, EPSILON, CLIP, PIECES, SIGNS = 10, 1e-3, 0.1, 1e-6, 1.0, 72, 4
IDS, TYPES, TARGETS, ALONG = 1000, 1100, 1200, 2000  # streams; tensor k has stream k


def bits(stream, n):
    """Of splitmix64, [n]."""
    z = (np.uint64(stream) << np.uint64(32)) + np.arange(n, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def numbers(stream, n):
    """[-1, 1), of 11 bits each."""
    return ((bits(stream, n) >> np.uint64(53)).astype(np.int64) - 1024) / 1024.0


def signs(k, j, n):
    return 1.0 - 2.0 * (bits(ALONG + SIGNS * k + j, n) >> np.uint64(63)).astype(np.float64)


def is_gain(name):
    return name.endswith("norm.weight")


def fields_of(path):
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()
            if key.startswith("sqz.")}


def name_tensors(program, model, folder):
    """Our names in our order, each with Transformers'; and what describes the model: every tensor
    is imported full of its own number."""
    keys = [key for key, _ in model.named_parameters()]
    with torch.no_grad():
        for k, (_, parameter) in enumerate(model.named_parameters()):
            parameter.fill_(k + 1)
    make_golden.write_folder(model, folder / "model")
    subprocess.run([program, "import", folder / "model", "-o", folder / "model.gguf"], check=True,
                   capture_output=True)
    tensors = [(t.name, keys[int(t.data.flat[0]) - 1])
               for t in gguf.GGUFReader(folder / "model.gguf").tensors
               if not t.name.startswith("verify.")]
    return tensors, fields_of(folder / "model.gguf")


def fill(model, tensors):
    start = {}
    with torch.no_grad():
        for k, (name, key) in enumerate(tensors):
            parameter = model.get_parameter(key)
            values = is_gain(name) + numbers(k, parameter.numel()) / 4
            start[name] = values
            parameter.copy_(torch.tensor(values).reshape(parameter.shape))
    return start


def batch_of(model, step):
    n = sum(gradients_compare.LENGTHS)
    ids = (bits(IDS + step, n) % np.uint64(PIECES)).astype(np.int64)
    types = (bits(TYPES + step, n) % np.uint64(2)).astype(np.int64)
    if model.config.model_type == "distilbert":
        types[:] = 0
    cuts = np.cumsum(gradients_compare.LENGTHS)[:-1]
    return np.split(ids, cuts), np.split(types, cuts)


def train(model, tensors):
    names = {key: name for name, key in tensors}
    plain = [p for key, p in model.named_parameters()
             if names[key].endswith(".bias") or is_gain(names[key])]
    decaying = [p for p in model.parameters() if not any(p is q for q in plain)]
    optimizer = torch.optim.AdamW([{"params": decaying, "weight_decay": DECAY},
                                   {"params": plain, "weight_decay": 0.0}], lr=RATE, eps=EPSILON)
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = gradients_compare.logits_of(model, *batch_of(model, step))
        targets = torch.tensor(numbers(TARGETS + step, logits.numel())).reshape(logits.shape)
        (0.5 * (logits - targets).square().sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
    return {name: model.get_parameter(key).detach().numpy().ravel() for name, key in tensors
            if model.get_parameter(key).grad is not None}


def reference(program, name):
    """(names of all tensors, description, start, end): start and end of those that are trained."""
    make_golden.VOCABULARY = make_golden.MODELS[name][2]["vocab_size"] = PIECES
    model = make_golden.build(name)
    assert model.get_input_embeddings().padding_idx == 0
    with tempfile.TemporaryDirectory() as work:
        tensors, fields = name_tensors(program, model, pathlib.Path(work))
    start = fill(model, tensors)
    end = train(model, tensors)
    return tensors, fields, {name: start[name] for name in end}, end


# ---- vectors for the test that knows no torch ----

HEADER = """/* SPDX-License-Identifier: Apache-2.0 */
/* generated by tests/reference/steps_compare.py with PyTorch in float64 */
#ifndef STEP_VECTORS_H
#define STEP_VECTORS_H

#include "support/tiny_encoder.h"

enum { STEPS = %d, SIGNS = %d, IDS = %d, TYPES = %d, TARGETS = %d, ALONG = %d };
static const double RATE = %r, DECAY = %r, EPSILON = %r, CLIP = %r;

/* Of a tensor: its number among all of its file, how far it moved, and sums over its move with
 * random signs. */
typedef struct step_tensor {
    const char *name;
    uint32_t k;
    double moved, along[SIGNS];
} step_tensor;

typedef struct step_model {
    const char *name;
    sqzt_tiny tiny;
    sqzk_activation block, head;
    double embedding_epsilon, block_epsilon, head_epsilon;
    const step_tensor *tensors;
    uint32_t n;
} step_model;

/* clang-format off */
"""

def word(fields, key):
    return '"%s"' % fields[key] if key in fields else "NULL"


def describe(fields, classes):
    """A sqzt_tiny, the activations, the epsilons."""
    block = {part: fields["sqz.block." + part][0] for part in ("heads", "head_width", "ffn_width")}
    linears = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down")
    groups = [fields.get(f"sqz.block.{part}.groups", [1])[0] for part in linears]
    members = dict(width=fields["sqz.width"], blocks=fields["sqz.blocks"], **block,
                   embedding_width=fields["sqz.embedding.width"],
                   positions=fields["sqz.max_positions"], token_types=fields["sqz.token_types"],
                   groups="{%s}" % ", ".join(map(str, groups)), head=word(fields, "sqz.head.kind"),
                   pool=word(fields, "sqz.head.pool"), head_dense="%d" % ("dense" in classes),
                   classes=classes["n"])
    tiny = ", ".join(f".{key} = {value}" for key, value in members.items())
    activation = "SQZK_" + fields["sqz.block.activation"][0].upper()
    head = "SQZK_" + fields.get("sqz.head.activation", "identity").upper()
    return (f"{{{tiny}}}, {activation}, {head}, {fields['sqz.embedding.norm_epsilon']!r}, "
            f"{fields['sqz.block.attn_norm_epsilon'][0]!r}, "
            f"{fields.get('sqz.head.norm_epsilon', 0.0)!r}")


def write_vectors(program):
    print(HEADER % (STEPS, SIGNS, IDS, TYPES, TARGETS, ALONG, RATE, DECAY, EPSILON, CLIP))
    rows = []
    for name in make_golden.MODELS:
        tensors, fields, start, end = reference(program, name)
        order = [ours for ours, _ in tensors]
        label = name.replace("-", "_")
        print(f"static const step_tensor {label}[] = {{")
        for ours, values in end.items():
            k, move = order.index(ours), values - start[ours]
            along = ", ".join("%.13e" % (signs(k, j, len(move)) @ move) for j in range(SIGNS))
            print(f'    {{"{ours}", {k}, {np.linalg.norm(move):.13e},\n     {{{along}}}}},')
        print("};")
        classes = {"n": len(end["head.output.bias"])}
        if "head.dense.weight" in end:
            classes["dense"] = True
        row = (f'{{"{name}", {describe(fields, classes)}, {label}, '
               f"sizeof {label} / sizeof *{label}}},")
        rows += textwrap.wrap(row, 96, initial_indent="    ", subsequent_indent="     ")
    print("\nstatic const step_model step_models[] = {", *rows, "};\n\n#endif", sep="\n")


# ---- whole tensors ----

def compare(found, start, end, share, what):
    """The worst tensor's part of what is allowed; `found` is a file of doubles."""
    worst, at = (0.0, "none"), 0
    for name, wanted in end.items():
        mine = found[at:at + len(wanted)]
        at += len(wanted)
        moved = np.linalg.norm(wanted - start[name])
        if name.endswith("attn_k.bias"):
            assert moved < 1e-9, (what, name, moved)  # PyTorch does not move it either
            continue
        worst = max(worst, (float(np.linalg.norm(mine - wanted) / (share * moved)), name))
    return worst, found[at:]


def main():
    program, tests = sys.argv[1], sys.argv[2:]
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if tests == ["--vectors"]:
        write_vectors(program)
        return 0
    found, bad = [], 0
    with tempfile.TemporaryDirectory() as work:
        for test in tests:
            path = pathlib.Path(work) / "numbers"
            subprocess.run([test, "write", path], check=True, stdout=subprocess.DEVNULL)
            found.append(np.fromfile(path))
    for name in make_golden.MODELS:
        _, _, start, end = reference(program, name)
        for i, (what, share) in enumerate((("f32", 3e-4), ("double", 1e-9))):
            (part, tensor), found[i] = compare(found[i], start, end, share, f"{name}, {what}")
            bad += not part <= 1
            print(f"{name}, {what}: {part:.2g} of what is allowed at most, {tensor}", flush=True)
    return 1 if bad or any(len(rest) for rest in found) else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main())
