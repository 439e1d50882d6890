# SPDX-License-Identifier: Apache-2.0
"""Rows of the six tasks of glue_small.py, in one layout, and the texts that their students are
squeezed by. What repeats between train and dev is left out where the task's files are samples.
"""
import collections
import pathlib

from squeeze_runs import rows_of, write_whole

PAIR = ("sentence1", "sentence2", "label")

# train and dev: file and columns; metric of the table; both: the figure that GLUE averages with it;
# repeats: whose rows leave where a text of theirs is in the other part; epochs of the student on
# rows and so many pieces of books: two and a half to five million pieces in all
Task = collections.namedtuple("Task", "name train dev metric both repeats epochs pieces")
TASKS = {
    "sst2": Task("SST-2", ("glue/SST-2/train.tsv", ("sentence", "label")),
                 ("glue/SST-2/dev.tsv", ("sentence", "label")), "accuracy", None, None, 2, 1500000),
    "mrpc": Task("MRPC", ("glue/MRPC/train.tsv", ("#1 String", "#2 String", "Quality")),
                 ("glue/MRPC/dev.tsv", ("#1 String", "#2 String", "Quality")), "accuracy", "f1",
                 None, 12, 200000),
    "stsb": Task("STS-B", ("glue/STS-B/train.tsv", ("sentence1", "sentence2", "score")),
                 ("glue/STS-B/dev.tsv", ("sentence1", "sentence2", "score")), "spearman", "pearson",
                 None, 12, 200000),
    "qnli": Task("QNLI, 10k rows", ("glue_10k/QNLI/train.tsv", PAIR),
                 ("glue/QNLI/dev.tsv", ("question", "sentence", "label")), "accuracy", None,
                 "train", 3, 400000),
    "mnli": Task("MNLI-10k", ("glue_10k/MNLI/train.tsv", PAIR), ("glue_10k/MNLI/dev.tsv", PAIR),
                 "accuracy", None, "dev", 3, 400000),
    "qqp": Task("QQP-10k", ("glue_10k/QQP/train.tsv", PAIR), ("glue_10k/QQP/dev.tsv", PAIR),
                "accuracy", "f1", "dev", 4, 300000),
}
# where a student of another share of the bytes has other epochs and pieces: what is nearer to its
# teacher learns less, one to two million pieces
AMOUNTS = {(10, "sst2"): (1, 300000), (10, "stsb"): (6, 200000)}
# share of the teacher's bytes: tasks, seeds, and the bar of the mean
ASKED = {5: (tuple(TASKS), (1,), 0.965), 10: (("sst2", "stsb"), (1, 2, 3), 0.99)}
CALIBRATE = 3000  # texts of rows, and as many of books
SOME = 64  # rows of train that `distill`, which must have some, compares on: it never reads dev


def rows_in(data, part):
    """[text, text2, label] of each row, or [text, label]."""
    path, columns = part
    rows = [[row[column] for column in columns] for row in rows_of(data / path)]
    short = [i for i, row in enumerate(rows) if None in row]
    if short:
        raise SystemExit(f"{data / path}: row {short[0] + 1} has too few columns")
    return rows


def texts_of(rows):
    return {" ".join(text.lower().split()) for row in rows for text in row[:-1]}


def without_repeats(rows, others):
    known = texts_of(others)
    return [row for row in rows if not texts_of([row]) & known]


def spaced(lines, n):
    return lines[::max(1, len(lines) // n)][:n]


class Rows:
    """A task's rows in one layout, and its texts, under WORK."""

    def __init__(self, o, name):
        self.task, stem = TASKS[name], str(o.work / name)
        self.train, self.dev, self.some, self.texts, self.calibrate = (
            pathlib.Path(stem + end) for end in ("-train.tsv", "-dev.tsv", "-some.tsv",
                                                 "-texts.txt", "-calibrate.txt"))
        parts = {"train": rows_in(o.data, self.task.train), "dev": rows_in(o.data, self.task.dev)}
        self.of_all = len(parts[self.task.repeats or "dev"])
        if self.task.repeats:
            other = {"train": "dev", "dev": "train"}[self.task.repeats]
            parts[self.task.repeats] = without_repeats(parts[self.task.repeats], parts[other])
        self.left = len(parts[self.task.repeats or "dev"])
        self.columns = ["text", "text2", "label"] if len(self.task.dev[1]) == 3 else [
            "text", "label"]
        if not self.calibrate.exists():
            self.write(parts, o.work / "books.txt")

    def write(self, parts, books):
        for path, rows in ((self.train, parts["train"]), (self.dev, parts["dev"]),
                           (self.some, spaced(parts["train"], SOME))):
            write_whole(path, "".join("\t".join(row) + "\n" for row in [self.columns, *rows]))
        texts = list(dict.fromkeys(text + "\n" for row in parts["train"] for text in row[:-1]))
        with open(books, encoding="utf-8", newline="\n") as file:
            lines = list(file)
        write_whole(self.texts, "".join(texts + lines))
        write_whole(self.calibrate, "".join(x + y for x, y in zip(spaced(texts, CALIBRATE),
                                                                  spaced(lines, CALIBRATE))))

    def options(self, path):
        pair = ["--text2", "text2"] if "text2" in self.columns else []
        return ["--data", path, "--text", "text", *pair, "--label", "label", "--quotes", "none"]

    def problem(self):
        return ["--problem", "regression"] if self.task.metric == "spearman" else []
