#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""eval on tables as people have them: classes by every usual name, answers written out, and no figure where something is not understood.

    eval_tables.py PROGRAM
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = sys.argv.pop()
TEXTS = [f"{a} {b} film{c}" for a in ("the", "a", "no", "x") for b in ("good", "bad", "q") for c in ("", "s", " .")]
LABELS = [(i * 7 + i // 5) % 2 for i in range(len(TEXTS))]


def model(labels):
    path = f"{WORK}/{labels}.gguf"
    if not os.path.exists(path):
        subprocess.run([sys.executable, "-B", HERE / "make_folder.py", f"{WORK}/folder-{labels}", "BertForSequenceClassification", f"labels={labels}"], check=True)
        subprocess.run([PROGRAM, "import", f"{WORK}/folder-{labels}", "-o", path], check=True, capture_output=True)
    return path


def write(name, text):
    folder = tempfile.mkdtemp(dir=WORK)
    pathlib.Path(folder, name).write_text(text, encoding="utf-8")
    return folder


def run(labels, task, folder, *options, code=0):
    got = subprocess.run([PROGRAM, "eval", model(labels), "--task", task, "--data", folder, "--json", *options], capture_output=True)
    assert got.returncode == code, (labels, task, options, got.returncode, got.stderr.decode())
    return json.loads(got.stdout) if code == 0 else got.stderr.decode()


def sst2(name="dev.tsv", mark="\t", words=("0", "1")):
    return write(name, f"sentence{mark}label\n" + "".join(f"{t}{mark}{words[k]}\n" for t, k in zip(TEXTS, LABELS)))


def entailments(words):
    return write("dev.tsv", "index\tsentence1\tsentence2\tlabel\n" + "".join(f"{i}\t{t}\tx\t{words[k]}\n" for i, (t, k) in enumerate(zip(TEXTS, LABELS))))


class Eval(unittest.TestCase):
    def test_classes_are_known_by_their_usual_names(self):
        data = sst2()
        right = run("negative,positive", "sst2", data)["metrics"]["accuracy"]
        self.assertNotIn(right, (0, 0.5, 1))
        for names in ("Negative,POSITIVE", "NEG,POS", "LABEL_0,LABEL_1", "0,1"):
            self.assertEqual(run(names, "sst2", data)["metrics"]["accuracy"], right)
        for names in ("positive,negative", "POS,neg", "1,0"):
            self.assertAlmostEqual(run(names, "sst2", data)["metrics"]["accuracy"], 1 - right, delta=1e-12)
        pairs = write("dev.csv", "sentence1,sentence2,label\n" + "".join(f"{t},x,{k}\n" for t, k in zip(TEXTS, LABELS)))
        for task, names in (("mrpc", ("not_equivalent,equivalent", "Not Equivalent,Equivalent", "LABEL_0,LABEL_1")), ("qqp", ("not_duplicate,duplicate", "not-duplicate,DUPLICATE"))):
            figures = [run(n, task, pairs)["metrics"] for n in names]
            self.assertTrue(all(f == figures[0] for f in figures))
            other = run(",".join(reversed(names[0].split(","))), task, pairs)["metrics"]
            self.assertAlmostEqual(other["accuracy"], 1 - figures[0]["accuracy"], delta=1e-12)
        cola = run("unacceptable,acceptable", "cola", data)["metrics"]["matthews"]
        self.assertAlmostEqual(run("acceptable,unacceptable", "cola", data)["metrics"]["matthews"], -cola, delta=1e-12)

    def test_words_of_a_file_and_of_a_model_meet(self):
        data, spelt = entailments(("entailment", "not_entailment")), entailments(("Entailment", "not entailment"))
        right = run("entailment,not_entailment", "rte", data)["metrics"]
        self.assertEqual(run("ENTAILMENT,not-entailment", "rte", spelt)["metrics"], right)
        self.assertAlmostEqual(run("not_entailment,entailment", "qnli", write("dev.tsv", "question\tsentence\tlabel\n" + "".join(
            f"{t}\tx\t{('entailment', 'not_entailment')[k]}\n" for t, k in zip(TEXTS, LABELS))))["metrics"]["accuracy"], 1 - right["accuracy"], delta=1e-12)
        self.assertEqual(run("negative,positive", "sst2", sst2(words=("NEG", "POS"))), run("negative,positive", "sst2", sst2()))

    def test_names_that_tell_nothing_are_refused_and_can_be_told(self):
        self.assertIn("the model's names are 'bad', 'positive', the task's are 0 = negative, 1 = positive", run("bad,positive", "sst2", sst2(), code=2))
        self.assertIn("--classes", run("no,yes", "mrpc", write("dev.csv", "sentence1,sentence2,label\na,b,1\n"), code=2))
        data = entailments(("entailment", "not_entailment"))
        self.assertIn("entailment, not_entailment", run("LABEL_0,LABEL_1", "rte", data, code=2))
        self.assertIn("'0', '1'", run("0,1", "rte", data, code=2))
        self.assertIn("'negative', 'LABEL_1'", run("negative,LABEL_1", "sst2", sst2(), code=2))
        self.assertIn("'positive', 'pos'", run("positive,pos", "sst2", sst2(), code=2))
        self.assertEqual(run("LABEL_0,LABEL_1", "rte", data, "--classes", "not_entailment,entailment"), run("not_entailment,entailment", "rte", data))
        self.assertIn("the given names are 'a', 'b'", run("negative,positive", "sst2", sst2(), "--classes", "a,b", code=2))
        three = write("dev_matched.csv", "premise,hypothesis,label\na,b,neutral\n")
        self.assertIn("contradiction", run("LABEL_0,LABEL_1,LABEL_2", "mnli", three, code=2))
        self.assertEqual(run("contradiction,neutral,entailment", "mnli", three)["n"], 1)

    def test_no_example_and_no_label_are_errors(self):
        for text in ("", "sentence\tlabel\n", "\n\nsentence\tlabel\n \n"):
            self.assertIn("dev.tsv: holds no example", run("NEG,POS", "sst2", write("dev.tsv", text), code=3))
        self.assertIn("has no labels to compare with", run("NEG,POS", "sst2", write("test.csv", "sentence,label,idx\na,-1,0\n"), "--split", "test", code=2))
        self.assertIn("holds no dev.tsv, .csv or .jsonl", run("NEG,POS", "sst2", write("train.tsv", "sentence\tlabel\na\t1\n"), code=3))
        self.assertIn("'sentence' or 'text' is missing", run("NEG,POS", "sst2", write("dev.tsv", "a film\t1\n"), code=3))

    def test_blank_lines_and_cut_examples_are_counted(self):
        data = write("dev.tsv", "sentence\tlabel\r\n\r\na good film\t1\r\n" + "a " * 60 + "\t0\r\n\n")
        got = subprocess.run([PROGRAM, "eval", model("NEG,POS"), "--task", "sst2", "--data", data, "--json"], capture_output=True)
        self.assertEqual((got.returncode, json.loads(got.stdout)["n"], json.loads(got.stdout)["truncated"]), (0, 2, 1))
        self.assertIn(b"2 blank lines skipped", got.stderr)
        self.assertIn(b"1 of 2 examples were cut", got.stderr)

    def test_a_table_gives_the_figures_of_its_other_forms(self):
        plain = run("NEG,POS", "sst2", sst2())
        self.assertEqual(run("NEG,POS", "sst2", sst2("validation.csv", ",")), plain)
        self.assertEqual(run("NEG,POS", "sst2", sst2("x.csv", ",") + "/x.csv"), plain)
        rows = "".join(json.dumps({"idx": i, "label": k, "sentence": t}) + "\n" for i, (t, k) in enumerate(zip(TEXTS, LABELS)))
        self.assertEqual(run("NEG,POS", "sst2", write("dev.jsonl", rows)), plain)
        quoted = write("dev.tsv", "sentence\tlabel\n" + "".join(f'"{t}\n"\t{k}\n' for t, k in zip(TEXTS, LABELS)))
        self.assertEqual(run("NEG,POS", "sst2", quoted, "--quotes", "csv"), plain)

    def test_predictions_are_every_answer(self):
        data = write("dev.csv", "idx,sentence,label\n" + "".join(f"{90 + i},{t},{k}\n" for i, (t, k) in enumerate(zip(TEXTS, LABELS))))
        report = run("POS,NEG", "sst2", data, "--predictions", f"{WORK}/p.tsv")
        self.assertEqual(report, run("POS,NEG", "sst2", data, "--predictions", f"{WORK}/p.jsonl"))
        with open(f"{WORK}/p.tsv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        objects = [json.loads(line) for line in pathlib.Path(f"{WORK}/p.jsonl").read_text(encoding="utf-8").splitlines()]
        said = subprocess.run([PROGRAM, "classify", model("POS,NEG"), "--json", "--logits"], input="\n".join(TEXTS).encode(), capture_output=True, check=True)
        self.assertEqual(len(rows), len(TEXTS))
        for i, (row, item, line) in enumerate(zip(rows, objects, said.stdout.splitlines())):
            logits = json.loads(line)["logits"]
            self.assertEqual((item["row"], item["line"], item["id"], item["truth"]), (i, i + 2, str(90 + i), str(LABELS[i])))
            self.assertEqual(item["logits"], {"0": logits[1], "1": logits[0]})
            self.assertEqual(item["prediction"], str(int(logits[0] > logits[1])))
            self.assertEqual([row[k] for k in ("row", "line", "id", "prediction", "truth", "truncated")], [str(i), str(i + 2), str(90 + i), item["prediction"], item["truth"], "0"])
            self.assertEqual((float(row["logit_0"]), float(row["logit_1"])), (logits[1], logits[0]))
        right = sum(row["prediction"] == row["truth"] for row in rows)
        self.assertAlmostEqual(report["metrics"]["accuracy"], right / len(rows), delta=1e-12)

    def test_no_predictions_are_left_by_an_evaluation_that_fails(self):
        run("NEG,POS", "sst2", write("dev.csv", "sentence,label\na,1\nb,2\n"), "--predictions", f"{WORK}/never.tsv", code=3)
        self.assertEqual([n for n in os.listdir(WORK) if n.startswith("never")], [])

    def test_scores_are_written_out(self):
        data = write("dev.tsv", "sentence1\tsentence2\tscore\n" + "".join(f"{t}\tx\t{i % 6}.25\n" for i, t in enumerate(TEXTS) if i % 6 < 5))
        run("NEG,POS", "stsb", data, "--cosine", "--predictions", f"{WORK}/s.jsonl")
        objects = [json.loads(line) for line in pathlib.Path(f"{WORK}/s.jsonl").read_text(encoding="utf-8").splitlines()]
        self.assertTrue(all(-1 <= o["prediction"] <= 1 and o["truth"] % 1 == 0.25 and "logits" not in o for o in objects))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WORK:
        unittest.main()
