#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""distill of teachers that read other pieces than their student, or number classes otherwise: what
can be learned is what a teacher with the student's own would teach, to the bit; the rest is refused
by name.

teachers_runs.py PROGRAM
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

import distill_runs
from distill_runs import FAST, HERE, TEXTS, distill, log_of, read, run, tearDownModule, weights

ROWS = ("--data", "t.csv", "--holdout", "0.2", "--epochs", "2", "--lr", "5e-3")


def prune(model, out):
    """The same model with fewer pieces: of texts.txt it reads the same, by other numbers."""
    run("squeeze", model, "-o", out, "--vocabulary", "texts.txt", "--keep-pooler", "--no-fidelity")


def swap_classes(model, out, names):
    """The same classifier with its two classes the other way round, by these names."""
    shutil.rmtree("folder", ignore_errors=True)
    run("export", model, "-o", "folder")
    config = json.loads(read("folder/config.json"))
    config["id2label"] = {str(i): name for i, name in enumerate(names)}
    config["label2id"] = {name: i for i, name in enumerate(names)}
    pathlib.Path("folder/config.json").write_text(json.dumps(config))
    data = bytearray(read("folder/model.safetensors"))
    n = struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:8 + n])
    for key in ("classifier.weight", "classifier.bias"):
        begin, end = (8 + n + at for at in tensors[key]["data_offsets"])
        half = (begin + end) // 2
        data[begin:end] = data[half:end] + data[begin:half]
    pathlib.Path("folder/model.safetensors").write_bytes(data)
    run("import", "folder", "-o", out)


def setUpModule():
    distill_runs.setUpModule()
    prune("bare.gguf", "pruned.gguf")
    prune("teacher.gguf", "pruned_teacher.gguf")
    prune("student.gguf", "pruned_student.gguf")


class Vocabularies(unittest.TestCase):
    def test_vectors_are_those_of_a_teacher_with_the_students_pieces(self):
        for losses in ("pooled", "pooled_mse", "similarities"):
            distill("same.gguf", *TEXTS, "--loss", losses)
            report = distill("other.gguf", *TEXTS, "--loss", losses, teacher="pruned.gguf")
            self.assertEqual(weights("same.gguf"), weights("other.gguf"))
            if losses == "pooled":
                self.assertGreater(report["after"]["cosine"], report["before"]["cosine"] + 0.02)
        run("verify", "other.gguf")

    def test_a_student_with_fewer_pieces_learns_what_the_whole_one_does(self):
        for out, student in (("whole", "student.gguf"), ("fewer", "pruned_student.gguf")):
            distill(f"{out}.gguf", *TEXTS, "--loss", "pooled", "--log", f"{out}.log",
                    student=student)
        whole, fewer = ([e["loss"] for e in log_of(f"{out}.log") if "loss" in e]
                        for out in ("whole", "fewer"))
        self.assertEqual(whole[0], fewer[0])
        self.assertLess(fewer[-1], 0.8 * fewer[0])
        for a, b in zip(whole, fewer):
            self.assertAlmostEqual(a, b, delta=1e-3 * a)

    def test_logits_are_those_of_a_teacher_with_the_students_pieces(self):
        for out, teacher in (("own", "teacher.gguf"), ("apart", "pruned_teacher.gguf")):
            for kind, data in (("rows", (*ROWS, "--loss", "labels,logits,pooled")),
                               ("texts", (*TEXTS, "--loss", "logits")),
                               ("both", (*ROWS, "--loss", "labels,soft", "--texts", "texts.txt"))):
                distill(f"{out}_{kind}.gguf", *data, teacher=teacher)
        for kind in ("rows", "texts", "both"):
            self.assertEqual(weights(f"own_{kind}.gguf"), weights(f"apart_{kind}.gguf"))

    def test_without_losses_what_can_be_learned_is(self):
        distill("usual.gguf", *TEXTS, "--max-steps", "2", teacher="pruned.gguf")
        self.assertIn("distill --loss pooled:5", run("info", "usual.gguf"))
        distill("usual.gguf", *ROWS, "--max-steps", "2", "--checkpoint", "of_rows",
                teacher="pruned_teacher.gguf")
        self.assertIn("distill --loss labels:1,logits:1 ", run("info", "usual.gguf"))

    def test_what_stands_at_a_piece_is_refused_by_name(self):
        for loss in ("hidden", "attention", "queries", "values"):
            message = run("distill", "--teacher", "pruned.gguf", "--student", "student.gguf", "-o",
                          "no.gguf", *TEXTS, "--loss", f"pooled,{loss}", code=2)
            self.assertIn(f"--loss {loss} compares what stands at each piece", message)
        self.assertIn("--map is for", run(
            "distill", "--teacher", "pruned.gguf", "--student", "student.gguf", "-o", "no.gguf",
            *TEXTS, "--map", "last", code=2))
        self.assertFalse(os.path.exists("no.gguf"))

    def test_bits_depend_on_neither_threads_nor_parts_nor_what_is_kept(self):
        more = ("--loss", "pooled", "--checkpoint-steps", "5")
        distill("one.gguf", *TEXTS, *more, teacher="pruned.gguf")
        distill("two.gguf", *TEXTS, *more, "-t", "2", "--teacher-cache", "0",
                teacher="pruned.gguf")
        self.assertEqual(read("one.gguf"), read("two.gguf"))
        self.assertIn('"teacher":', run(
            "distill", "--teacher", "bare.gguf", "--student", "student.gguf", "-o", "one.gguf",
            *FAST, *TEXTS, *more, "--resume", code=2))

    def test_each_reads_a_long_text_as_far_as_the_student_does(self):
        subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "short", "BertModel",
                        "positions=24"], check=True)
        run("import", "short", "-o", "short.gguf")
        prune("short.gguf", "short_pruned.gguf")
        lines = read("texts.txt").decode().splitlines()
        pathlib.Path("long.txt").write_text("".join(
            " ".join(lines[i:i + 5]) + "\n" for i in range(len(lines))))
        long = ("--texts", "long.txt", "--loss", "pooled", "--epochs", "1", "--whole-texts")
        # as many pieces in both, so that both stop at the same word
        distill("cut.gguf", *long, "--max-length", "20", teacher="bare.gguf")
        distill("cut_apart.gguf", *long, "--max-length", "20", teacher="pruned.gguf")
        self.assertEqual(weights("cut.gguf"), weights("cut_apart.gguf"))
        # the teacher takes fewer
        distill("far.gguf", *long, "--max-length", "30", teacher="short_pruned.gguf")
        self.assertIn("24 pieces at most can be read", run(
            "distill", "--teacher", "short.gguf", "--student", "student.gguf", "-o", "no.gguf",
            *long, "--max-length", "30", code=2))
        windows = distill("windows.gguf", *long[:-1], "--windows", "--max-length", "20",
                          teacher="pruned.gguf")
        self.assertGreater(windows["texts"], 2 * len(lines))


class Classes(unittest.TestCase):
    def test_classes_in_another_order_are_learned_by_their_names(self):
        swap_classes("teacher.gguf", "swapped.gguf", ["up", "down"])
        reports = [distill(f"{teacher}_taught.gguf", *ROWS, "--loss", "labels,logits",
                           teacher=f"{teacher}.gguf") for teacher in ("teacher", "swapped")]
        self.assertEqual(weights("teacher_taught.gguf"), weights("swapped_taught.gguf"))
        for who in ("teacher", "student", "difference"):
            self.assertEqual(reports[0][who]["metrics"]["accuracy"],
                             reports[1][who]["metrics"]["accuracy"])

    def test_a_students_own_head_goes_on_in_whatever_order_its_classes_stand(self):
        run("squeeze", "teacher.gguf", "-o", "own.gguf", "--layers", "0")
        swap_classes("own.gguf", "turned.gguf", ["up", "down"])
        for kind, arguments in (("rows", (*ROWS, "--loss", "labels,logits")),
                                ("texts", (*TEXTS, "--loss", "logits"))):
            for student in "own", "turned":
                distill(f"{student}_{kind}.gguf", *arguments, "--max-steps", "3",
                        teacher="teacher.gguf", student=f"{student}.gguf")
            self.assertEqual(weights(f"own_{kind}.gguf"), weights(f"turned_{kind}.gguf"))
        for student in "own", "turned":
            run("quantize", f"{student}.gguf", "-o", f"{student}8.gguf")
            distill(f"{student}_8.gguf", *ROWS, "--max-steps", "3", "--fake-quantise", "stored",
                    teacher="teacher.gguf", student=f"{student}8.gguf")
            run("finetune", f"{student}.gguf", "-o", f"{student}_tuned.gguf", *ROWS,
                "--max-steps", "3", "--freeze", "encoder", *FAST)
        self.assertEqual(weights("own_8.gguf"), weights("turned_8.gguf"))
        self.assertEqual(weights("own_tuned.gguf"), weights("turned_tuned.gguf"))

    def test_a_head_of_other_classes_is_not_lost_in_silence(self):
        run("squeeze", "teacher.gguf", "-o", "own.gguf", "--layers", "0")
        swap_classes("own.gguf", "aside.gguf", ["up", "aside"])
        said = subprocess.run(
            [distill_runs.PROGRAM, "distill", "--teacher", "teacher.gguf", "--student",
             "aside.gguf", "-o", "new_head.gguf", *FAST, *ROWS, "--max-steps", "1"],
            capture_output=True, text=True, check=True).stderr
        self.assertIn("own head is not kept: it has no output 'down'; a new one is learned", said)

    def test_other_classes_are_refused_by_name(self):
        swap_classes("teacher.gguf", "others.gguf", ["up", "aside"])
        self.assertIn("others.gguf has no class 'down'", run(
            "distill", "--teacher", "others.gguf", "--student", "student.gguf", "-o", "no.gguf",
            *FAST, *ROWS, "--loss", "labels,logits", code=3))
        swap_classes("teacher.gguf", "twice.gguf", ["up", "up"])
        self.assertIn("class 'down'", run(
            "distill", "--teacher", "twice.gguf", "--student", "student.gguf", "-o", "no.gguf",
            *FAST, *ROWS, "--loss", "labels,logits", code=3))


if __name__ == "__main__":
    unittest.main(verbosity=0)
