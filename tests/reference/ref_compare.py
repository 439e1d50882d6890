#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ref/encoder.py against Transformers in float64, and the program's library against ref: the models
of make_golden.py, imported by the program.

Prints the largest error relative to the largest value, for hidden states and logits. Bars: ref to
1e-12, ours to 1e-5. Exit 1 if one was missed.

    ref_compare.py WORK_FOLDER PROGRAM
"""
import pathlib
import subprocess
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ref"))
import encoder
import make_golden
import sqz


def relative(got, expected):
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def compare(name, folder, program):
    model = make_golden.build(name)
    make_golden.write_folder(model, folder / name)
    path = folder / (name + ".gguf")
    subprocess.run([program, "import", folder / name, "-o", path], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ids, types = make_golden.batch(model)
    theirs = make_golden.run(model, ids, types)
    reference = encoder.Model(path)
    states = [reference.states(*one)[-1] for one in zip(ids, types)]
    ref = np.concatenate(states), np.concatenate(
        [np.atleast_2d(reference.logits(h)) for h in states])
    engine = sqz.Model(path)
    ours = engine.encode(sqz.Packed(ids, types if engine.info.n_token_types else None))
    engine.close()
    return [relative(r, t) for r, t in zip(ref, theirs)] + [relative(ours, ref[0])]


def main():
    folder, missed = pathlib.Path(sys.argv[1]), 0
    print("| model | ref to Transformers f64: hidden | logits | our f32 to ref: hidden |\n"
          "|---|---|---|---|")
    for name in make_golden.MODELS:
        hidden, logits, ours = compare(name, folder, sys.argv[2])
        missed += max(hidden, logits) > 1e-12 or ours > 1e-5
        print(f"| {name} | {hidden:.1e} | {logits:.1e} | {ours:.1e} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main())
