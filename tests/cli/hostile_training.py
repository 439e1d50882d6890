#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What harms finetune, distill and build: data, settings, names of outputs, two runs at once.
Each is refused with what is wrong and where, before anything is written, and nothing is lost.

hostile_training.py PROGRAM
"""
import os
import pathlib
import random
import subprocess
import sys
import time
import unittest

from program import PROGRAM, enter, leave

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
ROWS = "".join(f"good film {i},up\nbad the {i},down\n" for i in range(20))
PATIENCE = 60  # seconds until a wait is a failure


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    subprocess.run([PROGRAM, "import", "bare", "-o", "bare.gguf"], check=True, capture_output=True)
    write("t.csv", "text,label\n" + ROWS)
    write("v.csv", "text,label\n" + "".join(f"good {i},{i}\n" for i in range(20)))
    draw = random.Random(1)
    write("texts.txt", "".join(" ".join(draw.choice(WORDS) for _ in range(6)) + "\n"
                               for _ in range(200)))


tearDownModule = leave


def write(name, text):
    pathlib.Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())


def tree():
    return {str(p): p.read_bytes() for p in pathlib.Path(".").rglob("*") if p.is_file()}


FINETUNE = ("finetune", "bare.gguf", "-o", "out.gguf", "--data", "t.csv", "--progress", "none")
DISTILL = ("distill", "--teacher", "bare.gguf", "--student", "bare.gguf", "-o", "out.gguf",
           "--texts", "texts.txt", "--progress", "none")
BUILD = ("build", "t.csv", "--base", "bare.gguf", "-o", "out.gguf", "--progress", "none")


class Hostile(unittest.TestCase):
    def refused(self, code, said, *arguments):
        """Refused so, and no file is other than it was."""
        before = tree()
        with self.subTest(arguments=arguments):
            got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True,
                                 stdin=subprocess.DEVNULL, timeout=PATIENCE)
            self.assertEqual((got.returncode, got.stdout), (code, ""), got.stderr)
            self.assertIn(said, got.stderr)
            self.assertEqual(tree(), before)

    def test_data_are_refused_by_line(self):
        wide = "text,label" + "".join(f",c{i}" for i in range(70000)) + "\n"
        many = "text,label\n" + "".join(f"x,c{i}\n" for i in range(65537))
        for name, text, said in (
            ("nul.csv", b"text,label\ngood,u\0p\n", "line 2: the label has a NUL byte"),
            ("bytes.csv", b"text,label\nx,\xff\xc0\n", "line 2: the label is not UTF-8 (iconv"),
            ("cr.csv", "text,label\r" + ROWS.replace("\n", "\r"), "its lines end with CR alone"),
            ("utf16.csv", ("text,label\n" + ROWS).encode("utf-16"), "the mark of UTF-16"),
            ("dup.csv", "text,label,text\na,b,c\n", "two columns are named 'text'"),
            ("open.csv", 'text,label\n"good,up\n' + ROWS, "line 2: a quote that begins"),
            ("short.csv", "text,label\ngood\n", "line 2: the row has 1 columns, the header 2"),
            ("blank.csv", "text,label\ngood,\n", "line 2: the row has no label"),
            ("wide.csv", wide, "more than 65536 columns"),
            ("many.csv", many, "line 65538: more than 65536 different labels"),
            ("none.csv", "text,label\n", "holds no example"),
            ("array.jsonl", '{"text":"a","label":"b"}\n[1]\n', "line 2: not a JSON object"),
            ("deep.jsonl", '{"text":' + "[" * 100000 + "\n", "line 1: "),
            ("deep.json", '{"train":' + "[" * 100000, "maximum parsing depth"),
            ("word.conll", "good\nfilm B-X\n\n", "line 1: a word and its class"),
        ):
            write(name, text)
            self.refused(3, said, *FINETUNE, "--data", name)
            if not name.endswith("conll"):
                self.refused(3, said, "build", name, *BUILD[2:])
            self.refused(3, said, *DISTILL[:7], "--data", name, "--holdout", "0.2")
        write("one.csv", "text,label\ngood,up\nbad,up\n")
        self.refused(3, "one.csv: every label is 'up': two classes or more", *FINETUNE, "--data",
                     "one.csv")

    def test_numbers_that_no_float_holds_are_refused_by_line(self):
        for value, said in (("nan", "is no number"), ("inf", "no number"), ("0x10", "is no number"),
                            ("1e39", "is more than a float holds"), ("1e400", "line 3: the label")):
            write("value.csv", f"text,label\ngood,1\nbad,{value}\n")
            self.refused(3, said, *FINETUNE, "--data", "value.csv", "--problem", "regression")

    def test_a_message_does_not_steer_the_terminal(self):
        write("steer.csv", "text,label\ngood,\x1b[2J\x9b\x7f\n")
        self.refused(3, "steer.csv: every label is '?[2J???'", *FINETUNE, "--data", "steer.csv")

    def test_rows_that_a_task_leaves_out_are_told(self):
        os.mkdir("qqp")
        rows = "".join(f"{i}\t1\t2\tgood {i}\tbad\t{i % 2}\n" for i in range(8))
        for name in ("train", "dev"):
            write(f"qqp/{name}.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n" +
                  rows + "9\t1\t2\tgood\n")
        got = subprocess.run([PROGRAM, "finetune", "bare.gguf", "--task", "qqp", "--data", "qqp",
                              "--dry-run"], capture_output=True, text=True)
        self.assertEqual(got.returncode, 0, got.stderr)
        for name in ("train", "dev"):
            self.assertRegex(got.stderr, rf"1 row of \S*{name}\S* skipped: too short")

    def test_a_setting_that_would_do_nothing_is_refused(self):
        for name in ("epochs", "batch", "accumulate", "max-length", "max-steps",
                     "checkpoint-steps"):
            for verb in (FINETUNE, DISTILL):
                self.refused(2, f"--{name} needs a whole number above 0, not 0", *verb, f"--{name}",
                             "0")
        for said, arguments in (
            ("a batch of 4 examples has at most as many parts", ("--batch", "4", "--accumulate",
                                                                 "5")),
            ("blocks are to be frozen, the model has 2", ("--freeze", "4294967297")),
            ("or a number of blocks, not -1", ("--freeze", "-1")),
            ("W above 0 is expected, not up=1e300", ("--class-weights", "up=1e300")),
            ("names 'up' twice", ("--class-weights", "up=1,up=2")),
            ("is balanced or NAME=W,..., not ','", ("--class-weights", ",")),
            ("at most 1048576 and 65536", ("--epochs", "4000000000")),
            ("needs a number, not nan", ("--lr", "nan")),
        ):
            self.refused(2, said, *FINETUNE, *arguments)
        for said, arguments in (
            ("--temperature is for the losses logits and soft", ("--temperature", "3")),
            ("are for the losses queries", ("--relation-heads", "3")),
            ("--map is for the losses hidden", ("--map", "1,2", "--loss", "pooled")),
            ("--loss labels: texts have none", ("--loss", "labels")),
            ("--quotes does not go with --texts", ("--quotes", "csv")),
            ("a batch of 32 examples", ("--accumulate", "33")),
        ):
            self.refused(2, said, *DISTILL, *arguments)

    def test_a_teacher_reads_no_further_than_it_can(self):
        subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "few", "BertModel",
                        "positions=12"], check=True)
        rows = "".join(f"{'good film ' * 15}x {i},{'ab'[i % 2]}\n" for i in range(60))
        write("long.csv", "text,label\n" + rows)
        for arguments in (("import", "few", "-o", "few.gguf"),
                          ("finetune", "few.gguf", "-o", "teacher.gguf", "--data", "long.csv",
                           "--max-steps", "1", "--checkpoint", "few")):
            subprocess.run([PROGRAM, *arguments], check=True, capture_output=True)
        labelled = ("distill", "--teacher", "teacher.gguf", "--student", "bare.gguf", "-o",
                    "taught.gguf", "--data", "long.csv", "--holdout", "0.3")
        self.refused(2, "--max-length 13: 12 pieces at most can be read", *labelled,
                     "--max-length", "13")
        got = subprocess.run([PROGRAM, *labelled], capture_output=True, text=True)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("were cut to 12 pieces", got.stderr)

    def test_an_output_that_cannot_be_is_told_before_the_run(self):
        os.mkdir("taken")
        for verb in (FINETUNE, DISTILL, BUILD):
            for name, said in (("taken", "it is a folder"), ("no/such", "there is no folder no"),
                               ("/dev/null", "no file but a device"), ("", "is empty")):
                self.refused(2 if not name else 1, said, *verb, "-o", name)
        for verb in (FINETUNE, DISTILL):
            self.refused(1, "t.csv: cannot write: it is no folder", *verb, "--checkpoint", "t.csv")
            self.refused(1, "there is no folder no", *verb, "--checkpoint", "no/such")
            self.refused(2, "out.gguf would be written twice", *verb, "--log", "out.gguf")
        self.refused(1, "there is no folder no", *FINETUNE, "--losses", "no/such")
        self.refused(2, "a.log would be written twice", *FINETUNE, "--losses", "a.log", "--log",
                     "a.log")
        self.refused(1, "there is no folder no", *BUILD, "--predictions", "no/such")
        self.refused(1, "there is no folder no", *BUILD, "--card", "no/such")

    def test_a_cache_takes_the_place_of_none_but_a_cache(self):
        for name in ("texts.txt", "bare.gguf", "v.csv"):
            self.refused(1, f"{name}: cannot write: it is ", *BUILD, "--cache", name)
        subprocess.run([PROGRAM, *BUILD, "--cache", "c"], check=True, capture_output=True)
        whole = pathlib.Path("c").read_bytes()
        for damaged in (b"", whole[:200], whole[:-100]):
            write("c", damaged)
            got = subprocess.run([PROGRAM, *BUILD, "--cache", "c"], check=True, capture_output=True)
            self.assertIn(b"made anew" if damaged else b"", got.stderr)
            self.assertEqual(pathlib.Path("c").read_bytes(), whole)
        for name in ("out.gguf", "out.gguf.md", "out.gguf.predictions.tsv"):
            os.remove(name)

    def test_one_run_at_a_time_has_a_folder_of_checkpoints(self):
        long = (*FINETUNE[:2], "-o", "long.gguf", *FINETUNE[4:], "--epochs", "100000",
                "--checkpoint", "shared", "--checkpoint-steps", "1", "-t", "1")
        first = subprocess.Popen([PROGRAM, *long], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + PATIENCE
            while not list(pathlib.Path(".").glob("shared/step-*.gguf")):
                self.assertIsNone(first.poll(), "the run ended by itself")
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            for more in ((), ("--resume",)):
                got = subprocess.run([PROGRAM, *FINETUNE, "--checkpoint", "shared", *more],
                                     capture_output=True, text=True)
                self.assertEqual(got.returncode, 1, got.stderr)
                self.assertIn("shared: cannot write: another run keeps its checkpoints there",
                              got.stderr)
                self.assertIsNone(first.poll())
        finally:
            first.kill()
            first.wait()
        left = subprocess.run([PROGRAM, *long, "--resume", "--max-steps", "1"],
                              capture_output=True, text=True)
        self.assertIn("past the 1 at which it is to end", left.stderr)  # the lock is gone


if __name__ == "__main__":
    unittest.main()
