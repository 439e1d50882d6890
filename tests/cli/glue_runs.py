#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""glue on a GLUE folder that is written here, in the published layout, with tiny models: figures
are those of the answers, by fractions and, where they are installed, by scikit-learn and SciPy; the
mean; the zip file; which model does which task.

glue_runs.py PROGRAM
"""
import csv
import fractions
import io
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import unittest
import zipfile

from program import PROGRAM, enter, leave, run

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
NLI = ("entailment", "neutral", "contradiction")
TWO = ("entailment", "not_entailment")
# folder: task, header of dev, where its texts and its label go, labels, columns of test
LAYOUT = {
    "CoLA": ("cola", "", (3,), 1, "01", "index sentence"),
    "SST-2": ("sst2", "sentence label", (0,), 1, "01", "index sentence"),
    "MRPC": ("mrpc", "Quality|#1 ID|#2 ID|#1 String|#2 String", (3, 4), 0, "01",
             "index|#1 ID|#2 ID|#1 String|#2 String"),
    "QQP": ("qqp", "id qid1 qid2 question1 question2 is_duplicate", (3, 4), 5, "01",
            "id question1 question2"),
    "STS-B": ("stsb", "index genre filename year old_index source1 source2 sentence1 sentence2 "
              "score", (7, 8), 9, ("0.000", "1.250", "2.600", "3.8", "5"),
              "index genre filename year old_index source1 source2 sentence1 sentence2"),
    "QNLI": ("qnli", "index question sentence label", (1, 2), 3, TWO, "index question sentence"),
    "RTE": ("rte", "index sentence1 sentence2 label", (1, 2), 3, TWO, "index sentence1 sentence2"),
    "WNLI": ("wnli", "index sentence1 sentence2 label", (1, 2), 3, "01",
             "index sentence1 sentence2"),
    "MNLI": ("mnli", "index promptID pairID genre s1_binary_parse s2_binary_parse s1_parse "
             "s2_parse sentence1 sentence2 label1 gold_label", (8, 9), 11, NLI,
             "index promptID pairID genre s1_binary_parse s2_binary_parse s1_parse s2_parse "
             "sentence1 sentence2"),
}
PARTS = {"AX": ("AX", "AX", "AX"), "MNLI-m": ("MNLI", "dev_matched", "test_matched"),
         "MNLI-mm": ("MNLI", "dev_mismatched", "test_mismatched"),
         **{name: (name, "dev", "test") for name in LAYOUT if name != "MNLI"}}


def text(draw):
    return " ".join(draw.choice(WORDS) for _ in range(draw.randrange(1, 5)))


def write_task(name, folder, splits):
    """Files of a task, quotes in them; each test file once more with labels, as probe_SPLIT."""
    _, header, at, label, labels, test = LAYOUT[name]
    draw = random.Random(name)
    split_at = "|" if "|" in header else " "
    columns, short = header.split(split_at) if header else [], test.split(split_at)
    width = len(columns) or 4
    folder.mkdir()
    for split, n in splits:
        rows = [[f"c{k}" for k in range(width)] for _ in range(n)]
        for i, row in enumerate(rows):
            row[0] = str(i)
            for k in at:
                row[k] = text(draw) + (' "' if i % 5 == 0 else "")
            row[label] = draw.choice(labels) if i >= len(labels) else labels[i]
        of_test = split.startswith("test")
        name_of_labelled = "probe_" + split if of_test else split
        lines = ["\t".join(r) for r in ([columns] if columns else []) + rows]
        (folder / f"{name_of_labelled}.tsv").write_text("\n".join(lines) + "\n")
        if not of_test:
            continue
        source = columns or ["source", "label", "mark", "sentence"]
        kept = [[str(i)] + [row[source.index(c)] for c in short[1:]] for i, row in enumerate(rows)]
        (folder / f"{split}.tsv").write_text("\n".join("\t".join(r) for r in [short] + kept) + "\n")


def setUpModule():
    enter()
    data = pathlib.Path("GLUE")
    data.mkdir()
    for name in LAYOUT:
        splits = ((("train", 24), ("dev_matched", 31), ("dev_mismatched", 37), ("test_matched", 9),
                   ("test_mismatched", 11)) if name == "MNLI" else
                  (("train", 24), ("dev", 41), ("test", 13)))
        write_task(name, data / name, splits)
    (data / "AX").mkdir()
    draw = random.Random(9)
    rows = [(text(draw), text(draw), draw.choice(NLI)) for _ in range(19)]
    write_ax(data, rows, False)
    write_ax(pathlib.Path("."), rows, True)
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    global reports
    reports = {}
    for name, (task, *_) in LAYOUT.items():
        reports[task] = json.loads(run(
            "finetune", "bare.gguf", "-o", f"{task}.gguf", "--task", task, "--data", f"GLUE/{name}",
            "--epochs", "8", "--lr", "5e-3", "--batch", "8", "--json", "-t", "1"))
    for order in ("entailment,neutral,contradiction", "contradiction,entailment,neutral",
                  "LABEL_0,LABEL_1,LABEL_2"):
        name = order.split(",")[0]
        subprocess.run([sys.executable, "-B", HERE / "make_folder.py", name,
                        "BertForSequenceClassification", f"labels={order}"], check=True)
        run("import", name, "-o", f"{name}.gguf")


def write_ax(folder, rows, labelled):
    (folder / "AX").mkdir(exist_ok=True)
    header = ["index", "sentence1", "sentence2"] + ["label"] * labelled
    (folder / "AX" / "AX.tsv").write_text("".join(
        "\t".join(r) + "\n" for r in [header] + [[str(i), *row[:2 + labelled]]
                                                 for i, row in enumerate(rows)]))


tearDownModule = leave


def glue(*arguments, data="GLUE"):
    return json.loads(run("glue", *arguments, "--data", data, "--json", "-t", "1"))


def answers(part, model, split, data="GLUE"):
    folder = PARTS[part][0]
    task = "ax" if folder == "AX" else LAYOUT[folder][0]
    run("eval", model, "--task", task, "--data", f"{data}/{folder}", "--split", split,
        "--predictions", "p.jsonl", "-t", "1")
    return [json.loads(line) for line in pathlib.Path("p.jsonl").read_text().splitlines()]


def root(x):
    """The square root of a fraction, to 40 digits."""
    scale = 10 ** 40
    return fractions.Fraction(math.isqrt(x.numerator * scale * scale // x.denominator), scale)


def matthews(said, true):
    n, classes = len(true), sorted(set(said) | set(true))
    right = sum(s == t for s, t in zip(said, true))
    p, t = [[a.count(k) for k in classes] for a in (said, true)]
    below = (n * n - sum(x * x for x in p)) * (n * n - sum(x * x for x in t))
    return float((right * n - sum(a * b for a, b in zip(p, t))) / root(fractions.Fraction(below))
                 ) if below else 0.0


def pearson(x, y):
    x, y = [[fractions.Fraction(v) for v in a] for a in (x, y)]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    xy = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return float(xy / root(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)))


def ranks(x):
    return [fractions.Fraction(2 * sum(b < a for b in x) + sum(b == a for b in x) + 1, 2)
            for a in x]


def by_fractions(part, said, true):
    if part == "STS-B":
        return {"pearson": pearson(said, true), "spearman": pearson(ranks(said), ranks(true))}
    if part in ("CoLA", "AX"):
        return {"matthews" if part == "CoLA" else "rk": matthews(said, true)}
    figures = {"accuracy": sum(s == t for s, t in zip(said, true)) / len(true)}
    if part in ("MRPC", "QQP"):
        both = sum(s == t == "1" for s, t in zip(said, true))
        either = said.count("1") + true.count("1")
        figures["f1"] = 2 * both / either if either else 0.0
    return figures


def by_libraries(part, said, true):
    from scipy import stats
    from sklearn import metrics
    if part == "STS-B":
        return {"pearson": stats.pearsonr(said, true).statistic,
                "spearman": stats.spearmanr(said, true).statistic}
    if part in ("CoLA", "AX"):
        return {"matthews" if part == "CoLA" else "rk": metrics.matthews_corrcoef(true, said)}
    figures = {"accuracy": metrics.accuracy_score(true, said)}
    if part in ("MRPC", "QQP"):
        figures["f1"] = metrics.f1_score(true, said, pos_label="1", zero_division=0)
    return figures


MODELS = [f"{task}.gguf" for task, *_ in LAYOUT.values()]


class Glue(unittest.TestCase):
    def compare(self, expected):
        report = glue(*MODELS)
        for entry in report["parts"]:
            rows = answers(entry["part"], entry["model"], PARTS[entry["part"]][1])
            said, true = [r["prediction"] for r in rows], [r["truth"] for r in rows]
            figures = expected(entry["part"], said, true)
            self.assertEqual(entry["metrics"].keys(), figures.keys())
            for name, value in figures.items():
                self.assertAlmostEqual(entry["metrics"][name], value, delta=1e-12)
            self.assertEqual(entry["n"], len(rows))
            self.assertEqual(entry["bytes"], os.path.getsize(entry["model"]))
            self.assertAlmostEqual(entry["score"], sum(figures.values()) / len(figures),
                                   delta=1e-12)
            self.assertEqual(entry["intervals"].keys(), figures.keys())
            for name, (low, high) in entry["intervals"].items():
                self.assertLessEqual(low, high)
                self.assertLessEqual(low, figures[name])
                self.assertGreaterEqual(high, figures[name])
        return report

    def test_figures_are_those_of_the_answers_by_fractions(self):
        report = self.compare(by_fractions)
        self.assertGreater(sum(e["intervals"][k][0] < e["intervals"][k][1]
                               for e in report["parts"] for k in e["metrics"]), 11)
        self.assertEqual({e["part"] for e in report["parts"]}, PARTS.keys() - {"AX"})
        self.assertEqual(report["without_figures"], [{"part": "AX", "why": "no labels"}])
        scores = {e["part"]: e["score"] for e in report["parts"]}
        scores["MNLI"] = (scores.pop("MNLI-m") + scores.pop("MNLI-mm")) / 2
        self.assertEqual((len(scores), report["tasks"]), (9, 9))
        self.assertAlmostEqual(report["glue_score"], sum(scores.values()) / 9, delta=1e-12)
        self.assertEqual(report["mean"], report["glue_score"])

    def test_figures_are_those_of_scikit_learn_and_scipy(self):
        try:
            import scipy, sklearn  # noqa: F401
        except ImportError:
            self.skipTest("scikit-learn and SciPy are needed")
        self.compare(by_libraries)

    def test_intervals_are_those_of_the_same_resamples(self):
        for entry in glue("sst2.gguf", "stsb.gguf")["parts"]:
            for name, interval in entry["intervals"].items():
                expected = reports[entry["task"]]["intervals"][name]
                for a, b in zip(interval, expected):
                    self.assertAlmostEqual(a, b, delta=1e-12)

    def test_a_mean_of_fewer_tasks_is_not_the_glue_score(self):
        report = glue("sst2.gguf", "mrpc.gguf")
        self.assertEqual((report["tasks"], report["glue_score"]), (2, None))
        a, b = (next(e for e in report["parts"] if e["part"] == p) for p in ("SST-2", "MRPC"))
        self.assertAlmostEqual(report["mean"], (a["metrics"]["accuracy"] + (
            b["metrics"]["accuracy"] + b["metrics"]["f1"]) / 2) / 2, delta=1e-12)
        said = run("glue", "sst2.gguf", "--data", "GLUE")
        self.assertIn("mean of 1 of GLUE's nine tasks, which is not the GLUE score: ", said)
        self.assertIn("RTE (no model)", said)
        self.assertIn("GLUE score on dev, the mean of nine tasks: ",
                      run("glue", *MODELS, "--data", "GLUE"))
        os.rename("GLUE/MNLI/dev_mismatched.tsv", "away.tsv")
        try:
            self.assertIsNone(glue(*MODELS)["glue_score"])
        finally:
            os.rename("away.tsv", "GLUE/MNLI/dev_mismatched.tsv")

    def test_the_zip_holds_an_answer_to_every_row(self):
        report = glue(*MODELS, "--submission", "s.zip")
        with zipfile.ZipFile("s.zip") as file:
            self.assertIsNone(file.testzip())
            self.assertEqual(file.namelist(), [f"{part}.tsv" for part in sorted(PARTS)])
            members = {part: list(csv.reader(io.StringIO(file.read(f"{part}.tsv").decode("ascii")),
                                             delimiter="\t", quoting=csv.QUOTE_NONE))
                       for part in PARTS}
        model = {e["part"]: e["model"] for e in report["parts"]}
        for part, (_, _, split) in PARTS.items():
            rows = (answers("AX", "mnli.gguf", "AX", ".") if part == "AX" else
                    answers(part, model[part], "probe_" + split))
            said = [r["prediction"] for r in rows]
            if part == "STS-B":
                said = [f"{min(5, max(0, x)):.3f}" for x in said]
            self.assertEqual(members[part], [["index", "prediction"]] + [
                [str(i), x] for i, x in enumerate(said)])
        self.assertFalse(report["submission"]["complete"])
        self.assertIn({"part": "CoLA", "why": "13 rows instead of 1063"},
                      report["submission"]["lacks"])
        twice = pathlib.Path("s.zip").read_bytes()
        run("glue", *MODELS, "--data", "GLUE", "--submission", "s.zip")
        self.assertEqual(pathlib.Path("s.zip").read_bytes(), twice)

    def test_scores_in_a_submission_stay_within_the_range(self):
        pathlib.Path("n.csv").write_text("text,text2,label\n" + "good q,bad x,9\nq,a,8\n" * 30)
        run("finetune", "bare.gguf", "-o", "high.gguf", "--data", "n.csv", "--problem",
            "regression", "--text2", "text2", "--lr", "5e-2", "--epochs", "20")
        glue("high.gguf:stsb", "--submission", "high.zip")
        with zipfile.ZipFile("high.zip") as file:
            scores = [line.split("\t")[1] for line in
                      file.read("STS-B.tsv").decode().splitlines()[1:]]
        self.assertIn("5.000", scores)

    def test_what_a_submission_lacks_is_named(self):
        report = glue("sst2.gguf", "rte.gguf", "--submission", "two.zip")
        lacks = {e["part"]: e["why"] for e in report["submission"]["lacks"]}
        self.assertEqual(lacks["QQP"], "no model")
        with zipfile.ZipFile("two.zip") as file:
            self.assertEqual(file.namelist(), ["RTE.tsv", "SST-2.tsv"])
        said = run("glue", "sst2.gguf", "--data", "GLUE", "--submission", "one.zip")
        self.assertIn("wrote one.zip, not a complete submission: AX (no model), ", said)

    def test_classes_are_found_by_their_names_in_any_order(self):
        for model in ("entailment.gguf", "contradiction.gguf"):
            entry = next(e for e in glue(model)["parts"] if e["part"] == "MNLI-m")
            right = 0
            for row in answers("MNLI-m", model, "dev_matched"):
                self.assertEqual(row["prediction"], max(row["logits"], key=row["logits"].get))
                right += row["prediction"] == row["truth"]
            self.assertAlmostEqual(entry["metrics"]["accuracy"], right / entry["n"], delta=1e-12)
        a, b = (answers("MNLI-m", f"{m}.gguf", "dev_matched") for m in
                ("entailment", "contradiction"))
        turned = {"entailment": "contradiction", "neutral": "entailment",
                  "contradiction": "neutral"}
        self.assertEqual([turned[r["prediction"]] for r in a], [r["prediction"] for r in b])
        named = glue("LABEL_0.gguf:mnli:contradiction,entailment,neutral")["parts"]
        self.assertEqual([e["metrics"] for e in named],
                         [e["metrics"] for e in glue("contradiction.gguf")["parts"]])

    def test_labelled_ax_has_r_k(self):
        report = glue("mnli.gguf", data=".")
        self.assertEqual([e["part"] for e in report["parts"]], ["AX"])
        rows = answers("AX", "mnli.gguf", "AX", ".")
        self.assertAlmostEqual(report["parts"][0]["metrics"]["rk"], matthews(
            [r["prediction"] for r in rows], [r["truth"] for r in rows]), delta=1e-12)
        self.assertEqual((report["mean"], report["tasks"]), (None, 0))

    def test_the_task_stays_with_a_file_that_is_made_of_another(self):
        run("quantize", "sst2.gguf", "-o", "s8.gguf", "--type", "s8")
        self.assertEqual([e["part"] for e in glue("s8.gguf")["parts"]], ["SST-2"])
        pathlib.Path("t.csv").write_text("text,label\n" + "good q,0\nbad x,1\n" * 9)
        run("finetune", "sst2.gguf", "-o", "other.gguf", "--data", "t.csv", "--epochs", "1")
        self.assertIn("does not say which task",
                      run("glue", "other.gguf", "--data", "GLUE", code=2))

    def test_a_student_learns_its_teachers_task(self):
        pathlib.Path("texts.txt").write_text("".join(
            f"{a} {b} {c}\n" for a in WORDS for b in WORDS for c in WORDS))
        for name, loss, found in (("logits", "logits:1", True), ("hidden", "hidden:1", False)):
            run("distill", "--teacher", "sst2.gguf", "--student", "bare.gguf", "-o",
                f"{name}.gguf", "--texts", "texts.txt", "--loss", loss, "--max-steps", "2",
                "--epochs", "1")
            self.assertEqual(b"sqz.task" in pathlib.Path(f"{name}.gguf").read_bytes(), found)
        self.assertEqual([e["part"] for e in glue("logits.gguf")["parts"]], ["SST-2"])

    def test_embeddings_do_sts_b_by_their_cosine(self):
        entry, = glue("bare.gguf")["parts"]
        self.assertEqual(entry["part"], "STS-B")
        self.assertEqual(entry, glue("bare.gguf:stsb")["parts"][0])
        expected = json.loads(run("eval", "bare.gguf", "--task", "stsb", "--cosine", "--data",
                                  "GLUE/STS-B", "--json"))
        self.assertEqual(entry["metrics"], expected["metrics"])

    def test_a_file_whose_name_has_colons_is_a_file(self):
        os.link("sst2.gguf", "a:b:sst2")
        self.assertEqual(glue("a:b:sst2")["parts"][0]["part"], "SST-2")
        self.assertEqual(glue("a:b:sst2:sst2")["parts"][0]["part"], "SST-2")

    def test_given_names_in_another_order_than_the_files_own_are_said(self):
        for names, said in (("0,1", False), ("1,0", True)):
            text = subprocess.run([PROGRAM, "glue", f"sst2.gguf:sst2:{names}", "--data", "GLUE"],
                                  capture_output=True, text=True, check=True).stderr
            self.assertEqual("the file calls output 1 so" in text, said)

    def test_what_is_not_known_is_refused_with_what_to_say(self):
        for code, pattern, arguments in (
            (2, "LABEL_0.gguf: does not say which task of GLUE it has learned (its classes are "
             "'LABEL_0', 'LABEL_1', 'LABEL_2'): name it, as in LABEL_0.gguf:sst2",
             ("LABEL_0.gguf",)),
            (2, "name them in the order of the model's outputs", ("LABEL_0.gguf:mnli",)),
            (2, "sst2 has 2 classes, the model has 3", ("LABEL_0.gguf:sst2",)),
            (2, "sst2.gguf:sst3: there is no task 'sst3'", ("sst2.gguf:sst3",)),
            (2, "sst2.gguf and cola.gguf: both are for sst2", ("sst2.gguf", "cola.gguf:sst2")),
            (2, "class names are missing", ("sst2.gguf:sst2:",)),
            (3, "absent.gguf:sst2: ", ("absent.gguf:sst2",)),
        ):
            self.assertIn(pattern, run("glue", *arguments, "--data", "GLUE", code=code))
        self.assertIn("--data FOLDER is needed", run("glue", "sst2.gguf", code=2))
        self.assertIn("holds no file for these models",
                      run("glue", "sst2.gguf", "--data", "bare", code=3))
        self.assertIn("is no folder", run("glue", "sst2.gguf", "--data", "sst2.gguf", code=3))
        self.assertIn("it is what is read here", run("glue", "sst2.gguf", "--data", "GLUE",
                                                     "--submission", "sst2.gguf", code=1))
        for name in ("SST-2/dev.tsv", "SST-2/test.tsv", "RTE/train.tsv"):
            before = pathlib.Path("GLUE", name).read_bytes()
            self.assertIn("it is what is read here", run(
                "glue", "sst2.gguf", "--data", "GLUE", "--submission", f"GLUE/{name}", code=1))
            task = ("-o", f"GLUE/{name}", "--task", "sst2", "--data", f"GLUE/{name.split('/')[0]}")
            self.assertIn("it is what is read here",
                          run("finetune", "bare.gguf", *task, code=1))
            self.assertIn("it is what is read here",
                          run("distill", "--teacher", "sst2.gguf", "--student", "bare.gguf", *task,
                              code=1))
            self.assertEqual(pathlib.Path("GLUE", name).read_bytes(), before)
        os.mkdir("GLUE/sst2")
        try:
            self.assertIn("both are folders of the same task",
                          run("glue", "sst2.gguf", "--data", "GLUE", code=3))
        finally:
            os.rmdir("GLUE/sst2")

    def test_a_file_that_cannot_be_read_leaves_no_zip(self):
        file = pathlib.Path("GLUE/RTE/test.tsv")
        whole = file.read_text()
        file.write_text(whole + "13\tq\n")
        try:
            self.assertIn("test.tsv: line 15", run("glue", "rte.gguf", "--data", "GLUE",
                                                   "--submission", "none.zip", code=3))
            self.assertFalse(os.path.exists("none.zip"))
        finally:
            file.write_text(whole)
        file = pathlib.Path("GLUE/QQP/test.tsv")
        whole = file.read_text()
        file.write_text(whole + "13\tq\n")
        try:
            self.assertIn("1 of its rows are too short", run(
                "glue", "qqp.gguf", "--data", "GLUE", "--submission", "none.zip", code=3))
        finally:
            file.write_text(whole)


if __name__ == "__main__":
    unittest.main()
