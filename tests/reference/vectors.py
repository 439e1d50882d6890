#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Transformers computes for a folder, as vectors for `squeezebert verify MODEL --against
OUT.npz`.

The class is the one that config.json names, in float64 from f32 weights. The texts are lines of a
file, or random ids of lengths 1, 2, 7, 33 and so on to the most positions; a masked LM's logits are
left out where the vocabulary would make them larger than 64 MB.

    vectors.py FOLDER OUT.npz [--text FILE] [--lines N]
"""
import argparse
import pathlib

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoTokenizer

MOST_LOGITS = 64_000_000


def load(folder):
    config = AutoConfig.from_pretrained(folder)
    name = (config.architectures or [None])[0]
    cls = getattr(transformers, name) if name else transformers.AutoModel
    return cls.from_pretrained(folder, dtype=torch.float32).double().eval()


def random_batch(config):
    random = np.random.default_rng(1)
    most = config.max_position_embeddings
    lengths = [n for n in (1, 2, 7, 33, 128, 511) if n < most] + [most]
    types = getattr(config, "type_vocab_size", 1)
    return [(random.integers(0, config.vocab_size, n), random.integers(0, types, n))
            for n in lengths]


def text_batch(folder, path, n):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines = [line for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()
             if line.strip()][:n]
    return [(np.array(ids), np.zeros(len(ids), int))
            for ids in tokenizer(lines, truncation=True)["input_ids"]]


@torch.no_grad()
def run(model, ids, types):
    """Hidden states [T, C], and logits [rows, K] or None."""
    inputs = {"input_ids": torch.tensor(ids)[None],
              "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    if model.config.model_type != "distilbert":
        inputs["token_type_ids"] = torch.tensor(types)[None]
    if "MultipleChoice" in type(model).__name__:
        inputs = {key: value[None] for key, value in inputs.items()}
    out = model(**inputs, output_hidden_states=True)
    hidden = out.hidden_states[-1].reshape(len(ids), -1).numpy()
    if hasattr(out, "start_logits"):
        return hidden, torch.stack([out.start_logits[0], out.end_logits[0]], -1).numpy()
    return hidden, out.logits.reshape(-1, out.logits.shape[-1]).numpy() if hasattr(
        out, "logits") else None


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--text")
    parser.add_argument("--lines", type=int, default=100)
    options = parser.parse_args()
    model = load(options.folder)
    batch = text_batch(options.folder, options.text,
                       options.lines) if options.text else random_batch(model.config)
    results = [run(model, ids, types) for ids, types in batch]
    arrays = {"ids": np.concatenate([ids for ids, _ in batch]).astype(np.int64),
              "types": np.concatenate([types for _, types in batch]).astype(np.uint8),
              "lengths": np.array([len(ids) for ids, _ in batch]),
              "hidden": np.concatenate([hidden for hidden, _ in results])}
    if results[0][1] is not None and sum(logits.size for _, logits in results) <= MOST_LOGITS // 8:
        arrays["logits"] = np.concatenate([logits for _, logits in results])
    np.savez(options.out, **arrays)
    print(", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()))


if __name__ == "__main__":
    main()
