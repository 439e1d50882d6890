#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Six tasks of GLUE at 5 % of their teachers' f32 bytes, and SST-2 and STS-B at 10 % with three
seeds: a Markdown table with the bars. Hours; it may be stopped at any moment and started again with
the same command.

    glue_small.py PROGRAM MINILM.gguf DATA WORK [--only sst2 ...] [--share 5] [--seed 1 ...]
        [--teacher sst2=FILE ...] [--epochs N] [--pieces N] [--threads 1] [--short STEPS] [--table]

DATA holds glue/, glue_10k/ and text/. A seed is that of the whole recipe:

  teacher   MiniLM fine-tuned by finetune_figures.py's recipe, or --teacher's FILE, in whose name
            {seed} stands for the number, and which is the teacher of every seed where it does not
  student   the teacher without word pieces that neither rows nor books need; squeezed to so many
            per cent of the teacher's bytes, calibrated on rows and books in turn; then taught by
            the one before it, in int8, through the rounding of its file, on rows and on --pieces of
            books an epoch: logits at a temperature of 2 (regression: their squares) and hidden
            states, a block's those that the next block that stays read. Rate 5e-4, the last step

Labels of dev are looked at once a run, beside the teacher's answers; nothing is chosen by them.
MNLI-10k and QQP-10k are samples of 8,999 rows: of their dev rows those leave a text of which is in
train. QNLI learns such a sample and is reported on its real dev, a text of which no row of train
has. Time: 1 x 128 in the teacher's int8 over the student's, one thread (squeeze_runs.time_ratio).

WORK/runs.jsonl has a line for each step that is finished by this program. --short STEPS ends every
training after so many steps: figures that are labelled so, of models that have learned little.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import finetune_figures
from glue_rows import AMOUNTS, ASKED, TASKS, Rows
from glue_table import show
from squeeze_runs import (Log, blocks_of, digest, file_of, map_of, run_json, run_nice,
                          time_ratio)

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "models/recipes"
HISTORY = 1024  # bytes that are left for the line of `distill` in the file's history


def bytes_of(teacher, share):
    return teacher.stat().st_size * share // 100


class Runs:
    def __init__(self, o):
        self.o, self.made_by = o, {"program": digest(o.program), "short": o.short}
        self.log = Log(o.work / "runs.jsonl", self.made_by)
        self.common = ["-t", o.threads, "--json", "--progress", "none"]
        self.training = ["--resume", "--checkpoint-minutes", 5,
                         *(["--max-steps", o.short] if o.short else []), *self.common]
        self.rows = {}

    def run(self, verb, *options):
        return run_json(self.o.program, verb, *options)

    def prepare(self, name):
        books = self.o.work / "books.txt"
        if not books.exists():
            subprocess.run([sys.executable, "-B", RECIPES / "books.py", self.o.data / "text", books,
                            self.o.work / "books-sample.txt"], check=True)
        self.rows[name] = self.rows.get(name) or Rows(self.o, name)

    def made(self, make, **key):
        """The file of a step, made now if it is not there: make(file) gives what the log has."""
        out = file_of(self.o.work, *map(str, key.values()), *map(str, self.made_by.values()))
        if not (out.exists() and self.log.get(**key)):
            self.log.add({**key, **make(out)})
        shutil.rmtree(f"{out}.checkpoint", ignore_errors=True)
        return out, self.log.get(**key)

    def given(self, name, seed):
        """--teacher's file, or None."""
        path = self.o.teacher.get(name)
        return path and pathlib.Path(path.replace("{seed}", str(seed)))

    def teacher(self, name, seed):
        if self.given(name, seed):
            return self.given(name, seed)
        known, rows = finetune_figures.TASKS.get(name), self.rows[name]

        def make(out):
            _, seconds = self.run("finetune", self.o.model, "-o", out, *rows.options(rows.train),
                                  *rows.problem(), "--pool", "pooler", "--epochs",
                                  known.epochs if known else 5, "--seed", seed, *self.training)
            return {"cpu_seconds": seconds}
        return self.made(make, run="teacher", task=name, seed=seed)[0]

    def squeezed(self, name, share, teacher, key):
        """The teacher without pieces, the student made of it, and the line of the student."""
        rows, budget = self.rows[name], bytes_of(teacher, share) - HISTORY

        def prune(out):
            _, seconds = self.run("squeeze", teacher, "-o", out, "--vocabulary", rows.texts,
                                  *self.common)
            return {"cpu_seconds": seconds}
        pruned, _ = self.made(prune, run="pruned", **key)

        def squeeze(out):
            said, seconds = self.run("squeeze", pruned, "-o", out, "--budget", budget, "--no-heal",
                                     "--texts", rows.calibrate, "--no-fidelity", "--cache",
                                     self.o.work / "cache", *self.common)
            blocks, layers = blocks_of(said)
            return {"cpu_seconds": seconds, "blocks": blocks, "layers": layers,
                    "change": said["budget"]["change"]}
        return (pruned, *self.made(squeeze, run="squeezed", share=share, **key))

    def taught(self, name, share, seed, teacher, key):
        rows, amount = self.rows[name], self.amount(share, name, seed)
        pruned, student, line = self.squeezed(name, share, teacher, key)
        loss = (["logits_mse:1,hidden:1"] if rows.problem() else
                ["logits:1,hidden:1", "--temperature", 2])

        def make(out):
            _, seconds = self.run(
                "distill", "--teacher", pruned, "--teacher-type", "s8", "--student", student, "-o",
                out, *rows.options(rows.train), "--dev", rows.some, *rows.problem(), "--texts",
                self.o.work / "books.txt", "--max-pieces", amount["pieces"], "--loss", *loss,
                *map_of(line["blocks"], line["layers"]), "--epochs",
                amount["epochs"], "--lr", "5e-4", "--fake-quantise", "stored", "--seed", seed,
                "--measure-steps", 100000, *self.training)
            return {"cpu_seconds": seconds}
        out, made = self.made(make, run="taught", share=share, **key, **amount)
        return out, {"blocks": line["blocks"], "cpu_seconds": made["cpu_seconds"]}

    def amount(self, share, name, seed):
        epochs, pieces = AMOUNTS.get((share, name), TASKS[name][-2:])
        return {"seed": seed, "epochs": self.o.epochs or epochs,
                "pieces": self.o.pieces or pieces}

    # ---- figures ----

    def eval(self, name, model, *against):
        """Its figure, GLUE's mean of the task's figures, and the report."""
        rows, task = self.rows[name], TASKS[name]
        said, _ = self.run("eval", model, *rows.options(rows.dev), *against, *self.common)
        found = {"f1": next((x["f1"] for x in said["classes"] if x["label"] == "1"), None),
                 **said["metrics"]}
        return found[task.metric], statistics.mean(
            [found[metric] for metric in (task.metric, task.both) if metric]), said

    def whole_int8(self, teacher, key):
        def make(out):
            run_nice([self.o.program, "quantize", teacher, "-o", out, "--type", "s8"])
            return {}
        return self.made(make, run="int8", **key)[0]

    def student(self, share, name, seed):
        self.prepare(name)
        teacher = self.teacher(name, seed)
        facts, _ = self.run("info", teacher, "--json")
        if set(facts["weight_bytes"]) != {"F32"}:
            raise SystemExit(f"{teacher}: not in f32, whose bytes the shares are of")
        key, rows = {"task": name, "teacher": digest(teacher)}, self.rows[name]
        asked = {"run": "student", "share": share, **key, **self.amount(share, name, seed)}
        if self.log.get(**asked):
            return
        out, line = self.taught(name, share, seed, teacher, key)
        if out.stat().st_size > bytes_of(teacher, share):
            raise SystemExit(f"{out}: has more than {bytes_of(teacher, share)} bytes")
        theirs, theirs_glue, _ = self.eval(name, teacher)
        ours, glue, said = self.eval(name, out, "--against", teacher)
        self.log.add({**asked, **line, "bytes": out.stat().st_size,
                      "budget": bytes_of(teacher, share),
                      "dev_rows": said["n"], "rows_left": rows.left, "rows_of_all": rows.of_all,
                      "teacher_figure": theirs, "figure": ours, "teacher_glue": theirs_glue,
                      "glue": glue, "interval": said["against"]["intervals"][TASKS[name].metric],
                      **time_ratio(self.whole_int8(teacher, key), out)})
        print(json.dumps(self.log.lines[-1]), file=sys.stderr, flush=True)

    def jobs(self):
        return [(share, name, seed) for share in self.o.share for name in self.o.only
                if name in ASKED[share][0] for seed in self.o.seed or ASKED[share][1]]

    def lines(self):
        found = [self.log.get(run="student", share=share, task=name,
                              **self.amount(share, name, seed))
                 for share, name, seed in self.jobs()]
        return [line for line in found if line]


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "data", "work"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--share", nargs="+", type=int, choices=ASKED, default=list(ASKED))
    parser.add_argument("--seed", nargs="+", type=int, help="(default: 1; at 10 %% 1, 2 and 3)")
    parser.add_argument("--teacher", nargs="+", default=[], metavar="TASK=FILE")
    parser.add_argument("--epochs", type=int, help="of the student (default: each task's)")
    parser.add_argument("--pieces", type=int, help="of books, an epoch (default: each task's)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--short", type=int, default=0, metavar="STEPS")
    parser.add_argument("--table", action="store_true", help="of what is there; run nothing")
    o = parser.parse_args()
    o.teacher = dict(given.partition("=")[::2] for given in o.teacher)
    unknown = set(o.teacher) - set(TASKS)
    if unknown or not all(o.teacher.values()):
        parser.error(f"--teacher TASK=FILE: the tasks are {', '.join(TASKS)}")
    o.program, o.model = o.program.resolve(), o.model.resolve()
    return o


def main():
    o = options()
    o.work.mkdir(parents=True, exist_ok=True)
    (o.work / "cache").mkdir(exist_ok=True)
    os.environ.setdefault("SQZ_LIBRARY", str(o.program.parent / "libsqueezebert-full.so"))
    runs = Runs(o)
    if not runs.jobs():
        return "nothing to run: 10 % is asked of sst2 and stsb alone"
    given = [runs.given(name, seed) for _, name, seed in runs.jobs()]
    lacking = [str(path) for path in given if path and not path.exists()]
    if lacking and not o.table:
        return f"no such file: {', '.join(lacking)}"
    for job in [] if o.table else runs.jobs():
        runs.student(*job)
    if not runs.lines():
        return f"{runs.log.path}: this program has finished no run"
    return show(o, runs.lines())


if __name__ == "__main__":
    sys.exit(main())
