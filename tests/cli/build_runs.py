#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build on tables that are written here: what it says of data, writes, keeps and refuses.

build_runs.py PROGRAM
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
import unittest

from program import PROGRAM, enter, leave

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()


def rows():
    draw = random.Random(1)
    for _ in range(300):
        words = [draw.choice(WORDS) for _ in range(draw.randrange(3, 9))]
        yield " ".join(words), "up" if words.count("good") else "down"


def write(name, table):
    pathlib.Path(name).write_text("text,label\n" + "".join(f"{t},{y}\n" for t, y in table))


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    run("quantize", "bare.gguf", "-o", "s8.gguf")
    write("t.csv", rows())


tearDownModule = leave


def run(*arguments, code=0, stdin=None):
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, input=stdin)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code == 0 else got.stderr


def build(out, *more, data="t.csv", base="s8.gguf", code=0):
    got = run("build", data, "--base", base, "-o", out, "--json", "--progress", "none", *more,
              code=code)
    return json.loads(got) if code == 0 else got


def read(name):
    return pathlib.Path(name).read_bytes()


class Build(unittest.TestCase):
    def test_the_file_classifies_and_holds_what_was_found(self):
        r = build("a.gguf")
        self.assertEqual(r["method"], "frozen")
        self.assertGreater(r["metrics"]["accuracy"], 0.6)
        info = json.loads(run("info", "a.gguf", "--json"))
        self.assertEqual(info["labels"], ["down", "up"])
        self.assertAlmostEqual(float(info["metadata"]["sqz.head.temperature"]), r["temperature"],
                               places=5)
        run("verify", "a.gguf")
        lines = read("a.gguf.predictions.tsv").decode().splitlines()
        self.assertEqual(len(lines), r["held_out"] + 1)
        self.assertIn("# A classifier of 2 classes", read("a.gguf.md").decode())
        run("quantize", "bare.gguf", "-o", "again.gguf")  # the base is as it was
        self.assertFalse([p for p in os.listdir(".") if p.endswith(".tmp")])

    def test_classify_applies_the_threshold_and_the_temperature(self):
        r = build("b.gguf", "--false-refusals", "30%", "--no-cache")
        texts = "".join(f"{t}\n" for t, _ in rows())
        answers = [json.loads(x) for x in
                   run("classify", "b.gguf", "--json", "--logits", stdin=texts).splitlines()]
        refused = 0
        for a in answers:
            self.assertEqual(a["label"] is None, max(a["logits"]) < r["threshold"])
            refused += a["label"] is None
            apart = (a["logits"][1] - a["logits"][0]) / r["temperature"]
            self.assertAlmostEqual(a["scores"][1], 1 / (1 + 2.718281828459045 ** -apart), places=5)
        self.assertGreater(refused, 0)
        r = build("b.gguf", "--false-refusals", "0", "--no-cache")
        self.assertIsNone(r["threshold"])
        self.assertEqual(r["answered"], r["held_out"])

    def test_threads_and_the_cache_change_no_bit(self):
        build("c.gguf", "-t", "1", "--cache", "c.features")
        first = read("c.gguf")
        r = build("c.gguf", "-t", "2", "--cache", "c.features")
        self.assertEqual(r["texts_read"], 0)
        self.assertEqual(first, read("c.gguf"))
        new = [("film " * 12, "film"), ("x q " * 6, "film"), ("x q " * 6, "film")]
        write("more.csv", [*rows(), *new])
        r = build("d.gguf", "--cache", "c.features", data="more.csv")
        self.assertEqual(r["texts_read"], 2)
        damaged = bytearray(read("c.features"))
        damaged[-5] ^= 1
        pathlib.Path("c.features").write_bytes(damaged)
        got = subprocess.run([PROGRAM, "build", "t.csv", "--base", "s8.gguf", "-o", "c.gguf",
                              "--cache", "c.features", "--progress", "none"],
                             capture_output=True, text=True, check=True)
        self.assertIn("c.features: damaged, or of another model", got.stderr)
        self.assertEqual(first, read("c.gguf"))

    def test_an_export_gives_the_same_logits_and_says_what_it_cannot_hold(self):
        build("x.gguf", "--no-cache", "--false-refusals", "20%")
        got = subprocess.run([PROGRAM, "export", "x.gguf", "-o", "folder"], capture_output=True,
                             text=True, check=True)
        self.assertIn("not written: the temperature", got.stderr)
        self.assertIn("not written: the threshold", got.stderr)
        run("import", "folder", "-o", "back.gguf")
        names = [f"{name} too" for name in json.loads(run("info", "x.gguf", "--json"))["labels"]]
        run("import", "folder", "-o", "named.gguf", "--labels", ",".join(names))
        self.assertEqual(json.loads(run("info", "named.gguf", "--json"))["labels"], names)
        texts = "".join(f"{t}\n" for t, _ in rows())
        answers = [[json.loads(x) for x in run("classify", name, "--json", "--logits",
                                               stdin=texts).splitlines()]
                   for name in ("x.gguf", "back.gguf")]
        for ours, theirs in zip(*answers):  # int8 inputs here, floats there
            for a, b in zip(ours["logits"], theirs["logits"]):
                self.assertLess(abs(a - b), 0.15)
            self.assertIsNotNone(theirs["label"])

    def test_figures_are_of_rows_that_nothing_was_decided_on(self):
        r = build("g.gguf", "--no-cache", "--false-refusals", "20%")
        self.assertEqual(r["folds"], 5)
        head, *lines = read("g.gguf.predictions.tsv").decode().splitlines()
        self.assertEqual(head.split("\t")[-3:], ["score", "refused", "truncated"])
        refused = sum(x.split("\t")[-2] == "1" for x in lines)
        self.assertEqual(refused, r["held_out"] - r["answered"])
        card = read("g.gguf.md").decode()
        self.assertIn("The rows held out are 5 folds", card)

    def test_what_cannot_be_written_is_said_before_anything_is_read(self):
        for option in ("-o", "--card", "--predictions"):
            arguments = {"-o": "w.gguf", option: "nowhere/w"}
            got = run("build", "t.csv", "--base", "s8.gguf", "--no-cache",
                      *[x for pair in arguments.items() for x in pair], code=1)
            self.assertIn("there is no folder nowhere", got)
            self.assertFalse(os.path.exists("w.gguf"))
        before = read("s8.gguf")
        self.assertIn("it is what is read here", build("s8.gguf", code=1))
        self.assertEqual(before, read("s8.gguf"))

    def test_a_small_table_says_why_nothing_is_refused(self):
        write("small.csv", list(rows())[:40])
        got = subprocess.run([PROGRAM, "build", "small.csv", "--base", "s8.gguf", "-o", "s.gguf",
                              "--no-cache", "--progress", "none"],
                             capture_output=True, text=True, check=True)
        self.assertIn("12 rows held out", got.stdout)
        self.assertIn("no text will be refused: for 5 % of false refusals it takes 19", got.stderr)

    def test_a_base_of_floats_is_quantised(self):
        build("e.gguf", "--no-cache", base="bare.gguf")
        self.assertIn("s8", run("info", "e.gguf"))

    def test_minutes_train_every_weight_or_say_why_not(self):
        r = build("f.gguf", "--minutes", "5", "--no-cache", base="bare.gguf")
        self.assertIsNotNone(r["full_accuracy"])
        self.assertEqual(r["method"], "full" if r["full_accuracy"] > r["frozen_accuracy"]
                         else "frozen")
        r = build("f.gguf", "--minutes", "1e-9", "--no-cache", base="bare.gguf")
        self.assertIn("minutes, over the", r["why"])
        r = build("f.gguf", "--minutes", "5", "--no-cache")
        self.assertIn("holds integers", r["why"])

    def test_data_that_make_no_classifier_are_refused_by_name(self):
        pathlib.Path("kept.gguf").write_text("old")
        write("one.csv", [("good", "up"), ("bad", "up")])
        self.assertIn("needs two classes", build("kept.gguf", data="one.csv", code=3))
        write("same.csv", [("good", "up"), ("good", "down")] * 5)
        self.assertIn("from 1 sources", build("kept.gguf", data="same.csv", code=3))
        self.assertIn("team", build("kept.gguf", "--label", "team", code=3))
        for trains in ((), ("--minutes", "0")):
            self.assertIn("--checkpoint is where training of every weight goes on from",
                          build("kept.gguf", "--checkpoint", "f", *trains, code=2))
        self.assertEqual(read("kept.gguf"), b"old")
        # without the models that ship beside it
        os.mkdir("alone")
        alone = shutil.copy(PROGRAM, "alone")
        got = subprocess.run([alone, "build", "t.csv", "-o", "x.gguf"], capture_output=True,
                             text=True, check=False)
        self.assertEqual(got.returncode, 2)
        self.assertIn("--base MODEL is needed", got.stderr)

    def test_few_examples_and_contradictions_are_said(self):
        write("odd.csv", [*rows(), ("zz film q q", "rare"), ("zz no no no", "rare"),
                          ("a b c", "up"), ("A  b c.", "down")])
        got = subprocess.run([PROGRAM, "build", "odd.csv", "--base", "s8.gguf", "-o", "o.gguf",
                              "--no-cache", "--progress", "none"],
                             capture_output=True, text=True, check=True)
        self.assertIn("1 class has fewer than 5 examples: rare (2)", got.stderr)
        self.assertIn("lines 304 and 305 have the same text", got.stderr)

    def test_a_killed_build_leaves_what_was_there(self):
        os.mkdir("killed")
        for wait in (0.01, 0.03, 0.06, 0.1, 0.2):
            out = "killed/k.gguf"
            pathlib.Path(out).write_text("old")
            job = subprocess.Popen([PROGRAM, "build", "t.csv", "--base", "bare.gguf", "-o", out,
                                    "--no-cache", "--progress", "none"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(wait)
            job.terminate()
            job.wait()
            self.assertFalse([p for p in os.listdir("killed") if p.endswith(".tmp")])
            if read(out) != b"old":
                run("info", out, "--check")


if __name__ == "__main__":
    unittest.main()
