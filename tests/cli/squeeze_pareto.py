#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""squeeze --pareto on tiny models: the table says of each budget what squeeze --budget does, the
picture shows the same, and what cannot be is refused before it takes long.

squeeze_pareto.py PROGRAM
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from program import PROGRAM, enter, leave

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden" / "models"
SVG = "{http://www.w3.org/2000/svg}"


def setUpModule():
    enter()
    words = "good film the bad act a was it not very".split()
    pathlib.Path("texts").write_text("".join(
        f"{words[i % 10]} {words[i // 10 % 10]} {words[i // 100 % 10]} {words[i * 7 % 10]} film "
        f"{i}\n" for i in range(400)))
    run("import", str(GOLDEN / "bert-sequence"), "-o", "head.gguf")
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "bare", "BertModel"], check=True)
    run("import", "bare", "-o", "bare.gguf")
    run("init-student", "bare.gguf", "-o", "wide.gguf", "--width", "96", "--heads", "3",
        "--neurons", "256")


tearDownModule = leave


def run(*arguments, code=0, **more):
    environment = {**os.environ, **more}
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, env=environment)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code == 0 else got.stderr


def front(model, table, *arguments, **more):
    run("squeeze", model, "--pareto", table, "--texts", "texts", "-t", "1", "--progress", "none",
        *arguments, **more)
    with open(table, newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


class Pareto(unittest.TestCase):
    def check(self, model, rows, score):
        self.assertEqual(rows[0]["budget"], "whole")
        self.assertEqual(int(rows[0]["bytes"]), os.path.getsize(model))
        self.assertEqual([float(rows[0][k]) for k in ("score", "cosine", "neighbours")], [1, 1, 1])
        budgets = [int(row["budget"]) for row in rows[1:]]
        self.assertEqual(budgets, sorted(budgets, reverse=True))
        for row in rows:
            self.assertEqual((row["score of"], row["at"], row["threads"], row["healed minutes"]),
                             (score, row["at"], "1", "0"))
            self.assertEqual(row["score"], row[score])
            self.assertGreater(float(row["ms"]), 0)
            self.assertGreater(float(row["core-seconds per 1000 texts"]), 0)
        of = [[-float(row["score"]), int(row["bytes"]), float(row["ms"])] for row in rows]
        for row, a in zip(rows, of):
            beaten = any(b != a and all(x <= y for x, y in zip(b, a)) for b in of)
            self.assertEqual(row["on the front"], "no" if beaten else "yes")

    def test_each_row_is_what_squeeze_makes_of_its_budget(self):
        for model, score in (("bare.gguf", "cosine"), ("head.gguf", "classes")):
            whole = os.path.getsize(model)
            budgets = [round(whole * share) for share in (0.6, 0.8)]
            rows = front(model, "two.csv", "--budgets", ",".join(map(str, budgets)), "--at", "2x9")
            self.check(model, rows, score)
            self.assertEqual([int(row["budget"]) for row in rows[1:]], budgets[::-1])
            self.assertEqual({row["at"] for row in rows}, {"2x9"})
            for row in rows[1:]:
                made = json.loads(run("squeeze", model, "-o", "one.gguf", "--texts", "texts",
                                      "--budget", row["budget"], "--no-heal", "--json", "-t", "1"))
                self.assertEqual(int(row["bytes"]), os.path.getsize("one.gguf"))
                self.assertLessEqual(int(row["bytes"]), int(row["budget"]))
                for name in ("cosine", "neighbours"):
                    self.assertAlmostEqual(float(row[name]), made["fidelity"][name], delta=1e-8)

    def test_usual_budgets_fall_until_one_cannot_be_met(self):
        rows = front("wide.gguf", "usual.csv", "--bits", "4", "--layers", "0,1")
        self.check("wide.gguf", rows, "cosine")
        self.assertTrue(2 <= len(rows) < 9, len(rows))
        self.assertEqual({row["at"] for row in rows}, {"1x40"})

    def test_the_picture_shows_the_table(self):
        whole = os.path.getsize("bare.gguf")
        rows = front("bare.gguf", "drawn.csv", "--budgets",
                     f"{whole // 2},{whole * 2 // 3},{whole}", "--at", "1x16")
        root = xml.etree.ElementTree.parse("drawn.svg").getroot()
        width, height = (float(root.get(k)) for k in ("width", "height"))
        dots = [(float(c.get("cx")), float(c.get("cy")), c.get("fill") != "#ffffff")
                for c in root.iter(SVG + "circle")]
        self.assertEqual(len(dots), 2 * len(rows))
        for half in (0, 1):
            shown = dots[half * len(rows):(half + 1) * len(rows)]
            for (x, y, filled), row in zip(shown, rows):
                self.assertTrue(width / 2 * half < x < width / 2 * (half + 1) and 0 < y < height)
                self.assertEqual(filled, row["on the front"] == "yes")
            across = [float(row[("bytes", "ms")[half]]) for row in rows]
            for a in range(len(rows)):
                for b in range(len(rows)):
                    if across[a] < across[b]:
                        self.assertLessEqual(shown[a][0], shown[b][0])
                    if float(rows[a]["score"]) < float(rows[b]["score"]):
                        self.assertGreaterEqual(shown[a][1], shown[b][1])
        words = [t.text for t in root.iter(SVG + "text")]
        self.assertIn("file, MB", words)
        self.assertIn("1 x 16 pieces, 1 thread, ms", words)

    def test_joules_are_those_of_the_packages_or_not_available(self):
        pathlib.Path("no_cap").mkdir()
        budget = ("--budgets", str(os.path.getsize("bare.gguf") // 2), "--at", "1x16")
        rows = front("bare.gguf", "energy.csv", *budget, SQUEEZEBERT_POWERCAP="no_cap")
        self.assertEqual({row["joules per 1000 texts"] for row in rows}, {"not available"})
        for zone in ("intel-rapl:0", "intel-rapl:0:0"):
            folder = pathlib.Path("cap") / zone
            folder.mkdir(parents=True)
            (folder / "energy_uj").write_text("broken\n" if zone.count(":") == 2 else "123456\n")
            (folder / "max_energy_range_uj").write_text("262143328850\n")
        rows = front("bare.gguf", "energy.csv", *budget, SQUEEZEBERT_POWERCAP="cap")
        self.assertEqual({row["joules per 1000 texts"] for row in rows}, {"0"})

    def test_what_cannot_be_is_refused(self):
        texts = ("--texts", "texts")
        for code, pattern, arguments in (
            (2, "ends in .csv", ("--pareto", "front.txt", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "-o", "x.gguf", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "--budget", "9kB", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "--dry-run", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "--no-fidelity", *texts)),
            (2, "--pareto", ("-o", "x.gguf", "--budgets", "9kB", *texts)),
            (2, "--texts FILE is missing", ("--pareto", "f.csv")),
            (2, "heals and judges nothing", ("--pareto", "f.csv", "--minutes", "1", *texts)),
            (2, "the least that can is", ("--pareto", "f.csv", "--budgets", "1,90kB", *texts)),
            (2, "is no number of bytes", ("--pareto", "f.csv", "--budgets", "9kB,x", *texts)),
            (2, "the model takes 40", ("--pareto", "f.csv", "--at", "1x41", *texts)),
            (1, "absent/f.csv", ("--pareto", "absent/f.csv", *texts)),
        ):
            self.assertIn(pattern, run("squeeze", "bare.gguf", *arguments, code=code))
        self.assertFalse(os.path.exists("f.csv") or os.path.exists("f.svg"))

    def test_nothing_is_left_beside_the_two_files(self):
        os.mkdir("temporary")
        front("bare.gguf", "left.csv", "--budgets", str(os.path.getsize("bare.gguf") // 2), "--at",
              "1x16", TMPDIR="temporary")
        self.assertEqual(os.listdir("temporary"), [])


if __name__ == "__main__":
    unittest.main()
