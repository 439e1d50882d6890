#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Students of MiniLM-L6 beside their teachers: a Markdown table. Hours; it may be stopped at any
moment and started again with the same command.

    distil_figures.py PROGRAM MINILM.gguf DATA WORK [--only heal|sst2|groups|bits|int4 ...]
        [--seed 1 ...] [--pieces 300000 ...] [--sst2-teacher FILE] [--epochs N] [--short STEPS]
        [--judge embedder_eval.py] [--table]

DATA holds glue/ and text/ with gutenberg_en and openstax_en. WORK/runs.jsonl has a line for each
run that is finished by this program, whose files are in a folder of their own: those are not made
again, and a run goes on from its checkpoint. Labels of dev are looked at once a run, by its figure;
nothing is chosen by them. Minutes are CPU minutes of the last start of a run.

  heal   layers 0, 2, 3 and 5 healed on sentences of books, one mix of losses after the other, each
         number of pieces a run of its own (its rate falls to 0): STS-B dev, Spearman of cosines.
         Bar: 0.860 within 3 million pieces and 15 minutes
  sst2   MiniLM fine-tuned on SST-2 (three epochs, rate 5e-5) teaches its own layers 0, 2 and 5:
         logits and hidden states, a run a seed; then what each loss adds, seed 1 alone, --epochs
         each; by labels alone a new head is trained, else the teacher's goes on. Bar: the mean of
         the seeds is 97.5 % of the teacher's dev accuracy
  groups SqueezeBERT's shape, six blocks in 4 groups with a whole attn_output, of permuted blocks of
         MiniLM and of random ones, and a dense student of as many operations (three blocks of 672
         neurons: 22.5 squares of the width, both), taught alike; STS-B dev, and the time of MiniLM
         over theirs in f32 and in int8, 1 x 128, one thread, CPU time, in turn
  bits   the students of `heal` and `sst2`, taught plainly or through the rounding of the type that
         they are then stored in: figures of the stored files
  int4   four blocks of half the neurons in int4, 48 bytes a word piece (4.9 MB): sts, retrieval and
         probe by the program --judge, called `JUDGE PROGRAM MODEL --data DATA`

`groups` and `int4` learn of text books and novels (models/recipes/books.py).
Teachers run in int8 (--teacher-type s8). --sst2-teacher is a model that was fine-tuned before, as
finetune_figures.py leaves it.

--short STEPS bounds every training by so many steps: figures that are labelled so in the table, of
a teacher and students that have not learned all they could.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

from squeeze_runs import Log, digest, run_json, time_ratio

BOOKS = pathlib.Path(__file__).resolve().parents[2] / "models/recipes/books.py"
MIXES = ("hidden:1,pooled:5", "pooled:1", "relations:1,pooled:5")
ABLATION = ("labels", "labels,logits", "labels,logits,hidden", "labels,logits,hidden,attention",
            "labels,logits,hidden,attention,relations")
TAUGHT = "logits:1,hidden:1"
TABLES = r"_embd\.weight|token_types|^head|^pooler"
GROUPS = ("--groups", "4", "--dense-output")
SHAPES = {"permuted blocks": ("init-student", *GROUPS, "--texts"),
          "random blocks": ("init-student", *GROUPS, "--random", "blocks", "--seed", "1"),
          "dense, 3 blocks": ("squeeze", "--layers", "0,2,5", "--neurons", "43.75%", "--texts")}
FOUR = ("--layers", "0,2,3,5", "--neurons", "50%", "--bits", "4", "--embedding", "pq:48",
        "--positions", "4", "--texts")


class Figures:
    def __init__(self, o):
        self.o = o
        program = digest(o.program)
        self.files = o.work / f"{program}{'-short' if o.short else ''}"
        self.common = ["-t", o.threads, "--json", "--progress", "none"]
        self.run_options = [*self.common, "--resume", "--checkpoint-minutes", 5,
                            *(["--max-steps", o.short] if o.short else [])]
        self.log = Log(o.work / "runs.jsonl", {"program": program, "short": o.short})

    def run(self, verb, *options):
        """What a verb says, and its CPU minutes."""
        said, seconds = run_json(self.o.program, verb, *options)
        return said, round(seconds / 60, 1)

    def once(self, make, **key):
        """The line of a run that is finished, or of one that is made now."""
        line = self.log.get(**key)
        if not line and not self.o.table:
            minutes, figure = make()
            self.log.add({**key, "minutes": minutes, **figure})
            line = self.log.get(**key)
        return line

    def made(self, name, *command):
        """A file that a verb makes, if it is not there."""
        out = self.files / f"{name}.gguf"
        if not out.exists():
            self.run(*command, "-o", out, "--json")
        return out

    def trained(self, name, verb, *options):
        """A file that is trained, unless it was, and the minutes that it took."""
        out = self.files / f"{name}.gguf"
        if not (out.exists() and self.log.get(file=out.name)):
            _, minutes = self.run(verb, "-o", out, *options, *self.run_options)
            self.log.add({"file": out.name, "minutes": minutes})
        shutil.rmtree(f"{out}.checkpoint", ignore_errors=True)
        return out, self.log.get(file=out.name)["minutes"]

    def squeezed(self, model, layers):
        return self.made(f"{self.key(model)}-{layers.replace(',', '')}", "squeeze", model,
                         "--layers", layers, "--keep-pooler")

    @staticmethod
    def key(path):
        """A model's name in the names of what is made of it."""
        return f"{path.stem}-{digest(path)[:6]}"

    def eval(self, model, task, folder, *more):
        report, _ = self.run("eval", model, "--task", task, "--data",
                             self.o.data / "glue" / folder, *more, *self.common)
        return report["metrics"]

    def taught(self, teacher, student, name, *options):
        return self.trained(name, "distill", "--teacher", teacher, "--student", student,
                            "--teacher-type", "s8", *options, "--measure-steps", 100000)

    def tuned(self, student, name, *options):
        """The same student by labels alone: a new head, no dropout, the rate of distilling."""
        return self.trained(name, "finetune", student, *options, "--pool", "pooler", "--lr", 3e-4,
                            "--dropout", 0, "--warmup", 0.05)

    # ---- an embedder ----

    def heal_file(self, mix, pieces, *through):
        name = "-".join(("heal", mix.replace(":", "").replace(",", "-"), str(pieces),
                         *(f"through-{kind}" for kind in through[1:])))
        return self.taught(self.o.model, self.squeezed(self.o.model, "0,2,3,5"), name, "--texts",
                           self.o.data / "text/gutenberg_en.txt.gz", "--max-pieces", pieces,
                           "--loss", mix, *through)

    def heal(self, mix, pieces):
        def make():
            out, minutes = self.heal_file(mix, pieces)
            return minutes, self.cosine(out)
        return self.once(make, run="heal", mix=mix, pieces=pieces)

    def heal_rows(self):
        def student():
            return self.squeezed(self.o.model, "0,2,3,5")
        for name, model in (("teacher", lambda: self.o.model), ("student, not healed", student)):
            yield name, self.once(lambda m=model: (0, self.cosine(m())), run="as it is",
                                  model=name), "sts"
        for mix in MIXES:
            for pieces in self.o.pieces:
                yield f"{mix}, {pieces} pieces", self.heal(mix, pieces), "sts"

    # ---- other shapes, and bits ----

    def books(self):
        texts, sample = self.o.work / "books.txt", self.o.work / "sample.txt"
        if not texts.exists():
            subprocess.run([sys.executable, "-B", BOOKS, self.o.data / "text", texts, sample],
                           check=True)
        return texts, sample

    def stored(self, model, kind, *options):
        """The file of integers that is run."""
        return self.made(f"{model.stem}-{kind}", "quantize", model, "--type", kind, *options)

    def cosine(self, model):
        return {"sts": self.eval(model, "stsb", "STS-B", "--cosine")["spearman"]}

    def base(self):
        """MINILM without word pieces that no text is ever cut into."""
        return self.made("base", "squeeze", self.o.model, "--drop-impossible")

    def student(self, name, verb, teacher, *levers):
        """A student that is made with a sample of the books, where its levers ask for one."""
        _, sample = self.books()
        return self.made(name, verb, teacher, *levers,
                         *([sample] if levers[-1] == "--texts" else []))

    def groups(self, name, pieces):
        def make():
            texts, _ = self.books()
            verb, *levers = SHAPES[name]
            student = self.student(name.replace(",", "").replace(" ", "-"), verb,
                                   self.o.model, *levers)
            out, minutes = self.taught(self.o.model, student, f"{student.stem}-{pieces}",
                                       "--texts", texts, "--max-pieces", pieces, "--loss",
                                       MIXES[0], "--lr", "5e-4")
            files = {"f32": (self.o.model, out),
                     "s8": (self.stored(self.o.model, "s8"), self.stored(out, "s8"))}
            return minutes, {**self.cosine(out), "untaught": self.cosine(student)["sts"],
                             "faster": {kind: time_ratio(*both)["time_ratio"]
                                        for kind, both in files.items()}}
        return self.once(make, run="groups", student=name, pieces=pieces)

    def groups_rows(self):
        for pieces in self.o.pieces:
            for name in SHAPES:
                line = self.groups(name, pieces)
                faster = line and line["faster"]
                said = (f", {line['untaught']:.4f} untaught, {faster['f32']:.2f} times as fast as "
                        f"MiniLM in f32, {faster['s8']:.2f} in int8") if line else ""
                yield f"{name}, {pieces} pieces{said}", line, "sts"

    def bits_rows(self):
        teacher, _ = self.sst2_teacher()
        for task, kinds in (("STS-B", ("s8", "s4")), ("SST-2", ("s8",))):
            for rounding, kind in (*((None, kind) for kind in kinds), *zip(kinds, kinds)):
                yield (f"{task}, stored in {kind}, taught "
                       f"{'through that rounding' if rounding else 'plainly'}",
                       teacher.exists() and self.bits(teacher, task, rounding, kind), "figure")

    def bits(self, teacher, task, rounding, kind):
        """What a student has whose blocks are stored in integers. Its tables stay in f32, as do
        those of one that is taught through the rounding and is stored already."""
        through = ("--fake-quantise", rounding) if rounding else ()

        def integers(model):
            return model if rounding else self.stored(model, kind, "--keep", TABLES)

        def make():
            if task == "STS-B":
                out, minutes = self.heal_file(MIXES[0], self.o.pieces[0], *through)
                return minutes, {"figure": self.cosine(integers(out))["sts"]}
            out, minutes = self.sst2_file(teacher, TAUGHT, 1, 3, *through)
            return minutes, {"figure": self.eval(integers(out), "sst2", "SST-2")["accuracy"]}
        return self.once(make, run="bits", task=task, rounding=rounding, kind=kind,
                         pieces=self.o.pieces[0], teacher=self.key(teacher))

    def judged(self, model):
        said = subprocess.run([sys.executable, self.o.judge, self.o.program, model, "--data",
                               self.o.data], stdout=subprocess.PIPE, text=True, check=True)
        return {k: v for k, v in json.loads(said.stdout).items() if k != "model"}

    def int4(self, pieces):
        def make():
            texts, _ = self.books()
            student = self.student("four", "squeeze", self.base(), *FOUR)
            if not pieces:
                return 0, self.judged(student)
            out, minutes = self.taught(
                self.base(), student, f"four-{pieces}", "--texts", texts, "--max-pieces", pieces,
                "--loss", MIXES[0], "--fake-quantise", "s4", "--lr", "5e-4")
            return minutes, self.judged(out)
        return self.once(make, run="int4", pieces=pieces)

    def int4_rows(self):
        for pieces in (0, *self.o.pieces):
            line = self.int4(pieces)
            said = f", retrieval {line['retrieval']}, probe {line['probe']}" if line else ""
            yield f"{pieces} pieces{said}", line, "sts"

    # ---- a classifier ----

    def sst2_teacher(self):
        """The file, and its line; without the file nothing of it has run."""
        path = self.o.sst2_teacher or self.files / "sst2.gguf"

        def make():
            minutes = 0
            if not self.o.sst2_teacher:
                _, minutes = self.trained("sst2", "finetune", self.o.model, "--task", "sst2",
                                          "--data", self.o.data / "glue/SST-2", "--epochs", 3,
                                          "--pool", "mean")
            return minutes, {"accuracy": self.eval(path, "sst2", "SST-2")["accuracy"]}
        return path, self.once(make, run="sst2 teacher", model=str(path.resolve()))

    def sst2_file(self, teacher, losses, seed, epochs, *through):
        student = self.squeezed(teacher, "0,2,5")
        name = "-".join((self.key(teacher), losses.replace(":", "").replace(",", "-"), str(seed),
                         str(epochs), *(f"through-{kind}" for kind in through[1:])))
        rows = ["--task", "sst2", "--data", self.o.data / "glue/SST-2", "--seed", seed, "--epochs",
                epochs]
        if losses == "labels":
            return self.tuned(student, name, *rows)
        return self.taught(teacher, student, name, "--loss", losses, *rows, *through)

    def sst2(self, teacher, losses, seed, epochs=3):
        def make():
            out, minutes = self.sst2_file(teacher, losses, seed, epochs)
            return minutes, {"accuracy": self.eval(out, "sst2", "SST-2")["accuracy"]}
        return teacher.exists() and self.once(make, run="sst2", losses=losses, seed=seed,
                                              epochs=epochs, teacher=self.key(teacher))

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
    parts = ("heal", "sst2", "groups", "bits", "int4")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--seed", nargs="+", type=int, default=(1, 2, 3))
    parser.add_argument("--pieces", nargs="+", type=int, default=(300000, 1000000, 3000000))
    parser.add_argument("--losses", nargs="*", default=ABLATION)
    parser.add_argument("--sst2-teacher", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=3, help="of each mix of losses")
    parser.add_argument("--judge", type=pathlib.Path, help="of int4")
    parser.add_argument("--short", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="of what is there; run nothing")
    o = parser.parse_args()
    if "int4" in o.only and not o.judge and not o.table:
        parser.error("int4 needs --judge")
    o.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SQZ_LIBRARY", str(o.program.resolve().parent / "libsqueezebert-full.so"))
    figures, rows = Figures(o), []
    if not o.table:
        figures.files.mkdir(exist_ok=True)
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
