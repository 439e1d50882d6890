#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program against ref/encoder.py on the models of tests/golden/models: word pieces, states of every piece, pooled vectors.

    against_ref.py PROGRAM         exit 77 where numpy is not installed
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "ref"))
try:
    import numpy as np
    import encoder
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

TEXTS = ["", "w3", "w1 w2 w7 unknown", " ".join(f"w{i}" for i in range(20))]
TOLERANCE = 1e-5  # relative to the largest value: f32 of these depths stays far below (tests/reference/ref_compare.py), a wrong term far above


def records(program, *arguments):
    out = subprocess.run([program, *arguments, "--json"], input="\n".join(TEXTS) + "\n", check=True, text=True, capture_output=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def check(program, folder, path):
    subprocess.run([program, "import", folder, "-o", path], check=True, capture_output=True)
    model = encoder.Model(path)
    pieces = records(program, "tokenize", path)
    states = records(program, "embed", path, "--pool", "none", "--no-normalize")
    means = records(program, "embed", path, "--pool", "mean", "--normalize")
    assert len(pieces) == len(states) == len(means) == len(TEXTS), folder
    worst = 0.0
    for piece, state, mean in zip(pieces, states, means):
        hidden = model.states(piece["ids"], piece["types"])[-1]
        for got, expected in ((state["embeddings"], hidden), (mean["embedding"], model.embedding(hidden, "mean", True))):
            worst = max(worst, float(np.abs(np.array(got) - expected).max() / np.abs(expected).max()))
    print(f"{folder.name:24} {worst:.1e} of {TOLERANCE:.0e}")
    return worst <= TOLERANCE


def main():
    folders = sorted((ROOT / "tests" / "golden" / "models").iterdir())
    with tempfile.TemporaryDirectory() as work:
        fine = [check(sys.argv[1], folder, f"{work}/{folder.name}.gguf") for folder in folders]
    return 0 if folders and all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
