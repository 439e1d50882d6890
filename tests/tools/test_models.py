#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What makes models and checks them: the split of SST-2 by source, the card, and that each fault
of a model's card is seen."""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "models" / "recipes"), str(TOP / "tests" / "tools")]
import books  # noqa: E402
import clinc_texts  # noqa: E402
import check_models  # noqa: E402
import refusals  # noqa: E402
import sst2_split  # noqa: E402
import write_card  # noqa: E402
import write_page  # noqa: E402


class Split(unittest.TestCase):
    ROWS = ["a slow but lovely film \t1", "lovely film\t1", "slow \t0", "A Slow but lovely film\t1",
            "the plot is thin\t0", "the plot\t0", "plot is thin\t0", "thin\t0", "lovely plot\t1",
            "film the plot\t0"]

    def test_what_is_held_out_leaves_no_phrase_behind(self):
        for n in range(1, 5):
            train, held = sst2_split.split(self.ROWS, n)
            self.assertEqual(len(held), n)
            gone = set().union(*(sst2_split.phrases(tuple(row.split("\t")[0].lower().split()))
                                 for row in held))
            words = [tuple(row.split("\t")[0].lower().split()) for row in train]
            self.assertFalse(gone & set(words))
            left = [row for row in self.ROWS if row not in train]
            self.assertTrue(all(tuple(r.split("\t")[0].lower().split()) in gone for r in left))

    def test_only_whole_sentences_are_held_out_and_each_once(self):
        _, held = sst2_split.split(self.ROWS, 9)
        self.assertEqual(sorted(row.split("\t")[0].strip() for row in held),
                         ["a slow but lovely film", "film the plot", "lovely plot",
                          "the plot is thin"])

    def test_the_order_is_that_of_the_hashes(self):
        _, held = sst2_split.split(self.ROWS, 1)
        whole = ["a slow but lovely film", "film the plot", "lovely plot", "the plot is thin"]
        first = min(whole, key=lambda s: hashlib.sha256(s.encode()).digest())
        self.assertEqual(held[0].split("\t")[0].strip(), first)

    def test_rows_are_written_as_they_are(self):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "all.tsv")
            with open(source, "w", encoding="utf-8") as file:
                file.write("\n".join(["sentence\tlabel", *self.ROWS, ""]))
            with contextlib.redirect_stdout(io.StringIO()):
                sst2_split.main(source, folder, 2)
            lines = []
            for name in ("train.tsv", "dev.tsv"):
                text = pathlib.Path(folder, name).read_text(encoding="utf-8")
                self.assertTrue(text.startswith("sentence\tlabel\n") and text.endswith("\n"))
                lines += text.splitlines()[1:]
            self.assertLessEqual(set(lines), set(self.ROWS))


class Recipes(unittest.TestCase):
    def test_paragraphs_are_all_of_one_kind_and_each_twelfth_of_the_other(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, n in (("openstax", 5), ("gutenberg", 25)):
                with books.gzip.open(f"{folder}/{name}_en.txt.gz", "wt", encoding="utf-8") as file:
                    file.writelines(f"{name} {i}\n\n  \n" for i in range(1, n + 1))
            books.main(folder, f"{folder}/out", f"{folder}/sample")
            lines = pathlib.Path(folder, "out").read_text(encoding="utf-8").splitlines()
            self.assertEqual(lines, [*(f"openstax {i}" for i in range(1, 6)), "gutenberg 12",
                                     "gutenberg 24"])
            sample = pathlib.Path(folder, "sample").read_text(encoding="utf-8")
            self.assertEqual(sample, "openstax 5\n")

    def test_requests_and_books_are_one_vocabulary_and_a_sample(self):
        with tempfile.TemporaryDirectory() as folder:
            data, text = (pathlib.Path(folder, name) for name in ("data.json", "books"))
            data.write_text(json.dumps({"train": [[f"ask {i}", "a"] for i in range(1, 10)],
                                        "test": [["unseen", "a"]]}), encoding="utf-8")
            text.write_text("".join(f"line {i}\n" for i in range(1, 82)), encoding="utf-8")
            clinc_texts.main(data, text, f"{folder}/all", f"{folder}/sample")
            every = pathlib.Path(folder, "all").read_text(encoding="utf-8").splitlines()
            self.assertEqual((len(every), every[0], every[-1]), (90, "line 1", "ask 9"))
            sample = pathlib.Path(folder, "sample").read_text(encoding="utf-8").splitlines()
            self.assertEqual(sample, ["ask 4", "ask 8", "line 40", "line 80"])

    def test_an_interval_of_a_share_is_wilsons(self):
        got = refusals.share(8, 10)  # the interval of 8 of 10 by Wilson's formula
        self.assertAlmostEqual(got["low"], 0.4901625, 6)
        self.assertAlmostEqual(got["high"], 0.9433178, 6)

    def test_a_card_takes_the_other_models_score_from_the_difference(self):
        measured = {"dev": {"metrics": {"accuracy": 0.9, "mcc": None},
                            "against": {"metrics": {"accuracy": -0.02, "mcc": None}}},
                    "bench": [{"median_ms": 1}]}
        base, share = write_card.beside(measured)
        self.assertAlmostEqual(base["dev"]["accuracy"], 0.92)
        self.assertAlmostEqual(share["dev"]["accuracy"], 0.9 / 0.92)
        self.assertEqual(list(base), ["dev"])

    def test_every_field_of_the_templates_is_written_or_missed_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            template = os.path.join(folder, "card.md")
            recipe = os.path.join(folder, "recipe")
            measure = os.path.join(folder, "m.json")
            pathlib.Path(template).write_text("{name} {dev[n]:d} {model[sha256]}\n{recipe}\n")
            pathlib.Path(recipe).write_text("squeezebert one " + "x " * 80 + "\nsecond\n")
            pathlib.Path(measure).write_text(json.dumps({"n": 7}))
            program = os.path.join(folder, "program")
            pathlib.Path(program).write_text("#!/bin/sh\necho '" + json.dumps(
                dict.fromkeys(("layers", "dimensions", "labels", "parameters",
                               "embedding_parameters"), 1)) + "'\n")
            os.chmod(program, 0o755)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                write_card.main(template, "tiny", measure, program, recipe, "dev=" + measure)
            lines = said.getvalue().splitlines()
            digest = hashlib.sha256(pathlib.Path(measure).read_bytes()).hexdigest()
            self.assertEqual(lines[0], f"tiny 7 {digest}")
            self.assertTrue(lines[1].startswith("    squeezebert one") and lines[1].endswith("\\"))
            self.assertEqual(lines[-1], "    second")
            with self.assertRaisesRegex(SystemExit, "other"):
                pathlib.Path(template).write_text("{other[n]}")
                write_card.main(template, "tiny", measure, program, recipe, "dev=" + measure)


PROGRAM = """#!/bin/sh
echo "$1" >> "$LOG"
case $1 in
info) echo '{"layers":1,"dimensions":2,"labels":[],"parameters":3,"embedding_parameters":4}' ;;
bench) echo '{"median_ms":0.5}' ;;
train)
  [ -z "$STOP" ] || { mkdir "$3.checkpoint"; exit 9; }
  [ -d "$3.checkpoint" ] && echo "goes on" >> "$LOG"
  rm -rf "$3.checkpoint"
  cat "$2" > "$3" ;;
*) cat "$2" > "$3" ;;
esac
"""
RECIPE = """text=$work/text
step "$text" cp "$data/text" "$text"
step "$work/parts/small" "$program" shrink "$text" "$work/parts/small"
step "$work/embed.gguf" "$program" train "$work/parts/small" "$work/embed.gguf" $MORE
save "$work/embed.score" "$program" measure "$work/embed.gguf" /dev/stdout
finish score="$work/embed.score"
"""
CARD = """---
license: none
bytes: {model[bytes]}
sha256: {model[sha256]}
score: {score} in {bench[median_ms]} ms
---

## Scores
## Data and licence
## Recipe

{recipe}

## Limits
"""


class Make(unittest.TestCase):
    """models/make.sh in a tree of its own, with a program that copies files."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.top = pathlib.Path(self.folder.name)
        for name in ("models/make.sh", "models/recipes/write_card.py",
                     "models/recipes/write_page.py", "tests/tools/check_models.py"):
            (self.top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, self.top / name)
        for name, text in (("recipes/embed.sh", RECIPE), ("recipes/embed.card", CARD)):
            (self.top / "models" / name).write_text(text)
        (self.top / "doc").mkdir()
        (self.top / "doc/models.md").write_text("words\n\n" + write_page.HEAD)
        (self.top / "data").mkdir()
        (self.top / "data/text").write_text("7\n")
        (self.top / "program").write_text(PROGRAM)
        (self.top / "program").chmod(0o755)

    def tearDown(self):
        self.folder.cleanup()

    def make(self, code=0, **environment):
        """What the program was asked for."""
        log = self.top / "log"
        log.write_text("")
        values = {**os.environ, "PROGRAM": str(self.top / "program"), "LOG": str(log), "STOP": "",
                  "MORE": "", **environment}
        values.pop("OUT", None)
        done = subprocess.run(["sh", self.top / "models/make.sh", self.top / "data",
                               self.top / "work", "embed"], env=values, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return log.read_text().split("\n")[:-1]

    def card(self):
        return (self.top / "models/embed.md").read_text()

    def test_model_card_and_page_are_made_and_nothing_twice(self):
        self.assertEqual(self.make(), ["shrink", "train", "measure", "bench", "info"])
        self.assertEqual((self.top / "models/embed.gguf").read_text(), "7\n")
        self.assertIn("score: 7 in 0.5 ms", self.card())
        self.assertIn("    squeezebert train parts/small embed.gguf\n", self.card())
        self.assertNotIn(self.folder.name, self.card())
        page = (self.top / "doc/models.md").read_text()
        self.assertIn("| [embed](../models/embed.md) | 2 | 7 in 0.5 ms |", page)
        self.assertEqual(self.make(), ["info"])

    def test_a_run_that_was_stopped_goes_on_and_one_of_another_command_begins(self):
        self.assertEqual(self.make(code=9, STOP="1"), ["shrink", "train"])
        self.assertEqual(self.make()[:2], ["train", "goes on"])
        self.make(code=9, STOP="1", MORE="--other")
        self.assertEqual(self.make(MORE="--another")[:2], ["train", "measure"])

    def test_what_was_made_of_another_input_is_made_again(self):
        self.make()
        self.make(code=9, STOP="1", MORE="--other")
        (self.top / "work/text").write_text("8\n")
        self.assertEqual(self.make(MORE="--other"),
                         ["shrink", "train", "measure", "bench", "info"])
        self.assertIn("score: 8 in", self.card())

    def test_an_unknown_model_is_refused_before_anything_is_made(self):
        (self.top / "models/recipes/embed.card").unlink()
        self.assertEqual(self.make(code=2), [])


class Page(unittest.TestCase):
    def test_rows_are_those_of_the_cards_and_no_others(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("b", "a"):
                pathlib.Path(folder, name + ".md").write_text(
                    f"---\nbytes: 1234567\nscore: of {name}\n---\n")
            wanted = ("words\n" + write_page.HEAD + "| [a](../models/a.md) | 1,234,567 | of a |\n"
                      "| [b](../models/b.md) | 1,234,567 | of b |\n" + "\nmore\n")
            for old in ("", "| [c](../models/c.md) | 1 | gone |\n"):
                page = "words\n" + write_page.HEAD + old + "\nmore\n"
                self.assertEqual(write_page.page_with(page, folder), wanted)


class Cards(unittest.TestCase):
    DATA = b"a model"

    def card(self, **changed):
        fields = {"license": "apache-2.0", "bytes": len(self.DATA),
                  "sha256": hashlib.sha256(self.DATA).hexdigest(), "score": "accuracy 0.9"}
        fields.update(changed)
        sections = "".join(f"\n## {title}\n\nwords\n" for title in check_models.SECTIONS)
        return "---\n" + "".join(f"{k}: {v}\n" for k, v in fields.items()) + "---\n" + sections

    def check(self, wanted, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                pathlib.Path(folder, name).write_bytes(
                    data if isinstance(data, bytes) else data.encode())
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                got = check_models.main(folder)
        self.assertEqual(got, wanted, said.getvalue())
        return said.getvalue()

    def test_a_model_with_its_card_passes_and_absent_ones_are_named(self):
        said = self.check(0, {"embed.gguf": self.DATA, "embed.md": self.card()})
        self.assertIn("skipped: models/sentiment.gguf is not there", said)
        self.assertNotIn("skipped: models/embed.gguf", said)

    def test_no_model_at_all_is_skipped(self):
        self.check(77, {})

    def test_every_fault_is_seen(self):
        whole = {"embed.gguf": self.DATA, "embed.md": self.card()}
        for fault, files in {
                "has no card": {"embed.md": None},
                "says sha256 0": {"embed.md": self.card(sha256=0)},
                "says bytes 8": {"embed.md": self.card(bytes=8)},
                "no line score": {"embed.md": self.card(score="")},
                "no section Limits": {"embed.md": self.card().replace("## Limits", "")},
                r"was not filled: {dev[n]:.4f}": {"embed.md": self.card() + "{dev[n]:.4f}"},
                "card without a model": {"intents.md": self.card()},
                "knows no bound": {"other.gguf": self.DATA, "other.md": self.card()},
                "allowed": {"embed.gguf": self.DATA * 10 ** 6}}.items():
            changed = {k: v for k, v in {**whole, **files}.items() if v is not None}
            self.assertIn(fault, self.check(1, changed))


if __name__ == "__main__":
    unittest.main()
