#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An embedder squeezed by each lever, by several at once, and to a table, as it is and healed, all
with the same budget: score, bytes and time as one Markdown table, a CSV and a picture. Hours; it
may be stopped at any moment and started again with the same command.

    squeeze_picture.py PROGRAM MINILM.gguf DATA WORK [--only LEVER ...] [--settings 1]
        [--pieces 300000] [--short STEPS] [--threads 1] [--table]

DATA holds glue/STS-B, glue/QNLI and text/gutenberg_en.txt.gz. Settings are squeeze_levers.py's:
linears are int8 where nothing else is said. WORK/picture.jsonl has a line for each row that is
finished by this program, and a healing goes on from its checkpoint. WORK/picture.csv and
WORK/picture-sts-light.svg, -dark.svg and -mrr- (tools/draw_squeeze.py) are made of what is there.

  unhealed    squeezed, calibrated on every 67th paragraph of the books
  healed      then taught by MINILM in int8, on sentences of so many --pieces of the books, through
              the rounding of each tensor: hidden:1,pooled:5, rate 5e-4 falling to 0. A block learns
              what the next one that stays read in the teacher
  groups      SqueezeBERT's form among them: attn_output whole, the rest in 4 permuted groups
  chosen      what `squeeze` chooses itself within bytes and a share of the int8 model's time, which
              it measures on this machine
  static      tables, which are fitted to MINILM's vectors of the books, not healed; `as it was`:
              the bag of its own pieces, untaught, in the place of fastText's, whose vectors are of
              other texts and of no size that these could be set beside
  tf-idf      words of the books, sublinear, scored on the same pairs; its bytes are those of words
              and their weights, no time is measured

Time: least milliseconds of 1 x 128, one thread, in CPU time, in turn with the whole int8 model in
one process (squeeze_runs.time_ratio; `bench` takes the wall's, one model after the other). A healed
file has the shapes, and the time, of the unhealed one. sts: STS-B dev, Spearman of cosines.
mrr: of the questions of QNLI's dev that have an answer, each among those of its 32.
Labels are looked at once a row; nothing is chosen by them. `kept` is by STS-B over MINILM's.

--short STEPS ends every healing after so many steps, and --settings N takes N settings a lever:
figures of a quick try, labelled so.
"""
import argparse
import csv
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys

from squeeze_levers import CURVES, FILES, show_equal, with_bits
from squeeze_runs import (Log, blocks_of, digest, file_of, map_of, rows_of, run_json, squeeze,
                          time_ratio, write_whole)

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
FORMS = {"groups": {"4, SqueezeBERT's": ["--groups", "4", "--dense-output"]}}
MIXES = {name: levers for name, (levers, _, _) in FILES.items()}
CHOSEN = {f"{budget}, {time} of the time": ["--budget", budget, "--time", time, "--no-heal"]
          for budget, time in (("8.5MB", "75%"), ("6MB", "60%"), ("4.5MB", "47%"),
                               ("3.5MB", "35%"))}
STATIC = {
    "232, 2 bits": ["--width", "232", "--embedding", "bits:2", "--drop-impossible"],
    "256, 4 bits": ["--width", "256", "--embedding", "bits:4", "--drop-impossible"],
    "384, 64 bytes a piece": ["--width", "384", "--embedding", "pq:64", "--drop-impossible"],
    "as it was, 4 bits": ["--plain", "--embedding", "bits:4", "--drop-impossible"],
}
EVERY, BOOKS_EVERY = 67, 12  # paragraphs that are calibrated on; that tables and words learn of
COLUMNS = ("lever", "setting", "healed", "options", "bytes", "ms", "time_ratio", "sts",
           "mrr", "cpu_seconds")


def settings():
    """{lever: {setting: options of squeeze}}; of tf-idf none."""
    curves = {lever: {**forms, **FORMS.get(lever, {})} for lever, forms in CURVES.items()}
    found = {lever: {name: with_bits(levers) for name, levers in forms.items()}
             for lever, forms in {**curves, "mix": MIXES}.items()}
    found["chosen"] = CHOSEN
    found["static"] = {name: ["--layers", "none", *levers] for name, levers in STATIC.items()}
    return {"bits": found.pop("bits"), **found, "tf-idf": {"words": None}}


def paragraphs(data, every):
    with gzip.open(data / "text/gutenberg_en.txt.gz", "rt", encoding="utf-8") as lines:
        return [line for i, line in enumerate(filter(str.strip, lines)) if i % every == 0]


class Picture:
    def __init__(self, o):
        self.o, self.path = o, o.work / "picture.jsonl"
        self.log = Log(self.path, {"program": digest(o.program)})
        self.as_healed = {"healed": o.pieces, "short": o.short}
        self.cache, self.texts = o.work / "cache", o.work / "calibrate.txt"
        self.books, self.questions = o.work / "books.txt", o.work / "questions.tsv"
        self.common = ["--json", "--progress", "none", "-t", o.threads]

    def prepare(self):
        self.cache.mkdir(exist_ok=True)
        for path, every in ((self.texts, EVERY), (self.books, BOOKS_EVERY)):
            if not path.exists():
                write_whole(path, "".join(paragraphs(self.o.data, every)))
        lines = (self.o.data / "glue/QNLI/dev.tsv").read_text(encoding="utf-8").split("\n")
        self.questions.write_text("\n".join(
            [lines[0], *(x for x in lines if x.endswith("\tentailment"))]) + "\n",
            encoding="utf-8")

    def run(self, *command):
        return run_json(self.o.program, *command)

    # ---- a row ----

    def scores(self, model):
        pairs, _ = self.run("eval", model, "--data", self.o.data / "glue/STS-B/dev.tsv", "--text",
                            "sentence1", "--text2", "sentence2", "--label", "score", "--quotes",
                            "none", *self.common)
        asked, _ = self.run("eval", model, "--data", self.questions, "--text", "question",
                            "--text2", "sentence", "--quotes", "none", *self.common)
        return {"sts": pairs["metrics"]["spearman"], "mrr": asked["metrics"]["mrr"]}

    def squeezed(self, lever, setting, levers):
        """The file, and what squeeze said of it."""
        out = file_of(self.o.work, lever, setting, self.log.made_by["program"])
        told, table = out.with_suffix(".json"), lever == "static"
        if not out.exists() or not told.exists():
            write_whole(told, json.dumps(squeeze(
                self.o.program, self.o.model, out, self.books if table else self.texts,
                [*levers, "--no-fidelity"], None if table else self.cache)))
        return out, json.loads(told.read_text(encoding="utf-8"))

    def healed(self, model, said):
        """The file, and the CPU seconds that it took; as many blocks as stay are mapped."""
        out = model.with_name(f"{model.stem}-{self.o.pieces}-{self.o.short}.gguf")
        if out.exists():
            return out, 0
        _, seconds = self.run(
            "distill", "--teacher", self.o.model, "--teacher-type", "s8", "--student", model, "-o",
            out, "--texts", self.o.data / "text/gutenberg_en.txt.gz", "--max-pieces",
            self.o.pieces, "--loss", "hidden:1,pooled:5", "--lr", "5e-4", "--fake-quantise",
            "stored", "--measure-steps", 100000, "--resume", "--checkpoint-minutes", 5,
            *map_of(*blocks_of(said)),
            *(["--max-steps", self.o.short] if self.o.short else []), *self.common)
        shutil.rmtree(f"{out}.checkpoint")
        return out, seconds

    def make(self, lever, setting, levers, heals):
        """Lines of a setting that are not there yet: as it is, then healed."""
        key = {"lever": lever, "setting": setting}
        made = self.log.get(**key, healed=0)
        if lever == "tf-idf":
            if not made:
                self.add({**key, "healed": 0, **tf_idf(self.books, self.o.data, self.questions)})
            return
        model, said = self.squeezed(lever, setting, levers)
        if not made:
            self.add({**key, "healed": 0, "options": " ".join(levers),
                      "bytes": model.stat().st_size, "cpu_seconds": said["cpu_seconds"],
                      **time_ratio(self.whole, model), **self.scores(model)})
            made = self.log.get(**key, healed=0)
        if not heals or self.log.get(**key, **self.as_healed):
            return
        healed, seconds = self.healed(model, said)
        self.add({**key, **self.as_healed, "options": made["options"],
                  "bytes": healed.stat().st_size, "cpu_seconds": seconds,
                  **{k: made[k] for k in ("time_ratio", "whole_ms", "ms")},
                  **self.scores(healed)})

    def add(self, line):
        self.log.add(line)
        print(json.dumps(line), file=sys.stderr, flush=True)

    def make_all(self):
        self.prepare()
        self.whole, _ = self.squeezed("bits", "8 bits", ["--bits", "8"])
        if not self.log.get(lever="whole", setting="f32"):
            self.add({"lever": "whole", "setting": "f32", "healed": 0, "options": "",
                      "bytes": self.o.model.stat().st_size, "cpu_seconds": 0,
                      **time_ratio(self.whole, self.o.model), **self.scores(self.o.model)})
        for lever, forms in settings().items():
            for setting, levers in list(forms.items())[:self.o.settings]:
                if lever in self.o.only or setting == "8 bits":
                    self.make(lever, setting, levers,
                              lever in self.o.only and lever not in ("static", "tf-idf"))

    # ---- what comes out ----

    def lines(self):
        """Of what the newest program and these steps made, in the order of the settings."""
        order = [("whole", "f32"), *((lever, name) for lever, forms in settings().items()
                                     for name in forms)]
        found = [self.log.get(lever=lever, setting=name, **healed)
                 for lever, name in order for healed in ({"healed": 0}, self.as_healed)]
        return [x for x in found if x]

    def show(self):
        lines = self.lines()
        if self.o.short:
            print(f"A QUICK TRY: every healing ended after {self.o.short} steps, its rate far "
                  "from 0.\n")
        best = next((x for x in lines if x["lever"] == "whole"), lines[0])["sts"]
        print("| lever | setting | healed | MB | ms | time | STS-B | kept | QNLI |\n" + "|---" * 9
              + "|")
        for x in lines:
            time = (f"{x['ms']:.2f} | {1 / x['time_ratio']:.3f}" if "ms" in x else "– | –")
            print(f"| {x['lever']} | {x['setting']} | {'yes' if x['healed'] else 'no'} | "
                  f"{x['bytes'] / 1e6:.2f} | {time} | {x['sts']:.4f} | {x['sts'] / best:.1%} | "
                  f"{x['mrr']:.4f} |")
        for healed in (0, self.o.pieces):
            self.show_curves([x for x in lines if x["healed"] == healed],
                             "healed" if healed else "not healed")

    @staticmethod
    def show_curves(lines, title):
        """Levers between their points; each but bits begins at the whole int8 model."""
        points = {lever: [x for x in lines if x["lever"] == lever] for lever in CURVES}
        whole = [x for x in points["bits"] if x["setting"] == "8 bits"]
        points = {lever: found if lever == "bits" else whole + found
                  for lever, found in points.items() if found}
        for of, places, what in ((lambda x: x["bytes"] / 1e6, (21.5, 19, 17), "MB"),
                                 (lambda x: x["time_ratio"], (1.2, 1.4, 1.7), "times as fast")):
            show_equal(points, of, places, f"{title}, {what}: STS-B / QNLI", ("sts", "mrr"))

    def write(self):
        with open(self.o.work / "picture.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", restval="")
            table.writeheader()
            table.writerows(self.lines())
        made = {(x["lever"], x["setting"]) for x in self.lines()}
        if ("bits", "8 bits") not in made or not made - {("whole", "f32"), ("bits", "8 bits")}:
            print("not drawn: the whole model in 8 bits and a setting beside it are needed",
                  file=sys.stderr)
            return
        drawn = self.o.work / "drawn.jsonl"
        drawn.write_text("".join(json.dumps(x) + "\n" for x in self.lines()), encoding="utf-8")
        for measure in ("sts", "mrr"):
            subprocess.run([sys.executable, TOOLS / "draw_squeeze.py", drawn,
                            self.o.work / f"picture-{measure}", "--measure", measure], check=True)


# ---- words alone ----

def tf_idf(books, data, questions):
    """Scores of TF-IDF, and the bytes of its words and weights."""
    from scipy.stats import spearmanr
    from sklearn.feature_extraction.text import TfidfVectorizer
    with open(books, encoding="utf-8") as lines:
        words = TfidfVectorizer(sublinear_tf=True, min_df=5).fit(lines)

    def cosines(left, right):
        return words.transform(left) @ words.transform(right).T
    pairs, asked = rows_of(data / "glue/STS-B/dev.tsv"), rows_of(questions)
    cosine = [cosines([x["sentence1"]], [x["sentence2"]])[0, 0] for x in pairs]
    ranks = []
    for begin in range(0, len(asked), 32):
        batch = asked[begin:begin + 32]
        found = cosines([x["question"] for x in batch], [x["sentence"] for x in batch]).toarray()
        for i, row in enumerate(found):
            rivals = [row[j] for j, x in enumerate(batch) if x["sentence"] != batch[i]["sentence"]]
            ranks.append(1 + sum(rival >= row[i] for rival in rivals))
    return {"options": f"sublinear, every {BOOKS_EVERY}th paragraph, in 5 or more of them",
            "bytes": sum(len(word.encode()) + 5 for word in words.vocabulary_), "cpu_seconds": 0,
            "sts": float(spearmanr(cosine, [float(x["score"]) for x in pairs]).statistic),
            "mrr": sum(1 / rank for rank in ranks) / len(ranks)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "data", "work"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--only", nargs="+", choices=list(settings()), default=list(settings()),
                        help="levers; bits, which all others are set beside, come with them")
    parser.add_argument("--settings", type=int, default=99)
    parser.add_argument("--pieces", type=int, default=300000)
    parser.add_argument("--short", type=int, default=0, metavar="STEPS")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="of what is there; run nothing")
    o = parser.parse_args()
    o.program, o.model = o.program.resolve(), o.model.resolve()
    o.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SQZ_LIBRARY", str(o.program.parent / "libsqueezebert-full.so"))
    picture = Picture(o)
    if not o.table:
        picture.make_all()
    if not picture.lines():
        return f"{picture.path}: this program has finished no row"
    picture.show()
    picture.write()


if __name__ == "__main__":
    sys.exit(main())
