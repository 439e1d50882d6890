#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""squeeze --pareto on tiny models: the table says of each budget what squeeze --budget does, judged
by rows and healed too, gone on with where it was killed; the picture shows the same, and what
cannot be is refused before it takes long.

squeeze_pareto.py PROGRAM
"""
import contextlib
import csv
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
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
    draw = random.Random(3)
    lines = [" ".join(draw.choice(words) for _ in range(12)) for _ in range(400)]
    pathlib.Path("t.csv").write_text("text,label\n" + "".join(
        f"{line},{'up' if line.count('good') > line.count('bad') else 'down'}\n"
        for line in lines))
    run("finetune", "bare.gguf", "-o", "teacher.gguf", "--data", "t.csv", "--epochs", "6", "--lr",
        "5e-3", "--batch", "8", "--progress", "none", "-t", "1")


tearDownModule = leave


def run(*arguments, code=0, **more):
    environment = {**os.environ, **more}
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, env=environment)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code == 0 else got.stderr


def read(table):
    with open(table, newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def front(model, table, *arguments, texts=("--texts", "texts"), **more):
    run("squeeze", model, "--pareto", table, *texts, "-t", "1", "--progress", "none", *arguments,
        **more)
    return read(table)


def squeezed(model, *arguments):
    return json.loads(run("squeeze", model, "-o", "one.gguf", "--json", "-t", "1", "--progress",
                          "none", *arguments))


class Pareto(unittest.TestCase):
    @staticmethod
    def words(picture):
        return [t.text for t in xml.etree.ElementTree.parse(picture).iter(SVG + "text")]

    def check(self, model, rows, score):
        self.assertEqual(rows[0]["budget"], "whole")
        self.assertEqual(int(rows[0]["bytes"]), os.path.getsize(model))
        self.assertEqual([float(rows[0][k]) for k in ("score", "cosine", "neighbours")], [1, 1, 1])
        budgets = [int(row["budget"]) for row in rows[1:]]
        self.assertEqual(budgets, sorted(budgets, reverse=True))
        for row in rows:
            self.assertEqual((row["score of"], row["at"], row["threads"], row["healed minutes"]),
                             (score, row["at"], "1", "0"))
            self.assertEqual((row["score before healing"], row["healed steps"]), ("", "0"))
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
            asked = ",".join(map(str, [*budgets, budgets[0]]))  # one of them twice
            rows = front(model, "two.csv", "--budgets", asked, "--at", "2x9")
            self.check(model, rows, score)
            self.assertEqual([int(row["budget"]) for row in rows[1:]], budgets[::-1])
            self.assertEqual({row["at"] for row in rows}, {"2x9"})
            for row in rows[1:]:
                made = squeezed(model, "--texts", "texts", "--budget", row["budget"], "--no-heal")
                self.assertEqual(int(row["bytes"]), os.path.getsize("one.gguf"))
                self.assertLessEqual(int(row["bytes"]), int(row["budget"]))
                for name in ("cosine", "neighbours"):
                    self.assertAlmostEqual(float(row[name]), made["fidelity"][name], delta=1e-8)

    def test_rows_are_judged_by_their_figure_on_what_was_held_out(self):
        whole = os.path.getsize("teacher.gguf")
        budgets = [round(whole * share) for share in (0.5, 0.35)]
        rows = front("teacher.gguf", "judged.csv", "--budgets", ",".join(map(str, budgets)), "--at",
                     "1x16", "--figure", "mcc", texts=("--data", "t.csv"))
        self.assertEqual({row["score of"] for row in rows}, {"mcc"})
        self.assertEqual({row["healed minutes"] for row in rows}, {"0"})
        self.assertEqual({row["cosine"] + row["score before healing"] for row in rows}, {""})
        for row in rows[1:]:
            made = squeezed("teacher.gguf", "--data", "t.csv", "--figure", "mcc", "--no-heal",
                            "--budget", row["budget"])
            for own, score in ((row, made["after"]), (rows[0], made["base"])):
                self.assertEqual(int(own["bytes"]), score["bytes"])
                for name in ("score", "low", "high"):
                    self.assertAlmostEqual(float(own[name]), score[name], delta=1e-8)
        said = f"mcc, {made['held_out']} rows held out; not healed"
        self.assertIn(said, self.words("judged.svg"))
        self.assertFalse(os.path.exists("judged.csv.checkpoint"))

    def test_minutes_are_shared_and_both_scores_are_shown(self):
        whole = os.path.getsize("bare.gguf")
        budgets = ",".join(str(round(whole * share)) for share in (0.3, 0.4))
        rows = front("bare.gguf", "healed.csv", "--budgets", budgets, "--at", "1x16", "--minutes",
                     "8", "--epochs", "4")
        self.assertEqual([row["healed minutes"] for row in rows], ["0", "4", "4"])
        for row in rows[1:]:
            made = squeezed("bare.gguf", "--texts", "texts", "--budget", row["budget"],
                            "--minutes", "4", "--epochs", "4")
            self.assertEqual(int(row["healed steps"]), made["steps"])
            self.assertAlmostEqual(float(row["score"]), made["after"]["score"], delta=1e-8)
            self.assertAlmostEqual(float(row["score before healing"]), made["squeezed"]["score"],
                                   delta=1e-8)
            self.assertGreater(float(row["score"]), float(row["score before healing"]))
        titles = [t.text for t in xml.etree.ElementTree.parse("healed.svg").iter(SVG + "title")]
        for row in rows[1:]:
            said = (f"before healing {float(row['score before healing']):.4f}, "
                    f"after it {float(row['score']):.4f}")
            self.assertEqual(titles.count(said), 2)
        self.assertTrue(any("healed for 8 minutes in all" in w for w in self.words("healed.svg")))

    def test_a_run_that_is_killed_goes_on_with_what_it_made(self):
        whole = os.path.getsize("teacher.gguf")
        command = ("squeeze", "teacher.gguf", "--pareto", "k.csv", "--budgets",
                   f"{whole // 3},{whole // 2}", "--data", "t.csv", "--minutes", "8", "--at",
                   "1x16", "-t", "1", "--progress", "none")
        run(*command)
        of = ("bytes", "score", "low", "high", "score before healing", "healed steps")
        wanted = [[row[name] for name in of] for row in read("k.csv")]
        os.remove("k.csv")
        kept = pathlib.Path("k.csv.checkpoint")
        with subprocess.Popen([PROGRAM, *command], stderr=subprocess.DEVNULL) as process:
            while not list(kept.glob(f"small.{whole // 2}/*.parts")):
                self.assertIsNone(process.poll())
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        made = [path for path in kept.glob(f"small.{whole // 3}/*.gguf") if path.is_file()]
        self.assertTrue(any(path.name.startswith("healed-") for path in made))
        first = {path: path.stat() for path in made}
        self.assertIn("--resume goes on with it", run(*command, code=2))
        self.assertIn("a run of other options: ", run(*command, "--resume", "--lr", "1e-3", code=2))
        found = {}
        with subprocess.Popen([PROGRAM, *command, "--resume"],
                              stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                found.update({path: path.stat() for path in made if path.exists()})
                time.sleep(0.005)
        self.assertEqual(process.returncode, 0)
        for path, stat in found.items():
            self.assertEqual((stat.st_ino, stat.st_mtime_ns),
                             (first[path].st_ino, first[path].st_mtime_ns), path)
        self.assertEqual(len(found), len(made))
        self.assertEqual([[row[name] for name in of] for row in read("k.csv")], wanted)
        self.assertFalse(kept.exists())

    def test_usual_budgets_fall_until_one_cannot_be_met(self):
        rows = front("wide.gguf", "usual.csv", "--bits", "4", "--layers", "0,1")
        self.check("wide.gguf", rows, "cosine")
        self.assertTrue(2 <= len(rows) < 9, len(rows))
        self.assertEqual({row["at"] for row in rows}, {"1x40"})

    def test_usual_budgets_that_miss_the_time_are_left_out(self):
        said = run("squeeze", "wide.gguf", "--pareto", "late.csv", "--texts", "texts", "--time",
                   "1%", "--at", "1x16", "--cache", ".", "-t", "1", "--progress", "none", code=2)
        left_out = [line for line in said.splitlines() if line.endswith("; it is left out")]
        self.assertGreater(sum("time: 1 % of the base's" in line for line in left_out), 1, said)
        self.assertFalse(os.path.exists("late.csv"))

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
        words = self.words("drawn.svg")
        self.assertIn("file, MB", words)
        self.assertIn("1 x 16 pieces, 1 thread, ms", words)

    def test_joules_are_those_of_the_packages_or_not_available(self):
        pathlib.Path("no_cap").mkdir()
        budget = ("--budgets", str(os.path.getsize("bare.gguf") // 2), "--at", "1x16")

        def joules(cap):
            rows = front("bare.gguf", "energy.csv", *budget, SQUEEZEBERT_POWERCAP=cap)
            return [row["joules per 1000 texts"] for row in rows]

        self.assertEqual(set(joules("no_cap")), {"not available"})
        for zone, name, counter in (("0", "package-0", "123456"), ("0:0", "core", "broken"),
                                    ("1", "psys", "1"), ("2", "package-1", "123456")):
            folder = pathlib.Path(f"cap/intel-rapl:{zone}")
            folder.mkdir(parents=True)
            (folder / "name").write_text(f"{name}\n")
            (folder / "energy_uj").write_text(f"{counter}\n")
            (folder / "max_energy_range_uj").write_text("262143328850\n")
        with self.counting("cap/intel-rapl:1", 1):
            self.assertEqual(set(joules("cap")), {"0"})
        with self.counting("cap/intel-rapl:2", -1):  # as if it began anew before each reading
            for value in joules("cap"):
                self.assertGreater(float(value), 20000)  # of 262,143, by 12.8 thousand at most
        os.remove("cap/intel-rapl:2/energy_uj")  # the sum of some is no sum
        self.assertEqual(set(joules("cap")), {"not available"})

    @staticmethod
    @contextlib.contextmanager
    def counting(zone, by):
        """The counter of a zone goes up, or down, all the time."""
        stop = threading.Event()

        def count():
            value = 10 ** 9
            while not stop.is_set():
                value += by
                pathlib.Path("counter").write_text(f"{value}\n")
                os.replace("counter", f"{zone}/energy_uj")
        thread = threading.Thread(target=count)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def test_what_cannot_be_is_refused(self):
        texts = ("--texts", "texts")
        for code, pattern, arguments in (
            (2, "ends in .csv", ("--pareto", "front.txt", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "-o", "x.gguf", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "--budget", "9kB", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "--dry-run", *texts)),
            (2, "--pareto", ("--pareto", "f.csv", "--no-fidelity", *texts)),
            (2, "--pareto", ("-o", "x.gguf", "--budgets", "9kB", *texts)),
            (2, "--texts FILE or --data PATH is missing", ("--pareto", "f.csv")),
            (2, "--min-score", ("--pareto", "f.csv", "--min-score", "99%", *texts)),
            (2, "--minutes M says", ("--pareto", "f.csv", "--epochs", "2", *texts)),
            (2, "--no-heal leaves that out",
             ("--pareto", "f.csv", "--minutes", "1", "--no-heal", *texts)),
            (2, "nothing is kept", ("--pareto", "f.csv", "--resume", *texts)),
            (2, "there is neither", ("--pareto", "f.csv", "--seed", "2", *texts)),
            (2, "goes with --data", ("--pareto", "f.csv", "--label", "x", *texts)),
            (3, "the vocabulary",
             ("--pareto", "f.csv", "--minutes", "1", "--drop-impossible", *texts)),
            (2, "static table", ("--pareto", "f.csv", "--minutes", "1", "--layers", "none",
                                 *texts)),
            (1, "it is what is read here", ("--pareto", "t.csv", "--data", "t.csv")),
            (2, "the least that can is",
             ("--pareto", "f.csv", "--minutes", "1", "--budgets", "90kB,1", *texts)),
            (2, "the least that can is", ("--pareto", "f.csv", "--budgets", "1,90kB", *texts)),
            (2, "is no number of bytes", ("--pareto", "f.csv", "--budgets", "9kB,x", *texts)),
            (2, "the model takes 40", ("--pareto", "f.csv", "--at", "1x41", *texts)),
            (1, "absent/f.csv", ("--pareto", "absent/f.csv", *texts)),
        ):
            self.assertIn(pattern, run("squeeze", "bare.gguf", *arguments, code=code))
        self.assertEqual(list(pathlib.Path().glob("f.*")), [])

    def test_nothing_is_left_beside_the_two_files(self):
        os.mkdir("temporary")
        front("bare.gguf", "left.csv", "--budgets", str(os.path.getsize("bare.gguf") // 2), "--at",
              "1x16", TMPDIR="temporary")
        self.assertEqual(os.listdir("temporary"), [])


if __name__ == "__main__":
    unittest.main()
