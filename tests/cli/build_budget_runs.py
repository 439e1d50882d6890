#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build with a budget, on tables that are written here: files within their bytes, figures of rows
that nothing was learned of, bases of integers, runs that are killed, and what is refused.

build_budget_runs.py PROGRAM
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

from program import PROGRAM, enter, leave, need_lapack, run

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
BUDGET = 32000
ALWAYS = ("--progress", "none", "--json", "-t", "1", "--minutes", "9")


def table(name, odd_lines=()):
    """Texts whose class says which of three words is most frequent; of odd lines another text."""
    draw = random.Random(2)
    with open(name, "w", encoding="utf-8") as file:
        file.write("text,label\n")
        for i in range(500):
            words = [draw.choice(WORDS) for _ in range(draw.randrange(9, 16))]
            label = max(("bad", "good", "q"), key=words.count)
            if i + 2 in odd_lines:
                words = ["film film x x x", *["a"] * (i % 29), *["no"] * (i // 29)]
            file.write(f"{' '.join(words)},{label}\n")


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    need_lapack("bare.gguf")
    table("t.csv")


tearDownModule = leave


def arguments(out, *more, base="bare.gguf", data="t.csv"):
    return ["build", data, "--base", base, "-o", out, *ALWAYS, *more]


def build(out, *more, budget=BUDGET, **given):
    return json.loads(run(*arguments(out, "--budget", str(budget), *more, **given)))


def read(path):
    return pathlib.Path(path).read_bytes()


def describe(name):
    return json.loads(run("info", name, "--json", "--tensors"))


def weights(name):
    data = read(name)
    return {t["name"]: data[t["offset"]:t["offset"] + t["bytes"]]
            for t in describe(name)["tensors"] if not t["name"].startswith("verify.")}


def held_out(name):
    head, *lines = pathlib.Path(name + ".predictions.tsv").read_text().splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"))) for line in lines]


def classify(name, texts):
    got = subprocess.run([PROGRAM, "classify", name, "--json", "--logits"], check=True,
                         input="".join(f"{x}\n" for x in texts), capture_output=True, text=True)
    return [json.loads(x) for x in got.stdout.splitlines()]


class Budget(unittest.TestCase):
    def test_the_file_and_all_that_it_says_is_within_the_bytes(self):
        made = build("a.gguf")
        size = os.path.getsize("a.gguf")
        self.assertLessEqual(size, BUDGET)
        self.assertGreater(size, 0.8 * BUDGET)
        self.assertEqual(made["compressed"]["after"]["bytes"], size)
        self.assertGreater(made["compressed"]["base"]["bytes"], BUDGET)
        self.assertGreater(made["compressed"]["after"]["milliseconds"], 0)
        info = describe("a.gguf")
        self.assertEqual(info["labels"], ["bad", "good", "q"])
        said = info["metadata"]
        self.assertAlmostEqual(float(said["sqz.head.temperature"]), made["temperature"], 5)
        self.assertAlmostEqual(float(said["sqz.head.threshold"]), made["threshold"], 5)
        self.assertAlmostEqual(float(said["sqz.squeeze.score.accuracy"]),
                               made["compressed"]["after"]["score"], 6)
        run("verify", "a.gguf")
        self.assertFalse(os.path.exists("a.gguf.checkpoint"))
        self.assertFalse(os.path.exists("t.csv.features"))
        card = pathlib.Path("a.gguf.md").read_text()
        self.assertIn(f"| {size} |", card)
        self.assertIn("Difference of accuracy in paired resamples", card)

    def test_a_budget_that_no_classifier_of_the_base_can_meet_trains_nothing(self):
        said = run(*arguments("z.gguf", "--budget", "1kB"), code=2)
        self.assertIn("a budget of 1000 bytes cannot be met: the least that can is above ", said)
        self.assertFalse(os.path.exists("z.gguf.checkpoint"))
        self.assertFalse(os.path.exists("t.csv.features"))

    def test_the_least_that_is_said_of_a_budget_that_cannot_be_met_is_met(self):
        said = run(*arguments("b.gguf", "--budget", "9000"), code=2)
        least = int(said.split("the least that can is ")[1].split()[0])
        self.assertIn("resuming takes up what was trained", said)
        self.assertFalse(os.path.exists("b.gguf"))
        self.assertFalse(os.path.exists("b.gguf.checkpoint/small.run"))
        shutil.copytree("b.gguf.checkpoint", "c.gguf.checkpoint")
        teacher = os.stat("b.gguf.checkpoint/teacher.gguf")
        run(*arguments("b.gguf", "--budget", "9001", "--resume"), code=2)
        again = os.stat("b.gguf.checkpoint/teacher.gguf")
        self.assertEqual((teacher.st_ino, teacher.st_mtime_ns), (again.st_ino, again.st_mtime_ns))
        build("b.gguf", "--resume", budget=least)
        self.assertLessEqual(os.path.getsize("b.gguf"), least)
        self.assertFalse(os.path.exists("b.gguf.checkpoint"))
        build("o.gguf", "--checkpoint", "b.other", budget=least)
        self.assertEqual(read("b.gguf"), read("o.gguf"))
        for more in (("--seed", "2"), ("--minutes", "3"), ("--holdout", "0.2")):
            self.assertIn("a run of other options: ", run(*arguments(
                "c.gguf", "--budget", str(least), "--resume", *more), code=2))

    def test_a_small_table_asks_for_plain_texts_before_anything_is_trained(self):
        lines = read("t.csv").decode().splitlines()
        pathlib.Path("small.csv").write_text("\n".join(lines[:161]) + "\n")
        said = run(*arguments("p.gguf", "--budget", str(BUDGET), data="small.csv"), code=3)
        self.assertIn("at least 2048 are needed", said)
        self.assertFalse(os.path.exists("p.gguf.checkpoint"))
        pathlib.Path("plain.txt").write_text("".join(x.split(",")[0] + "\n" for x in lines[161:]))
        made = build("p.gguf", "--texts", "plain.txt", "--resume", data="small.csv")
        self.assertLessEqual(made["compressed"]["after"]["bytes"], BUDGET)

    def test_too_few_rows_to_choose_on_are_said_before_anything_is_trained(self):
        lines = read("t.csv").decode().splitlines()
        pathlib.Path("few.csv").write_text("\n".join(lines[:121]) + "\n")
        pathlib.Path("others.txt").write_text("".join(x.split(",")[0] + "\n" for x in lines[121:]))
        command = ("--budget", str(BUDGET), "--texts", "others.txt")
        said = run(*arguments("w.gguf", *command, data="few.csv"), code=3)
        self.assertIn("rows to choose on, 11 are needed", said)
        self.assertFalse(os.path.exists("w.gguf.checkpoint"))
        said = run(*arguments("x.gguf", *command, "--holdout", "0.05", data="few.csv"), code=3)
        self.assertIn("6 rows to report on", said)

    def test_more_bytes_than_the_model_has_are_said_to_be_that(self):
        got = subprocess.run([PROGRAM, *arguments("m.gguf", "--budget", "4MB")], check=True,
                             capture_output=True, text=True)
        self.assertIn("the budget of 4000000 bytes is more than the", got.stderr)
        run("verify", "m.gguf")

    def test_figures_are_of_the_file_on_the_rows_held_out(self):
        made = build("f.gguf", "--false-refusals", "20%")
        rows, texts = held_out("f.gguf"), read("t.csv").decode().splitlines()
        self.assertEqual(len(rows), made["held_out"])
        answers = classify("f.gguf", [texts[int(r["line"]) - 1].split(",")[0] for r in rows])
        best = [["bad", "good", "q"][x["logits"].index(max(x["logits"]))] for x in answers]
        self.assertEqual(best, [r["prediction"] for r in rows])
        right = sum(b == r["truth"] for b, r in zip(best, rows)) / len(rows)
        self.assertAlmostEqual(right, made["metrics"]["accuracy"])
        squeezed = made["compressed"]
        self.assertAlmostEqual(right, squeezed["after"]["score"])
        self.assertAlmostEqual(squeezed["difference"]["metrics"]["accuracy"],
                               right - squeezed["base"]["score"])
        for x in answers:
            above = max(x["logits"]) - made["threshold"]
            self.assertTrue(abs(above) < 1e-5 or (x["label"] is None) == (above < 0))
        self.assertEqual(squeezed["learned"] + squeezed["chosen_on"] + len(rows), made["n"])

    def test_nothing_is_learned_of_the_rows_held_out(self):
        build("l.gguf")
        table("odd.csv", odd_lines={int(r["line"]) for r in held_out("l.gguf")})
        build("odd.gguf", data="odd.csv")
        self.assertNotEqual(describe("l.gguf")["metadata"]["sqz.head.temperature"],
                            describe("odd.gguf")["metadata"]["sqz.head.temperature"])
        self.assertEqual(weights("l.gguf"), weights("odd.gguf"))

    def test_threads_change_no_bit(self):
        build("one.gguf", "-t", "1")
        build("two.gguf", "-t", "2")
        self.assertEqual(read("one.gguf"), read("two.gguf"))

    def test_a_time_that_cannot_be_met_leaves_its_teacher_too(self):
        few = ("--minutes", "0")
        said = run(*arguments("unmet.gguf", "--time", "0.1%", *few), code=2)
        self.assertRegex(said, "the least that can is .*, resuming takes up what was trained")
        teacher = os.stat("unmet.gguf.checkpoint/teacher.gguf").st_ino
        run(*arguments("unmet.gguf", "--time", "0.2%", "--resume", *few), code=2)
        self.assertEqual(teacher, os.stat("unmet.gguf.checkpoint/teacher.gguf").st_ino)

    def test_a_share_of_the_time_is_foretold_and_measured(self):
        made = build("h.gguf", "--time", "60%", "--minutes", "0")["compressed"]
        self.assertLessEqual(made["time_share"], 0.6)
        self.assertGreater(made["measured_share"], 0)
        self.assertLessEqual(os.path.getsize("h.gguf"), BUDGET)

    def test_no_minutes_leave_it_unhealed(self):
        made = build("n.gguf", "--minutes", "0")
        self.assertEqual(made["compressed"]["steps"], 0)
        self.assertEqual(made["method"], "frozen")
        self.assertIsNone(made["full_accuracy"])

    def test_notes_of_the_teacher_are_passed_on(self):
        build("y.gguf", "--minutes", "0", "--cache", "y.features")
        data = bytearray(read("y.features"))
        data[-1] ^= 1
        pathlib.Path("y.features").write_bytes(data)
        got = subprocess.run([PROGRAM, *arguments("y.gguf", "--budget", str(BUDGET), "--minutes",
                                                  "0", "--cache", "y.features")],
                             check=True, capture_output=True, text=True)
        self.assertIn("y.features", got.stderr)

    def test_texts_that_were_read_are_the_teachers(self):
        made = build("v.gguf", "--minutes", "0")
        self.assertGreater(made["texts_read"], made["n"] / 2)
        self.assertLessEqual(made["texts_read"], made["n"] - made["held_out"])

    def test_minutes_are_kept_and_what_they_cut_is_said(self):
        got = subprocess.run([PROGRAM, *arguments("c.gguf", "--budget", str(BUDGET), "--minutes",
                                                  "0.002")],
                             check=True, capture_output=True, text=True)
        made = json.loads(got.stdout)
        self.assertIn("minutes, over the", made["why"])
        self.assertRegex(got.stderr, r"there was time for \d+ steps of healing")

    def test_below_the_score_nothing_is_written_and_the_teacher_stays(self):
        before = set(os.listdir("."))
        few = ("--minutes", "0", "--min-score", "99.9%")
        said = run(*arguments("s.gguf", "--budget", "22kB", *few), code=1)
        self.assertIn("below --min-score 99.9%", said)
        self.assertIn("nothing was written", said)
        self.assertIn("s.gguf.checkpoint keeps what was trained", said)
        self.assertEqual(before | {"s.gguf.checkpoint"}, set(os.listdir(".")))
        self.assertFalse(os.path.exists("s.gguf.checkpoint/small.run"))
        teacher = os.stat("s.gguf.checkpoint/teacher.gguf")
        run(*arguments("s.gguf", "--budget", "22001", *few, "--resume"), code=1)
        again = os.stat("s.gguf.checkpoint/teacher.gguf")
        self.assertEqual((teacher.st_ino, teacher.st_mtime_ns), (again.st_ino, again.st_mtime_ns))
        build("s.gguf", "--resume", *few[:2])
        self.assertFalse(os.path.exists("s.gguf.checkpoint"))
        build("again.gguf", *few[:2])
        self.assertEqual(read("s.gguf"), read("again.gguf"))


class Bases(unittest.TestCase):
    def test_a_base_of_integers_is_expanded_to_the_floats_that_it_means(self):
        run("quantize", "bare.gguf", "-o", "s8.gguf")
        run("squeeze", "bare.gguf", "-o", "pq.gguf", "--bits", "4", "--embedding", "pq:8",
            "--texts", "t.csv", "--progress", "none")
        for base in ("s8.gguf", "pq.gguf"):
            before = read(base)
            made = build("i.gguf", base=base)
            self.assertLessEqual(os.path.getsize("i.gguf"), BUDGET)
            self.assertGreater(made["compressed"]["base"]["score"], 0.7)
            self.assertIsNotNone(made["full_accuracy"])
            self.assertIn("floats", str(describe("i.gguf")["metadata"]["sqz.history"]))
            self.assertEqual(before, read(base))

    def test_floats_that_are_found_in_the_folder_are_not_trusted(self):
        run("quantize", "bare.gguf", "-o", "s8.gguf")
        os.mkdir("j.gguf.checkpoint")
        shutil.copy("bare.gguf", "j.gguf.checkpoint/base.gguf")
        for more in ((), ("--resume",)):
            told = run(*arguments("j.gguf", "--budget", str(BUDGET), *more, base="s8.gguf"), code=2)
            self.assertIn("base.gguf and no run to go on with", told)
        self.assertEqual(read("bare.gguf"), read("j.gguf.checkpoint/base.gguf"))


def kill_when(command, path):
    """Whether the run was killed once there was such a file, and not too late."""
    with subprocess.Popen([PROGRAM, *command], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while not os.path.exists(path) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL and os.path.exists(path)


class Killed(unittest.TestCase):
    def test_a_run_that_is_killed_goes_on_to_the_same_bits(self):
        build("whole.gguf")
        for name in ("run.gguf", "teacher.told", "small.run/run.gguf"):
            command = arguments("k.gguf", "--budget", str(BUDGET))
            for _ in range(5):
                hit = kill_when(command, f"k.gguf.checkpoint/{name}")
                if hit:
                    break
                shutil.rmtree("k.gguf.checkpoint", ignore_errors=True)
            self.assertTrue(hit, name)
            self.assertIn("not finished", run(*command, code=2))
            run(*command, "--resume")
            self.assertEqual(read("whole.gguf"), read("k.gguf"))
            self.assertFalse(os.path.exists("k.gguf.checkpoint"))
            os.remove("k.gguf")

    def test_a_teacher_of_rows_that_are_held_out_now_is_not_taken(self):
        head, *lines = read("t.csv").decode().splitlines()
        with open("sources.csv", "w", encoding="utf-8") as file:
            file.write(f"{head},of\n")
            file.writelines(f"{x},{i // 9}\n" for i, x in enumerate(lines))
        few = ("--minutes", "0", "--source", "of")
        build("sources.gguf", *few, data="sources.csv")
        command = arguments("r.gguf", "--budget", str(BUDGET), *few[:2], data="sources.csv")
        self.assertTrue(kill_when(command, "r.gguf.checkpoint/teacher.told"))
        shutil.rmtree("r.gguf.checkpoint/small.run", ignore_errors=True)
        run(*command, *few[2:], "--resume")
        self.assertEqual(read("sources.gguf"), read("r.gguf"))


class Refusals(unittest.TestCase):
    def test_what_does_not_go_together_is_refused_by_name(self):
        budget = ("--budget", str(BUDGET))
        for more, words in (((*budget, "--keep-head"), "--keep-head leaves a classifier as it is"),
                            (("--keep-head", "--min-score", "98%"), "--min-score makes one"),
                            (("--resume",), "--resume is of a model that is squeezed"),
                            (("--texts", "t.csv"), "--texts is of a model that is squeezed"),
                            (("--budget", "much"), "much"),
                            ((*budget, "--min-score", "1.5"), "neither a share"),
                            ((*budget, "--time", "fast"), "fast"),
                            ((*budget, "--minutes", "-1"), "--minutes is 0 or more")):
            said = run(*arguments("no.gguf", *more), code=2)
            self.assertIn(words, said, more)
            self.assertFalse(os.path.exists("no.gguf"))

    def test_no_output_takes_the_place_of_the_texts(self):
        plain = pathlib.Path("texts.txt")
        plain.write_text("a good film\n" * 40)
        for out, *more in (("texts.txt",), ("no.gguf", "--card", "texts.txt"),
                           ("no.gguf", "--predictions", "./texts.txt"),
                           ("no.gguf", "--cache", "texts.txt")):
            said = run(*arguments(out, "--budget", str(BUDGET), "--texts", "texts.txt", *more),
                       code=1)
            self.assertIn("it is what is read here", said)
            self.assertEqual(plain.read_text(), "a good film\n" * 40)


if __name__ == "__main__":
    unittest.main()
