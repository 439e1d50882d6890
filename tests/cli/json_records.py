#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The records that other programs read: keys, shapes, what passes through, and that the ways to ask
for one thing give one answer.

    json_records.py PROGRAM
"""
import ast
import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = sys.argv.pop()
MODELS = {"bare": ("BertModel",), "nli": ("BertForSequenceClassification",),
          "one": ("BertForSequenceClassification", "one"), "ner": ("BertForTokenClassification",),
          "qa": ("BertForQuestionAnswering",), "mask": ("BertForMaskedLM",)}
WIDTH, VOCABULARY = 24, 64
LONG = " ".join(chr(97 + i % 26) for i in range(60))  # one piece a word


def run(verb, model, text, *options, code=0, binary=False):
    got = subprocess.run([PROGRAM, verb, f"{WORK}/{model}.gguf", *options], input=text.encode(),
                         capture_output=True, env=dict(os.environ, NO_COLOR="1"))
    assert got.returncode == code, (verb, options, got.returncode, got.stderr.decode())
    return got.stdout if binary else got.stdout.decode()


def records(verb, model, text, *options, code=0):
    return [json.loads(line)
            for line in run(verb, model, text, "--json", *options, code=code).splitlines()]


class Records(unittest.TestCase):
    def test_classify(self):
        row, = records("classify", "nli", "good film\n", "--logits")
        self.assertEqual(list(row), ["label", "score", "scores", "logits"])
        best = max(range(3), key=lambda k: row["logits"][k])
        self.assertEqual(row["label"], ["contradiction", "neutral", "entailment"][best])
        self.assertEqual(row["score"], row["scores"][best])
        total = sum(math.exp(x) for x in row["logits"])
        for score, logit in zip(row["scores"], row["logits"]):
            self.assertAlmostEqual(score, math.exp(logit) / total, delta=1e-6)
        self.assertEqual(list(records("classify", "nli", "good film\n")[0]),
                         ["label", "score", "scores"])

    def test_classify_with_one_class_is_a_sigmoid(self):
        row, = records("classify", "one", "good film\n", "--logits")
        self.assertEqual(row["label"], "spam")
        self.assertAlmostEqual(row["scores"][0], 1 / (1 + math.exp(-row["logits"][0])), delta=1e-6)

    def test_threshold_refuses_below_it_alone(self):
        score = records("classify", "nli", "good film\n")[0]["score"]
        self.assertIsNone(records("classify", "nli", "good film\n", "--threshold",
                                  str(score + 1e-4))[0]["label"])
        self.assertIsNotNone(records("classify", "nli", "good film\n", "--threshold",
                                     str(score - 1e-4))[0]["label"])

    def test_embed_dimensions_are_the_first_ones_normalised_afterwards(self):
        whole, = records("embed", "bare", "good film\n", "--no-normalize")
        self.assertEqual(list(whole), ["embedding"])
        self.assertEqual(len(whole["embedding"]), WIDTH)
        first, = records("embed", "bare", "good film\n", "--no-normalize", "--dimensions", "5")
        self.assertEqual(first["embedding"], whole["embedding"][:5])
        unit, = records("embed", "bare", "good film\n", "--normalize", "--dimensions", "5")
        length = math.sqrt(sum(x * x for x in first["embedding"]))
        for got, x in zip(unit["embedding"], first["embedding"]):
            self.assertAlmostEqual(got, x / length, delta=1e-6)
        run("embed", "bare", "x\n", "--dimensions", str(WIDTH + 1), code=2)

    def test_embed_pool_none_gives_every_piece(self):
        pieces, = records("tokenize", "bare", "good films\n")
        self.assertEqual(list(pieces), ["ids", "tokens", "types", "offsets"])
        rows, = records("embed", "bare", "good films\n", "--pool", "none", "--no-normalize")
        self.assertEqual(list(rows), ["embeddings"])
        self.assertEqual([len(row) for row in rows["embeddings"]], [WIDTH] * len(pieces["ids"]))
        mean, = records("embed", "bare", "good films\n", "--pool", "mean", "--no-normalize")
        cls, = records("embed", "bare", "good films\n", "--pool", "cls", "--no-normalize")
        self.assertEqual(cls["embedding"], rows["embeddings"][0])
        for got, column in zip(mean["embedding"], zip(*rows["embeddings"])):
            self.assertAlmostEqual(got, sum(column) / len(column), delta=1e-5)

    def test_embed_npy_holds_the_numbers_of_json(self):
        text, path = "good\nbad film\nthe film .\n", f"{WORK}/vectors.npy"
        for options in ((), ("--dimensions", "7", "--normalize")):
            run("embed", "bare", text, "-o", path, *options)
            data = pathlib.Path(path).read_bytes()
            self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
            size = struct.unpack("<H", data[8:10])[0]
            header = ast.literal_eval(data[10:10 + size].decode().strip())
            rows = [r["embedding"] for r in records("embed", "bare", text, *options)]
            self.assertEqual(header,
                             {"descr": "<f4", "fortran_order": False, "shape": (3, len(rows[0]))})
            self.assertEqual(data[10 + size:],
                             b"".join(struct.pack(f"<{len(r)}f", *r) for r in rows))
        run("embed", "bare", "", "-o", path)
        self.assertIn(b"(0, 24)", pathlib.Path(path).read_bytes())
        run("embed", "bare", text, "-o", path, "--pool", "none", code=2)

    def test_long_texts(self):
        cut, = records("embed", "bare", LONG + "\n", "--no-normalize", "--max-length", "16")
        self.assertTrue(cut["truncated"])
        first, = records("embed", "bare", " ".join(LONG.split()[:14]) + "\n", "--no-normalize")
        self.assertEqual(cut["embedding"], first["embedding"])
        error, = records("embed", "bare", LONG + "\n", "--long", "error", "--max-length",
                         "16", code=1)
        self.assertEqual(error["code"], "SQZ_ETOOLONG")
        joined, = records("embed", "bare", LONG + "\n", "--no-normalize", "--long", "stride",
                          "--stride", "4", "--max-length", "16")
        self.assertNotIn("truncated", joined)
        words, windows = LONG.split(), []
        for begin in range(0, 60 - 4, 10):
            windows.append(words[begin:begin + 14])
        parts = [r["embedding"] for r in records(
            "embed", "bare", "".join(" ".join(w) + "\n" for w in windows), "--no-normalize")]
        weights = [len(w) + 2 for w in windows]
        for k, got in enumerate(joined["embedding"]):
            self.assertAlmostEqual(
                got, sum(w * p[k] for w, p in zip(weights, parts)) / sum(weights), delta=1e-6)

    def test_tables_pass_other_fields_through(self):
        line, = records("classify", "nli", 'good, "film"\n', "--logits")
        pair, = records("classify", "nli", "good\tbad film\n", "--pair")
        csv = records("classify", "nli", 'id,text,label\n7,"good, ""film""",gold\n8,"two\n'
                                         'lines",\n', "--input", "csv", "--logits")
        self.assertEqual(csv[0], {"id": "7", "input_label": "gold", **line})
        self.assertEqual((csv[1]["id"], csv[1]["input_label"]), ("8", ""))
        tsv, = records("classify", "nli", "a\tid\tb\ngood\t7\tbad film\n", "--input", "tsv",
                       "--text", "a", "--text2", "b")
        self.assertEqual(tsv, {"id": "7", **pair})
        objects = records("classify", "nli",
                          '{"t":"good","n":{"a":[1,null]},"u":"bad film"}\n{"t":3,"n":1}\n[]\n',
                          "--input", "jsonl", "--text", "t", "--text2", "u", code=1)
        self.assertEqual(objects[0], {"n": {"a": [1, None]}, **pair})
        self.assertEqual([o["code"] for o in objects[1:]], ["SQZ_EFORMAT"] * 2)
        self.assertEqual(objects[1]["n"], 1)
        self.assertEqual(records("classify", "nli", "id,text\n", "--input", "csv"), [])
        self.assertEqual(records("classify", "nli", "", "--input", "csv"), [])
        run("classify", "nli", "id,body\n1,x\n", "--input", "csv", code=3)
        run("classify", "nli", "x\n", "--text", "body", code=2)

    def test_raw_numbers_of_the_other_heads(self):
        n = len(records("tokenize", "ner", "good films\n")[0]["ids"])
        row, = records("ner", "ner", "good films\n", "--logits", "--aggregation", "none")
        self.assertEqual((list(row), row["window_first"]),
                         (["entities", "logits", "window_first"], [0]))
        self.assertEqual([len(x) for x in row["logits"]], [5] * n)
        for entity in row["entities"]:
            self.assertEqual(list(entity), ["label", "score", "word", "start", "end"])
        row, = records("qa", "qa", "good\tthe bad film\n", "--logits", "-n", "3", "--no-answer")
        self.assertEqual((list(row), row["window_first"]),
                         (["answers", "logits", "window_first"], [0]))
        self.assertEqual([len(x) for x in row["logits"]], [2] * 7)
        self.assertEqual(len(row["answers"]), 3)
        for answer in row["answers"]:
            self.assertEqual(list(answer), ["answer", "score", "start", "end"])
            if answer["answer"] is not None:
                self.assertEqual(answer["answer"], "the bad film"[answer["start"]:answer["end"]])
        row, = records("fill-mask", "mask", "the [MASK] [MASK]\n", "--logits", "-k", "2")
        self.assertEqual([(list(m), len(m["candidates"]), len(m["logits"])) for m in row["masks"]],
                         [(["candidates", "logits"], 2, VOCABULARY)] * 2)
        row, = records("zero-shot", "nli", "good\n", "--labels", "a, b", "--logits")
        self.assertEqual((row["labels"], [len(x) for x in row["logits"]]), (["a", "b"], [3, 3]))

    def test_offsets_are_code_points_or_bytes(self):
        text = "\u00e9\U0001F600 good\n"
        self.assertEqual(records("tokenize", "bare", text)[0]["offsets"][-2], [3, 7])
        self.assertEqual(records("tokenize", "bare", text, "--bytes")[0]["offsets"][-2], [7, 11])

    def test_streams(self):
        for verb, model in (("classify", "nli"), ("embed", "bare"), ("ner", "ner"),
                            ("tokenize", "bare")):
            self.assertEqual(records(verb, model, ""), [])
        text = "".join(f"good film {i}\n" for i in range(700))  # more than a portion
        together = run("classify", "nli", text, "--json")
        self.assertEqual(len(together.splitlines()), 700)
        self.assertNotIn("\x1b", together + run("ner", "ner", "good\n"))
        got = subprocess.run([PROGRAM, "classify", f"{WORK}/nli.gguf", "--progress", "none"],
                             input=text.encode(), capture_output=True)
        self.assertEqual((got.returncode, got.stderr), (0, b""))
        rows = records("similarity", "bare", "a\tb\nno tab\nc\td\n", code=1)
        self.assertEqual([list(r) for r in rows],
                         [["similarity"], ["error", "code"], ["similarity"]])
        run("similarity", "bare", "no tab\na\tb\n", "--strict", code=1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WORK:
        for name, arguments in MODELS.items():
            subprocess.run([sys.executable, "-B", HERE / "make_folder.py", f"{WORK}/{name}",
                            *arguments], check=True)
            subprocess.run([PROGRAM, "import", f"{WORK}/{name}", "-o", f"{WORK}/{name}.gguf"],
                           check=True, capture_output=True)
        unittest.main()
