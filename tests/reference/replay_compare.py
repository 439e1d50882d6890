#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""200 steps of a fine-tuning in f32, dropout off, batch by batch those of a program with PyTorch.

SCRIPT trains MiniLM on a GLUE task and leaves the model it began with (--start), its batches
(--order) and the loss of each step (--losses); `finetune --replay` goes the same way from the
imported folder. Relative differences of losses: at most 1e-5 for 50 steps, 1e-4 for 200. Two CPUs
of PyTorch differ by 1e-7 and 3e-6; without clipping losses are 1e-2 off, with an epsilon of 1e-8
7e-3, with the schedule a step early 4e-2.

    replay_compare.py PROGRAM
    replay_compare.py PROGRAM --script SCRIPT --data FOLDER [--task mrpc] [--work FOLDER]

Without SCRIPT a tiny model is trained here in its place, by the same recipe, on a table of random
words: some seconds. --data is the task's folder. What SCRIPT wrote stays in --work and is not made
again; without it all is made in a folder that goes. Some five minutes of CPU a side. SCRIPT and
FOLDER may be in the environment, SQZ_REPLAY_SCRIPT and SQZ_REPLAY_DATA. Exit 77 where one is not
there, or torch.
"""
import argparse
import csv
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

RECIPE = {"epochs": 5, "lr": 5e-5, "batch": 32, "max-steps": 200, "seed": 1, "precision": "f32",
          "dropout": 0, "pool": "pooler"}
BARS = ((50, 1e-5), (200, 1e-4))
TINY = dict(RECIPE, lr=2e-4, batch=16)
# at 1e-3 two roundings are 1e-3 apart after 120 steps, by degrees
ROWS, WORDS = 16 * 60, 60  # of TINY: 60 batches an epoch, 300 steps in all


def spelled(recipe):
    return [part for name, value in recipe.items() for part in (f"--{name}", str(value))]


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--script", default=os.environ.get("SQZ_REPLAY_SCRIPT", ""))
    parser.add_argument("--data", default=os.environ.get("SQZ_REPLAY_DATA", ""))
    parser.add_argument("--task", default="mrpc")
    parser.add_argument("--work")
    parser.add_argument("--threads", default="2")
    return parser.parse_args()


def skip_without(o):
    for path, what in ((o.script, "--script"), (o.data, "--data")):
        if o.script and not os.path.exists(path):
            print(f"skipped: {what} '{path}' is not there")
            sys.exit(77)
    for module in ("torch", "transformers"):
        if not importlib.util.find_spec(module):
            print(f"skipped: {module} is not installed")
            sys.exit(77)


def reference(o, work):
    """Losses of the program with PyTorch."""
    losses = work / "losses.json"
    if not losses.exists():
        subprocess.run([sys.executable, o.script, "--task", o.task, "--data", o.data,
                        *spelled(RECIPE), "--threads", o.threads, "--start", work / "start",
                        "--order", work / "order.json", "--losses", losses], check=True)
    return json.loads(losses.read_text())


def tiny_reference(work):
    """The same of a tiny model: its folder, its table, its batches; returns its losses."""
    import torch
    from transformers import (BertConfig, BertForSequenceClassification,
                              get_linear_schedule_with_warmup)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    draw = random.Random(1)
    texts = [[draw.randrange(WORDS) for _ in range(draw.randrange(1, 20))] for _ in range(ROWS)]
    labels = [int(sum(w < WORDS // 3 for w in text) * 3 > len(text)) for text in texts]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    model = BertForSequenceClassification(BertConfig(
        vocab_size=WORDS + len(special), hidden_size=48, num_attention_heads=4,
        num_hidden_layers=3, intermediate_size=96, max_position_embeddings=32,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)).train()
    model.save_pretrained(work / "start")
    (work / "start" / "vocab.txt").write_text(
        "".join(word + "\n" for word in special + [f"w{i}" for i in range(WORDS)]))
    with open(work / "table.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "label"]] + [
            [" ".join(f"w{w}" for w in text), label] for text, label in zip(texts, labels)])
    plain = [q for n, q in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    rest = [q for q in model.parameters() if not any(q is other for other in plain)]
    optimizer = torch.optim.AdamW([{"params": rest, "weight_decay": 0.01},
                                   {"params": plain, "weight_decay": 0.0}], lr=TINY["lr"], eps=1e-6)
    steps = TINY["epochs"] * ROWS // TINY["batch"]
    schedule = get_linear_schedule_with_warmup(optimizer, int(0.1 * steps), steps)
    order, losses = [], []
    for _ in range(TINY["max-steps"]):
        batch = draw.sample(range(ROWS), TINY["batch"])
        longest = max(len(texts[i]) for i in batch) + 2
        ids, mask = torch.zeros(2, len(batch), longest, dtype=torch.long)
        for k, i in enumerate(batch):
            pieces = [2] + [w + len(special) for w in texts[i]] + [3]
            ids[k, :len(pieces)], mask[k, :len(pieces)] = torch.tensor(pieces), 1
        logits = model(input_ids=ids, attention_mask=mask).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([labels[i] for i in batch]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        order.append(batch)
        losses.append(float(loss.detach()))
    (work / "order.json").write_text(json.dumps(order))
    (work / "losses.json").write_text(json.dumps(losses))
    return losses


def ours(o, work, data):
    base = work / "start.gguf"
    subprocess.run([o.program, "import", work / "start", "-o", base], check=True,
                   capture_output=True)
    subprocess.run([o.program, "finetune", base, "-o", work / "ours.gguf", *data, "-t", o.threads,
                    "--replay", work / "order.json", "--losses", work / "ours.json",
                    "--checkpoint-minutes", "0", "--progress", "none"], check=True)
    return json.loads((work / "ours.json").read_text())


def compare(wanted, found):
    off = [abs(a - b) / a for a, b in zip(wanted, found)]
    bad = len(wanted) != len(found) or len(found) != RECIPE["max-steps"]
    for steps, bar in BARS:
        most = max(off[:steps])
        bad |= not most <= bar
        print(f"{steps} steps: {most:.1e} at most, at step {1 + off.index(most)}; allowed {bar:g}")
    return 1 if bad else 0


def main():
    o = options()
    skip_without(o)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(o.work or folder)
        work.mkdir(parents=True, exist_ok=True)
        if o.script:
            wanted, data = reference(o, work), ("--task", o.task, "--data", o.data)
        else:
            wanted, data = tiny_reference(work), ("--data", work / "table.csv")
        return compare(wanted, ours(o, work, (*data, *spelled(RECIPE if o.script else TINY))))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main())
