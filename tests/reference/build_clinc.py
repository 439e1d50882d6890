#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`build` on CLINC-150's 15,000 training rows, and its figures on the test rows.

usage: build_clinc.py PROGRAM DATA_FULL.json BASE.gguf [FOLDER]

One thread, no cache, no out-of-scope row given: CPU seconds of the build; accuracy of the best
class on test; share of test that is refused, share of oos_test that is. Nothing is chosen on test.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile


def refused(program, model, texts):
    lines = "".join(" ".join(t.split()) + "\n" for t, _ in texts)
    got = subprocess.run([program, "classify", model, "--json", "-t", "1"], input=lines, text=True,
                         capture_output=True, check=True).stdout.splitlines()
    assert len(got) == len(texts)
    return sum(json.loads(x)["label"] is None for x in got) / len(got)


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
    print(json.dumps({
        "cpu_seconds": round(seconds, 1),
        "held_out_accuracy": built["metrics"]["accuracy"],
        "test_accuracy": test["metrics"]["accuracy"],
        "test_interval": test["intervals"]["accuracy"],
        "test_ece": test["metrics"]["ece"],
        "test_refused": refused(program, out, rows["test"]),
        "oos_recall": refused(program, out, rows["oos_test"]),
    }, indent=1))


if len(sys.argv) not in (4, 5):
    sys.exit(__doc__)
if len(sys.argv) == 5:
    main(*sys.argv[1:])
else:
    with tempfile.TemporaryDirectory() as made:
        main(*sys.argv[1:], made)
