#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuned MiniLM beside PyTorch and Transformers with the same recipe, task by task: a Markdown
table with the bars. Hours; it may be stopped at any moment and started again with the same command.

    finetune_figures.py PROGRAM MINILM.gguf DATA WORK --script finetune_reference.py
        [--task wnut ...] [--seed 1 ...] [--side ours] [--precision bf16] [--table]

DATA holds glue/, ner/wnut17/ and intent/clinc150/. WORK/runs.jsonl has a line for each run that is
finished: those are not made again, and a run of ours goes on from its checkpoint. Two processes
with other sides or tasks may share WORK. Five epochs of 32 examples (SST-2: three), rate 5e-5, the
pooler read, the last step kept. The labels of dev and test are looked at once, by the figure.

GLUE is trained by the script of that name (its options: --task --data --seed --epochs --pool
--threads --precision, one JSON line with "dev"), entities and intents by finetune_peers.py.
Bars: a task's mean over the seeds is at most so many points below the reference's.
"""
import argparse
import collections
import json
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
WNUT = [f"ner/wnut17/{name}" for name in ("wnut17train.conll", "emerging.dev.conll",
                                          "emerging.test.annotated")]
CLINC = "intent/clinc150/data_full.json"

# what: GLUE's folder or the kind of finetune_peers.py; metric: ours, and its name in the script
Task = collections.namedtuple("Task", "what metric theirs seeds epochs bar")
TASKS = {
    "mrpc": Task("MRPC", "accuracy", "accuracy", (1, 2, 3), 5, 0.015),
    "stsb": Task("STS-B", "spearman", "spearman", (1, 2, 3), 5, 0.007),
    "sst2": Task("SST-2", "accuracy", "accuracy", (1, 2, 3), 3, 0.007),
    "cola": Task("CoLA", "mcc", "mcc", (1,), 5, None),
    "wnut": Task("entities", "f1", "f1", (1,), 5, None),
    "clinc": Task("intents", "accuracy", "accuracy", (1,), 5, None),
}


def call(command):
    print(" ".join(map(str, command)), file=sys.stderr, flush=True)
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().split("\n")[-1])


def data_of(o, name):
    """Options of finetune, and of eval for each split that is reported."""
    data, task = o.data, TASKS[name]
    if name == "wnut":
        paths = [data / path for path in WNUT]
        return ["--data", paths[0]], {
            split: ["--data", path, "--input", "conll"] for split, path in
            zip(("dev", "test"), paths[1:])}
    if name == "clinc":
        return ["--data", data / CLINC], {
            split: ["--data", data / CLINC, "--split", member] for split, member in
            (("dev", "val"), ("test", "test"))}
    return (["--task", name, "--data", data / "glue" / task.what],
            {"dev": ["--task", name, "--data", data / "glue" / task.what]})


def ours(o, name, seed):
    task, out = TASKS[name], o.work / f"{name}-{seed}-{o.precision}.gguf"
    given, splits = data_of(o, name)
    pool = [] if name == "wnut" else ["--pool", "pooler"]
    began = time.time()
    call([o.program, "finetune", o.model, "-o", out, *given, "--seed", seed, "--epochs",
          o.epochs or task.epochs, *pool, "--precision", o.precision, "-t", o.threads, "--json",
          "--resume", "--checkpoint-minutes", 5, "--progress", "none"])
    minutes = (time.time() - began) / 60
    figures = {split: call([o.program, "eval", out, *where, "--json", "-t", o.threads])["metrics"]
               for split, where in splits.items()}
    return {"minutes": round(minutes, 1),
            **{split: figure[task.metric] for split, figure in figures.items()}}


def reference(o, name, seed):
    task = TASKS[name]
    common = ["--seed", seed, "--epochs", o.epochs or task.epochs, "--threads", o.threads,
              "--precision", o.precision]
    if name in ("wnut", "clinc"):
        paths = WNUT if name == "wnut" else [CLINC]
        got = call([sys.executable, HERE / "finetune_peers.py", task.what,
                    *[o.data / path for path in paths], *common])
    else:
        if not o.script:
            sys.exit(f"{name}: --script names the program that trains GLUE's tasks")
        got = call([sys.executable, o.script, "--task", name, "--data",
                    o.data / "glue" / task.what, "--pool", "pooler", *common])
    return {"minutes": got["minutes"],
            **{split: got[split][task.theirs] for split in ("dev", "test") if split in got}}


def finished(o):
    path = o.work / "runs.jsonl"
    runs = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            runs.append(json.loads(line))
        except ValueError:
            print(f"{path}: not read: {line}", file=sys.stderr)
    return runs


def run_all(o):
    sides = {"ours": ours, "reference": reference}
    for name in o.task:
        for seed in o.seed or TASKS[name].seeds:
            for side in o.side:
                key = {"task": name, "seed": seed, "side": side, "precision": o.precision,
                       "epochs": o.epochs or TASKS[name].epochs}
                if any(key.items() <= run.items() for run in finished(o)):
                    continue
                line = json.dumps({**key, **sides[side](o, name, seed)})
                with open(o.work / "runs.jsonl", "a", encoding="utf-8") as log:
                    log.write(line + "\n")


def cell(values):
    text = f"{100 * statistics.mean(values):.1f}"
    if len(values) == 1:
        return text
    return f"{text} ({', '.join(f'{100 * value:.1f}' for value in values)})"


def rows_of(o):
    """(task, epochs, split) -> {side: [value a seed]}."""
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for run in sorted(finished(o), key=lambda run: run["seed"]):
        for split in ("dev", "test"):
            if split in run:
                side = f"{run['side']} {run['precision']}"
                rows[run["task"], run["epochs"], split][side].append(run[split])
    return sorted(rows.items(), key=lambda row: (list(TASKS).index(row[0][0]), row[0][1:]))


def table(o):
    """Each of our precisions beside the reference's, which may have been run in one alone."""
    missed = False
    print("| task | figure | epochs | ours | reference | difference | bar |")
    print("|---|---|---|---|---|---|---|")
    for (name, epochs, split), sides in rows_of(o):
        task = TASKS[name]
        peers = sorted(side for side in sides if side.startswith("reference"))
        for mine in sorted(side for side in sides if side.startswith("ours")):
            same = mine.replace("ours", "reference")
            peer = same if same in peers else peers[0] if peers else None
            left, bar = cell(sides[mine]) + mine[4:], "–"
            if not peer:
                print(f"| {name} | {task.metric}, {split} | {epochs} | {left} | – | – | – |")
                continue
            gap = statistics.mean(sides[mine]) - statistics.mean(sides[peer])
            if task.bar is not None:
                kept = gap >= -task.bar
                missed |= not kept
                bar = f"−{100 * task.bar:.1f}: {'kept' if kept else 'MISSED'}"
            print(f"| {name} | {task.metric}, {split} | {epochs} | {left} | "
                  f"{cell(sides[peer])}{peer[9:]} | {100 * gap:+.1f} | {bar} |")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "data", "work"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--script", type=pathlib.Path)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seed", nargs="+", type=int, help="(default: what each task is asked)")
    parser.add_argument("--side", nargs="+", choices=("ours", "reference"),
                        default=["ours", "reference"])
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--epochs", type=int, help="(default: 5, SST-2 3)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="show what is there, run nothing")
    o = parser.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    if not o.table:
        run_all(o)
    return table(o)


if __name__ == "__main__":
    sys.exit(main())
