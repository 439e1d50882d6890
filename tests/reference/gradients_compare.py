#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gradients of the golden tiny models, of every type and head, against PyTorch in float64.

The loss is the sum of all logits times random numbers. WRITE_GRADIENTS
(tests/reference/test_write_gradients.c, built) writes a model file with gradients in the place of
the numbers, which PROGRAM exports to a folder with Transformers' names. For every tensor

    |g - g_ref| <= 1e-5 |g_ref| + 1e-7 |all gradients|

    gradients_compare.py PROGRAM WRITE_GRADIENTS         exit 77 where torch is not installed
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from safetensors.torch import load_file
    import transformers.utils.logging
    import make_golden
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

LENGTHS, PADDING, NONE = [1, 34, 7, 34, 20], 0, 2 ** 32 - 1


def batch(model):
    """Ids that repeat, [PAD] in a text among them."""
    random = np.random.default_rng(17)
    has_types = model.config.model_type != "distilbert"
    ids = [random.integers(0, make_golden.VOCABULARY, n) for n in LENGTHS]
    return ids, [random.integers(0, 2, n) if has_types else np.zeros(n, int) for n in LENGTHS]


def logits_of(model, ids, types):
    """[rows, K] with a graph: make_golden.run without its no_grad."""
    rows = []
    for one, kinds in zip(ids, types):
        inputs = {"input_ids": torch.tensor(one)[None],
                  "attention_mask": torch.ones(1, len(one), dtype=torch.long)}
        if model.config.model_type != "distilbert":
            inputs["token_type_ids"] = torch.tensor(kinds)[None]
        if "MultipleChoice" in type(model).__name__:
            inputs = {key: value[None] for key, value in inputs.items()}
        out = model(**inputs)
        if hasattr(out, "start_logits"):
            rows.append(torch.stack([out.start_logits[0], out.end_logits[0]], -1))
        else:
            rows.append(out.logits.reshape(-1, out.logits.shape[-1]))
    return torch.cat(rows)


def write_batch(path, ids, types, weights, padding):
    first = np.cumsum([0] + LENGTHS)
    with open(path, "wb") as file:
        file.write(struct.pack("<5I", len(ids), first[-1], *weights.shape, padding))
        for numbers in (first, np.concatenate(ids), np.concatenate(types)):
            file.write(numbers.astype("<u4").tobytes())
        file.write(weights.astype("<f4").tobytes())


def exported(program, writer, model, folder, paths):
    """Gradients by Transformers' names."""
    make_golden.write_folder(model, folder / "model")
    subprocess.run([program, "import", folder / "model", "-o", folder / "model.gguf"], check=True,
                   capture_output=True)
    subprocess.run([writer, folder / "model.gguf", *paths], check=True)
    subprocess.run([program, "export", paths[-1], "-o", folder / "gradients"], check=True,
                   capture_output=True)
    return load_file(folder / "gradients" / "model.safetensors")


def compare(program, writer, name):
    """(the worst tensor's part of what is allowed, its name)"""
    model = make_golden.build(name)
    ids, types = batch(model)
    logits = logits_of(model, ids, types)
    weights = np.random.default_rng(5).standard_normal(logits.shape).astype(np.float32)
    (logits * torch.tensor(weights).double()).sum().backward()
    # the row that Transformers does not train, where its table says so
    table = model.get_input_embeddings()
    padding = table.padding_idx if table.padding_idx is not None else NONE
    wanted = {key: parameter.grad.clone() for key, parameter in model.named_parameters()
              if parameter.grad is not None}
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work)
        write_batch(folder / "batch", ids, types, weights, padding)
        found = exported(program, writer, model, folder,
                         [folder / "batch", folder / "gradients.gguf"])
    total = sum(float(g.square().sum()) for g in wanted.values()) ** 0.5
    worst = (0.0, "none")
    for key, reference in wanted.items():
        mine = found[key].double().reshape(reference.shape)
        allowed = 1e-5 * float(reference.norm()) + 1e-7 * total
        worst = max(worst, (float((mine - reference).norm()) / allowed, key))
    return worst, len(wanted)


def main():
    program, writer = sys.argv[1:]
    transformers.utils.logging.disable_progress_bar()
    bad = 0
    for name in make_golden.MODELS:
        (share, key), n = compare(program, writer, name)
        bad += not share <= 1
        print(f"{name}: {n} tensors, {share:.2f} of what is allowed at most, {key}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main())
