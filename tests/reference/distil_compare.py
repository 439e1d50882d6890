#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten steps of a distillation beside PyTorch's: logits, hidden states, attention's scores and
pooled vectors of a tiny student, dropout 0. Each loss of each step within 1e-5 of torch's.

    distil_compare.py PROGRAM [FOLDER]

Ends with 77 where torch or transformers is absent.
"""
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
WEIGHTS = {"logits": 1.0, "hidden": 0.5, "attention": 0.25, "pooled": 2.0}
TEMPERATURE, STEPS, LR = 2.0, 10, 2e-3
WORDS = "good bad film the a no q x".split()


def load(folder):
    return BertForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, classifier_dropout=0.0)


class Model:
    """What losses read of a model: logits, hidden states, scores and means, one text at a time."""

    def __init__(self, folder):
        self.model = load(folder)
        self.kept = {}
        for i, layer in enumerate(self.model.bert.encoder.layer):
            for name in ("query", "key"):
                getattr(layer.attention.self, name).register_forward_hook(
                    lambda _, __, out, at=(i, name): self.kept.__setitem__(at, out))

    def __call__(self, ids):
        out = self.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        heads = self.model.config.num_attention_heads
        scores = []
        for i in range(len(self.model.bert.encoder.layer)):
            q, k = (self.kept[i, name][0].reshape(len(ids), heads, -1).transpose(0, 1)
                    for name in ("query", "key"))
            scores.append(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]))
        hidden = [h[0] for h in out.hidden_states]
        return out.logits[0], hidden, scores, hidden[-1].mean(0)


def losses(student, teacher, texts):
    pairs = []
    for ids in texts:
        with torch.no_grad():
            of_teacher = teacher(ids)
        pairs.append((student(ids), of_teacher))
    layers, blocks = len(pairs[0][0][1]), len(pairs[0][0][2])
    of = len(pairs[0][1][2])
    hidden_map = [(2 * m * of + blocks) // (2 * blocks) for m in range(layers)]

    def mean_square(pick):
        a, b = (torch.cat([pick(p, side).flatten() for p in pairs]) for side in (0, 1))
        return ((a - b) ** 2).mean()

    zs, zt = (torch.stack([p[side][0] for p in pairs]) / TEMPERATURE for side in (0, 1))
    vs, vt = (torch.stack([p[side][3] for p in pairs]) for side in (0, 1))
    return {
        "logits": TEMPERATURE ** 2 * torch.nn.functional.kl_div(
            zs.log_softmax(-1), zt.log_softmax(-1), log_target=True, reduction="batchmean"),
        "hidden": sum(mean_square(lambda p, side, m=m: p[side][1][hidden_map[m] if side else m])
                      for m in range(layers)),
        "attention": sum(mean_square(
            lambda p, side, i=i: p[side][2][hidden_map[i + 1] - 1 if side else i])
            for i in range(blocks)) / blocks,
        "pooled": (1 - torch.nn.functional.cosine_similarity(vs, vt)).mean()}


def train(student, teacher, texts):
    decayed = [p for p in student.model.parameters() if p.dim() > 1]
    others = [p for p in student.model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01},
                                   {"params": others, "weight_decay": 0.0}], lr=LR, eps=1e-6)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * (STEPS - step) / STEPS
        parts = {name: WEIGHTS[name] * value
                 for name, value in losses(student, teacher, texts).items()}
        optimizer.zero_grad()
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(student.model.parameters(), 1.0)
        optimizer.step()
        yield {name: value.item() for name, value in parts.items()}


def main():
    program = os.path.realpath(sys.argv[1])

    def run(*arguments):
        subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)

    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        make = HERE.parent / "cli" / "make_folder.py"
        subprocess.run([sys.executable, "-B", make, "folder", "BertForSequenceClassification",
                        "labels=left,middle,right"], check=True)
        run("import", "folder", "-o", "teacher.gguf")
        run("init-student", "teacher.gguf", "-o", "student.gguf", "--layers", "first:1")
        for name in ("teacher", "student"):
            run("export", name + ".gguf", "-o", name)
        labels = json.loads(pathlib.Path("teacher/config.json").read_text())["id2label"]
        draw = random.Random(4)
        lines = sorted({" ".join(draw.choice(WORDS) for _ in range(draw.randrange(2, 12)))
                        for _ in range(24)})
        table = "text,label\n" + "".join(f"{line},{labels[str(i % len(labels))]}\n"
                                         for i, line in enumerate(lines))
        for name in ("learn.csv", "dev.csv"):
            pathlib.Path(name).write_text(table)
        run("distill", "--teacher", "teacher.gguf", "--student", "student.gguf", "-o", "out.gguf",
            "--data", "learn.csv", "--dev", "dev.csv", "--batch", str(len(lines)), "--epochs",
            str(STEPS), "--lr", str(LR), "--temperature", str(TEMPERATURE), "--loss",
            ",".join(f"{name}:{weight}" for name, weight in WEIGHTS.items()), "--log", "log",
            "--progress", "none")
        found = [entry for entry in map(json.loads, pathlib.Path("log").read_text().splitlines())
                 if "loss" in entry]
        tokenizer = AutoTokenizer.from_pretrained("student")
        texts = [tokenizer(line)["input_ids"] for line in lines]
        worst = 0.0
        assert len(found) == STEPS, found
        for ours, theirs in zip(found, train(Model("student"), Model("teacher"), texts)):
            for name, value in theirs.items():
                off = abs(ours[name] - value) / abs(value)
                worst = max(worst, off)
                if off > 1e-5:
                    sys.exit(f"step {ours['step']}: {name} is {ours[name]}, {value} in torch")
        print(f"{STEPS} steps, {len(WEIGHTS)} losses: within {worst:.1e} of torch's")


if __name__ == "__main__":
    main()
