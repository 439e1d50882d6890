#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A ranking with hard negatives on a sample of QNLI: a question, the sentence that answers it,
and one that does not, which shares most words with it among the others that hold no answer to
theirs. Part of the questions is held out, by source; its loss before and after is printed, and must
fall.

    ranking_negatives.py PROGRAM BASE.gguf QNLI_10K [--groups N] [--epochs N] [--threads N]

BASE is a float model file, QNLI_10K a folder with a train.tsv of the columns sentence1, sentence2
and label. Exits 77 where one of them is missing.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def rows(path):
    lines = [line.split("\t") for line in
             path.read_text(encoding="utf-8").replace("\r", "").split("\n") if line]
    at = [lines[0].index(name) for name in ("sentence1", "sentence2", "label")]
    return [tuple(line[k] for k in at) for line in lines[1:]]


def make_groups(pairs, most):
    """Question, answer, and the sentence of another question, not an answer, nearest in words."""
    wrong = sorted({sentence for _, sentence, label in pairs if label == "not_entailment"})
    having = collections.defaultdict(list)
    for i, sentence in enumerate(wrong):
        for word in set(sentence.lower().split()):
            having[word].append(i)
    groups = []
    for question, answer, label in pairs:
        if label != "entailment" or len(groups) == most:
            continue
        counts = collections.Counter()
        for word in set(question.lower().split()):
            if len(having[word]) < len(wrong) // 20:  # words that say something
                counts.update(having[word])
        best = [i for i, _ in counts.most_common(3) if wrong[i] != answer]
        if best:
            groups.append({"text": question, "text2": answer, "negative": wrong[best[0]]})
    return groups


def finetune(options, work, *more):
    got = subprocess.run(
        [options.program, "finetune", options.base, "-o", work / "out.gguf", "--data",
         work / "groups.jsonl", "--loss", "ranking", "--negative", "negative", "--holdout", "0.2",
         "--epochs", str(options.epochs), "--lr", "2e-5", "--max-length", "64", "-t",
         str(options.threads), "--progress", "none", "--json", "--checkpoint", work / "run", *more],
        check=True, capture_output=True, text=True)
    return json.loads(got.stdout)["metrics"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=os.path.realpath)
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--groups", type=int, default=1280)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    path = options.data / "train.tsv"
    if not (options.base.is_file() and path.is_file()):
        print("skipped: the base or train.tsv is missing")
        return 77
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        groups = make_groups(rows(path), options.groups)
        (work / "groups.jsonl").write_text("".join(json.dumps(g) + "\n" for g in groups))
        # the first step of a warm-up is of rate 0: the base as it is
        before = finetune(options, work, "--max-steps", "1")
        after = finetune(options, work, "--resume")
    print(json.dumps({"groups": len(groups), "before": before, "after": after}))
    return 0 if after["loss"] < before["loss"] else 1


if __name__ == "__main__":
    sys.exit(main())
