#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a tiny random Hugging Face folder: make_folder.py FOLDER CLASS [FAULT], with nothing but
Python's own library.

CLASS is such as BertForSequenceClassification. FAULT breaks one thing: missing, extra, shape,
overlap, huge, deep, nan, activation, truncated; "one" breaks nothing and gives a classifier a
single class, "labels=A,B,..." these, "vocab=FILE" takes that vocabulary, "positions=N" makes N of
them, "apart" writes a tokenizer.json with two added tokens, "qr" and the single word "xyz", that
its vocabulary lacks.
"""
import json
import os
import random
import struct
import sys

C, F, L, H, V, P = 24, 40, 2, 3, 64, 40


def tensors(name, labels):
    n = {}
    squeeze = name.startswith("SqueezeBert")
    prefix = "" if name.endswith("Model") else "transformer." if squeeze else "bert."
    groups = (2, 4, 3, 1, 4, 8) if squeeze else (1,) * 6

    def norm(key, width=C):
        n[key + ".weight"], n[key + ".bias"] = [width], [width]

    def linear(key, out, inputs, g=1, convolution=squeeze):
        n[key + ".weight"] = [out, inputs // g, 1] if convolution else [out, inputs]
        n[key + ".bias"] = [out]

    for key, rows in (("word", V), ("position", P), ("token_type", 2)):
        n[f"{prefix}embeddings.{key}_embeddings.weight"] = [rows, C]
    norm(prefix + "embeddings.LayerNorm")
    for i in range(L):
        if squeeze:
            p = f"{prefix}encoder.layers.{i}."
            names = ["attention.query", "attention.key", "attention.value", "post_attention.conv1d",
                     "intermediate.conv1d", "output.conv1d"]
            norms = ["post_attention.layernorm", "output.layernorm"]
        else:
            p = f"{prefix}encoder.layer.{i}."
            names = ["attention.self.query", "attention.self.key", "attention.self.value",
                     "attention.output.dense", "intermediate.dense", "output.dense"]
            norms = ["attention.output.LayerNorm", "output.LayerNorm"]
        for j, key in enumerate(names):
            linear(p + key, F if j == 4 else C, F if j == 5 else C, groups[j])
        for key in norms:
            norm(p + key)
    linear(prefix + "pooler.dense", C, C, convolution=False)
    if "QuestionAnswering" in name:
        linear("qa_outputs", 2, C, convolution=False)
    elif "MaskedLM" in name:
        linear("cls.predictions.transform.dense", C, C, convolution=False)
        norm("cls.predictions.transform.LayerNorm")
        n["cls.predictions.bias"] = [V]
    elif not name.endswith("Model"):
        linear("classifier", labels, C, convolution=False)
    return n


def tokenizer(words):
    def added(number, content, special, single):
        return {"id": number, "content": content, "single_word": single, "lstrip": False,
                "rstrip": False, "normalized": False, "special": special}

    n = len(words)
    apart = [added(n, "xyz", False, True), added(n + 1, "qr", False, False)]
    return {"added_tokens": [added(i, w, True, False) for i, w in enumerate(words[:5])] + apart,
            "normalizer": {"type": "BertNormalizer", "clean_text": True,
                           "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100,
                      "vocab": {w: i for i, w in enumerate(words)}}}


def main():
    global V, P
    folder, name, fault = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    os.makedirs(folder, exist_ok=True)
    token = "TokenClassification" in name
    letters = [chr(97 + i) for i in range(26)]
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the good bad film ##s .".split()
    words += letters + ["##" + x for x in letters if x not in "sz"]
    if fault.startswith("vocab="):
        words = open(fault[6:], encoding="utf-8").read().split("\n")[:-1]
        V = len(words)
    if fault.startswith("positions="):
        P = int(fault[10:])
    labels = ["contradiction", "neutral", "entailment"]
    if token:
        labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    elif fault == "one":
        labels = ["spam"]
    elif fault.startswith("labels="):
        labels = fault[7:].split(",")
    config = {"model_type": "squeezebert" if name.startswith("SqueezeBert") else "bert",
              "architectures": [name], "vocab_size": V, "hidden_size": C, "num_hidden_layers": L,
              "num_attention_heads": H, "intermediate_size": F, "max_position_embeddings": P,
              "type_vocab_size": 2, "layer_norm_eps": 1e-12,
              "hidden_act": "swish" if fault == "activation" else "gelu",
              "id2label": {str(i): x for i, x in enumerate(labels)}}
    if name.startswith("SqueezeBert"):
        config.update(q_groups=2, k_groups=4, v_groups=3, post_attention_groups=1,
                      intermediate_groups=4, output_groups=8)
    json.dump(config, open(os.path.join(folder, "config.json"), "w"))
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("".join(w + "\n" for w in words[:V]))
    if fault == "apart":
        json.dump(tokenizer(words), open(os.path.join(folder, "tokenizer.json"), "w"))
    r, header, data = random.Random(5), {}, b""
    wanted = tensors(name, len(labels))
    if fault == "missing":
        del wanted[next(k for k in wanted if "layer" in k and k.endswith("bias"))]
    if fault == "extra":
        table = next(k for k in wanted if "embeddings.word" in k)
        wanted[table.replace("word_embeddings.weight", "rotary.weight")] = [3]
    for key, shape in wanted.items():
        if fault == "shape" and key.endswith("position_embeddings.weight"):
            shape = [P + 1, C]
        count = 1
        for s in shape:
            count *= s
        centre = 1.0 if "orm.weight" in key else 0.0
        block = struct.pack(f"<{count}f", *(r.gauss(centre, 0.2) for _ in range(count)))
        if fault == "nan" and key.endswith("token_type_embeddings.weight"):
            block = b"\xff\xff\xff\xff" + block[4:]
        header[key] = {"dtype": "F32", "shape": shape,
                       "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    first = next(iter(header))
    if fault == "overlap":
        other = list(header)[1]
        size = header[other]["data_offsets"][1] - header[other]["data_offsets"][0]
        header[other]["data_offsets"] = [0, size]
    if fault == "huge":
        header[first]["shape"] = [1 << 60, 1 << 60]
    text = b"[" * 1000000 if fault == "deep" else json.dumps(header).encode()
    if fault == "truncated":
        data = data[:100]
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


main()
