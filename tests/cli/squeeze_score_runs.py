#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""squeeze with healing and scores, on texts and tables that are written here: files within their
budgets as foretold, nearer to the base than without healing, refused below a score, gone on with
where they were killed, and what is refused.

squeeze_score_runs.py PROGRAM
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

from program import PROGRAM, enter, leave, need_lapack, run

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
ALWAYS = ("--progress", "none", "-t", "1", "--json")
BUDGET = 30000


def sentences(seed, n):
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) for _ in range(draw.randrange(10, 18))) for _ in range(n)]


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    need_lapack("bare.gguf")
    pathlib.Path("texts.txt").write_text("".join(f"{line}\n" for line in sentences(1, 500)))
    pathlib.Path("t.csv").write_text("text,label\n" + "".join(
        f"{line},{'up' if line.count('good') > line.count('bad') else 'down'}\n"
        for line in sentences(2, 400)))
    run("finetune", "bare.gguf", "-o", "teacher.gguf", "--data", "t.csv", "--epochs", "10", "--lr",
        "5e-3", "--batch", "8", "--progress", "none", "-t", "1")


tearDownModule = leave


def squeeze(model, out, *arguments):
    return json.loads(run("squeeze", model, "-o", out, *arguments, *ALWAYS))


def read(path):
    return pathlib.Path(path).read_bytes()


TEXTS = ("--texts", "texts.txt", "--budget", str(BUDGET))
ROWS = ("--data", "t.csv", "--budget", str(BUDGET))


class Texts(unittest.TestCase):
    def test_a_budget_with_texts_is_healed_and_foretold_to_the_byte(self):
        foretold = json.loads(run("squeeze", "bare.gguf", "--dry-run", *TEXTS, *ALWAYS))
        made = squeeze("bare.gguf", "healed.gguf", *TEXTS)
        size = os.path.getsize("healed.gguf")
        self.assertEqual(foretold["bytes_after"], made["tried"][0]["bytes"])
        self.assertEqual(made["after"]["bytes"], size)
        self.assertLessEqual(size, BUDGET)
        self.assertEqual(made["score"], "cosine")
        self.assertGreater(made["steps"], 0)
        self.assertGreater(made["after"]["score"], made["squeezed"]["score"])
        self.assertEqual(made["learned"] + made["chosen_on"] + made["held_out"], 500)
        self.assertGreater(made["after"]["milliseconds"], 0)
        self.assertFalse(os.path.exists("healed.gguf.checkpoint"))
        run("verify", "healed.gguf")
        shown = run("info", "healed.gguf")
        self.assertIn("sqz.squeeze.heal.steps", shown)
        self.assertIn("healed for at most 10 minutes", shown)
        table = run("squeeze", "bare.gguf", "-o", "again.gguf", *TEXTS, "--progress", "none", "-t",
                    "2")
        self.assertRegex(table, r"healed +0\.\d+ \(0\.\d+ to [01]\.\d+\)")
        self.assertEqual(read("healed.gguf"), read("again.gguf"))

    def test_the_teacher_runs_in_the_type_that_is_said(self):
        few = (*TEXTS, "--minutes", "4", "--epochs", "1")
        for name, more in (("own", ()), ("f32", ("--teacher-type", "f32")),
                           ("s8", ("--teacher-type", "s8"))):
            made = squeeze("bare.gguf", f"{name}.gguf", *few, *more)
            self.assertGreater(made["after"]["score"], made["squeezed"]["score"])
            self.assertEqual("teacher s8" in run("info", f"{name}.gguf"), name == "s8")
        ends = {name: read(f"{name}.gguf")[-4096:] for name in ("own", "f32", "s8")}
        self.assertEqual(ends["own"], ends["f32"])
        self.assertNotEqual(ends["own"], ends["s8"])
        foretold = json.loads(run("squeeze", "bare.gguf", "--dry-run", *few, "--teacher-type", "s8",
                                  *ALWAYS))
        self.assertEqual(foretold["bytes_after"], os.path.getsize("s8.gguf"))
        run("quantize", "bare.gguf", "-o", "bf16.gguf", "--type", "bf16")
        self.assertIn("the teacher cannot run in f32", run(
            "squeeze", "bf16.gguf", "-o", "no.gguf", *few, "--teacher-type", "f32", *ALWAYS,
            code=3))
        self.assertFalse(os.path.exists("no.gguf.checkpoint"))

    def test_what_is_advised_where_a_score_is_missed_can_help(self):
        for more, words in ((("--no-heal",), "healing, which --no-heal leaves out, or levers"),
                            (("--minutes", "1", "--epochs", "1"),
                             "more --minutes, levers that take less away or more texts may")):
            said = run("squeeze", "bare.gguf", "-o", "below.gguf", "--texts", "texts.txt", "--bits",
                       "3", "--heads", "50%", "--min-score", "0.999999", *more, *ALWAYS, code=1)
            self.assertIn(words, said)
            self.assertEqual("--minutes" in said, "--minutes" in more)
            self.assertFalse(os.path.exists("below.gguf"))

    def test_a_run_that_cannot_be_leaves_no_folder(self):
        for more, words in ((("--budget", "1"), "the least that can is"),
                            (("--neurons", "50%", "--ranks", "up=3"), "is not LINEAR=RANK")):
            said = run("squeeze", "bare.gguf", "-o", "never.gguf", "--texts", "texts.txt",
                       "--minutes", "1", *more, *ALWAYS, code=2)
            self.assertIn(words, said)
            self.assertFalse(os.path.exists("never.gguf.checkpoint"))

    def test_a_run_that_cannot_be_leaves_a_folder_that_was_there(self):
        os.mkdir("there")
        few = ("--texts", "texts.txt", "--minutes", "1", "--checkpoint", "there")
        for more in (("-o", "never.gguf", "--budget", "1"),
                     ("--pareto", "never.csv", "--budgets", "1")):
            said = run("squeeze", "bare.gguf", *few, *more, code=2)
            self.assertIn("the least that can is", said)
            self.assertEqual(os.listdir("there"), [])

    def test_without_healing_levers_are_what_they_were(self):
        made = squeeze("bare.gguf", "plain.gguf", *TEXTS, "--no-heal")
        self.assertNotIn("score", made)
        self.assertIn("fidelity", made)

    def test_a_run_that_is_killed_goes_on(self):
        whole = ("--epochs", "12", *TEXTS)
        squeeze("bare.gguf", "whole.gguf", *whole)
        for seconds in (0.2, 0.5, 0.8, 1.2, 1.8):
            out = "killed.gguf"
            process = subprocess.Popen([PROGRAM, "squeeze", "bare.gguf", "-o", out, *whole,
                                        *ALWAYS], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            process.wait()
            there = os.path.exists(f"{out}.checkpoint/run.gguf")
            if there:
                self.assertIn("not finished", run("squeeze", "bare.gguf", "-o", out, *whole,
                                                  *ALWAYS, code=2))
            squeeze("bare.gguf", out, *whole, "--resume")
            self.assertEqual(read("whole.gguf"), read(out))
            self.assertFalse(os.path.exists(f"{out}.checkpoint"))
            os.remove(out)

    def test_a_folder_of_other_files_is_no_run_s(self):
        os.mkdir("own")
        for name in ("small.gguf", "teacher.gguf", "statistics-1.gguf"):
            with open(f"own/{name}", "w", encoding="ascii") as file:
                file.write(name)
        for more in ((), ("--resume",)):
            self.assertIn("no run to go on with", run(
                "squeeze", "bare.gguf", "-o", "no.gguf", *TEXTS, "--checkpoint", "own", *more,
                *ALWAYS, code=2))
        self.assertIn("which is no run's", run(
            "squeeze", "bare.gguf", "--pareto", "f.csv", "--texts", "texts.txt", "--minutes", "1",
            "--checkpoint", "own", code=2))
        self.assertEqual(sorted(os.listdir("own")),
                         ["small.gguf", "statistics-1.gguf", "teacher.gguf"])
        for name in ("small.gguf", "teacher.gguf"):
            os.rename(f"own/{name}", name)
        for more in ((), ("--resume",)):  # a cache
            self.assertIn("holds statistics-1.gguf, which is no run's", run(
                "squeeze", "bare.gguf", "--pareto", "f.csv", "--texts", "texts.txt", "--minutes",
                "1", "--budgets", str(BUDGET), "--checkpoint", "own", *more, code=2))
        for name in ("small.gguf", "teacher.gguf"):
            os.rename(name, f"own/{name}")
        self.assertEqual(read("own/teacher.gguf"), b"teacher.gguf")

    def test_the_smallest_file_is_searched_for(self):
        made = squeeze("bare.gguf", "least.gguf", "--texts", "texts.txt", "--min-score", "90%",
                       "--no-heal")
        self.assertGreaterEqual(made["after"]["score"], 0.9)
        self.assertGreater(len(made["tried"]), 2)
        self.assertLess(made["after"]["bytes"], made["base"]["bytes"])


class Rows(unittest.TestCase):
    def test_the_score_of_rows_is_the_figure_that_eval_has(self):
        made = squeeze("teacher.gguf", "rows.gguf", *ROWS)
        self.assertEqual(made["score"], "accuracy")
        self.assertLessEqual(os.path.getsize("rows.gguf"), BUDGET)
        self.assertIn("accuracy", made["difference"]["metrics"])
        pathlib.Path("dev.csv").write_text(read("t.csv").decode().splitlines()[0] + "\n" + "".join(
            f"{line},{'up' if line.count('good') > line.count('bad') else 'down'}\n"
            for line in sentences(3, 100)))
        made = squeeze("teacher.gguf", "rows.gguf", *ROWS, "--dev", "dev.csv", "--figure", "mcc")
        told = json.loads(run("eval", "rows.gguf", "--data", "dev.csv", "--json"))
        self.assertAlmostEqual(made["after"]["score"], told["metrics"]["mcc"], 6)
        self.assertEqual(made["held_out"], 100)

    def test_texts_that_are_rows_to_choose_or_report_on_are_not_learned(self):
        rows, others = sentences(2, 400), sentences(6, 150)
        otherwise = [f"  {row.upper().replace(' ', '   ')} ." for row in rows]
        pathlib.Path("beside.txt").write_text("\n".join(otherwise + others))
        made = squeeze("teacher.gguf", "beside.gguf", *ROWS, "--texts", "beside.txt", "--epochs",
                       "1")
        held = made["chosen_on"] + made["held_out"]
        self.assertEqual((made["learned"] + held, made["texts_left_out"]), (400, held))
        self.assertIn(f"learned {400 - held + 400 - held + 150} texts", run("info", "beside.gguf"))
        said = run("squeeze", "teacher.gguf", "-o", "beside.gguf", *ROWS, "--texts", "beside.txt",
                   "--no-heal", "--progress", "none")
        self.assertIn(f"{held} of the texts are those of rows to choose or report on", said)

    def test_scores_are_those_that_finetune_had_if_it_was_trained_without_the_rows(self):
        trained = json.loads(run("finetune", "bare.gguf", "-o", "apart.gguf", "--data", "t.csv",
                                 "--holdout", "0.2", "--seed", "3", "--epochs", "2", "--lr", "5e-3",
                                 "--json", "--progress", "none"))
        apart = ("--data", "t.csv", "--bits", "8", "--no-heal", "--holdout", "0.2", "--seed", "3")
        made = squeeze("apart.gguf", "judged.gguf", *apart)
        self.assertEqual(made["base"]["metrics"], trained["metrics"])
        condition = ("apart.gguf was trained without the rows that are held out here (--holdout "
                     "0.2 --seed 3), which only who trained it can know")
        self.assertEqual(made["true_if"], condition)
        self.assertIn(f"the scores are true if {condition}\n", run(
            "squeeze", "apart.gguf", "-o", "judged.gguf", *apart, "--progress", "none"))
        made = squeeze("apart.gguf", "judged.gguf", "--data", "t.csv", "--bits", "8", "--no-heal")
        self.assertIn("(--holdout 0.1 --seed 1)", made["true_if"])

    def test_rows_that_are_reported_on_are_neither_learned_nor_chosen_on(self):
        lines = read("t.csv").decode().splitlines()
        pathlib.Path("twice.csv").write_text("\n".join(
            lines[:1] + [f"  {line.upper()}" for line in lines[1:31]]).replace("UP", "up").replace(
                "DOWN", "down") + "\n")
        made = squeeze("teacher.gguf", "judged.gguf", *ROWS, "--no-heal", "--dev", "twice.csv")
        self.assertEqual((made["rows_left_out"], made["held_out"]), (30, 30))
        self.assertEqual(made["learned"] + made["chosen_on"], 370)
        self.assertIn("(--dev twice.csv)", made["true_if"])
        self.assertIn("nothing is left to learn", run(
            "squeeze", "teacher.gguf", "-o", "no.gguf", *ROWS, "--dev", "t.csv", *ALWAYS, code=2))

    def test_a_figure_that_is_better_the_less_is_refused_with_those_that_may_be_named(self):
        for figure in ("ece", "exact"):
            said = run("squeeze", "teacher.gguf", "-o", "no.gguf", *ROWS, "--figure", figure,
                       "--progress", "none", code=2)
            self.assertIn(f"'{figure}' is none of accuracy, macro_f1, mcc", said)
            self.assertFalse(os.path.exists("no.gguf"))

    def test_a_figure_that_rows_to_choose_on_leave_undefined_ends_the_run(self):
        up, down = [], []
        for line in sentences(9, 1000):
            (up if line.count("good") > line.count("bad") else down).append(line)
        for name, n_up, n_down in (("one", 1, 400), ("other", 150, 150), ("down", 0, 60)):
            rows = [f"{line},up\n" for line in up[:n_up]]
            rows += [f"{line},down\n" for line in down[-n_down:]]
            pathlib.Path(f"{name}.csv").write_text("text,label\n" + "".join(rows))
        for data, more, part in (
                ("one.csv", ("--dev", "other.csv"), r"the \d+ rows of one.csv to choose on"),
                ("one.csv", ("--holdout", "0.2"), r"the \d+ rows of one.csv to choose on"),
                ("other.csv", ("--dev", "down.csv"), r"the \d+ rows of down.csv to report on")):
            said = run("squeeze", "teacher.gguf", "-o", "no.gguf", "--data", data, *more,
                       "--min-score", "50%", "--figure", "mcc", "--no-heal", *ALWAYS, code=2)
            self.assertRegex(said, f"teacher.gguf has no mcc on {part}, since one class alone "
                             "(occurs|is predicted): give more rows, hold out more")
            self.assertFalse(os.path.exists("no.gguf"))
            self.assertFalse(os.path.exists("no.gguf.checkpoint"))

    def test_a_task_s_rows_have_the_classes_of_the_model_whatever_it_calls_them(self):
        os.makedirs("SST-2")
        for split, seed, n in (("train", 4, 300), ("dev", 5, 80)):
            pathlib.Path(f"SST-2/{split}.tsv").write_text("sentence\tlabel\n" + "".join(
                f"{line}\t{int(line.count('good') > line.count('bad'))}\n"
                for line in sentences(seed, n)))
        task = ("--task", "sst2", "--data", "SST-2")
        for labels in ("negative,positive", "positive,negative", "LABEL_0,LABEL_1", "left,right"):
            subprocess.run([sys.executable, "-B", HERE / "make_folder.py", labels,
                            "BertForSequenceClassification", f"labels={labels}"], check=True)
            run("import", labels, "-o", "named.gguf")
            if labels == "left,right":
                self.assertIn("named.gguf: which class of sst2 each output stands for is unknown: ",
                              run("squeeze", "named.gguf", "-o", "no.gguf", *task, "--bits", "8",
                                  code=2))
                continue
            made = squeeze("named.gguf", "task.gguf", *task, "--bits", "8", "--no-heal")
            for model, told in (("named.gguf", "base"), ("task.gguf", "after")):
                wanted = json.loads(run("eval", model, *task, "--json"))
                self.assertEqual(made[told]["score"], wanted["metrics"]["accuracy"])
            self.assertEqual((made["score"], made["held_out"]), ("accuracy", 80))
        for file in ("train.tsv", "dev.tsv"):
            before = pathlib.Path("SST-2", file).read_bytes()
            os.link(f"SST-2/{file}", "front.csv")
            for output in ("-o", "--pareto"):
                place = f"SST-2/{file}" if output == "-o" else "front.csv"
                self.assertIn("it is what is read here", run(
                    "squeeze", "named.gguf", output, place, *task, "--no-heal",
                    *(("--bits", "4") if output == "-o" else ()), code=1))
            os.remove("front.csv")
            self.assertEqual(pathlib.Path("SST-2", file).read_bytes(), before)

    def test_below_the_score_nothing_is_written_and_what_would_do_is_said(self):
        said = run("squeeze", "bare.gguf", "-o", "no.gguf", "--texts", "texts.txt", "--budget",
                   "22kB", "--no-heal", "--min-score", "99%", *ALWAYS, code=1)
        self.assertIn("below --min-score 99%", said)
        self.assertRegex(said, r"about \d+ bytes seem to hold it")
        self.assertIn("nothing was written", said)
        self.assertFalse(os.path.exists("no.gguf"))
        self.assertFalse(os.path.exists("no.gguf.checkpoint"))


class Refusals(unittest.TestCase):
    def test_what_does_not_go_together_is_said(self):
        for arguments, words in (
                (("--budget", "1MB", "--label", "x"), "goes with --data"),
                (("--min-score", "99%"), "--texts FILE or --data PATH is missing"),
                ((*TEXTS, "--min-score", "much"), "neither a share"),
                ((*TEXTS, "--min-score", "1.5"), "neither a share"),
                ((*TEXTS, "--min-score", "101%"), "whole model's score, above 0% and at most 100%"),
                ((*TEXTS, "--min-score", "0%"), "--min-score: '0%' is neither a share"),
                ((*TEXTS, "--no-heal", "--minutes", "3"), "--no-heal leaves that out"),
                ((*TEXTS, "--no-heal", "--teacher-type", "s8"), "--no-heal leaves that out"),
                ((*TEXTS, "--no-heal", "--resume"), "nothing is kept"),
                ((*TEXTS, "--dry-run", "--resume"), "--resume: --dry-run keeps nothing"),
                ((*TEXTS, "--dry-run", "--checkpoint", "f"), "--checkpoint: --dry-run keeps"),
                ((*TEXTS, "--dry-run", "--min-score", "99%"), "--min-score: --dry-run makes no"),
                (("--texts", "texts.txt", "--dry-run", "--min-score", "99%"), "--min-score: --dry"),
                ((*TEXTS, "--dry-run", "--batch", "8"), "--batch is of healing alone: --dry-run"),
                ((*TEXTS, "--dry-run", "--max-length", "8"), "--max-length is of healing alone"),
                ((*TEXTS, "--minutes", "0"), "--minutes is above 0"),
                ((*TEXTS, "--drop-impossible"), "the vocabulary"),
                ((*TEXTS, "--figure", "f1"), "goes with --data"),
                ((*TEXTS, "--input", "conll"), "layouts of --data"),
                (("--texts", "texts.txt", "--depth", "1", "--bits", "4"), "depth"),
                (("--task", "sst2", "--data", "t.csv", "--label", "x"), "whose files are known")):
            said = subprocess.run([PROGRAM, "squeeze", "bare.gguf", "-o", "no.gguf", *arguments],
                                  capture_output=True, text=True)
            self.assertIn(said.returncode, (2, 3), arguments)
            self.assertIn(words, said.stderr, arguments)
            self.assertFalse(os.path.exists("no.gguf"), arguments)


unittest.main(verbosity=0)
