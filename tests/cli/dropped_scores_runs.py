#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A classifier's temperature and threshold were found with its logits: what makes other logits of
it leaves them out and says so, what does not keeps them.

dropped_scores_runs.py PROGRAM
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import unittest

from program import PROGRAM, enter, leave, run

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
KEYS = ("sqz.head.temperature", "sqz.head.threshold")
ROWS = ("--data", "t.csv", "--holdout", "0.2", "--max-steps", "2", "--batch", "8")


def setUpModule():
    enter()
    draw = random.Random(3)
    texts = [" ".join(draw.choice(WORDS) for _ in range(draw.randrange(6, 14)))
             for _ in range(600)]
    pathlib.Path("texts.txt").write_text("".join(f"{t}\n" for t in texts))
    pathlib.Path("t.csv").write_text("text,label\n" + "".join(
        f"{t},{'up' if 'good' in t else 'down'}\n" for t in texts[:300]))
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "folder",
                    "BertForSequenceClassification", "labels=down,up"], check=True)
    run("import", "folder", "-o", "plain.gguf")
    run("build", "t.csv", "--base", "plain.gguf", "--keep-head", "-o", "sure.gguf", "--no-cache",
        "--false-refusals", "20%", "--progress", "none")
    assert set(found("sure.gguf")) == set(KEYS)


tearDownModule = leave


def found(model):
    metadata = json.loads(run("info", model, "--json"))["metadata"]
    return {key: metadata[key] for key in KEYS if key in metadata}


def say(*arguments):
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    assert got.returncode == 0, (arguments, got.stderr)
    return got.stderr


STEPS = {
    "squeezed": ("squeeze", "sure.gguf", "--bits", "8", "--texts", "texts.txt"),
    "plain": ("squeeze", "sure.gguf", "--neurons", "50%", "--plain", "--texts", "texts.txt"),
    "healed": ("squeeze", "sure.gguf", "--bits", "4", "--texts", "texts.txt", "--minutes", "0.01",
               "--epochs", "1"),
    "student": ("init-student", "sure.gguf", "--layers", "first:1"),
    "distilled": ("distill", "--teacher", "plain.gguf", "--student", "sure.gguf", *ROWS),
    "taught": ("distill", "--teacher", "sure.gguf", "--student", "plain.gguf", "--texts",
               "texts.txt", "--loss", "pooled", "--max-steps", "2"),
    "tuned": ("finetune", "sure.gguf", *ROWS),
}


class DroppedScores(unittest.TestCase):
    def test_what_makes_other_logits_leaves_them_out_and_says_so(self):
        for name, arguments in STEPS.items():
            said = say(*arguments, "-o", f"{name}.gguf")
            self.assertIn("sure.gguf: its temperature and threshold were found with its logits, "
                          "and are left out: `squeezebert build DATA --keep-head --base "
                          f"{name}.gguf`", said, name)
            self.assertEqual(found(f"{name}.gguf"), {}, name)

    def test_the_command_that_is_named_finds_new_ones(self):
        say(*STEPS["squeezed"], "-o", "again.gguf")
        run("build", "t.csv", "--base", "again.gguf", "--keep-head", "-o", "again_sure.gguf",
            "--no-cache", "--progress", "none", "--false-refusals", "20%")
        self.assertEqual(set(found("again_sure.gguf")), set(KEYS))

    def test_what_changes_no_logit_keeps_them(self):
        for name, arguments in {
                "words": ("squeeze", "sure.gguf", "--vocabulary", "texts.txt"),
                "possible": ("squeeze", "sure.gguf", "--drop-impossible"),
                "quantized": ("quantize", "sure.gguf")}.items():
            self.assertNotIn("temperature", say(*arguments, "-o", f"{name}.gguf"))
            self.assertEqual(found(f"{name}.gguf"), found("sure.gguf"), name)

    def test_where_there_are_none_nothing_is_said(self):
        for name, arguments in STEPS.items():
            arguments = ["plain.gguf" if a == "sure.gguf" else a for a in arguments]
            self.assertNotIn("temperature", say(*arguments, "-o", "none.gguf"), name)

    def test_a_dry_run_has_the_bytes_of_the_file(self):
        for name in ("squeezed", "healed"):
            report = json.loads(run(*STEPS[name], "--dry-run", "--json"))
            say(*STEPS[name], "-o", "dry.gguf")
            self.assertEqual(report["bytes_after"], os.path.getsize("dry.gguf"), name)


if __name__ == "__main__":
    unittest.main(verbosity=0)
