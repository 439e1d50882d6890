#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""finetune --loss on tables that are written here: pairs with scores, texts that belong together,
with and without negatives. What is learnt, what the file gives, bits, and what is refused.

finetune_embedder.py PROGRAM
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

from program import PROGRAM, enter, leave

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the no q x".split()
FAST = ("--epochs", "8", "--lr", "3e-3", "--batch", "8", "--progress", "none", "-t", "1")
SIDES = ("--text", "question", "--text2", "answer")
RANKING = ("--loss", "ranking", *SIDES)
SCORED = ("--loss", "cosent", *SIDES, "--label", "score")


def rows(n):
    """Sets of words, the same set otherwise put, one other, and how much of it is the first."""
    draw = random.Random(3)
    for _ in range(n):
        words = draw.sample(WORDS, draw.randrange(2, 4))
        other = draw.sample(WORDS, draw.randrange(2, 4))
        again = [*reversed(words), "a"]
        score = 5 * len(set(words) & set(other)) / max(len(words), len(other))
        yield " ".join(words), " ".join(again), " ".join([*other, "a", "a"]), score


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    some = [row for row in rows(100) if set(row[0].split()) != set(row[2].split()) - {"a"}]
    pathlib.Path("asked.csv").write_text("question,answer,wrong,worse\n" + "".join(
        f"{q},{a},{w},{w} the the a\n" for q, a, w, _ in some))
    pathlib.Path("asked.jsonl").write_text("".join(json.dumps(
        {"question": q, "answer": a, "wrong": [w, w + " the the a"]}) + "\n"
        for q, a, w, _ in some))
    pathlib.Path("scored.csv").write_text("question,answer,score\n" + "".join(
        f"{q},{w},{s}\n" for q, _, w, s in rows(400)))


tearDownModule = leave


def run(*arguments, code=0, text=None):
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, input=text)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code == 0 else got.stderr


def train(out, *arguments):
    if "--resume" not in arguments:
        shutil.rmtree(out + ".checkpoint", ignore_errors=True)
    return json.loads(run("finetune", "bare.gguf", "-o", out, "--json", *FAST, *arguments))


def read(path):
    return pathlib.Path(path).read_bytes()


class Embedder(unittest.TestCase):
    def improves(self, name, falls, *arguments):
        """A long run against one step of none of its rate."""
        before = train("before.gguf", "--holdout", "0.25", *arguments, "--max-steps", "1",
                       "--warmup", "0.5")["metrics"][name]
        after = train("after.gguf", "--holdout", "0.25", *arguments)["metrics"][name]
        (self.assertLess if falls else self.assertGreater)(after, before, arguments)

    def test_texts_that_belong_together_come_near(self):
        self.improves("mrr", False, "--data", "asked.csv", *RANKING)
        self.improves("loss", True, "--data", "asked.csv", *RANKING, "--symmetric")

    def test_hard_negatives_go_away(self):
        for negatives in (("--negative", "wrong"), ("--negative", "wrong,worse")):
            self.improves("loss", True, "--data", "asked.csv", *RANKING, *negatives)

    def test_scores_are_learnt(self):
        self.improves("spearman", False, "--data", "scored.csv", *SCORED)
        cosine = ("--loss", "cosine", *SIDES, "--label", "score", "--label-range", "0,5")
        self.improves("spearman", False, "--data", "scored.csv", *cosine)

    def test_negatives_in_an_array_are_those_in_columns(self):
        train("columns.gguf", "--data", "asked.csv", *RANKING, "--negative", "wrong,worse")
        train("array.gguf", "--data", "asked.jsonl", *RANKING, "--negative", "wrong")
        self.assertEqual(read("columns.gguf"), read("array.gguf"))

    def test_the_file_embeds_as_it_was_measured(self):
        shutil.copy("scored.csv", "dev.csv")
        report = train("file.gguf", "--data", "scored.csv", "--dev", "dev.csv", *SCORED,
                       "--pool", "cls")
        again = json.loads(run("eval", "file.gguf", "--data", "scored.csv", "--json", *SIDES,
                               "--label", "score"))
        self.assertEqual(report["metrics"], again["metrics"])
        self.assertIsNone(report["metrics"]["mse"])
        self.assertLess(report["intervals"]["spearman"][0], report["metrics"]["spearman"])
        info = run("info", "file.gguf")
        self.assertRegex(info, r"pool +cls")
        self.assertRegex(info, r"head +none")
        ranked = json.loads(run("eval", "file.gguf", "--data", "asked.csv", "--json", *SIDES))
        self.assertEqual(sorted(ranked["metrics"]), ["accuracy", "loss", "mrr"])

    def test_parts_have_the_gradient_of_the_batch(self):
        for loss in ((*RANKING, "--data", "asked.csv", "--negative", "wrong"),
                     (*SCORED, "--data", "scored.csv")):
            losses = []
            for parts in ("1", "3"):
                train("parts.gguf", *loss, "--accumulate", parts, "--losses", "losses.json",
                      "--max-steps", "12")
                losses.append(json.loads(read("losses.json")))
            for a, b in zip(*losses):
                self.assertAlmostEqual(a, b, delta=1e-4 * abs(a))

    def test_bits_depend_on_neither_threads_nor_measuring_nor_kills(self):
        arguments = (*RANKING, "--data", "asked.csv", "--holdout", "0.2", "--metric", "mrr",
                     "--checkpoint-steps", "5", "--accumulate", "2")
        whole = train("whole.gguf", *arguments)
        train("two.gguf", *arguments, "-t", "2")
        self.assertEqual(read("whole.gguf"), read("two.gguf"))
        for lines in (4, 30):
            log, out = f"killed{lines}.log", f"killed{lines}.gguf"
            process = subprocess.Popen(
                [PROGRAM, "finetune", "bare.gguf", "-o", out, "--log", log, *FAST, *arguments],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not (
                    os.path.exists(log) and read(log).count(b"\n") >= lines):
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertFalse(os.path.exists(out))
            again = train(out, "--resume", *arguments)
            self.assertEqual(read("whole.gguf"), read(out))
            self.assertEqual(again["metrics"], whole["metrics"])

    def test_a_prompt_is_read_with_each_text(self):
        common = (*RANKING, "--data", "asked.csv", "--max-steps", "4")
        train("plain.gguf", *common)
        train("prompts.gguf", *common, "--query-prompt", "text:q ", "--passage-prompt", "text:x ")
        self.assertNotEqual(read("plain.gguf"), read("prompts.gguf"))
        lines = pathlib.Path("asked.csv").read_text().split("\n")
        pathlib.Path("with.csv").write_text("\n".join(lines[:1] + [
            ",".join(("q " + line).split(",")[:1] + ["x " + t for t in line.split(",")[1:]])
            for line in lines[1:] if line]))
        train("with.gguf", *RANKING, "--data", "with.csv", "--max-steps", "4")
        self.assertEqual(read("prompts.gguf"), read("with.gguf"))

    def test_figures_of_a_task_have_the_prompts_of_its_texts(self):
        os.makedirs("STS-B", exist_ok=True)
        for split, n in (("train", 60), ("dev", 40)):
            pathlib.Path("STS-B", split + ".tsv").write_text(
                "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"
                "\tscore\n" + "".join(f"{i}\tg\tf\t1\t1\ta\tb\t{q}\t{w}\t{s:.3f}\n"
                                     for i, (q, _, w, s) in enumerate(rows(n))))
        prompts = ("--query-prompt", "text:q the ", "--passage-prompt", "text:bad ")
        got = train("task.gguf", "--loss", "cosent", "--task", "stsb", "--data", "STS-B",
                    "--max-steps", "2", *prompts)
        self.assertEqual(got["task_metrics"]["spearman"], got["metrics"]["spearman"])
        own = ("eval", "task.gguf", "--task", "stsb", "--data", "STS-B", "--json")
        with_prompts = json.loads(run(*own, "--cosine", *prompts))["metrics"]
        self.assertEqual(with_prompts, got["task_metrics"])
        self.assertNotEqual(with_prompts, json.loads(run(*own, "--cosine"))["metrics"])
        for arguments in (prompts, ("--cosine", "--negative", "genre")):
            self.assertIn("for data of your own", run(*own, *arguments, code=2))

    def test_a_head_of_the_base_is_left_out(self):
        pathlib.Path("t.csv").write_text("text,label\ngood,up\nbad,down\n" * 8)
        train("head.gguf", "--data", "t.csv", "--max-steps", "2")
        out = run("finetune", "head.gguf", "-o", "none.gguf", "--json", *FAST, *RANKING, "--data",
                  "asked.csv", "--max-steps", "2")
        self.assertIn("none.gguf", out)
        self.assertRegex(run("info", "none.gguf"), r"head +none")
        self.assertNotIn(b"head.output", read("none.gguf"))

    def test_a_text_that_is_everywhere_makes_small_batches(self):
        pathlib.Path("same.csv").write_text("question,answer\n" + "".join(
            f"{q},the no\n" for q, _, _, _ in rows(24)))
        got = subprocess.run([PROGRAM, "finetune", "bare.gguf", "-o", "same.gguf", "--json", *FAST,
                              *RANKING, "--data", "same.csv", "--max-steps", "1"],
                             capture_output=True, text=True, check=True)
        self.assertIn("stands in 24 examples", got.stderr)

    def test_what_does_not_fit_is_refused(self):
        pathlib.Path("own.csv").write_text("question,answer,wrong\nq,x,X.\n")
        pathlib.Path("gap.csv").write_text("question,answer,wrong\nq,x,no\nq,x,\n")
        pathlib.Path("ragged.jsonl").write_text(
            '{"text":"q","text2":"x","wrong":["a"]}\n{"text":"q","text2":"x","wrong":["a","b"]}\n')
        for code, said, arguments in (
            (2, "--negative is for embedders", ("--negative", "wrong")),
            (2, "--prompt is for embedders", ("--prompt", "text:a")),
            (2, "--label: texts", (*RANKING, "--label", "score")),
            (2, "--symmetric are for", (*SCORED, "--symmetric")),
            (2, "--scale is for", ("--loss", "cosine", "--scale", "2")),
            (2, "--scale is above 0", (*RANKING, "--scale", "0")),
            (2, "--problem is of a head", (*RANKING, "--problem", "tokens")),
            (2, "--label-range is LOW,HIGH", (*SCORED, "--data", "scored.csv", "--label-range",
                                              "5")),
            (2, "no prompt 'ask'", (*RANKING, "--prompt", "ask")),
            (2, "it is one of accuracy, mrr",
             (*RANKING, "--metric", "loss", "--holdout", "0.2")),
            (2, "pairs with scores of --task stsb", (*RANKING[:2], "--task", "mrpc")),
            (3, "scored.csv: line 2: the score", (*SCORED, "--data", "scored.csv", "--label-range",
                                                  "9,10")),
            (2, "cosine is -1 to 1", ("--loss", "cosine", *SIDES, "--label", "score", "--data",
                                      "scored.csv")),
            (3, "no column 'missing'", (*RANKING, "--negative", "missing")),
            (3, "own.csv: line 2: negative 1 is the same text as the text2",
             (*RANKING, "--data", "own.csv", "--negative", "wrong")),
            (3, "gap.csv: line 3: there is no text in 'wrong'",
             (*RANKING, "--data", "gap.csv", "--negative", "wrong")),
            (3, "ragged.jsonl: line 2: 2 negatives",
             (*RANKING[:2], "--data", "ragged.jsonl", "--negative", "wrong")),
            (2, "nothing to train", (*RANKING, "--freeze", "encoder")),
        ):
            got = run("finetune", "bare.gguf", "-o", "never", *FAST, "--data", "asked.csv",
                      *arguments, code=code)
            self.assertIn(said, got)
            self.assertFalse(os.path.exists("never"))


if __name__ == "__main__":
    unittest.main()
