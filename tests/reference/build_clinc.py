#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`build` on CLINC-150's 15,000 training rows, and its figures on the test rows.

usage: build_clinc.py PROGRAM DATA_FULL.json BASE.gguf [FOLDER]

One thread, no cache, no out-of-scope row given: CPU seconds and peak memory of the build; accuracy
of the best class on test; share of test that is refused, share of oos_test that is, and what that
is where the threshold is moved until 5 % of test are refused. Nothing else is chosen on test.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile


def largest(program, model, texts):
    """The largest logit of each text, and how many the model refuses."""
    lines = "".join(" ".join(t.split()) + "\n" for t, _ in texts)
    got = subprocess.run([program, "classify", model, "--json", "--logits", "-t", "1"],
                         input=lines, text=True, capture_output=True, check=True)
    answers = [json.loads(x) for x in got.stdout.splitlines()]
    assert len(answers) == len(texts)
    return [max(a["logits"]) for a in answers], sum(a["label"] is None for a in answers)


def main(program, data, base, folder):
    out = os.path.join(folder, "clinc.gguf")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    built = json.loads(subprocess.run(
        [program, "build", data, "--input", "clinc", "--base", base, "-o", out, "-t", "1",
         "--no-cache", "--progress", "none", "--json"], check=True, capture_output=True).stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    test = json.loads(subprocess.run(
        [program, "eval", out, "--data", data, "--input", "clinc", "--split", "test", "--json",
         "-t", "1"], check=True, capture_output=True).stdout)
    with open(data, encoding="utf-8") as file:
        rows = json.load(file)
    known, known_refused = largest(program, out, rows["test"])
    others, others_refused = largest(program, out, rows["oos_test"])
    limit = sorted(known)[len(known) // 20]  # a twentieth of test is below it
    print(json.dumps({
        "cpu_seconds": round(seconds, 1),
        "peak_MB": round(after.ru_maxrss / 1000),
        "held_out_accuracy": built["metrics"]["accuracy"],
        "test_accuracy": test["metrics"]["accuracy"],
        "test_interval": test["intervals"]["accuracy"],
        "test_ece": test["metrics"]["ece"],
        "held_out_refused": 1 - built["answered"] / built["held_out"],
        "test_refused": known_refused / len(known),
        "oos_recall": others_refused / len(others),
        "oos_recall_at_5_%_of_test": sum(x < limit for x in others) / len(others),
    }, indent=1))


if len(sys.argv) not in (4, 5):
    sys.exit(__doc__)
if len(sys.argv) == 5:
    main(*sys.argv[1:])
else:
    with tempfile.TemporaryDirectory() as made:
        main(*sys.argv[1:], made)
