#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs that draw: every point of a log is in the picture where its numbers say, what is no
log is refused, and README.md's picture of speed is what the notebook's tables give.

    test_pictures.py ROOT
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = os.path.abspath(sys.argv[1])
SVG = "{http://www.w3.org/2000/svg}"
faults = []


def expect(holds, what):
    if not holds:
        faults.append(what)


def draw(program, *arguments):
    return subprocess.run([sys.executable, "-B", f"{ROOT}/tools/{program}", *arguments], text=True,
                          capture_output=True)


def log(lines):
    names = ("lever", "setting", "bytes", "time_ratio", "sts")
    with open("log.jsonl", "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(dict(zip(names, line), neighbours=0.5 * line[-1])) + "\n")


def ways(path):
    """[[(x, y), ...]] of the lines of a picture, in its order."""
    tree = xml.etree.ElementTree.parse(path)
    return [[tuple(map(float, point.split(","))) for point in line.get("points").split()]
            for line in tree.iter(SVG + "polyline")]


def near(a, b):
    return abs(a - b) < 0.2


def check_squeeze():
    log([("rank", "50 %", 1, 1, 0.1),  # an older line of the next but one
         ("bits", "8 bits", 24e6, 1, 0.8), ("bits", "4 bits", 18e6, 1, 0.79),
         ("rank", "50 %", 18e6, 2, 0.7), ("rank", "75 %", 21e6, 4 / 3, 0.75),
         ("file", "not drawn", 1e6, 9, 0.1)])
    said = draw("draw_squeeze.py", "log.jsonl", "levers")
    expect(said.returncode == 0, f"draw_squeeze.py fails: {said.stderr}")
    for theme in ("light", "dark"):
        found = ways(f"levers-{theme}.svg")
        expect([len(way) for way in found] == [2, 3, 2, 3], f"points of lines: {found}")
        bits, rank, bits_time, rank_time = found
        expect(bits[0] == rank[0] and bits_time[0] == rank_time[0], "lines begin apart")
        expect(near(rank[1][0], (rank[0][0] + rank[2][0]) / 2), "21 MB is not between 18 and 24")
        expect(near(rank[1][1], (rank[0][1] + rank[2][1]) / 2), "0.75 is not between 0.7 and 0.8")
        expect(near(bits[1][0], rank[2][0]), "18 MB is not where 18 MB is")
        expect(near(bits_time[1][0], bits_time[0][0]), "an equal time is not above the other")
        expect(near(rank_time[1][0], (rank_time[0][0] + rank_time[2][0]) / 2),
               "3/4 of the time is not between 1/2 and 1")
    other = draw("draw_squeeze.py", "log.jsonl", "levers", "--measure", "neighbours")
    expect(other.returncode == 0 and "0.4" in open("levers-light.svg", encoding="utf-8").read(),
           "--measure neighbours does not draw neighbours")


def check_healed():
    """Of what was healed the lines are whole, those of before dashed, and what is alone a point."""
    lines = [("bits", "8 bits", 0, 24e6, 1, 0.8), ("rank", "50 %", 0, 18e6, 2, 0.6),
             ("rank", "50 %", 9, 18e6, 2, 0.75), ("mix", "a & b", 0, 9e6, 2, 0.7),
             ("mix", "a & b", 9, 9e6, 2, 0.72), ("tf-idf", "words", 0, 1e6, None, 0.5)]
    names = ("lever", "setting", "healed", "bytes", "time_ratio", "sts")
    with open("healed.jsonl", "w", encoding="utf-8") as file:
        for line in lines:
            found = {k: v for k, v in zip(names, line) if v is not None}
            file.write(json.dumps(found) + "\n")
    said = draw("draw_squeeze.py", "healed.jsonl", "healed")
    expect(said.returncode == 0, f"draw_squeeze.py fails: {said.stderr}")
    tree = xml.etree.ElementTree.parse("healed-dark.svg")
    dashed = [line.get("stroke-dasharray") is not None for line in tree.iter(SVG + "polyline")]
    expect(dashed == [True, False] * 2, f"dashed lines: {dashed}")
    before, after = ways("healed-dark.svg")[:2]
    expect(sorted(before)[0][0] == sorted(after)[0][0], "18 MB are not 18 MB")
    expect(sorted(before)[0][1] > sorted(after)[0][1], "what was healed is not above")
    titles = [title.text for title in tree.iter(SVG + "title")]
    expect(titles == ["a & b", "a & b", "words", "a & b", "a & b"], f"points alone: {titles}")


def check_refusals():
    log([("rank", "50 %", 18e6, 2, 0.7)])
    said = draw("draw_squeeze.py", "log.jsonl", "none")
    expect(said.returncode == 2 and "8 bits" in said.stderr, f"no whole model: {said.stderr}")
    log([("bits", "8 bits", 24e6, 1, 0.8)])
    said = draw("draw_squeeze.py", "log.jsonl", "none")
    expect(said.returncode == 2 and "besides" in said.stderr, f"one point alone: {said.stderr}")
    with open("run.json", "w", encoding="utf-8") as file:
        json.dump({"machine": "made", "rows": []}, file)
    said = draw("draw_speed.py", "run.json", "none")
    expect(said.returncode == 2 and "no row" in said.stderr, f"an empty run: {said.stderr}")
    expect(not os.path.exists("none-light.svg"), "a picture is left behind by an error")


def check_speed():
    said = draw("draw_speed.py", f"{ROOT}/doc/notebook/results.md", "speed")
    expect(said.returncode == 0, f"draw_speed.py fails: {said.stderr}")
    for theme in ("light", "dark"):
        with open(f"speed-{theme}.svg", encoding="utf-8") as drawn, \
                open(f"{ROOT}/doc/pictures/speed-{theme}.svg", encoding="utf-8") as kept:
            expect(drawn.read() == kept.read(), f"doc/pictures/speed-{theme}.svg is not what "
                   "tools/draw_speed.py draws from doc/notebook/results.md: draw it anew")
    words = re.findall(r">([^<>]+)</text>", open("speed-light.svg", encoding="utf-8").read())
    with open(f"{ROOT}/README.md", encoding="utf-8") as file:
        rows = re.findall(r"^\|[^|]*\| (?:f32|bf16|int8) \| ([\d.]+) \|", file.read(), re.M)
    drawn = {f"{float(word):.2g}" for word in words if re.fullmatch(r"[\d.]+", word)}
    expect(len(rows) == 9 and {f"{float(ms):.2g}" for ms in rows} == drawn,
           f"README.md's table says {rows}, its picture {sorted(drawn)}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check_squeeze()
        check_healed()
        check_refusals()
        check_speed()
        os.chdir(ROOT)
    print(*faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
