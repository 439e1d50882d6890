#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which of CLINC-150's test texts a classifier refuses, as JSON.

    refusals.py PROGRAM MODEL DATA_FULL.json

known and others are the texts of test and of oos_test, refused how many of them get no answer as
the model is, at_5 how many of oos_test where the threshold is moved until a twentieth of test is
refused; each as {count, of, share, low, high}, low and high Wilson's interval of 95 %.
"""
import json
import math
import subprocess
import sys


def share(count, of):
    z, p = 1.959964, count / of
    middle, wide = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + (z / (2 * of)) ** 2)
    return {"count": count, "of": of, "share": p, "low": (middle - wide) / (1 + z * z / of),
            "high": (middle + wide) / (1 + z * z / of)}


def answers(program, model, texts):
    """(largest logit, refused?) of each text."""
    lines = "".join(" ".join(text.split()) + "\n" for text, _ in texts)
    done = subprocess.run([program, "classify", model, "--json", "--logits", "--progress", "none"],
                          input=lines, stdout=subprocess.PIPE, text=True, check=True)
    got = [json.loads(line) for line in done.stdout.splitlines()]
    if len(got) != len(texts):
        sys.exit(f"{model}: {len(got)} answers to {len(texts)} texts")
    return [(max(x["logits"]), x["label"] is None) for x in got]


def main(program, model, data):
    with open(data, encoding="utf-8") as file:
        rows = json.load(file)
    known = answers(program, model, rows["test"])
    others = answers(program, model, rows["oos_test"])
    limit = sorted(logit for logit, _ in known)[len(known) // 20]
    print(json.dumps({
        "known": share(sum(refused for _, refused in known), len(known)),
        "others": share(sum(refused for _, refused in others), len(others)),
        "at_5": share(sum(logit < limit for logit, _ in others), len(others))}))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
