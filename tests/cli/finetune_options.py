#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every option of finetune does what its help says, on a tiny model and tables that are written
here: each is seen in the file, the log, the losses or the checkpoint that comes out.

finetune_options.py PROGRAM
"""
import json
import math
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import unittest

from program import PROGRAM, enter, leave

HERE = pathlib.Path(__file__).resolve().parent
WORDS = "good bad film the a no q x".split()
FAST = ("--epochs", "2", "--lr", "5e-3", "--batch", "8", "--progress", "none", "-t", "1")


def setUpModule():
    enter()
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    draw = random.Random(2)
    rows = [[draw.choice(WORDS) for _ in range(draw.randrange(1, 6))] for _ in range(96)]
    table = "text,second,label,even,many,n,half,own\n"
    lines, arrays = [], []
    for i, words in enumerate(rows):
        text, many = " ".join(words), sorted({"good", "bad", "film"} & set(words))
        label = "up" if "good" in words else "down"
        table += f"{text},{text[::-1]},{label},{'ab'[i % 2]},{';'.join(many)},{len(words)}," \
                 f"{i // 48},{text} {' '.join(('a', 'no')[i >> b & 1] for b in range(7))}\n"
        lines.append(json.dumps({"text": text, "label": many}))
        arrays.append(json.dumps({"text": words, "label": ["B-Q" if w in "qx" else "O" for w in
                                                           words]}))
    pathlib.Path("t.csv").write_text(table)
    pathlib.Path("t.jsonl").write_text("\n".join(lines) + "\n")
    pathlib.Path("words.jsonl").write_text("\n".join(arrays) + "\n")
    pathlib.Path("t.bio").write_text("\n".join(
        "".join(f"{w}\tx\t{'B-Q' if w in 'qx' else 'O'}\n" for w in words) for words in rows))
    clinc = [[" ".join(w), "up" if "good" in w else "down"] for w in rows]
    odd = [[f"{' '.join(w)} .", "oos"] for w in rows[:9]]
    pathlib.Path("c.json").write_text(json.dumps({"train": clinc[:70], "val": clinc[70:],
                                                  "oos_train": odd, "test": clinc[:5]}))


tearDownModule = leave


def run(*arguments, code=0, **more):
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, **more)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code == 0 else got.stderr


def train(*arguments, out="m.gguf", data="t.csv"):
    return json.loads(run("finetune", "bare.gguf", "-o", out, "--json", "--data", data, *FAST,
                          *arguments))


def read(path):
    return pathlib.Path(path).read_bytes()


def losses(*arguments):
    train("--losses", "losses.json", "--max-steps", "2", "--dropout", "0", *arguments)
    return json.loads(read("losses.json"))


def log(*arguments):
    train("--log", "log.jsonl", *arguments)
    return [json.loads(line) for line in read("log.jsonl").splitlines()]


def recipe():
    """As the newest checkpoint has it."""
    path = sorted(pathlib.Path("m.gguf.checkpoint").glob("step-*"))[-1]
    return json.loads(re.search(rb'\{"version":1,"head":.*?\}', path.read_bytes())[0])


def tensors(path):
    """name -> bytes, of the folder that it is exported to."""
    run("export", path, "-o", path + ".folder")
    data = read(path + ".folder/model.safetensors")
    n = struct.unpack("<Q", data[:8])[0]
    return {name: data[8 + n + entry["data_offsets"][0]:8 + n + entry["data_offsets"][1]]
            for name, entry in json.loads(data[8:8 + n]).items() if name != "__metadata__"}


class Options(unittest.TestCase):
    def test_frozen_weights_are_the_bases_and_no_others(self):
        base = tensors("bare.gguf")
        for freeze, frozen in ((None, "none"), ("embeddings", "embeddings"),
                               ("1", r"embeddings|layer\.0\."), ("2", r"embeddings|layer\."),
                               ("encoder", r"embeddings|layer\.")):
            train(*(("--freeze", freeze) if freeze else ()))
            os.path.exists("m.gguf.folder") and subprocess.run(["rm", "-r", "m.gguf.folder"])
            tuned = {name.removeprefix("bert."): x for name, x in tensors("m.gguf").items()}
            for name, numbers in base.items():
                self.assertEqual(tuned[name] == numbers, bool(re.search(frozen, name)),
                                 (freeze, name))

    def test_numbers_reach_the_recipe(self):
        given = {"epochs": 3, "lr": 0.004, "head_lr": 0.02, "warmup": 0.25, "weight_decay": 0.2,
                 "clip": 0.5, "dropout": 0.3, "label_smoothing": 0.125, "accumulate": 2, "seed": 7,
                 "schedule": "cosine", "pool": "cls"}
        train(*(word for key, value in given.items()
                for word in ("--" + key.replace("_", "-"), str(value))))
        self.assertLessEqual(given.items(), recipe().items())
        train("--warmup", "0", "--clip", "0", "--weight-decay", "0", "--dropout", "0")
        self.assertLessEqual({"warmup": 0, "clip": 0, "weight_decay": 0, "dropout": 0}.items(),
                             recipe().items())

    def test_defaults_are_the_recipe_that_help_names(self):
        run("finetune", "bare.gguf", "-o", "m.gguf", "--data", "t.csv", "--max-steps", "1")
        self.assertLessEqual({"epochs": 5, "lr": 5e-5, "head_lr": 5e-5, "warmup": 0.1,
                              "weight_decay": 0.01, "clip": 1, "dropout": 0.1, "beta1": 0.9,
                              "beta2": 0.999, "epsilon": 1e-6, "label_smoothing": 0,
                              "schedule": "linear", "pool": "pooler", "seed": 1, "batches": 3,
                              "accumulate": 1, "freeze_encoder": 0}.items(), recipe().items())

    def test_rates_follow_the_schedule(self):
        steps, warm = 24, 6
        for name, after in (("linear", lambda x: 1 - x), ("constant", lambda x: 1),
                            ("cosine", lambda x: (1 + math.cos(math.pi * x)) / 2)):
            rates = [e["rate"] for e in log("--schedule", name, "--warmup", "0.25") if "rate" in e]
            self.assertEqual(len(rates), steps)
            for s, rate in enumerate(rates):
                share = s / warm if s < warm else after((s - warm) / (steps - warm))
                self.assertAlmostEqual(rate, 5e-3 * share, delta=1e-9)
        short = [e["rate"] for e in log("--max-steps", "9", "--warmup", "0.25") if "rate" in e]
        self.assertEqual(len(short), 9)
        self.assertAlmostEqual(short[8], 5e-3 * (1 - 2 / 18), delta=1e-9)

    def test_parts_of_a_batch_have_the_loss_of_the_whole(self):
        for a, b in zip(losses(), losses("--accumulate", "3")):
            self.assertAlmostEqual(a, b, delta=1e-5 * a)

    def test_class_weights(self):
        plain = losses()
        self.assertEqual(losses("--label", "even"), losses("--label", "even", "--class-weights",
                                                           "balanced"))
        self.assertEqual(plain, losses("--class-weights", "up=1,down=1"))
        self.assertNotEqual(plain, losses("--class-weights", "up=3"))
        counts = {name: read("t.csv").decode().count(f",{name},") for name in ("up", "down")}
        named = ",".join(f"{name}={96 / (2 * n)!r}" for name, n in counts.items())
        self.assertEqual(losses("--class-weights", named),
                         losses("--class-weights", "balanced"))

    def test_positive_weights_of_several_labels(self):
        many = ("--label", "many", "--separator", ";", "--problem", "multi_label")
        cells = [line.split(",")[4].split(";") for line in read("t.csv").decode().split("\n")[1:97]]
        counts = {name: sum(name in cell for cell in cells) for name in ("bad", "film", "good")}
        named = ",".join(f"{name}={(96 - n) / n!r}" for name, n in counts.items())
        self.assertEqual(losses(*many, "--class-weights", named),
                         losses(*many, "--class-weights", "balanced"))
        self.assertNotEqual(losses(*many), losses(*many, "--class-weights", "good=2"))

    def test_smoothing_is_linear_in_its_share(self):
        a, b, c = (losses("--label-smoothing", share)[0] for share in ("0", "0.2", "0.4"))
        self.assertNotEqual(a, b)
        self.assertAlmostEqual(c - a, 2 * (b - a), delta=1e-6)

    def test_what_is_read_of_a_text_is_chosen(self):
        first = {name: losses("--pool", name)[0] for name in ("auto", "pooler", "cls", "mean")}
        self.assertEqual(first["auto"], first["pooler"])
        self.assertEqual(len({first["pooler"], first["cls"], first["mean"]}), 3)
        self.assertNotEqual(first["auto"], losses("--max-length", "3")[0])

    def test_sources_are_not_parted(self):
        report = train("--text", "own", "--holdout", "0.5", "--source", "half")
        self.assertEqual((report["examples"], report["dev_examples"]), (48, 48))
        said = run("finetune", "bare.gguf", "-o", "never", "--data", "t.csv", "--text", "own",
                   "--holdout", "0.1", "--source", "label", "--label", "even", code=3)
        self.assertIn("from 2 sources", said)

    def test_the_seed_draws_what_is_held_out(self):
        data = [train("--holdout", "0.3", "--seed", seed, "--max-steps", "1")["data_sha256"]
                for seed in ("1", "1", "2")]
        self.assertEqual(data[0], data[1])
        self.assertNotEqual(data[0], data[2])

    def test_every_metric_decides(self):
        for metrics, arguments in (
            (("accuracy", "macro_f1", "mcc"), ()),
            (("accuracy", "micro_f1", "macro_f1"),
             ("--label", "many", "--separator", ";", "--problem", "multi_label")),
            (("pearson", "spearman"), ("--label", "n", "--problem", "regression")),
            (("f1", "precision", "recall", "accuracy"), ("--data", "t.bio")),
        ):
            for metric in metrics:
                entries = log("--holdout", "0.3", "--metric", metric, "--patience", "1", "--epochs",
                              "12", *arguments)
                scored = [e for e in entries if metric in e]
                report = train("--holdout", "0.3", "--metric", metric, "--patience", "1",
                               "--epochs", "12", *arguments)
                self.assertTrue(scored, (metric, arguments))
                best = max((e[metric] for e in scored if e[metric] is not None), default=None)
                self.assertIsNotNone(best, (metric, scored))
                kept = next(e["step"] for e in scored if e[metric] == best)
                self.assertEqual(report["kept_step"], kept, (metric, scored))
                late = [e[metric] is None or e[metric] <= best for e in scored if e["step"] > kept]
                self.assertLessEqual(len(late), 1)
                self.assertAlmostEqual(report["metrics"][metric], best, delta=1e-8)

    def test_every_layout_and_kind_is_trained_and_evaluated(self):
        for data, arguments in (
            ("t.csv", ("--label", "even")),
            ("t.csv", ("--text2", "second")),
            ("t.csv", ("--text", "second", "--label", "n", "--problem", "regression")),
            ("t.csv", ("--label", "many", "--separator", ";", "--problem", "multi_label")),
            ("t.jsonl", ("--problem", "multi_label")),
            ("words.jsonl", ("--problem", "tokens")),
            ("t.bio", ()),
            ("c.json", ()),
        ):
            report = train("--holdout", "0.25", *arguments, data=data)
            own = [x for i, x in enumerate(arguments)
                   if "--problem" not in (x, arguments[i - 1] if i else "")]
            ends = {"csv": "csv", "jsonl": "jsonl", "bio": "conll", "json": "clinc"}
            of_file = json.loads(run("eval", "m.gguf", "--data", data, *own, "--json"))
            of_pipe = json.loads(run("eval", "m.gguf", "--input", ends[data.split(".")[1]], *own,
                                     "--json", input=read(data).decode()))
            self.assertEqual(of_file["metrics"], of_pipe["metrics"])
            n = report["examples"] + report["dev_examples"]
            self.assertEqual(of_file["n"], 26 if data == "c.json" else n)  # of CLINC val
            run("eval", "m.gguf", "--data", data, *own, "--against", "m.gguf", "--predictions",
                "p.tsv")
            self.assertEqual(len(read("p.tsv").splitlines()), of_file["n"] + 1)

    def test_splits_of_clincs_json(self):
        report = train("--dev", "c.json", data="c.json")
        self.assertEqual((report["examples"], report["dev_examples"]), (70, 26))
        report = train("--dev", "c.json", "--split", "train+oos_train", data="c.json")
        self.assertEqual((report["examples"], report["dev_examples"]), (79, 26))
        got = json.loads(run("eval", "m.gguf", "--data", "c.json", "--split", "test", "--json"))
        self.assertEqual((got["n"], len(got["classes"])), (5, 3))

    def test_checkpoints_are_written_where_and_when_they_are_asked_for(self):
        for arguments, n in ((("--checkpoint-minutes", "0"), 1),
                             (("--checkpoint-minutes", "1e-9"), 2),
                             (("--checkpoint-minutes", "0", "--checkpoint-steps", "5"), 2)):
            train("--checkpoint", "apart", *arguments)
            self.assertEqual(len(list(pathlib.Path("apart").glob("step-*.gguf"))), n, arguments)

    def test_both_dev_files_of_mnli(self):
        os.mkdir("mnli")
        for name, n in (("train", 30), ("dev_matched", 9), ("dev_mismatched", 6)):
            pathlib.Path(f"mnli/{name}.tsv").write_text(
                "index\tsentence1\tsentence2\tgold_label\n" + "".join(
                    f"{i}\tgood {WORDS[i % 8]}\tx {WORDS[i % 5]}\t"
                    f"{('entailment', 'neutral', 'contradiction')[i % 3]}\n" for i in range(n)))
        report = json.loads(run("finetune", "bare.gguf", "-o", "n.gguf", "--task", "mnli", "--data",
                                "mnli", "--json", *FAST))
        both = json.loads(run("eval", "n.gguf", "--task", "mnli", "--data", "mnli", "--json"))
        self.assertEqual(report["task_metrics"], both["metrics"])
        self.assertEqual(both["n"], 15)
        for key, split in (("accuracy", "dev_matched"), ("accuracy_mismatched", "dev_mismatched")):
            one = json.loads(run("eval", "n.gguf", "--task", "mnli", "--data", "mnli", "--split",
                                 split, "--json"))
            self.assertEqual(one["metrics"], {"accuracy": both["metrics"][key]})


if __name__ == "__main__":
    unittest.main()
