#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build --keep-head on classifiers that are made here: what stays, what is found, what is refused.

build_keep_runs.py PROGRAM
"""
import json
import math
import pathlib
import random
import subprocess
import sys
import unittest

from program import PROGRAM, enter, leave, run

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
FOUND = ("sqz.head.temperature", "sqz.head.threshold")


def rows():
    """Texts whose class, 2 or 10, is how often one word stands in them, now and then wrong."""
    draw = random.Random(1)
    for _ in range(400):
        words = [draw.choice(WORDS) for _ in range(draw.randrange(3, 9))]
        yield " ".join(words), "2" if (words.count("good") > 0) != (draw.random() < 0.1) else "10"


def write(name, table):
    pathlib.Path(name).write_text("text,label\n" + "".join(f"{t},{y}\n" for t, y in table))


def setUpModule():
    enter()
    make = [sys.executable, "-B", HERE / "make_folder.py"]
    subprocess.run([*make, "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    write("t.csv", rows())
    # of these classes, not all of which are numbers, 10 is the first; of t.csv's, 2
    write("more.csv", [*rows(), *[("a x " * n + "q", "other") for n in range(1, 9)]])
    run("build", "more.csv", "--base", "bare.gguf", "-o", "base.gguf", "--no-cache",
        "--false-refusals", "40%")
    assert describe("base.gguf")["labels"] == ["10", "2", "other"]
    subprocess.run([*make, "three", "BertForSequenceClassification", "labels=2,10,other"],
                   check=True)
    run("import", "three", "-o", "floats.gguf")


tearDownModule = leave


def keep(base, out, *more, data="t.csv"):
    return json.loads(run("build", data, "--base", base, "-o", out, "--keep-head", "--no-cache",
                          "--json", *more))


def describe(name):
    return json.loads(run("info", name, "--json", "--tensors"))


def weights(name):
    """Of each tensor that is no reference vector, how it is stored and its bytes."""
    data = pathlib.Path(name).read_bytes()
    return {t["name"]: (t["type"], t["shape"], data[t["offset"]:t["offset"] + t["bytes"]])
            for t in describe(name)["tensors"] if not t["name"].startswith("verify.")}


def rest_of(metadata):
    """What a build may not touch."""
    new = ("general.name", "sqz.history", *FOUND)
    return {k: v for k, v in metadata.items()
            if k not in new and not k.startswith(("sqz.verify.", "sqz.header.", "sqz.tensors."))}


def answers(name, lines):
    """classify's of lines of t.csv, the best class beside them."""
    texts = pathlib.Path("t.csv").read_text().splitlines()
    got = subprocess.run([PROGRAM, "classify", name, "--json", "--logits"], check=True,
                         input="".join(texts[n - 1].split(",")[0] + "\n" for n in lines),
                         capture_output=True, text=True)
    labels = describe(name)["labels"]
    found = [json.loads(x) for x in got.stdout.splitlines()]
    return [{**a, "best": labels[a["scores"].index(max(a["scores"]))]} for a in found]


def held_out(name):
    head, *lines = pathlib.Path(name + ".predictions.tsv").read_text().splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"))) for line in lines]


def loss_at(temperature, asked, truths, labels):
    """Mean -log softmax of the truth, one more row counted that could be any."""
    of_truths, of_any, n = 0, 0, len(asked)
    for answer, truth in zip(asked, truths):
        z = [x / temperature for x in answer["logits"]]
        most = math.log(sum(math.exp(x - max(z)) for x in z)) + max(z)
        of_truths += most - z[labels.index(truth)]
        of_any += most - sum(z) / len(z)
    return (n * of_truths + of_any) / (n + 1)


class Keep(unittest.TestCase):
    def test_weights_stay_as_they_are_whatever_types_they_have(self):
        bases = ["base.gguf", "floats.gguf"]
        for kind in ("s8", "s4", "s3", "bf16"):
            run("quantize", "floats.gguf", "-o", kind + ".gguf", "--type", kind)
            bases.append(kind + ".gguf")
        run("squeeze", "floats.gguf", "-o", "squeezed.gguf", "--neurons", "50%", "--texts", "t.csv")
        self.assertIn("sqz.squeeze.fidelity.texts", describe("squeezed.gguf")["metadata"])
        bases.append("squeezed.gguf")
        for base in bases:
            with self.subTest(base):
                keep(base, "out.gguf")
                self.assertEqual(weights(base), weights("out.gguf"))
                was, now = describe(base)["metadata"], describe("out.gguf")["metadata"]
                self.assertEqual(rest_of(was), rest_of(now))
                self.assertNotEqual(was.get(FOUND[0]), now[FOUND[0]])
                run("verify", "out.gguf")
                run("info", "out.gguf", "--check")

    def test_what_is_held_out_answers_as_classify_does_in_any_order_of_classes(self):
        r = keep("base.gguf", "o.gguf")
        self.assertEqual(r["method"], "kept")
        self.assertGreater(r["metrics"]["accuracy"], 0.8)
        self.assertEqual(r["held_out"], 60)
        rows_ = held_out("o.gguf")
        asked = answers("o.gguf", [int(x["line"]) for x in rows_])
        self.assertEqual([x["prediction"] for x in rows_], [x["best"] for x in asked])
        self.assertEqual({x["prediction"] for x in rows_}, {"2", "10"})
        self.assertAlmostEqual(r["metrics"]["accuracy"], sum(
            x["truth"] == a["best"] for x, a in zip(rows_, asked)) / len(rows_))

    def test_temperature_and_threshold_are_those_of_the_rows_held_out(self):
        r = keep("base.gguf", "o.gguf", "--false-refusals", "20%")
        labels = describe("o.gguf")["labels"]
        rows_ = held_out("o.gguf")
        asked = answers("o.gguf", [int(x["line"]) for x in rows_])
        truths = [x["truth"] for x in rows_]
        loss = [loss_at(r["temperature"] * by, asked, truths, labels) for by in (1, 0.99, 1.01)]
        self.assertEqual(min(loss), loss[0])
        most = [max(a["logits"]) for a in asked]
        self.assertTrue(any(abs(x - r["threshold"]) < 1e-6 * abs(x) for x in most))
        # classify refuses by it, and is as sure as the temperature says
        for a in asked:
            above = max(a["logits"]) - r["threshold"]
            self.assertTrue(abs(above) < 1e-5 or (a["label"] is None) == (above < 0))
            apart = [math.exp((x - max(a["logits"])) / r["temperature"]) for x in a["logits"]]
            for score, share in zip(a["scores"], apart):
                self.assertAlmostEqual(score, share / sum(apart), places=5)
        self.assertTrue(any(a["label"] is None for a in asked))
        r = keep("base.gguf", "o.gguf", "--false-refusals", "0")
        self.assertIsNone(r["threshold"])
        self.assertNotIn(FOUND[1], describe("o.gguf")["metadata"])
        self.assertEqual(r["answered"], r["held_out"])

    def test_an_old_temperature_and_threshold_change_nothing(self):
        first = keep("base.gguf", "first.gguf", "--false-refusals", "15%")
        keep("base.gguf", "other.gguf", "--false-refusals", "0")
        for base in ("first.gguf", "other.gguf"):
            again = keep(base, "again.gguf", "--false-refusals", "15%")
            self.assertEqual({**again, "model": 0}, {**first, "model": 0})
            self.assertEqual(held_out("again.gguf"), held_out("first.gguf"))

    def test_runs_and_threads_change_no_bit(self):
        keep("base.gguf", "one.gguf", "-t", "1")
        keep("base.gguf", "two.gguf", "-t", "2")
        self.assertEqual(pathlib.Path("one.gguf").read_bytes(),
                         pathlib.Path("two.gguf").read_bytes())
        run("build", "t.csv", "--base", "base.gguf", "-o", "two.gguf", "--keep-head", "--cache",
            "kept.features")
        r = json.loads(run("build", "t.csv", "--base", "base.gguf", "-o", "two.gguf",
                           "--keep-head", "--cache", "kept.features", "--json"))
        self.assertEqual(r["texts_read"], 0)
        self.assertEqual(pathlib.Path("one.gguf").read_bytes(),
                         pathlib.Path("two.gguf").read_bytes())

    def test_rows_held_out_are_those_that_a_fitted_head_is_judged_by(self):
        keep("base.gguf", "o.gguf", "--seed", "7", "--holdout", "0.2")
        run("build", "t.csv", "--base", "bare.gguf", "-o", "fitted.gguf", "--no-cache", "--seed",
            "7", "--holdout", "0.2")
        self.assertEqual([x["line"] for x in held_out("o.gguf")],
                         [x["line"] for x in held_out("fitted.gguf")])
        card = pathlib.Path("o.gguf.md").read_text()
        self.assertIn("--holdout 0.2 --seed 7", card)
        self.assertIn("The head of the base", card)
        self.assertNotIn("| C |", card)
        self.assertIn("| C |", pathlib.Path("fitted.gguf.md").read_text())

    def test_a_class_that_the_data_has_not_is_said_and_one_that_the_model_lacks_refused(self):
        got = subprocess.run([PROGRAM, "build", "t.csv", "--base", "base.gguf", "-o", "o.gguf",
                              "--keep-head", "--no-cache"], capture_output=True, text=True,
                             check=True)
        self.assertIn("1 class has no example in the data: other (0)", got.stderr)
        self.assertIn("the head of the base: nothing is fitted", got.stdout)
        r = keep("base.gguf", "o.gguf")
        self.assertEqual((r["classes"], r["absent"], r["few"]), (3, 1, 0))
        for key in ("c", "frozen_accuracy", "full_accuracy"):
            self.assertNotIn(key, r)
        self.assertIn("| other | 0 | 0 | - |", pathlib.Path("o.gguf.md").read_text())
        write("new.csv", [*rows(), ("film film", "new"), ("film q", "new")])
        pathlib.Path("old.gguf").write_text("old")
        got = run("build", "new.csv", "--base", "base.gguf", "-o", "old.gguf", "--keep-head",
                  "--no-cache", code=2)
        self.assertIn("new.csv: 2 rows, the first on line 402, have the label 'new'", got)
        self.assertEqual(pathlib.Path("old.gguf").read_text(), "old")

    def test_classes_that_nobody_named_go_by_their_numbers(self):
        config = json.loads(pathlib.Path("three/config.json").read_text())
        config["num_labels"] = len(config.pop("id2label"))
        config.pop("label2id", None)
        pathlib.Path("three/config.json").write_text(json.dumps(config))
        run("import", "three", "-o", "unnamed.gguf")
        self.assertFalse(describe("unnamed.gguf")["labels_named"])
        write("numbers.csv", [(t, {"2": "2", "10": "0"}[y]) for t, y in rows()])
        r = keep("unnamed.gguf", "o.gguf", data="numbers.csv")
        self.assertEqual(r["absent"], 1)
        asked = answers("o.gguf", [int(x["line"]) for x in held_out("o.gguf")])
        names = {"0": "LABEL_0", "2": "LABEL_2"}
        self.assertEqual([names.get(x["prediction"], x["prediction"]) for x in held_out("o.gguf")],
                         [a["best"] for a in asked])

    def test_what_does_not_go_with_it_is_refused_by_name(self):
        def refused(*more, code=2):
            return run("build", "t.csv", "-o", "no.gguf", "--keep-head", "--no-cache", *more,
                       code=code)
        self.assertIn("--keep-head and --minutes",
                      refused("--base", "base.gguf", "--minutes", "1"))
        self.assertIn("--keep-head and --checkpoint",
                      refused("--base", "base.gguf", "--checkpoint", "f"))
        self.assertIn("--keep-head: --base MODEL is needed", refused())
        self.assertIn("bare.gguf: its head is none", refused("--base", "bare.gguf"))
        self.assertFalse(pathlib.Path("no.gguf").exists())


if __name__ == "__main__":
    unittest.main()
