#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws this library's time beside the best peer's from the samples of bench/peers/run.py.

    draw_speed.py RUN OUT-PREFIX [--shape 1x128]

RUN is what `bench/peers/run.py --json` wrote, or a page that holds its tables of medians under
"Speed beside other engines": README.md's pictures are

    draw_speed.py doc/notebook/results.md doc/pictures/speed

OUT-PREFIX-light.svg and OUT-PREFIX-dark.svg are the same picture for light and dark pages: a bar a
model and precision, milliseconds of one thread at this shape, ours and the fastest peer that
computes in this precision or a higher one. Needs nothing but python3.
"""
import argparse
import json
import re
import statistics

PRECISIONS = ["f32", "bf16", "s8"]
NAMES = {"squeezebert": "SqueezeBERT", "bertbase": "BERT-base", "minilm": "MiniLM-L6"}
THEMES = {
    "light": {"text": "#1f2328", "faint": "#59636e", "ours": "#0969da", "peer": "#b6bec8"},
    "dark": {"text": "#f0f6fc", "faint": "#9198a1", "ours": "#4493f8", "peer": "#4d5761"},
}
LEFT, RIGHT, BAR, GAP, TOP = 170, 640, 13, 12, 56


def class_of(engine):
    """The precision that an engine's name stands for in the tables of a page."""
    if re.search(r"int8|q8_0|\bs8", engine):
        return "s8"
    return "bf16" if re.search(r"\bb?f16", engine) else "f32"


def read_page(page):
    """What a run's JSON would hold, from the tables of a page: one sample each, the median."""
    section = page.split("\n## Speed beside other engines\n")[1].split("\n## ")[0]
    date, machine = re.search(r"(\d{4}-\d\d-\d\d)\. ([^:]+?), \d+ virtual", section).groups()
    rows = []
    for model, lines in re.findall(r"\*\*(\w+)\*\* \(median ms\)\n\n((?:\|.*\n)+)", section):
        head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")]
                          for line in lines.splitlines()]
        for engine, *cells in body:
            rows += [{"model": model, "engine": engine, "precision": class_of(engine),
                      "shape": shape.replace("×", "x"), "threads": 1, "samples_ms": [float(cell)]}
                     for shape, cell in zip(head[1:], cells) if re.fullmatch(r"[\d.]+", cell)]
    return {"machine": machine.replace(", ", " with ") + f"; {date}", "rows": rows}


def medians(run, shape):
    """{(model, precision): (ours in ms, the peer's name, its ms)} of one thread."""
    found = {}
    for row in run["rows"]:
        if row["shape"] != shape or row["threads"] != 1 or "rank" in row["engine"]:
            continue
        mine = row["engine"].startswith("ours")
        ms = statistics.median(row["samples_ms"])
        for precision in PRECISIONS[PRECISIONS.index(row["precision"]):]:
            ours, name, peer = found.get((row["model"], precision), (None, None, None))
            if mine and precision == row["precision"]:
                ours = ms
            elif not mine and (peer is None or ms < peer):
                name, peer = row["engine"], ms
            found[row["model"], precision] = ours, name, peer
    return {k: v for k, v in found.items() if v[0] and v[2]}


def text(x, y, words, colour, size=12, anchor="start", weight=400):
    return (f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{words}</text>')


def bar(y, ms, most, colour, label, theme):
    width = (RIGHT - LEFT) * ms / most
    return [f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
            f'fill="{colour}"/>',
            text(LEFT + width + 6, y + BAR - 2.5, label, theme["faint"], 11)]


def draw(found, run, shape, theme):
    """The picture as one string."""
    parts = [text(12, 22, f"One batch of {shape} tokens, one thread, milliseconds: less is better",
                  theme["text"], 14, weight=600),
             text(12, 40, "blue: this library; grey: the fastest peer of that precision or a "
                  f"higher one; {run['machine'].split(',')[0]}", theme["faint"], 11)]
    y = TOP
    for model in sorted({m for m, _ in found}, key=list(NAMES).index):
        rows = [(p, found[model, p]) for p in PRECISIONS if (model, p) in found]
        most = max(max(ours, peer) for _, (ours, _, peer) in rows) * 1.55
        parts.append(text(12, y + BAR, NAMES[model], theme["text"], 13, weight=600))
        for precision, (ours, name, peer) in rows:
            parts.append(text(LEFT - 8, y + BAR + 2, precision, theme["text"], 12, "end"))
            parts += bar(y, ours, most, theme["ours"], f"{ours:.3g}", theme)
            parts += bar(y + BAR + 2, peer, most, theme["peer"], f"{peer:.3g}  {name}", theme)
            y += 2 * BAR + 2 + GAP
        y += GAP
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y}" '
            f'viewBox="0 0 760 {y}" font-family="system-ui, sans-serif" role="img" '
            f'aria-label="milliseconds of this library and of the best peer">')
    return "\n".join([head, *parts, "</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("prefix")
    parser.add_argument("--shape", default="1x128")
    options = parser.parse_args()
    with open(options.run, encoding="utf-8") as file:
        run = read_page(file.read()) if options.run.endswith(".md") else json.load(file)
    found = medians(run, options.shape)
    if not found:
        parser.error(f"{options.run} holds no row of {options.shape} with one thread")
    for name, theme in THEMES.items():
        with open(f"{options.prefix}-{name}.svg", "w", encoding="utf-8") as file:
            file.write(draw(found, run, options.shape, theme))


if __name__ == "__main__":
    main()
