#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""distill with students of another width than their teacher: hidden states and embeddings are
learned through projections that belong to the run and not to the model.

students_runs.py PROGRAM
"""
import unittest

import distill_runs
from distill_runs import FAST, TEXTS, distill, log_of, read, run, tearDownModule

import os
import signal
import subprocess
import time


def setUpModule():
    distill_runs.setUpModule()
    run("init-student", "bare.gguf", "-o", "narrow.gguf", "--width", "16", "--heads", "4",
        "--layers", "first:1", "--seed", "5")
    run("init-student", "narrow.gguf", "-o", "wide.gguf", "--width", "32", "--heads", "4")


def narrow(out, *arguments, **models):
    return distill(out, *TEXTS, *arguments, **{"student": "narrow.gguf", **models})


class Students(unittest.TestCase):
    def test_every_loss_falls_where_widths_differ(self):
        for losses in ("hidden", "pooled", "pooled_mse", "similarities",
                       "hidden:1,pooled:5,similarities"):
            report = narrow("loss.gguf", "--loss", losses, "--log", "loss.log", "--checkpoint",
                            "loss.checkpoint")
            self.assertIsNone(report["after"]["cosine"])
            self.assertGreaterEqual(report["after"]["neighbours"], 0)
            steps = [entry["loss"] for entry in log_of("loss.log") if "loss" in entry]
            n = len(steps) // 4
            self.assertLess(sum(steps[-n:]), 0.95 * sum(steps[:n]), losses)
            os.remove("loss.log")

    def test_a_student_may_be_the_wider_one(self):
        report = narrow("wider.gguf", "--max-steps", "4", teacher="narrow.gguf",
                        student="wide.gguf")
        self.assertEqual(report["steps"], 4)

    def test_projections_are_not_in_the_file(self):
        narrow("file.gguf", "--max-steps", "3", "--checkpoint-steps", "1")
        self.assertNotIn(b"projection", read("file.gguf"))
        names = os.listdir("file.gguf.checkpoint")
        self.assertTrue(any(b"optim.w.projection.hidden" in read(f"file.gguf.checkpoint/{name}")
                            for name in names))
        run("verify", "file.gguf")

    def test_bits_depend_on_neither_threads_nor_stops(self):
        arguments = ("--checkpoint-steps", "5", "--keep", "best", "--measure-steps", "7")
        narrow("one.gguf", *arguments)
        narrow("two.gguf", "-t", "2", "--recompute", *arguments)
        self.assertEqual(read("one.gguf"), read("two.gguf"))
        process = subprocess.Popen(
            [distill_runs.PROGRAM, "distill", "--teacher", "bare.gguf", "--student", "narrow.gguf",
             "-o", "killed.gguf", "--log", "killed.log", *FAST, *TEXTS, *arguments],
            stdout=subprocess.DEVNULL)
        while process.poll() is None and not (
                os.path.exists("killed.log") and read("killed.log").count(b"\n") >= 40):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertFalse(os.path.exists("killed.gguf"))
        narrow("killed.gguf", "--resume", *arguments)
        self.assertEqual(read("one.gguf"), read("killed.gguf"))

    def test_parts_of_a_batch_make_the_same_step(self):
        whole, parts = (narrow(f"part{n}.gguf", "--max-steps", "1", "--loss", "hidden,pooled_mse",
                               "--accumulate", n, "--log", f"part{n}.log") and
                        log_of(f"part{n}.log")[0] for n in ("1", "3"))
        self.assertAlmostEqual(whole["loss"], parts["loss"], delta=1e-6 * whole["loss"])
        self.assertAlmostEqual(whole["norm"], parts["norm"], delta=1e-4 * whole["norm"])

    def test_bf16_learns_as_well(self):
        narrow("bf16.gguf", "--precision", "bf16", "--log", "bf16.log")
        steps = [entry["loss"] for entry in log_of("bf16.log") if "loss" in entry]
        self.assertLess(sum(steps[-20:]), 0.95 * sum(steps[:20]))

    def test_logits_are_learned_by_a_student_that_had_no_head(self):
        report = distill("rows.gguf", "--data", "t.csv", "--holdout", "0.2", "--epochs", "8",
                         "--lr", "5e-3", teacher="teacher.gguf", student="narrow.gguf")
        self.assertGreater(report["student"]["metrics"]["accuracy"], 0.6)
        self.assertIn("down", run("info", "rows.gguf"))


if __name__ == "__main__":
    unittest.main(verbosity=0)
