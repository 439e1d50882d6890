#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What may happen to a training run: signals, a full disk, a damaged checkpoint, other data,
another recipe, other kernels, numbers that are not finite. Each is told, the last good checkpoint
stays, and the run that goes on from it ends with the bytes of one that nothing happened to.

finetune_safety.py PROGRAM
"""
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

from program import PROGRAM, enter, leave

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
STEPS = 150
COMMON = ("--epochs", "10", "--lr", "5e-3", "--batch", "8", "--progress", "none", "-t", "1",
          "--checkpoint-steps", "7")
PATIENCE = 60  # seconds until a wait is a failure


def table(word):
    draw = random.Random(1)
    texts = [[draw.choice(WORDS) for _ in range(draw.randrange(1, 6))] for _ in range(120)]
    return "text,label\n" + "".join(f"{' '.join(text)},{'up' if word in text else 'down'}\n"
                                    for text in texts)


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    pathlib.Path("t.csv").write_text(table("good"))
    pathlib.Path("other.csv").write_text(table("bad"))
    run(*finetune("whole.gguf"))


tearDownModule = leave


def run(*arguments, code=0, **more):
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, **more)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code == 0 else got.stderr


def finetune(out, *more, data="t.csv"):
    return ("finetune", "bare.gguf", "-o", out, "--data", data, *COMMON, *more)


def held(out):
    return sorted(os.listdir(out + ".checkpoint"))


class Safety(unittest.TestCase):
    def begun(self, out):
        """A run as it was after 20 steps."""
        shutil.rmtree(out + ".checkpoint", ignore_errors=True)
        run(*finetune(out, "--max-steps", "20"))
        os.remove(out)
        self.assertEqual(held(out), ["step-00000014.gguf", "step-00000020.gguf"])

    def ends_well(self, out, *more):
        run(*finetune(out, "--resume", *more))
        self.assertEqual(pathlib.Path(out).read_bytes(), pathlib.Path("whole.gguf").read_bytes())

    def test_a_signal_leaves_the_last_checkpoint(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
            out = f"{number.name}.gguf"
            log = pathlib.Path(out + ".log")
            process = subprocess.Popen(
                [PROGRAM, *finetune(out, "--log", log)], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda n=number: n == signal.SIGKILL or signal.signal(n, signal.SIG_DFL))
            end = time.monotonic() + PATIENCE
            while not (log.exists() and log.read_bytes().count(b"\n") >= 30):
                self.assertIsNone(process.poll(), "the run ended before the signal came")
                self.assertLess(time.monotonic(), end)
            process.send_signal(number)
            self.assertEqual(process.wait(PATIENCE), -number)
            self.assertFalse(os.path.exists(out))
            names = held(out)
            if number != signal.SIGKILL:
                self.assertFalse([name for name in names if name.endswith(".tmp")])
            steps = [int(name[5:13]) for name in names if name.endswith(".gguf")]
            self.assertGreaterEqual(max(steps), 28)
            self.assertLess(max(steps), STEPS)
            said = run(*finetune(out), code=2)
            self.assertIn(f"a run that is not finished, at step {max(steps)}", said)
            self.ends_well(out)

    def test_a_full_disk_leaves_the_checkpoints_that_were_written(self):
        self.begun("full.gguf")
        size = os.path.getsize("full.gguf.checkpoint/step-00000020.gguf")

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        said = run(*finetune("full.gguf", "--resume"), code=4, preexec_fn=limit)
        self.assertIn("step-00000021.gguf: cannot write: File too large", said)
        self.assertEqual(held("full.gguf"), ["step-00000014.gguf", "step-00000020.gguf"])
        self.ends_well("full.gguf")

    def test_a_name_that_cannot_be_written_is_found_before_any_step(self):
        os.mkdir("taken")
        run(*finetune("taken", "--checkpoint", "never"), code=1)
        self.assertFalse(os.path.exists("never"))

    def test_a_finished_run_is_written_again_under_another_name(self):
        run(*finetune("here.gguf", "--checkpoint", "kept"))
        self.assertIn("step-00000150.gguf", os.listdir("kept"))
        self.ends_well("elsewhere.gguf", "--checkpoint", "kept")

    def test_a_damaged_checkpoint_is_told_and_gives_way(self):
        for damage in ("cut", "changed"):
            out = damage + ".gguf"
            self.begun(out)
            newest = pathlib.Path(out + ".checkpoint/step-00000020.gguf")
            data = bytearray(newest.read_bytes())
            if damage == "cut":
                del data[len(data) // 3:]
            else:
                data[len(data) // 2] ^= 1
            newest.write_bytes(data)
            got = subprocess.run([PROGRAM, *finetune(out, "--resume")], capture_output=True,
                                 text=True, check=True)
            self.assertIn("going on from the one before it, step 14", got.stderr)
            self.assertEqual(pathlib.Path(out).read_bytes(),
                             pathlib.Path("whole.gguf").read_bytes())

    def test_what_does_not_belong_together_is_refused(self):
        self.begun("apart.gguf")
        names = held("apart.gguf")
        for said, arguments in (
            ("the data have changed since", finetune("apart.gguf", "--resume", data="other.csv")),
            ('another recipe; it has "seed":1', finetune("apart.gguf", "--resume", "--seed", "2")),
            ("another recipe", finetune("apart.gguf", "--resume", "--lr", "1e-3")),
            ("past the 10 at which", finetune("apart.gguf", "--resume", "--max-steps", "10")),
        ):
            self.assertIn(said, run(*arguments, code=2))
            self.assertEqual(held("apart.gguf"), names)
        features = json.loads(run("doctor", "--json"))
        if "avx2" in json.dumps(features):
            said = run(*finetune("apart.gguf", "--resume", "--cpu", "portable"), code=2)
            self.assertIn("it was made with other kernels (--cpu chooses them)", said)
        self.ends_well("apart.gguf", "-t", "2")

    def test_another_measure_is_refused(self):
        lines = table("good").splitlines(keepends=True)
        for name, rows in (("dev.csv", lines[81:]), ("dev2.csv", lines[90:])):
            pathlib.Path(name).write_text(lines[0] + "".join(rows))
        first = ("--dev", "dev.csv", "--metric", "accuracy")
        run(*finetune("best.gguf", *first, "--max-steps", "20"))
        for other in (("--dev", "dev.csv", "--metric", "mcc"),
                      ("--dev", "dev2.csv", "--metric", "accuracy")):
            said = run(*finetune("best.gguf", "--resume", *other), code=2)
            self.assertIn('another recipe; it has "score":"accuracy of data ', said)
        run(*finetune("best.gguf", "--resume", *first))

    def test_numbers_that_are_not_finite_end_the_run(self):
        wild = ("--lr", "999", "--clip", "0", "--warmup", "0", "--weight-decay", "999",
                "--checkpoint-steps", "1")
        for more in ((), ("--resume",)):
            said = run(*finetune("wild.gguf", *wild, *more), code=3)
            self.assertRegex(said, r"step \d+ \(batch \d+ of epoch 1, which begins with example "
                                   r"\d+\): the (loss|gradient) is not finite; the step was not")
            self.assertFalse(os.path.exists("wild.gguf"))
            self.assertTrue(held("wild.gguf"))

    def test_a_class_without_examples_is_named(self):
        os.mkdir("pairs")
        rows = "1\t1\t2\tgood film\tbad film\n" * 3
        for name in ("train", "dev"):
            pathlib.Path(f"pairs/{name}.tsv").write_text(
                "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n" + rows)
        said = run("finetune", "bare.gguf", "-o", "never", "--task", "mrpc", "--data", "pairs",
                   code=2)
        self.assertIn("the class '0' has no example to train on", said)
        self.assertFalse(os.path.exists("never"))


if __name__ == "__main__":
    unittest.main()
