#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""200 steps of a fine-tuning in f32, dropout off, batch by batch those of a program with PyTorch.

SCRIPT trains MiniLM on a GLUE task and leaves the model it began with (--start), its batches
(--order) and the loss of each step (--losses); `finetune --replay` goes the same way from the
imported folder. Relative differences of losses: at most 1e-5 for 50 steps, 1e-4 for 200. Two CPUs
of PyTorch differ by 1e-7 and 3e-6; without clipping losses are 1e-2 off, with an epsilon of 1e-8
7e-3, with the schedule a step early 4e-2.

    replay_compare.py PROGRAM --script SCRIPT --data FOLDER [--task mrpc] [--work FOLDER]

--data is the task's folder. What SCRIPT wrote stays in --work and is not made again; without it
all is made in a folder that goes. Some five minutes of CPU a side. SCRIPT and FOLDER may be in the
environment, SQZ_REPLAY_SCRIPT and SQZ_REPLAY_DATA. Exit 77 where one is not there, or torch.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

RECIPE = {"epochs": 5, "lr": 5e-5, "batch": 32, "max-steps": 200, "seed": 1, "precision": "f32",
          "dropout": 0, "pool": "pooler"}
BARS = ((50, 1e-5), (200, 1e-4))


def recipe():
    return [part for name, value in RECIPE.items() for part in (f"--{name}", str(value))]


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
        if not path or not os.path.exists(path):
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
        subprocess.run([sys.executable, o.script, "--task", o.task, "--data", o.data, *recipe(),
                        "--threads", o.threads, "--start", work / "start", "--order",
                        work / "order.json", "--losses", losses], check=True)
    return json.loads(losses.read_text())


def ours(o, work):
    base = work / "start.gguf"
    subprocess.run([o.program, "import", work / "start", "-o", base], check=True)
    subprocess.run([o.program, "finetune", base, "-o", work / "ours.gguf", "--task", o.task,
                    "--data", o.data, *recipe(), "-t", o.threads, "--replay", work / "order.json",
                    "--losses", work / "ours.json", "--checkpoint-minutes", "0", "--progress",
                    "none"], check=True)
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
        wanted = reference(o, work)
        return compare(wanted, ours(o, work))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main())
