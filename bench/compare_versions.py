#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two builds of the program on the same model files, in turn: is the later one slower anywhere?

    compare_versions.py BEFORE AFTER MODEL.gguf... [--pairs 15] [--lengths FILE]

BEFORE and AFTER are programs (squeezebert). Each pair runs `bench` of one, then of the other (the
order changes from pair to pair), one thread, at 1x16, 1x128, 8x128 and, with --lengths, one batch
of these lengths. A row a model and shape: the median over pairs of BEFORE's time over AFTER's
(above 1: AFTER is faster), and the interval that holds the median of such ratios with 95 % (of
order statistics, so nothing is assumed about their distribution). Exits 1 where an interval lies
wholly below 0.97.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

SHAPES = {"1x16": ["-b", "1", "-l", "16", "-n", "15"], "1x128": ["-b", "1", "-l", "128", "-n", "7"],
          "8x128": ["-b", "8", "-l", "128", "-n", "2"]}
LEAST = 0.97


def median_ms(program, model, options):
    """The median of one run of the bench."""
    fixed = ["--json", "--warm-up", "1", "-t", "1"]
    done = subprocess.run([program, "bench", model, *fixed, *options], capture_output=True,
                          text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if '"samples_ms"' in line]
    return statistics.median(rows[0]["samples_ms"])


def interval(ratios):
    """The order statistics between which the median lies with 95 %."""
    n, tail, below = len(ratios), 0.0, 0
    while tail + math.comb(n, below) / 2 ** n <= 0.025:
        tail += math.comb(n, below) / 2 ** n
        below += 1
    below = max(below - 1, 0)
    return sorted(ratios)[below], sorted(ratios)[n - 1 - below]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("before", "after"):
        parser.add_argument(name)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--lengths", help="a file with a length a line: one batch more")
    options = parser.parse_args()
    shapes = dict(SHAPES)
    if options.lengths:
        shapes["mixed"] = ["--lengths", options.lengths, "-n", "2"]
    ratios = {(model, shape): [] for model in options.models for shape in shapes}
    for pair in range(options.pairs):
        for model, shape in ratios:
            order = [options.before, options.after][::1 if pair % 2 else -1]
            ms = {program: median_ms(program, model, shapes[shape]) for program in order}
            ratios[model, shape].append(ms[options.before] / ms[options.after])
        print(f"pair {pair + 1} of {options.pairs}", file=sys.stderr, flush=True)
    print("| model | shape | before / after | 95 % interval |\n|---|---|---|---|")
    slower = False
    for (model, shape), found in ratios.items():
        low, high = interval(found)
        slower |= high < LEAST
        print(f"| {os.path.basename(model)} | {shape} | {statistics.median(found):.3f} "
              f"| {low:.3f} to {high:.3f} |")
    every = [r for found in ratios.values() for r in found]
    print(f"\nMedian of all {len(ratios)} cells: "
          f"{statistics.median(statistics.median(f) for f in ratios.values()):.3f}; "
          f"of all {len(every)} pairs: {statistics.median(every):.3f}.")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
