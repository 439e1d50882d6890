#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hugging Face folders of real size with random weights, for comparing engines where trained ones
are not at hand.

Weights are N(0, 0.06), biases N(0, 0.1) and norm gains 1 + N(0, 0.1): the default initialisation
makes attention nearly uniform and every bias zero, which hides mistakes. Each model has a two-class
head. In NAME-rankR every linear of the blocks is a product of rank R; the folder holds the
products, model_file.py takes R and writes factors. The seed is fixed, so two runs write the same
weights.

    make_models.py FOLDER [NAME ...]        writes FOLDER/NAME/{config.json,model.safetensors};
        without names: all of them
"""
import pathlib
import sys

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

BASE = dict(vocab_size=30522, num_labels=2)
MODELS = {
    "squeezebert": ("squeezebert",
                    dict(BASE, vocab_size=30528, q_groups=4, k_groups=4, v_groups=4,
                         post_attention_groups=1, intermediate_groups=4, output_groups=4)),
    "squeezebert-odd": ("squeezebert",
                        dict(BASE, vocab_size=30528, q_groups=3, k_groups=2, v_groups=6,
                             post_attention_groups=1, intermediate_groups=8, output_groups=12)),
    "bertbase": ("bert", dict(BASE)),
    "bertbase-rank128": ("bert", dict(BASE)),
    "distilbert": ("distilbert", dict(BASE)),
    "electra": ("electra", dict(BASE, hidden_size=768, embedding_size=768, num_hidden_layers=12,
                                num_attention_heads=12, intermediate_size=3072)),
    "electra-small": ("electra",
                      dict(BASE, hidden_size=256, embedding_size=128, num_hidden_layers=12,
                           num_attention_heads=4, intermediate_size=1024)),
}


@torch.no_grad()
def build(name, **changed):
    """The model `name` in f32, in eval mode; `changed` are keys of its configuration."""
    kind, options = MODELS[name]
    torch.manual_seed(20261123)
    rank = int(name.rsplit("-rank", 1)[1]) if "-rank" in name else 0
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(kind, **{**options, **changed})).float().eval()
    for parameter_name, parameter in model.named_parameters():
        if rank and parameter.dim() == 2 and "encoder.layer" in parameter_name:
            deviation = (0.06 / rank ** 0.5) ** 0.5  # of the factors, so that the product has 0.06
            parameter.copy_(torch.randn(parameter.shape[0], rank) @
                            torch.randn(rank, parameter.shape[1]) * deviation ** 2)
        elif parameter.dim() > 1:
            parameter.normal_(0, 0.06)
        elif "norm" in parameter_name.lower() and parameter_name.endswith("weight"):
            parameter.normal_(1, 0.1)
        else:
            parameter.normal_(0, 0.1)
    return model


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or MODELS:
        build(name).save_pretrained(folder / name)
        print(folder / name)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-") or set(sys.argv[2:]) - set(MODELS):
        sys.exit(__doc__ + "    names: " + ", ".join(MODELS))
    main()
