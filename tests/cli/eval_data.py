#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""eval on labelled texts that are written here: figures are those of the answers it writes, two
models are compared by them, and what does not fit is refused by its line.

eval_data.py PROGRAM
"""
import json
import math
import pathlib
import subprocess
import sys
import unittest

from program import PROGRAM, enter, leave

HERE = pathlib.Path(__file__).resolve().parent
TEXTS = [f"{a} {b} film{c}" for a in ("the", "a", "no", "x") for b in ("good", "bad", "q")
         for c in ("", "s", " .")]
CLASSES = ("down", "left", "up")


def setUpModule():
    enter()
    for name, kind, *fault in (("c", "BertForSequenceClassification", "labels=up,down,right"),
                               ("plain", "BertForSequenceClassification", "labels=LABEL_0,LABEL_1"),
                               ("ner", "BertForTokenClassification"), ("bare", "BertModel")):
        subprocess.run([sys.executable, "-B", HERE / "make_folder.py", f"folder-{name}", kind,
                        *fault], check=True)
        run("import", f"folder-{name}", "-o", f"{name}.gguf")
    pathlib.Path("t.csv").write_text("text,label\n" + "".join(
        f"{t},{CLASSES[i * 7 % 11 % 3]}\n" for i, t in enumerate(TEXTS)))
    for name, epochs in (("a", "30"), ("b", "6")):
        run("finetune", "bare.gguf", "-o", f"{name}.gguf", "--data", "t.csv", "--epochs", epochs,
            "--lr", "5e-3", "--batch", "8", "--checkpoint-minutes", "0")


tearDownModule = leave


def run(*arguments, code=0, **more):
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, **more)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code in (0, 1) else got.stderr


def answers(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


class Eval(unittest.TestCase):
    def test_figures_are_those_of_the_answers(self):
        report = json.loads(run("eval", "a.gguf", "--data", "t.csv", "--json", "--predictions",
                                "p.jsonl"))
        rows = answers("p.jsonl")
        self.assertEqual(len(rows), len(TEXTS))
        right = [r["prediction"] == r["truth"] for r in rows]
        self.assertAlmostEqual(report["metrics"]["accuracy"], sum(right) / len(rows), delta=1e-12)
        f1 = []
        for k, name in enumerate(CLASSES):
            there = sum(r["truth"] == name for r in rows)
            said = sum(r["prediction"] == name for r in rows)
            both = sum(r["prediction"] == name == r["truth"] for r in rows)
            f1.append(2 * both / (there + said))
            entry = report["classes"][k]
            self.assertEqual((entry["label"], entry["support"]), (name, there))
            self.assertEqual(entry["precision"], both / said if said else None)
            self.assertAlmostEqual(entry["f1"], f1[-1], delta=1e-12)
            for j, other in enumerate(CLASSES):
                self.assertEqual(report["confusion"][k][j], sum(
                    r["truth"] == name and r["prediction"] == other for r in rows))
        self.assertAlmostEqual(report["metrics"]["macro_f1"], sum(f1) / 3, delta=1e-12)
        for row in rows:
            self.assertAlmostEqual(sum(row["scores"]), 1, delta=1e-5)
            self.assertEqual(row["scores"].index(max(row["scores"])),
                             CLASSES.index(row["prediction"]))

    def test_stdin_is_as_good_as_a_file(self):
        of_file = json.loads(run("eval", "a.gguf", "--data", "t.csv", "--json"))
        of_pipe = json.loads(run("eval", "a.gguf", "--input", "csv", "--json",
                                 input=pathlib.Path("t.csv").read_text()))
        self.assertEqual(of_pipe.pop("data"), "stdin")
        of_file.pop("data")
        self.assertEqual(of_file, of_pipe)

    def test_two_models_are_compared(self):
        report = json.loads(run("eval", "a.gguf", "--data", "t.csv", "--json", "--against",
                                "b.gguf", "--predictions", "p.jsonl"))
        other = json.loads(run("eval", "b.gguf", "--data", "t.csv", "--json"))
        rows, against = answers("p.jsonl"), report["against"]
        for name in ("accuracy", "macro_f1", "ece"):
            self.assertAlmostEqual(against["metrics"][name],
                                   report["metrics"][name] - other["metrics"][name], delta=1e-12)
        better = sum(r["prediction"] == r["truth"] != r["against"] for r in rows)
        worse = sum(r["against"] == r["truth"] != r["prediction"] for r in rows)
        self.assertEqual((against["better"], against["worse"]), (better, worse))
        n = better + worse
        tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1)) / 2 ** n
        self.assertAlmostEqual(against["p"], min(1, 2 * tail), delta=1e-12)
        self.assertGreater(n, 0)
        shown = run("eval", "a.gguf", "--data", "t.csv", "--against", "b.gguf")
        self.assertEqual(shown.count(", better: ") + shown.count(", worse: "), min(n, 20))

    def test_an_accuracy_that_is_too_low_is_a_failure(self):
        accuracy = json.loads(run("eval", "a.gguf", "--data", "t.csv", "--json"))["metrics"][
            "accuracy"]
        run("eval", "a.gguf", "--data", "t.csv", "--min-accuracy", repr(accuracy))
        got = run("eval", "a.gguf", "--data", "t.csv", "--json", "--min-accuracy",
                  repr(accuracy + 1e-9), code=1)
        self.assertEqual(json.loads(got)["metrics"]["accuracy"], accuracy)

    def test_classes_without_names_are_numbers(self):
        pathlib.Path("n.tsv").write_text("text\tlabel\n" + "".join(
            f"{t}\t{i % 2}\n" for i, t in enumerate(TEXTS)))
        report = json.loads(run("eval", "plain.gguf", "--data", "n.tsv", "--json"))
        self.assertEqual([c["label"] for c in report["classes"]], ["0", "1"])

    def test_words_are_those_that_ner_names(self):
        words = [t.split() for t in TEXTS]
        pathlib.Path("n.conll").write_text("\n".join(
            "".join(f"{w} {('O', 'B-PER', 'I-PER')[len(w) % 3]}\n" for w in s) for s in words))
        report = json.loads(run("eval", "ner.gguf", "--data", "n.conll", "--json",
                                "--predictions", "p.jsonl"))
        found = run("ner", "ner.gguf", "--aggregation", "none", "--json",
                    input="".join(" ".join(s) + "\n" for s in words))
        right = 0
        for row, line, sentence in zip(answers("p.jsonl"), found.splitlines(), words):
            entities = {e["start"]: e.get("entity", e.get("label", e.get("entity_group")))
                        for e in json.loads(line)["entities"]}
            begin = 0
            for word, said, true in zip(sentence, row["prediction"], row["truth"]):
                self.assertEqual(said, entities.get(begin, "O"))
                right += said == true
                begin += len(word) + 1
        self.assertAlmostEqual(report["metrics"]["accuracy"], right / sum(map(len, words)),
                               delta=1e-12)

    def test_what_does_not_fit_is_refused(self):
        pathlib.Path("odd.csv").write_text("text,label\na,up\nb,\n")
        for code, said, arguments in (
            (2, "--input", ("a.gguf",)),
            (3, "its head is none", ("bare.gguf", "--data", "t.csv")),
            (2, "other ones", ("a.gguf", "--data", "t.csv", "--against", "c.gguf")),
            (2, "other ones", ("a.gguf", "--data", "t.csv", "--against", "ner.gguf")),
            (2, "--cosine", ("a.gguf", "--data", "t.csv", "--cosine")),
            (2, "a share, 0 to 1", ("a.gguf", "--data", "t.csv", "--min-accuracy", "90")),
            (2, "Matthews' correlation", ("no/such", "--task", "cola", "--data", "no/such",
                                          "--min-accuracy", "0.5")),
            (2, "correlations", ("no/such", "--task", "stsb", "--data", "no/such",
                                 "--min-accuracy", "0.5")),
            (2, "--against is for",
             ("a.gguf", "--task", "mrpc", "--data", ".", "--against", "a.gguf")),
            (2, "--text does not go", ("a.gguf", "--task", "mrpc", "--data", ".", "--text", "b")),
            (3, "line 2: the label 'left' is none of the 3 classes 'up', 'down', 'right'",
             ("c.gguf", "--data", "l.csv")),
            (3, "odd.csv: line 3: the row has no label", ("a.gguf", "--data", "odd.csv")),
            (3, "no column 'team', it has 'text', 'label'",
             ("a.gguf", "--data", "t.csv", "--label", "team")),
            (3, "no/such.csv", ("a.gguf", "--data", "no/such.csv")),
            (3, "no/such.gguf", ("a.gguf", "--data", "t.csv", "--against", "no/such.gguf")),
        ):
            pathlib.Path("l.csv").write_text("text,label\na,left\n")
            self.assertIn(said, run("eval", *arguments, code=code))


if __name__ == "__main__":
    unittest.main()
