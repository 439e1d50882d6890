#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A ranking with hard negatives on a sample of QNLI: a question, the sentence that answers it,
and some that do not: those that share the rarest words with question and answer, mostly of the same
article, among the sentences that hold no answer to theirs. None serves twice, so the part that is
held out, by source, shares no text with the rest; its loss before and after is printed, and must
fall.

    ranking_negatives.py PROGRAM BASE.gguf QNLI_10K [--groups N] [--negatives N] [--epochs N]
        [--threads N]

BASE is a float model file, QNLI_10K a folder with a train.tsv of the columns sentence1, sentence2
and label. Exits 77 where one of them is missing.
"""
import argparse
import collections
import json
import math
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


def words(text):
    return set(text.lower().replace("?", " ").replace(",", " ").replace(".", " ").split())


def make_groups(pairs, most, negatives):
    """Questions, answers, and of each the sentences of other questions nearest in words."""
    answers = {sentence for _, sentence, label in pairs if label == "entailment"}
    free = sorted({sentence for _, sentence, label in pairs} - answers)
    having = collections.defaultdict(list)
    for i, sentence in enumerate(free):
        for word in words(sentence):
            having[word].append(i)
    groups, used, seen = [], set(), set()
    for question, answer, label in pairs:
        if label != "entailment" or len(groups) == most or {question, answer} & seen:
            continue
        near = collections.Counter()
        for word in words(question) | words(answer):
            for i in having[word]:
                near[i] += math.log(len(free) / len(having[word]))
        best = [i for i, _ in sorted(near.items(), key=lambda item: (-item[1], item[0]))
                if i not in used][:negatives]
        if len(best) == negatives:
            used.update(best)
            seen |= {question, answer}
            groups.append({"text": question, "text2": answer, "negative": [free[i] for i in best]})
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
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--negatives", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    path = options.data / "train.tsv"
    if not (options.base.is_file() and path.is_file()):
        print("skipped: the base or train.tsv is missing")
        return 77
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        groups = make_groups(rows(path), options.groups, options.negatives)
        (work / "groups.jsonl").write_text("".join(json.dumps(g) + "\n" for g in groups))
        # the first step of a warm-up is of rate 0: the base as it is
        before = finetune(options, work, "--max-steps", "1")
        after = finetune(options, work, "--resume")
    print(json.dumps({"groups": len(groups), "negatives": options.negatives,
                      "before": before, "after": after}))
    return 0 if after["loss"] < before["loss"] else 1


if __name__ == "__main__":
    sys.exit(main())
