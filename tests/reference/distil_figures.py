#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Students of MiniLM-L6 beside their teachers: a Markdown table. Hours; it may be stopped at any
moment and started again with the same command.

    distil_figures.py PROGRAM MINILM.gguf DATA WORK [--only heal|sst2 ...] [--seed 1 ...]
        [--pieces 300000 ...] [--sst2-teacher FILE] [--epochs N] [--short STEPS] [--table]

DATA holds glue/ and text/gutenberg_en.txt.gz. WORK/runs.jsonl has a line for each run that is
finished by this program: those are not made again, and a run goes on from its checkpoint. Labels of
dev are looked at once a run, by its figure; nothing is chosen by them.

  heal   layers 0, 2, 3 and 5 healed on sentences of books, one mix of losses after the other, each
         number of pieces a run of its own (its rate falls to 0): STS-B dev, Spearman of cosines.
         Bar: 0.860 within 3 million pieces and 15 minutes
  sst2   MiniLM fine-tuned on SST-2 (three epochs, rate 5e-5) teaches its own layers 0, 2 and 5:
         logits and hidden states, a run a seed; then what each loss adds, seed 1 alone, --epochs
         each. Bar: the mean of the seeds is 97.5 % of the teacher's dev accuracy

Teachers run in int8 (--teacher-type s8). --sst2-teacher is a model that was fine-tuned before, as
finetune_figures.py leaves it.

--short STEPS bounds every training by so many steps: figures that are labelled so in the table, of
a teacher and students that have not learned all they could.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

from squeeze_runs import Log, digest

MIXES = ("hidden:1,pooled:5", "pooled:1", "relations:1,pooled:5")
ABLATION = ("labels", "labels,logits", "labels,logits,hidden", "labels,logits,hidden,attention",
            "labels,logits,hidden,attention,relations")
TAUGHT = "logits:1,hidden:1"


def call(command):
    """The JSON line of a command, and its minutes."""
    print(" ".join(map(str, command)), flush=True)
    began = time.time()
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    lines = done.stdout.strip().split("\n")
    return (json.loads(lines[-1]) if lines[-1].startswith("{") else {},
            (time.time() - began) / 60)


class Figures:
    def __init__(self, o):
        self.o = o
        self.common = ["-t", o.threads, "--json", "--progress", "none"]
        self.run_options = [*self.common, "--resume", "--checkpoint-minutes", 5,
                            *(["--max-steps", o.short] if o.short else [])]
        self.log = Log(o.work / "runs.jsonl", {"program": digest(o.program), "short": o.short})

    def once(self, make, **key):
        """The line of a run that is finished, or of one that is made now."""
        line = self.log.get(**key)
        if not line and not self.o.table:
            minutes, figure = make()
            self.log.add({**key, "minutes": round(minutes, 1), **figure})
            line = self.log.get(**key)
        return line

    def squeezed(self, model, layers):
        out = self.o.work / f"{model.stem}-{layers.replace(',', '')}.gguf"
        if not out.exists():
            call([self.o.program, "squeeze", model, "-o", out, "--layers", layers,
                  "--keep-pooler"])
        return out

    def eval(self, model, task, folder, *more):
        report, _ = call([self.o.program, "eval", model, "--task", task, "--data",
                          self.o.data / "glue" / folder, *more, "--json", "-t", self.o.threads])
        return report["metrics"]

    def taught(self, teacher, student, name, *options):
        out = self.o.work / f"{name}{'-short' if self.o.short else ''}.gguf"
        _, minutes = call([self.o.program, "distill", "--teacher", teacher, "--student", student,
                           "--teacher-type", "s8", "-o", out, *options, "--measure-steps", 100000,
                           *self.run_options])
        return out, minutes

    def tuned(self, student, name, *options):
        """The same student by labels alone: a new head, no dropout, the rate of distilling."""
        out = self.o.work / f"{name}{'-short' if self.o.short else ''}.gguf"
        _, minutes = call([self.o.program, "finetune", student, "-o", out, *options, "--pool",
                           "pooler", "--lr", 3e-4, "--dropout", 0, "--warmup", 0.05,
                           *self.run_options])
        return out, minutes

    # ---- an embedder ----

    def heal(self, mix, pieces):
        student = self.squeezed(self.o.model, "0,2,3,5")

        def make():
            name = f"heal-{mix.replace(':', '').replace(',', '-')}-{pieces}"
            out, minutes = self.taught(
                self.o.model, student, name, "--texts", self.o.data / "text/gutenberg_en.txt.gz",
                "--max-pieces", pieces, "--loss", mix)
            return minutes, {"sts": self.eval(out, "stsb", "STS-B", "--cosine")["spearman"]}
        return self.once(make, run="heal", mix=mix, pieces=pieces)

    def heal_rows(self):
        for model, name in ((self.o.model, "teacher"),
                            (self.squeezed(self.o.model, "0,2,3,5"), "student, not healed")):
            yield name, self.once(lambda m=model: (0, {"sts": self.eval(
                m, "stsb", "STS-B", "--cosine")["spearman"]}), run="as it is", model=name), "sts"
        for mix in MIXES:
            for pieces in self.o.pieces:
                yield f"{mix}, {pieces} pieces", self.heal(mix, pieces), "sts"

    # ---- a classifier ----

    def sst2_teacher(self):
        out = self.o.work / f"sst2{'-short' if self.o.short else ''}.gguf"
        if self.o.sst2_teacher:
            return self.o.sst2_teacher, self.once(
                lambda: (0, {"accuracy": self.eval(self.o.sst2_teacher, "sst2",
                                                   "SST-2")["accuracy"]}),
                run="sst2 teacher", sha256=digest(self.o.sst2_teacher))

        def make():
            _, minutes = call([self.o.program, "finetune", self.o.model, "-o", out, "--task",
                               "sst2", "--data", self.o.data / "glue/SST-2", "--epochs", 3,
                               "--pool", "mean", *self.run_options])
            return minutes, {"accuracy": self.eval(out, "sst2", "SST-2")["accuracy"]}
        return out, self.once(make, run="sst2 teacher")

    def sst2(self, teacher, losses, seed, epochs=3):
        def make():
            student = self.squeezed(teacher, "0,2,5")
            name = f"sst2-{losses.replace(':', '').replace(',', '-')}-{seed}-{epochs}"
            rows = ["--task", "sst2", "--data", self.o.data / "glue/SST-2", "--seed", seed,
                    "--epochs", epochs]
            if losses == "labels":
                out, minutes = self.tuned(student, name, *rows)
            else:
                out, minutes = self.taught(teacher, student, name, "--loss", losses, *rows)
            return minutes, {"accuracy": self.eval(out, "sst2", "SST-2")["accuracy"]}
        return self.once(make, run="sst2", losses=losses, seed=seed, epochs=epochs)

    def sst2_rows(self):
        path, teacher = self.sst2_teacher()
        yield "teacher", teacher, "accuracy"
        seeds = [self.sst2(path, TAUGHT, seed) for seed in self.o.seed]
        for seed, line in zip(self.o.seed, seeds):
            yield f"{TAUGHT}, seed {seed}", line, "accuracy"
        if teacher and all(seeds):
            mean = statistics.mean(line["accuracy"] for line in seeds)
            yield (f"mean of {len(seeds)}: {100 * mean / teacher['accuracy']:.1f} % of the "
                   "teacher's, bar 97.5", {"accuracy": mean, "minutes": 0}, "accuracy")
        for losses in self.o.losses:
            yield (f"{losses}, seed 1, {self.o.epochs} epochs",
                   self.sst2(path, losses, 1, self.o.epochs), "accuracy")


def main():
    parser = argparse.ArgumentParser()
    for name in ("program", "model", "data", "work"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--only", nargs="+", choices=("heal", "sst2"), default=("heal", "sst2"))
    parser.add_argument("--seed", nargs="+", type=int, default=(1, 2, 3))
    parser.add_argument("--pieces", nargs="+", type=int, default=(300000, 1000000, 3000000))
    parser.add_argument("--losses", nargs="*", default=ABLATION)
    parser.add_argument("--sst2-teacher", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=3, help="of each mix of losses")
    parser.add_argument("--short", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="of what is there; run nothing")
    o = parser.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    os.nice(2)
    figures, rows = Figures(o), []
    for part in o.only:
        rows += [(part, *row) for row in getattr(figures, f"{part}_rows")()]
    if o.short:
        print(f"\nA SHORT RUN: every training ended after {o.short} steps, its rate far from 0.\n")
    print("| part | run | figure | minutes |\n|---|---|---|---|")
    for part, name, line, metric in rows:
        print(f"| {part} | {name} | " + (f"{line[metric]:.4f} | {line['minutes']} |" if line
                                         else "not run | |"))


if __name__ == "__main__":
    main()
