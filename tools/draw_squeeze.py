#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what a squeezed model keeps against its bytes and its time, a line a lever, from the log of
tests/reference/squeeze_levers.py or squeeze_picture.py.

    draw_squeeze.py LOG OUT-PREFIX [--measure sts|retrieval|mrr|probe|neighbours]

OUT-PREFIX-light.svg and OUT-PREFIX-dark.svg are the same picture for light and dark pages. Left:
megabytes of the file; right: time over that of the whole int8 model; every line begins at that
model. Where lines were healed these are drawn, and those of before are dashed. Several levers at
once, static tables and words alone are points, hollow where they were not healed. Of a setting that
was run more than once the newest line counts. Needs nothing but python3.
"""
import argparse
import html
import json

MEASURES = {"sts": "STS-B dev, Spearman", "retrieval": "MRR@10 of questions of QNLI",
            "mrr": "mean reciprocal rank of questions of QNLI, each among 32",
            "probe": "accuracy on CLINC-150 by frozen vectors",
            "neighbours": "share of the ten nearest neighbours kept"}
LEVERS = ["bits", "neurons", "layers", "rank", "groups"]
ALONE = ["mix", "chosen", "static", "tf-idf"]
THEMES = {
    "light": {"text": "#1f2328", "faint": "#59636e", "grid": "#d1d9e0", "page": "#ffffff",
              "bits": "#1a7f37", "neurons": "#0969da", "layers": "#8250df", "rank": "#bc4c00",
              "groups": "#bf3989", "mix": "#9a6700", "chosen": "#cf222e", "static": "#1b7c83",
              "tf-idf": "#59636e"},
    "dark": {"text": "#f0f6fc", "faint": "#9198a1", "grid": "#3d444d", "page": "#0d1117",
             "bits": "#3fb950", "neurons": "#4493f8", "layers": "#ab7df8", "rank": "#f0883e",
             "groups": "#db61a2", "mix": "#d29922", "chosen": "#ff7b72", "static": "#39c5cf",
             "tf-idf": "#9198a1"},
}
SHAPES = {"bits": "M-4,-4h8v8h-8z", "neurons": "M0,-4.5a4.5,4.5 0 1 0 .01,0z",
          "layers": "M0,-5.5l5.5,5.5l-5.5,5.5l-5.5,-5.5z", "rank": "M0,-5.5l5.2,9h-10.4z",
          "groups": "M0,5.5l5.2,-9h-10.4z", "mix": "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
          "chosen": "M0,-6l1.8,4.2h4.4l-3.6,2.7l1.4,4.4l-4,-2.7l-4,2.7l1.4,-4.4l-3.6,-2.7h4.4z",
          "static": "M-5,0l2.5,-4.3h5l2.5,4.3l-2.5,4.3h-5z", "tf-idf": "M-5,-2h10v4h-10z"}
WORDS = {"bits": (0, 16, "middle"), "neurons": (-5, -7, "end"), "layers": (-7, 11, "end"),
         "rank": (6, 12, "start"), "groups": (8, 4, "start")}  # a setting's place beside its point
WIDTH, HEIGHT, TOP, BOTTOM, LEFTS, PANEL = 800, 372, 82, 44, (56, 440), 336


def read(path):
    """The whole int8 model; {lever: [line of the log]}, that model first in each, of lines that
    were not healed and of those that were; and what stands alone."""
    newest = {}
    with open(path, encoding="utf-8") as file:
        for line in filter(str.strip, file):
            found = json.loads(line)
            newest[found["lever"], found["setting"], bool(found.get("healed"))] = found
    whole = newest.get(("bits", "8 bits", False))

    def curves(healed):
        points = {lever: [x for (name, _, was), x in newest.items()
                          if name == lever and was == healed and x is not whole]
                  for lever in LEVERS}
        return {lever: [whole, *found] for lever, found in points.items() if found}
    return whole, curves(False), curves(True), [x for x in newest.values() if x["lever"] in ALONE]


def ticks(low, high, most=6):
    """Round numbers from low to high, `most` at most."""
    step = next(s * 10.0 ** e for e in range(-4, 5) for s in (1, 2, 5)
                if (high - low) / (s * 10.0 ** e) <= most)
    first, last = -(-low // step), high // step
    return [round(i * step, 6) for i in range(int(first), int(last) + 1)]


def bounds(numbers):
    pad = 0.06 * (max(numbers) - min(numbers)) or 0.05
    return min(numbers) - pad, max(numbers) + pad


def text(x, y, words, colour, size=11, anchor="start", weight=400):
    return (f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{words}</text>')


def marker(lever, x, y, theme, hollow=False, title=""):
    fill, edge = (theme["page"], theme[lever]) if hollow else (theme[lever], theme["page"])
    return (f'<path transform="translate({x:.1f},{y:.1f})" d="{SHAPES[lever]}" '
            f'fill="{fill}" stroke="{edge}" stroke-width="1">'
            + (f"<title>{html.escape(title)}</title>" if title else "") + "</path>")


def panel(left, whole, points, before, alone, of, measure, title, theme):
    """Axes, lines and points of one half of the picture."""
    everything = [whole, *(x for found in [*points.values(), *before.values(), alone]
                           for x in found)]
    across, up = bounds([of(x) for x in everything]), bounds([x[measure] for x in everything])

    def place(x):
        return (left + PANEL * (of(x) - across[0]) / (across[1] - across[0]),
                HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (x[measure] - up[0]) / (up[1] - up[0]))
    parts = [text(left + PANEL / 2, HEIGHT - 8, title, theme["faint"], anchor="middle")]
    for at in ticks(*up):
        y = place({**whole, measure: at})[1]
        parts += [f'<path d="M{left},{y:.1f}h{PANEL}" stroke="{theme["grid"]}"/>',
                  text(left - 6, y + 4, f"{at:g}", theme["faint"], anchor="end")]
    for at in ticks(*across):
        x = left + PANEL * (at - across[0]) / (across[1] - across[0])
        parts.append(text(x, HEIGHT - BOTTOM + 16, f"{at:g}", theme["faint"], anchor="middle"))
    for lever, found in before.items():
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, sorted(found, key=of)))
        parts.append(f'<polyline points="{way}" fill="none" stroke="{theme[lever]}" '
                     'stroke-width="1" stroke-dasharray="4 3"/>')
    for lever, found in points.items():
        ordered = [found[0], *sorted(found[1:], key=of, reverse=True)]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, ordered))
        parts.append(f'<polyline points="{way}" fill="none" stroke="{theme[lever]}" '
                     'stroke-width="2"/>')
        for x in ordered[1:]:
            right, down, anchor = WORDS[lever]
            parts += [marker(lever, *place(x), theme),
                      text(place(x)[0] + right, place(x)[1] + down,
                           x["setting"].replace(" bits", ""), theme[lever], 9, anchor)]
    parts += [marker(x["lever"], *place(x), theme, not x.get("healed"), x["setting"])
              for x in alone]
    x, y = place(whole)
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{theme["text"]}"/>',
              text(x - 8, y - 8, "int8, whole", theme["text"], 10, "end")]
    return parts


def draw(whole, points, before, alone, measure, theme):
    """The picture as one string."""
    several = " and several at once" if alone else ""
    parts = [text(12, 22, f"Each lever alone{several}, linears int8 but for bits: what is kept, "
                  "at which size and time", theme["text"], 14, weight=600),
             text(12, 66, MEASURES[measure] + ("; dashed and hollow: not healed" if before else ""),
                  theme["faint"])]
    shown = [*points, *(lever for lever in ALONE if lever in {x["lever"] for x in alone})]
    for i, lever in enumerate(shown):
        parts += [marker(lever, 20 + 90 * i, 42, theme),
                  text(30 + 90 * i, 46, lever, theme["text"], 12)]
    parts += panel(LEFTS[0], whole, points, before, alone, lambda x: x["bytes"] / 1e6, measure,
                   "file, MB", theme)
    parts += panel(LEFTS[1], whole, points, before, [x for x in alone if "time_ratio" in x],
                   lambda x: 1 / x["time_ratio"], measure,
                   "time of 128 pieces, one thread, over that of the whole", theme)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" role="img" '
            f'aria-label="{MEASURES[measure]} against bytes and time, by lever">')
    return "\n".join([head, *parts, "</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("prefix")
    parser.add_argument("--measure", default="sts", choices=MEASURES)
    options = parser.parse_args()
    whole, points, healed, alone = read(options.log)
    if not whole or not (points or alone):
        parser.error(f"{options.log} lacks " + ("a point besides the whole model" if whole else
                                                "bits, 8 bits: the whole int8 model"))
    for name, theme in THEMES.items():
        picture = (draw(whole, healed, points, alone, options.measure, theme) if healed else
                   draw(whole, points, {}, alone, options.measure, theme))
        with open(f"{options.prefix}-{name}.svg", "w", encoding="utf-8") as file:
            file.write(picture)


if __name__ == "__main__":
    main()
