#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""finetune on tables that are written here: every kind of label, what a run prints is what its file
gives, bits that depend on nothing but data and options, and what is refused.

finetune_runs.py PROGRAM
"""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

from program import PROGRAM, enter, leave, run

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
FAST = ("--epochs", "10", "--lr", "5e-3", "--batch", "8", "--progress", "none", "-t", "1")


def rows():
    draw = random.Random(1)
    for i in range(120):
        words = [draw.choice(WORDS) for _ in range(draw.randrange(1, 6))]
        yield words, "up" if "good" in words else "down", i % 20


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    many = {"good", "bad", "film"}
    table = "text,label,many,n,from\n" + "".join(
        f"{' '.join(w)},{y},{'|'.join(sorted(many & set(w)))},{len(w)},{s}\n" for w, y, s in rows())
    pathlib.Path("t.csv").write_text(table, encoding="utf-8")
    pathlib.Path("t.conll").write_text("\n".join(
        "".join(f"{x} {'B-Q' if x in 'qx' else 'O'}\n" for x in w) for w, _, _ in rows()))
    lines = table.split("\n")
    pathlib.Path("train.csv").write_text("\n".join(lines[:101]) + "\n")
    pathlib.Path("dev.csv").write_text("\n".join(lines[:1] + lines[101:]))
    pathlib.Path("odd.csv").write_text("text,label\na,up\nno,sideways\n")


tearDownModule = leave


def train(out, *arguments):
    return json.loads(run("finetune", "bare.gguf", "-o", out, "--json", *FAST, *arguments))


def read(path):
    return pathlib.Path(path).read_bytes()


class Finetune(unittest.TestCase):
    def test_every_kind_of_label_is_learnt(self):
        for name, least, arguments in (
            ("accuracy", 0.9, ("--data", "t.csv")),
            ("micro_f1", 0.9, ("--data", "t.csv", "--label", "many", "--problem", "multi_label",
                               "--epochs", "40")),
            ("spearman", 0.8, ("--data", "t.csv", "--label", "n", "--problem", "regression",
                               "--epochs", "30")),
            ("f1", 0.9, ("--data", "t.conll")),
            ("accuracy", 0.9, ("--data", "t.csv", "--text2", "text")),
        ):
            report = train("kind.gguf", "--holdout", "0.2", *arguments)
            self.assertGreater(report["metrics"][name], least, arguments)
            self.assertEqual(report["examples"] + report["dev_examples"], 120)
            low, high = report["intervals"][name]
            self.assertLessEqual(low, report["metrics"][name])
            self.assertGreaterEqual(high, report["metrics"][name])

    def test_what_is_printed_is_what_the_file_gives(self):
        report = train("file.gguf", "--data", "train.csv", "--dev", "dev.csv")
        again = json.loads(run("eval", "file.gguf", "--data", "dev.csv", "--json"))
        self.assertEqual(report["metrics"], again["metrics"])
        self.assertEqual(report["intervals"], again["intervals"])

    def test_the_best_step_is_kept(self):
        report = train("best.gguf", "--data", "train.csv", "--dev", "dev.csv", "--metric",
                       "macro_f1", "--patience", "3", "--log", "best.log")
        log = [json.loads(line) for line in read("best.log").splitlines()]
        measured = [(entry["macro_f1"], -entry["step"]) for entry in log if "macro_f1" in entry]
        score, step = max(measured)
        self.assertEqual(report["kept_step"], -step)
        self.assertAlmostEqual(report["metrics"]["macro_f1"], score, delta=1e-8)
        self.assertEqual(report["steps"], sum("loss" in entry for entry in log))
        plain = train("best2.gguf", "--data", "train.csv", "--dev", "dev.csv", "--max-steps",
                      str(-step))
        self.assertEqual(plain["metrics"], report["metrics"])

    def test_bits_do_not_depend_on_threads_nor_on_measuring(self):
        train("one.gguf", "--data", "train.csv")
        train("two.gguf", "--data", "train.csv", "--dev", "dev.csv", "-t", "2")
        self.assertEqual(read("one.gguf"), read("two.gguf"))
        train("seed.gguf", "--data", "train.csv", "--seed", "2")
        self.assertNotEqual(read("one.gguf"), read("seed.gguf"))

    def test_bf16_learns_and_running_blocks_again_changes_no_bit(self):
        dev = ("--data", "train.csv", "--dev", "dev.csv")
        half = train("half.gguf", *dev, "--precision", "bf16")
        self.assertGreater(half["metrics"]["accuracy"], 0.95)
        whole = train("exact.gguf", *dev, "--recompute")
        self.assertNotEqual(half["loss"], whole["loss"])
        self.assertAlmostEqual(half["loss"], whole["loss"], delta=0.02)
        again = train("again.gguf", *dev, "--precision", "bf16", "--recompute")
        self.assertEqual(read("half.gguf"), read("again.gguf"))
        self.assertEqual(half["metrics"], again["metrics"])
        given = json.loads(run("eval", "half.gguf", "--data", "dev.csv", "--json"))
        self.assertEqual(half["metrics"], given["metrics"])
        self.assertEqual(half["intervals"], given["intervals"])
        self.assertIn("--precision bf16", run("info", "half.gguf"))

    def test_a_run_that_is_killed_goes_on(self):
        arguments = ("--data", "train.csv", "--dev", "dev.csv", "--metric", "mcc",
                     "--checkpoint-steps", "7")
        whole = train("whole.gguf", "--log", "whole.log", *arguments)
        for lines in (3, 40, 90):
            log = f"killed{lines}.log"
            out = f"killed{lines}.gguf"
            process = subprocess.Popen(
                [PROGRAM, "finetune", "bare.gguf", "-o", out, "--log", log, *FAST, *arguments],
                stdout=subprocess.DEVNULL)
            while process.poll() is None and not (
                    os.path.exists(log) and read(log).count(b"\n") >= lines):
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertFalse(os.path.exists(out))
            if lines == 40:  # as if it had been killed while it wrote a line
                pathlib.Path(log).write_bytes(read(log) + b'{"step":41,"ep')
            again = train(out, "--resume", "--log", log, *arguments)
            self.assertEqual(read("whole.log"), read(log))
            self.assertEqual(read("whole.gguf"), read(out))
            self.assertEqual(again["metrics"], whole["metrics"])

    def test_a_finished_run_is_begun_again_and_resuming_it_changes_nothing(self):
        arguments = ("--data", "train.csv", "--checkpoint-steps", "50", "--log", "again.log")
        train("again.gguf", *arguments)
        first, log = read("again.gguf"), read("again.log")
        for more in ((), ("--resume",)):
            train("again.gguf", *arguments, *more)
            self.assertEqual((read("again.gguf"), read("again.log")), (first, log))
        train("again.gguf", *arguments, "--max-steps", "20", "--checkpoint-steps", "7")
        train("again.gguf", *arguments)
        self.assertEqual(read("again.gguf"), first)
        pathlib.Path("notes.txt").write_text("mine\n")
        said = run("finetune", "bare.gguf", "-o", "again.gguf", *FAST, "--data", "train.csv",
                   "--resume", "--log", "notes.txt", code=3)
        self.assertIn("notes.txt: line 1 is no line of a training log", said)
        self.assertEqual(read("notes.txt"), b"mine\n")

    def test_another_programs_order_is_followed(self):
        order = [[7, 3, 0], [5, 5], [1, 2, 4, 6]]
        pathlib.Path("order.json").write_text(json.dumps(order))
        common = ("--data", "train.csv", "--dropout", "0", "--losses", "losses.json",
                  "--max-steps", "3")
        report = train("replay.gguf", *common, "--replay", "order.json")
        losses = json.loads(read("losses.json"))
        self.assertEqual((report["steps"], len(losses)), (3, 3))
        pathlib.Path("order.json").write_text(json.dumps([[0, 3, 7]] + order[1:]))
        train("replay2.gguf", *common, "--replay", "order.json")
        for a, b in zip(losses, json.loads(read("losses.json"))):
            self.assertAlmostEqual(a, b, delta=1e-5)
        train("drawn.gguf", *common)
        self.assertGreater(abs(json.loads(read("losses.json"))[0] - losses[0]), 1e-4)
        pathlib.Path("order.json").write_text(json.dumps(order[:2]))
        said = run("finetune", "bare.gguf", "-o", "never", *FAST, *common, "--replay", "order.json",
                   code=2)
        self.assertIn("say --max-steps 2", said)

    def test_a_dry_run_writes_nothing(self):
        before = sorted(os.listdir())
        plan = json.loads(run("finetune", "bare.gguf", "--dry-run", "--json", *FAST, "--data",
                              "train.csv"))
        self.assertEqual(plan["steps"], 130)
        self.assertGreater(plan["step_seconds"], 0)
        self.assertEqual(sorted(os.listdir()), before)

    def test_options_that_do_not_fit_are_refused(self):
        run("finetune", "bare.gguf", "-o", "whole8.gguf", *FAST, "--data", "train.csv")
        run("quantize", "whole8.gguf", "-o", "s8.gguf")
        for code, said, arguments in (
            (2, "--data PATH", ()),
            (2, "-o FILE", ("--data", "t.csv")),
            (2, "f32|bf16", ("--precision", "f16")),
            (2, "--metric needs", ("--metric", "mcc")),
            (2, "one of accuracy, macro_f1, mcc\n", ("--metric", "ece", "--holdout", "0.2")),
            (2, "one of f1, precision", ("--metric", "mcc", "--data", "t.conll", "--holdout",
                                         "0.2")),
            (2, "--patience", ("--patience", "2", "--holdout", "0.2")),
            (2, "one or the other", ("--dev", "dev.csv", "--holdout", "0.2")),
            (2, "--source is for", ("--source", "from")),
            (2, "--replay", ("--replay", "x.json", "--holdout", "0.2")),
            (2, "--losses", ("--losses", "l", "--resume")),
            (2, "--batch", ("--batch", "0")),
            (2, "--lr", ("--lr", "0")),
            (2, "--dropout", ("--dropout", "1")),
            (2, "--freeze", ("--freeze", "head")),
            (2, "at most 41 pieces", ("--max-length", "41")),
            (2, "no class 'left'", ("--class-weights", "left=2")),
            (2, "NAME=W", ("--class-weights", "up=0")),
            (2, "no task", ("--task", "none")),
            (2, "--text does not go", ("--task", "mrpc", "--text", "t")),
            (2, "a folder: with --task", ("--data", "bare")),
            (2, "a file: --task", ("--task", "mrpc")),
            (2, "--holdout 0.1 keeps", ("--dev", "./t.csv")),
            (2, "below 1, 0.2 for a fifth, not 1.5", ("--holdout", "1.5")),
            (2, "below 1", ("--holdout", "0")),
            (1, "no folder /no", ("-o", "/no/such/x.gguf", "--checkpoint", "c")),
            (2, "--input", ("--data", "bare/vocab.txt")),
            (2, "smoothing", ("--problem", "multi_label", "--label", "many", "--label-smoothing",
                              "0.1")),
            (3, "no column 'team'", ("--label", "team")),
            (3, "odd.csv: line 3: the label 'sideways' is none of the 2 classes",
             ("--dev", "odd.csv")),
            (3, "no/such.csv", ("--data", "no/such.csv")),
            (3, "no/such.json", ("--replay", "no/such.json")),
            (3, "no number", ("--problem", "regression")),
        ):
            base = () if code == 2 and said in ("--data PATH", "-o FILE") else (
                "-o", "never", "--data", "t.csv")
            got = run("finetune", "bare.gguf", *FAST, *base, *arguments, code=code)
            self.assertIn(said, got)
            self.assertFalse(os.path.exists("never"))
        for base, said in (("s8.gguf", "train the float model that this one was made from, then "
                            "quantise"), ("bare", "`squeezebert import bare -o FILE.gguf`"),
                           ("t.csv", "not a model file"), ("no/such", "no/such")):
            self.assertIn(said, run("finetune", base, "-o", "never", *FAST, "--data", "t.csv",
                                    code=3))
            self.assertFalse(os.path.exists("never"))


if __name__ == "__main__":
    unittest.main()
