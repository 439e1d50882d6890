#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An embedder trained on STS-B by CoSENT, with sentence-transformers and with this program: the same
folder, batches, rates and losses. Two parts:

  losses  without dropout, step by step: within 1e-4 relative of one another
  score   dropout 0.1, one epoch: Spearman of the cosines on dev, at least sentence-transformers'
          - 0.003; both figures are printed, dev is looked at once for each

    embedder_compare.py PROGRAM FOLDER STS-B [--part losses|score] [--steps N] [--threads N]

FOLDER is a model of sentence-transformers or Transformers (pooled by the mean), STS-B the folder of
GLUE's files. Recipe: AdamW, 2e-5, warm-up 0.1, linear, decay 0.01, norm clipped at 1, batches of 32.
Exits 77 where something that it needs is missing.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="critical",
                  TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")

try:
    import torch
    from scipy.stats import spearmanr
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss
    from transformers import get_linear_schedule_with_warmup
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

RATE, BATCH, SEED, LENGTH = 2e-5, 32, 1, 128


def rows(path):
    """Sentences and scores of 0 to 1; columns by name, nothing means anything to quotes."""
    lines = [line.split("\t") for line in
             path.read_text(encoding="utf-8-sig").replace("\r", "").split("\n") if line]
    at = [lines[0].index(name) for name in ("sentence1", "sentence2", "score")]
    return [(line[at[0]], line[at[1]], float(line[at[2]]) / 5) for line in lines[1:]]


def draw_order(n):
    order = list(range(n))
    random.Random(SEED).shuffle(order)
    return [order[i:i + BATCH] for i in range(0, n, BATCH)]


def cosines(model, pairs):
    model.eval()
    with torch.inference_mode():
        a, b = (model.encode([pair[k] for pair in pairs], convert_to_tensor=True) for k in (0, 1))
    return torch.cosine_similarity(a, b).tolist()


def train_reference(options, folder, train, order, steps):
    """Losses of each step, and the model."""
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = LENGTH
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and options.part == "losses":
            module.p = 0.0
        if hasattr(module, "dropout_prob") and options.part == "losses":
            module.dropout_prob = 0.0
    loss = CoSENTLoss(model)
    plain = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    known = {id(p) for p in plain}
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in model.parameters() if id(p) not in known], "weight_decay": 0.01},
         {"params": plain, "weight_decay": 0.0}], lr=RATE, eps=1e-6)
    schedule = get_linear_schedule_with_warmup(optimizer, int(0.1 * len(order)), len(order))
    model.train()
    losses = []
    for batch in order[:steps]:
        features = [model.preprocess([train[i][k] for i in batch]) for k in (0, 1)]
        value = loss(features, torch.tensor([train[i][2] for i in batch]))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(value.detach()))
    return losses, model


def train_own(options, base, order, steps, work):
    """Losses of each step, and the dev figure of the file that is written."""
    (work / "order.json").write_text(json.dumps(order))
    drop = ("--dropout", "0") if options.part == "losses" else ()
    got = subprocess.run(
        [options.program, "finetune", base, "-o", work / "own.gguf", "--task", "stsb", "--data",
         options.data, "--loss", "cosent", "--lr", str(RATE), "--epochs", "1", "--batch",
         str(BATCH), "--max-length", str(LENGTH), "--max-steps", str(steps), "--replay",
         work / "order.json", "--losses", work / "losses.json", "--seed", str(SEED), "-t",
         str(options.threads), "--progress", "none", "--json", *drop],
        check=True, capture_output=True, text=True)
    return json.loads((work / "losses.json").read_text()), json.loads(got.stdout)["metrics"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=os.path.realpath)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--part", choices=("losses", "score"), default="losses")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if not (options.folder.is_dir() and (options.data / "train.tsv").is_file()):
        print("skipped: the folder of the model or STS-B's files are missing")
        return 77
    train = rows(options.data / "train.tsv")
    order = draw_order(len(train))
    steps = options.steps or (30 if options.part == "losses" else len(order))
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        base = work / "base.gguf"
        subprocess.run([options.program, "import", options.folder, "-o", base, "--dtype", "f32"],
                       check=True, capture_output=True)
        own, metrics = train_own(options, base, order, steps, work)
    reference, model = train_reference(options, options.folder, train, order, steps)
    if options.part == "losses":
        worst = max(abs(a - b) / abs(b) for a, b in zip(own, reference))
        print(f"{steps} steps: losses differ by at most {worst:.2e}")
        return 0 if len(own) == steps and worst <= 1e-4 else 1
    dev = rows(options.data / "dev.tsv")
    theirs = float(spearmanr(cosines(model, dev), [pair[2] for pair in dev]).statistic)
    print(json.dumps({"steps": steps, "spearman": metrics["spearman"],
                      "sentence_transformers": theirs, "last_losses": [own[-1], reference[-1]]}))
    return 0 if metrics["spearman"] >= theirs - 0.003 else 1


if __name__ == "__main__":
    sys.exit(main())
