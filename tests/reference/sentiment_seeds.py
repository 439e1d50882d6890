#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of its teacher's accuracy the model sentiment keeps, over seeds of its whole recipe.

    sentiment_seeds.py PROGRAM WORK...

Each WORK is one that models/make.sh filled, of a seed of its own:

    SEED=2 OUT=WORK2 models/make.sh DATA WORK2 sentiment      # teacher, choice of squeeze, student

Of each it reads sentiment.gguf, sentiment-teacher.gguf, sst2-dev.tsv (GLUE's 872) and
sst2-held.tsv (1,500 sentences held out of train). Prints accuracies of both sets and of both
pooled, and what is kept of the teacher's, with an interval of 95 % of 10,000 resamples of the
pooled sentences, in which students and teachers answer the same ones.
"""
import csv
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

SETS = ("dev", "held")
RESAMPLES = 10000


def right(program, model, rows):
    """Whether each row's class is answered."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "answers.tsv"
        subprocess.run([program, "eval", model, "--data", rows, "--text", "sentence", "--label",
                        "label", "--quotes", "none", "--predictions", out, "--progress", "none"],
                       stdout=subprocess.DEVNULL, check=True)
        with open(out, encoding="utf-8", newline="\n") as lines:
            found = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return np.array([row["prediction"] == row["truth"] for row in found], float)


def kept_of(students, teachers):
    """Shares over resamples of rows: [seeds, rows] of both."""
    draw, n = np.random.default_rng(1), students.shape[1]
    ours, theirs = students.mean(0), teachers.mean(0)
    picks = (draw.integers(0, n, n) for _ in range(RESAMPLES))
    return np.percentile([ours[p].sum() / theirs[p].sum() for p in picks], [2.5, 97.5])


def show(name, students, teachers):
    low, high = kept_of(students, teachers)
    print(f"| {name} | {students.mean():.4f} of {teachers.mean():.4f} | "
          f"{students.mean() / teachers.mean():.1%} ({low:.1%} to {high:.1%}) |", flush=True)


def main(program, *works):
    answers = {end: [] for end in ("", "-teacher")}
    print("| seed and set | accuracy, of its teacher's | kept, 95 % |\n|---|---|---|")
    for number, work in enumerate(map(pathlib.Path, works), 1):
        for end, found in answers.items():
            found.append([right(program, work / f"sentiment{end}.gguf", work / f"sst2-{name}.tsv")
                          for name in SETS])
        for name, ours, theirs in zip(SETS, answers[""][-1], answers["-teacher"][-1]):
            show(f"{number}, {name}", ours[None], theirs[None])
    pooled = [np.array([np.concatenate(sets) for sets in answers[end]]) for end in answers]
    for number in range(len(works)):
        show(f"{number + 1}, both", *(side[number:number + 1] for side in pooled))
    show("all, both", *pooled)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
