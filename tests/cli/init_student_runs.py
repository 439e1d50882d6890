#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""init-student on a tiny teacher: students verify, have the shapes and the numbers that they are
said to have, the same of a seed; what does not fit is refused with what would.

init_student_runs.py PROGRAM
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

from program import PROGRAM, enter, has_lapack, leave, run

HERE = pathlib.Path(__file__).resolve().parent


def setUpModule():
    enter()
    for name, kind in (("bare", "BertModel"), ("nli", "BertForSequenceClassification")):
        subprocess.run([sys.executable, "-B", HERE / "make_folder.py", name, kind], check=True)
        run("import", name, "-o", name + ".gguf")
    words = "good bad film the act a of is".split()
    pathlib.Path("texts").write_text("".join(
        f"{words[i % 8]} film {words[i // 8 % 8]} the {words[i // 64 % 8]} {i}\n"
        for i in range(400)))


tearDownModule = leave


def student(*arguments, teacher="bare.gguf", out="s.gguf"):
    """{name: tensor} of what is said, and the file verifies."""
    said = json.loads(run("init-student", teacher, "-o", out, "--json", *arguments))
    assert json.loads(run("verify", out, "--json"))["ok"]
    return {t["name"]: t for t in said["tensors"]}


def read(path):
    return pathlib.Path(path).read_bytes()


def embed(path):
    got = subprocess.run([PROGRAM, "embed", path, "--json"], input="good film\n",
                         capture_output=True, text=True, check=True)
    return json.loads(got.stdout)["embedding"]


class InitStudent(unittest.TestCase):
    def test_blocks_of_the_teacher_are_those_of_squeeze(self):
        for layers in ("1", "first:1", "every:2"):
            tensors = student("--layers", layers)
            block = int(layers == "1")
            self.assertEqual({t["from"] for t in tensors.values()}, {"teacher"})
            self.assertEqual({t["block"] for n, t in tensors.items() if n.startswith("blk.")},
                             {block})
            run("squeeze", "bare.gguf", "-o", "t.gguf", "--layers", layers)
            self.assertEqual(embed("s.gguf"), embed("t.gguf"))
        self.assertEqual(len([n for n in student() if n.startswith("blk.")]), 32)

    def test_every_tensor_says_what_it_is(self):
        tensors = student("--layers", "1", "--random", "attention", "--seed", "7")
        of = {n: t["from"] for n, t in tensors.items()}
        self.assertEqual(of["blk.0.attn_q.weight"], "random")
        self.assertEqual(of["blk.0.attn_q.bias"], "new")
        self.assertEqual(of["blk.0.attn_output_norm.weight"], "new")
        self.assertEqual(of["blk.0.ffn_up.weight"], "teacher")
        self.assertEqual(of["token_embd.weight"], "teacher")
        self.assertEqual(tensors["blk.0.attn_q.weight"]["block"], None)
        self.assertEqual(tensors["blk.0.ffn_up.weight"]["block"], 1)
        said = run("init-student", "bare.gguf", "-o", "s.gguf", "--random", "attention")
        self.assertRegex(said, r"ffn_up.weight +40x24 +the teacher's blocks 0,1\n")
        self.assertRegex(said, r"attn_q.weight +24x24 +random\n")
        self.assertIn("init-student --random attention --seed 0", run("info", "s.gguf"))

    def test_another_width_has_the_shapes_asked_for(self):
        tensors = student("--width", "16", "--heads", "4", "--neurons", "24", "--groups", "4",
                          "--dense-output", teacher="nli.gguf")
        shapes = {n: t["shape"] for n, t in tensors.items()}
        self.assertEqual(shapes["token_embd.weight"][1], 16)
        self.assertEqual(shapes["blk.1.attn_k.weight"], [16, 4])
        self.assertEqual(shapes["blk.1.attn_output.weight"], [16, 16])
        self.assertEqual(shapes["blk.1.ffn_up.weight"], [24, 4])
        self.assertEqual(shapes["blk.1.ffn_down.weight"], [16, 6])
        self.assertEqual({t["from"] for t in tensors.values()}, {"random", "new"})
        self.assertFalse([n for n in shapes if n.startswith(("head.", "pooler."))])
        self.assertEqual(len(embed("s.gguf")), 16)
        self.assertEqual(student("--width", "16")["blk.0.ffn_up.weight"]["shape"], [64, 16])
        wide = student("--random", "blocks", "--heads", "6", "--neurons", "50")
        self.assertEqual(wide["blk.0.ffn_up.weight"]["shape"], [50, 24])
        self.assertEqual(wide["token_embd.weight"]["from"], "teacher")

    def test_random_numbers_are_those_of_the_seed_with_their_deviation(self):
        student("--random", "all", "--seed", "3", out="a.gguf")
        student("--random", "all", "--seed", "3", out="b.gguf")
        student("--random", "all", "--seed", "4", out="c.gguf")
        self.assertEqual(read("a.gguf"), read("b.gguf"))
        self.assertNotEqual(embed("a.gguf"), embed("c.gguf"))
        run("export", "a.gguf", "-o", "folder")
        raw = read("folder/model.safetensors")
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:8 + size])
        begin, end = header["encoder.layer.0.intermediate.dense.weight"]["data_offsets"]
        values = memoryview(raw[8 + size + begin:8 + size + end]).cast("f")
        mean = sum(values) / len(values)
        deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        self.assertLess(abs(deviation - 0.02), 0.02 * 4 / (2 * len(values)) ** 0.5)
        self.assertLess(abs(mean), 4 * 0.02 / len(values) ** 0.5)

    def test_levers_say_which_tensors_they_made(self):
        if not has_lapack("bare.gguf"):
            self.skipTest("the build has no LAPACK")
        tensors = student("--groups", "4", "--dense-output", "--neurons", "32", "--texts", "texts")
        of = {n: (t["from"], t["block"]) for n, t in tensors.items()}
        self.assertEqual(of["blk.1.attn_q.weight"], ("levers", 1))
        self.assertEqual(of["blk.1.attn_output.weight"], ("teacher", 1))
        self.assertEqual(tensors["blk.1.attn_q.weight"]["shape"], [24, 6])
        self.assertEqual(tensors["blk.1.ffn_up.weight"]["shape"], [32, 6])
        narrow = student("--embedding", "width:8", "--texts", "texts")
        self.assertEqual(narrow["token_embd.weight"]["from"], "levers")
        self.assertEqual(narrow["token_types.weight"]["from"], "levers")
        self.assertEqual(narrow["position_embd.weight"]["from"], "teacher")
        fresh = student("--embedding", "width:8", "--random", "embedding")
        self.assertEqual(fresh["token_embd.projection"]["shape"], [24, 8])
        self.assertEqual(fresh["blk.0.attn_q.weight"]["from"], "teacher")

    def test_what_does_not_fit_is_refused_with_what_would(self):
        for pattern, arguments in (
                ("first:3 of a model with 2 blocks", ("--layers", "first:3")),
                ("every: takes a number", ("--layers", "every:0")),
                ("every:3 of a model with 2 blocks", ("--layers", "every:3")),
                ("is no part: embedding, attention", ("--random", "pooler")),
                ("4 are more: they can only be random", ("--heads", "4")),
                ("has 40; 20 of them can stay", ("--neurons", "20")),
                ("a width of 24 is no multiple of 5", ("--heads", "5", "--random", "attention")),
                ("a width of 20 is no multiple of 8", ("--width", "20")),
                ("5 do not divide 24 inputs", ("--groups", "5", "--random", "blocks")),
                ("a share is of what the teacher has", ("--heads", "50%", "--random", "blocks")),
                ("factors are found for the teacher's", ("--rank", "50%", "--random", "attention")),
                ("bits of the embedding: a student is floats", ("--embedding", "bits:4")),
                ("product quantisation: a student is", ("--embedding", "pq:4")),
                ("24 is not below the table's 24",
                 ("--embedding", "width:24", "--random", "embedding")),
                ("65536 are possible", ("--width", "100000")),
                ("neither a number", ("--neurons", "many")),
                ("texts are missing", ("--neurons", "32"))):
            said = run("init-student", "bare.gguf", "-o", "never.gguf", *arguments, code=2)
            self.assertRegex(said, pattern)
        self.assertIn("-o FILE is missing", run("init-student", "bare.gguf", code=2))
        self.assertFalse(os.path.exists("never.gguf"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
