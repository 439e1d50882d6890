#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""distill on texts and tables that are written here: a student comes nearer to its teacher, what is
printed is what its file gives, bits that depend on nothing but data and options, and what is
refused.

distill_runs.py PROGRAM
"""
import gzip
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
FAST = ("--batch", "8", "--progress", "none", "-t", "1", "--json")
TEXTS = ("--texts", "texts.txt", "--epochs", "3", "--lr", "2e-3")


def sentences(seed, n):
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) for _ in range(draw.randrange(6, 14))) for _ in range(n)]


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    lines = sentences(1, 300)
    pathlib.Path("texts.txt").write_text(
        "".join(f"{a}. {b}.\n" for a, b in zip(lines[::2], lines[1::2])))
    with gzip.open("texts.txt.gz", "wb") as file:
        file.write(read("texts.txt"))
    pathlib.Path("t.csv").write_text("text,label\n" + "".join(
        f"{line},{'up' if line.count('good') > line.count('bad') else 'down'}\n"
        for line in sentences(2, 200)))
    run("finetune", "bare.gguf", "-o", "teacher.gguf", "--data", "t.csv", "--epochs", "10", "--lr",
        "5e-3", "--batch", "8", "--progress", "none", "-t", "1")
    run("squeeze", "bare.gguf", "-o", "student.gguf", "--layers", "0", "--keep-pooler")


tearDownModule = leave


def distill(out, *arguments, teacher="bare.gguf", student="student.gguf"):
    return json.loads(run("distill", "--teacher", teacher, "--student", student, "-o", out, *FAST,
                          *arguments))


def read(path):
    return pathlib.Path(path).read_bytes()


def weights(path):
    """The end of a file, behind its metadata: history tells runs apart, weights do not."""
    return read(path)[-4096:]


def log_of(path):
    return [json.loads(line) for line in read(path).splitlines()]


class Distill(unittest.TestCase):
    def test_a_student_comes_nearer_to_its_teacher(self):
        report = distill("near.gguf", *TEXTS, "--log", "near.log")
        self.assertGreater(report["after"]["cosine"], report["before"]["cosine"] + 0.02)
        self.assertGreater(report["texts"], 9 * report["held_out"] - 9)
        self.assertLess(report["after"]["bytes"], report["teacher"]["bytes"])
        steps = [entry for entry in log_of("near.log") if "loss" in entry]
        self.assertEqual(len(steps), report["steps"])
        for entry in steps:
            self.assertAlmostEqual(entry["hidden"] + entry["pooled"], entry["loss"], delta=1e-6)
        for name in ("hidden", "pooled"):
            self.assertLess(steps[-1][name], 0.8 * steps[0][name])

    def test_every_loss_falls(self):
        for losses in ("hidden", "attention", "relations", "queries:2,values", "pooled",
                       "pooled_mse", "similarities", "hidden,attention,keys,pooled,similarities"):
            distill("loss.gguf", *TEXTS, "--loss", losses, "--log", "loss.log", "--checkpoint",
                    "loss.checkpoint")
            steps = [entry for entry in log_of("loss.log") if "loss" in entry]
            n = len(steps) // 4
            self.assertLess(sum(e["loss"] for e in steps[-n:]),
                            0.95 * sum(e["loss"] for e in steps[:n]), losses)

    def test_the_file_is_the_model_that_was_compared(self):
        report = distill("file.gguf", *TEXTS)
        again = distill("again.gguf", *TEXTS, "--max-steps", "1", student="file.gguf")
        self.assertEqual(again["before"]["cosine"], report["after"]["cosine"])
        self.assertIn("distill --loss hidden:1,pooled:5", run("info", "file.gguf"))

    def test_bits_depend_on_neither_threads_nor_parts_of_the_input_nor_measuring(self):
        distill("one.gguf", *TEXTS)
        distill("two.gguf", *TEXTS, "-t", "2", "--measure-steps", "1")
        self.assertEqual(read("one.gguf"), read("two.gguf"))
        distill("gz.gguf", *TEXTS, "--texts", "texts.txt.gz")
        self.assertEqual(read("one.gguf"), read("gz.gguf"))
        distill("again1.gguf", *TEXTS, "--recompute")
        self.assertEqual(read("one.gguf"), read("again1.gguf"))
        distill("seed.gguf", *TEXTS, "--seed", "2")
        self.assertNotEqual(read("one.gguf"), read("seed.gguf"))

    def test_bits_of_every_loss_are_those_of_blocks_that_run_again(self):
        losses = ("--loss", "hidden,attention,relations,pooled", "--max-steps", "9")
        files = set()
        for dropout in (), ("--dropout", "0.1"):
            distill("kept.gguf", *TEXTS, *losses, *dropout)
            distill("recomputed.gguf", *TEXTS, *losses, *dropout, "--recompute", "-t", "2")
            self.assertEqual(read("kept.gguf"), read("recomputed.gguf"))
            files.add(read("kept.gguf"))
        self.assertEqual(len(files), 2)

    def test_bf16_learns_as_well(self):
        for losses in ("hidden:1,pooled:5", "pooled"):
            report = distill("bf16.gguf", *TEXTS, "--precision", "bf16", "--loss", losses)
            self.assertGreater(report["after"]["cosine"], report["before"]["cosine"] + 0.02)

    def test_a_run_that_is_killed_goes_on(self):
        arguments = (*TEXTS, "--loss", "hidden,relations,pooled", "--checkpoint-steps", "5",
                     "--keep", "best", "--measure-steps", "7")
        distill("whole.gguf", *arguments, "--log", "whole.log")
        for lines in (12, 60):
            out, log = f"killed{lines}.gguf", f"killed{lines}.log"
            process = subprocess.Popen(
                [PROGRAM, "distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o",
                 out, "--log", log, *FAST, *arguments], stdout=subprocess.DEVNULL)
            while process.poll() is None and not (
                    os.path.exists(log) and read(log).count(b"\n") >= lines):
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertFalse(os.path.exists(out))
            distill(out, "--resume", *arguments, "--log", log)
            self.assertEqual(read("whole.gguf"), read(out))
            self.assertEqual(read("whole.log"), read(log))

    def test_a_checkpoint_of_another_teacher_is_refused(self):
        run("distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o", "other.gguf",
            *FAST, *TEXTS, "--max-steps", "3")
        message = run("distill", "--teacher", "teacher.gguf", "--student", "student.gguf", "-o",
                      "other.gguf", *FAST, *TEXTS, "--resume", code=2)
        self.assertIn('"teacher":', message)

    def test_logits_of_labelled_rows_are_learned(self):
        report = distill("rows.gguf", "--data", "t.csv", "--holdout", "0.2", "--epochs", "8",
                         "--lr", "5e-3", "--temperature", "2", "--log", "rows.log",
                         teacher="teacher.gguf")
        teacher, student = report["teacher"]["metrics"], report["student"]["metrics"]
        self.assertGreater(student["accuracy"], 0.7)
        self.assertAlmostEqual(report["difference"]["metrics"]["accuracy"],
                               student["accuracy"] - teacher["accuracy"], delta=1e-12)
        self.assertNotIn("before", report)  # what was squeezed has no head of these classes
        longer = distill("longer.gguf", "--data", "t.csv", "--holdout", "0.2", "--max-steps", "2",
                         teacher="teacher.gguf", student="rows.gguf")
        self.assertEqual(longer["before"]["metrics"], student)
        steps = [entry for entry in log_of("rows.log") if "loss" in entry]
        for name in ("labels", "logits", "hidden"):
            self.assertLess(steps[-1][name], steps[0][name])

    def test_a_task_s_rows_have_the_classes_of_the_teacher_whatever_it_calls_them(self):
        pathlib.Path("named.csv").write_text(
            read("t.csv").decode().replace(",up", ",positive").replace(",down", ",negative"))
        run("finetune", "bare.gguf", "-o", "named.gguf", "--data", "named.csv", "--epochs", "10",
            "--lr", "5e-3", "--batch", "8", "--progress", "none", "-t", "1")
        os.makedirs("SST-2")
        for split, seed, n in (("train", 4, 200), ("dev", 5, 80)):
            pathlib.Path(f"SST-2/{split}.tsv").write_text("sentence\tlabel\n" + "".join(
                f"{line}\t{int(line.count('good') > line.count('bad'))}\n"
                for line in sentences(seed, n)))
        report = distill("task.gguf", "--task", "sst2", "--data", "SST-2", "--epochs", "8", "--lr",
                         "5e-3", teacher="named.gguf")
        for model, told in (("named.gguf", "teacher"), ("task.gguf", "student")):
            wanted = json.loads(run("eval", model, "--task", "sst2", "--data", "SST-2", "--json"))
            self.assertEqual(report[told]["metrics"]["accuracy"], wanted["metrics"]["accuracy"])
            self.assertGreater(wanted["metrics"]["accuracy"], 0.7)

    def test_logits_need_no_labels(self):
        distill("plain.gguf", *TEXTS, "--loss", "logits", "--log", "plain.log",
                teacher="teacher.gguf")
        steps = [entry["logits"] for entry in log_of("plain.log") if "loss" in entry]
        self.assertLess(sum(steps[-20:]), 0.9 * sum(steps[:20]))
        self.assertIn("down", run("info", "plain.gguf"))

    def test_parts_of_a_batch_make_the_same_step(self):
        for losses in ("hidden,attention,pooled", "relations,pooled_mse"):
            whole, parts = (distill(f"part{n}.gguf", *TEXTS, "--max-steps", "1", "--loss", losses,
                                    "--accumulate", n, "--log", f"part{n}.log", "--checkpoint",
                                    f"{losses}{n}.checkpoint") and log_of(f"part{n}.log")[0]
                            for n in ("1", "3"))
            self.assertAlmostEqual(whole["loss"], parts["loss"], delta=1e-6 * whole["loss"])
            self.assertAlmostEqual(whole["norm"], parts["norm"], delta=1e-4 * whole["norm"])

    def test_a_table_of_integers_stays_as_it_is(self):
        for form in ("pq:4", "bits:4", "bits:8"):
            run("squeeze", "bare.gguf", "-o", "table.gguf", "--texts", "texts.txt", "--layers", "0",
                "--embedding", form, "--no-fidelity")
            report = distill("kept_table.gguf", *TEXTS, student="table.gguf")
            self.assertGreater(report["after"]["cosine"], report["before"]["cosine"] + 0.02)
            self.assertLess(abs(report["after"]["bytes"] - report["before"]["bytes"]), 1000)
            run("info", "kept_table.gguf", "--check")
            run("verify", "kept_table.gguf")

    def test_rounded_weights_are_trained_and_written_as_they_were_read(self):
        few = (*TEXTS, "--epochs", "6", "--lr", "5e-3")
        run("squeeze", "bare.gguf", "-o", "int4.gguf", "--texts", "texts.txt", "--layers", "0",
            "--bits", "4", "--embedding", "pq:4", "--no-fidelity", "--keep-pooler")
        for student in ("student.gguf", "int4.gguf"):
            for form in ("s8", "s4", "s3"):
                report = distill("rounded.gguf", *few, "--fake-quantise", form, student=student)
                self.assertGreater(report["after"]["cosine"], report["before"]["cosine"] + 0.01)
                self.assertIn(f"--fake-quantise {form}", run("info", "rounded.gguf"))
                run("info", "rounded.gguf", "--check")
                run("verify", "rounded.gguf")
                # to compare it first is to run the file that was written
                again = distill("again.gguf", *few, "--max-steps", "1", "--fake-quantise", form,
                                student="rounded.gguf")
                self.assertEqual(again["before"]["cosine"], report["after"]["cosine"])
        # packed rows take the place of packed rows, and the pooler is float
        self.assertLess(report["after"]["bytes"], os.path.getsize("int4.gguf") + 60000)

    def test_a_run_through_rounding_goes_on_where_it_was_killed(self):
        arguments = (*TEXTS, "--fake-quantise", "s4", "--checkpoint-steps", "5", "--keep", "best",
                     "--measure-steps", "7")
        distill("through.gguf", *arguments)
        log = "through_killed.log"
        process = subprocess.Popen(
            [PROGRAM, "distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o",
             "through_killed.gguf", "--log", log, *FAST, *arguments], stdout=subprocess.DEVNULL)
        while process.poll() is None and not (
                os.path.exists(log) and read(log).count(b"\n") >= 20):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        other = run("distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o",
                    "through_killed.gguf", *FAST, *arguments, "--fake-quantise", "s3", "--resume",
                    code=2)
        self.assertIn('"fake_quantise":"s4"', other)
        distill("through_killed.gguf", "--resume", "-t", "2", "--recompute", *arguments)
        self.assertEqual(read("through.gguf"), read("through_killed.gguf"))

    def test_a_teacher_is_rounded_as_quantize_does_it(self):
        for kind in ("bf16", "s8"):
            run("quantize", "bare.gguf", "-o", f"{kind}.gguf", "--type", kind)
            distill("in_memory.gguf", *TEXTS, "--max-steps", "9", "--teacher-type", kind)
            distill("of_file.gguf", *TEXTS, "--max-steps", "9", teacher=f"{kind}.gguf")
            distill("float.gguf", *TEXTS, "--max-steps", "9")
            self.assertEqual(weights("in_memory.gguf"), weights("of_file.gguf"))
            self.assertNotEqual(weights("in_memory.gguf"), weights("float.gguf"))
            self.assertIn(f"--teacher-type {kind}", run("info", "in_memory.gguf"))
            distill("again.gguf", *TEXTS, "--max-steps", "9", "--teacher-type", kind,
                    teacher=f"{kind}.gguf")
            self.assertEqual(read("of_file.gguf"), read("again.gguf"))
        self.assertEqual([name for name in os.listdir() if name.endswith(".tmp")], [])
        self.assertIn("cannot run in f32: its file holds integers", run(
            "distill", "--teacher", "s8.gguf", "--student", "student.gguf", "-o", "no.gguf", *TEXTS,
            "--teacher-type", "f32", code=3))
        self.assertIn('"teacher_type":"s8"', run(
            "distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o",
            "in_memory.gguf", *FAST, *TEXTS, "--resume", code=2))

    def test_what_is_kept_of_the_teacher_changes_no_bit(self):
        arguments = (*TEXTS, "--loss", "logits,pooled", "--checkpoint-steps", "5", "--accumulate",
                     "2")

        def steps(out, *more, code=0):
            return run("distill", "--teacher", "teacher.gguf", "--student", "bare.gguf", "-o", out,
                       *FAST, *arguments, *more, code=code)
        steps("none.gguf", "--teacher-cache", "0")
        self.assertFalse(os.path.exists("none.gguf.teacher"))
        steps("kept.gguf")
        self.assertEqual(read("none.gguf"), read("kept.gguf"))
        whole = read("kept.gguf.teacher")

        def again(out, *more):
            """What is said, beside a model that is the same."""
            got = subprocess.run([PROGRAM, "distill", "--teacher", "teacher.gguf", "--student",
                                  "bare.gguf", "-o", out, *FAST, *arguments, *more],
                                 capture_output=True, text=True, check=True)
            self.assertEqual(read("none.gguf"), read(out))
            return got.stderr
        pathlib.Path("found.gguf.teacher").write_bytes(whole)
        self.assertNotIn("made anew", again("found.gguf"))
        for at in (len(whole) // 2, len(whole) - 70):  # a number, or a byte that pads
            damaged = bytearray(whole)
            damaged[at] ^= 64
            pathlib.Path("found.gguf.teacher").write_bytes(damaged)
            self.assertIn("made anew", again("found.gguf"))
            self.assertEqual(whole, read("found.gguf.teacher"))
        pathlib.Path("found.gguf.teacher").write_bytes(whole[:-100])
        self.assertIn("made anew", again("found.gguf"))
        distill("found.gguf", *TEXTS, "--loss", "logits,pooled", teacher="teacher.gguf",
                student="bare.gguf")  # another seed's file would do, other losses' too
        self.assertEqual(whole, read("found.gguf.teacher"))
        self.assertIn("1000 may be kept", again("small.gguf", "--teacher-cache", "1KB"))
        for lines in (12, 60):  # within the first epoch, and behind it
            out, log = f"kept{lines}.gguf", f"kept{lines}.log"
            process = subprocess.Popen(
                [PROGRAM, "distill", "--teacher", "teacher.gguf", "--student", "bare.gguf", "-o",
                 out, "--log", log, *FAST, *arguments], stdout=subprocess.DEVNULL)
            while process.poll() is None and not (
                    os.path.exists(log) and read(log).count(b"\n") >= lines):
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            again(out, "--resume")
            again(out, "--teacher-cache", "0")
        self.assertIn("runs in every epoch", run(
            "distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o", "no.gguf",
            *TEXTS, "--teacher-cache", "1MB", code=2))

    def test_windows_hold_every_piece(self):
        pathlib.Path("long.txt").write_text("".join(
            " ".join(f"{line}." for line in sentences(seed, 40)) + "\n" for seed in range(3, 33)))
        text = read("long.txt").decode()
        pieces = len(text.split()) + text.count(".") + text.split().count("no")  # n, ##o
        report = distill("windows.gguf", "--texts", "long.txt", "--windows", "--max-length", "20",
                         "--epochs", "1", "--log", "windows.log")
        steps = [entry for entry in log_of("windows.log") if "loss" in entry]
        learned, held = report["texts"], report["held_out"]
        self.assertGreater(learned + held, pieces / 18)  # none has more, few fewer
        self.assertLess(learned + held, pieces / 18 + 31)
        self.assertAlmostEqual(sum(entry["pieces"] for entry in steps) - 2 * learned,
                               pieces * learned / (learned + held), delta=0.05 * pieces)
        run("distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o", "no.gguf",
            "--texts", "long.txt", "--windows", "--whole-texts", code=2)

    def test_texts_are_learned_beside_rows_without_their_labels(self):
        def mixed(out, *more):
            return distill(out, "--data", "t.csv", "--holdout", "0.2", "--max-steps", "6", "--lr",
                           "5e-3", "--loss", "labels,logits", "--log", out + ".log", *more,
                           teacher="teacher.gguf")
        mixed("rows.gguf", "--batch", "1000")
        mixed("both.gguf", "--batch", "1000", "--texts", "texts.txt")
        rows, both = (log_of(f"{name}.gguf.log")[0] for name in ("rows", "both"))
        # one batch of all: the mean over labels is that of the rows, that of logits is of more
        self.assertAlmostEqual(rows["labels"], both["labels"], delta=1e-6)
        self.assertNotAlmostEqual(rows["logits"], both["logits"], delta=1e-6)
        self.assertGreater(both["pieces"], 1.5 * rows["pieces"])
        mixed("some.gguf", "--batch", "1000", "--texts", "texts.txt", "--max-pieces", "100")
        some = log_of("some.gguf.log")[0]["pieces"]
        self.assertTrue(100 <= some - rows["pieces"] < 130, some)

    def test_minutes_become_steps(self):
        got = subprocess.run(
            [PROGRAM, "distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o",
             "timed.gguf", *FAST, *TEXTS, "--epochs", "2000", "--minutes", "0.02"],
            capture_output=True, text=True, check=True)
        steps = int(got.stderr.split("--max-steps ")[1].split()[0])
        self.assertEqual(json.loads(got.stdout)["steps"], steps)
        self.assertIn(f"--max-steps {steps}", run("info", "timed.gguf"))
        distill("counted.gguf", *TEXTS, "--epochs", "2000", "--max-steps", str(steps))
        self.assertEqual(read("counted.gguf"), read("timed.gguf"))
        self.assertIn("to go on, give the --max-steps", run(
            "distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o", "timed.gguf",
            *TEXTS, "--minutes", "1", "--resume", code=2))

    def test_what_cannot_be_is_refused_by_name(self):
        run("quantize", "bare.gguf", "-o", "s8.gguf")
        usual = ("--teacher", "bare.gguf", "--student", "student.gguf", "-o", "no.gguf", "--texts",
                 "texts.txt", *FAST)
        for words, code, arguments in (
            ("there is no loss 'hiden'", 2, ("--loss", "hiden")),
            ("its head is none", 3, ("--loss", "logits")),
            ("3 layers of the teacher, the student has 1", 2, ("--map", "1,2,2")),
            ("layer 9 of the teacher", 2, ("--map", "9")),
            ("relation heads do not divide", 2, ("--loss", "relations", "--relation-heads", "7")),
            ("in 2 parts", 2, ("--loss", "similarities", "--accumulate", "2")),
            ("holds integers", 3, ("--student", "s8.gguf")),
            ("--dev FILE or --holdout", 2, ("--data", "t.csv")),
            ("--max-length", 2, ("--max-length", "100000")),
            ("weight above 0", 2, ("--loss", "hidden:0")),
        ):
            message = run("distill", *usual, *arguments, code=code)
            self.assertIn(words, message, arguments)
            self.assertFalse(os.path.exists("no.gguf"))


if __name__ == "__main__":
    unittest.main(verbosity=0)
