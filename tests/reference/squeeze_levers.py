#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An embedder squeezed by each lever at several settings, and by several at once, and judged.

    squeeze_levers.py PROGRAM MODEL.gguf WORK LOG --texts FILE --judge embedder_eval.py --data DIR
        [--only curves|files] [--dry-run | --time-again]
    squeeze_levers.py --table LOG          the points, and the levers at equal bytes and equal time

MODEL is MiniLM-L6 in f32, FILE holds the texts to calibrate on. The judge is a program
`JUDGE PROGRAM MODEL --data DIR` that prints JSON with sts, retrieval and probe. Linears are int8
where nothing else is said. Time: the whole int8 model's over the squeezed one's, 1 x 128, one
thread, CPU time, in turn. A setting a line of LOG: what the same program has made already is not
run again; its file stays in WORK, and --time-again measures the time of all of them anew, on a
machine with nothing else to do. Squeezing and judging have the lowest priority. SQZ_LIBRARY names
the library for the time; default: that beside PROGRAM. tools/draw_squeeze.py draws LOG.
squeeze_picture.py has the same settings healed, and needs no judge.
"""
import argparse
import json
import os
import pathlib
import sys

import squeeze_runs

CURVES = {
    "rank": {f"{s} %": ["--rank", f"{s}%"] for s in (75, 50, 35, 25)},
    "neurons": {f"{s} %": ["--neurons", f"{s}%"] for s in (75, 50, 25, 12)},
    "bits": {f"{b} bits": ["--bits", str(b)] for b in (8, 4, 3)},
    "layers": {str(kept.count(",") + 1): ["--layers", kept]
               for kept in ("0,1,3,4,5", "0,2,4,5", "0,4,5", "0,5")},
    "groups": {str(g): ["--groups", str(g)] for g in (2, 4)},
}
HALF, FIVE, FOUR = ["--neurons", "50%"], ["--layers", "0,1,2,4,5"], ["--layers", "0,2,3,5"]
FILES = {  # name: (options, MB and sts to compare with)
    "6 layers, int4, pq 64": (["--bits", "4", "--embedding", "pq:64"], 8.43, 0.8637),
    "6 layers, int3, pq 64": (["--bits", "3", "--embedding", "pq:64"], 7.15, 0.8620),
    "half the neurons, int4, pq 64": (
        [*HALF, "--bits", "4", "--embedding", "pq:64"], 6.57, 0.8549),
    "5 layers, int3, pq 48": ([*FIVE, "--bits", "3", "--embedding", "pq:48"], 5.93, 0.8516),
    "half the neurons, int3, pq 48": (
        [*HALF, "--bits", "3", "--embedding", "pq:48"], 5.23, 0.8516),
    "4 layers, half the neurons, int4, pq 48": (
        [*FOUR, *HALF, "--bits", "4", "--embedding", "pq:48"], 4.81, 0.8269),
    "rank 50 %, int8, pq 48": (["--rank", "50%", "--embedding", "pq:48"], 7.76, 0.8197),
    "4 layers, width 64, rank 50 %, int8": (
        [*FOUR, "--embedding", "width:64", "--rank", "50%"], 6.42, 0.8110),
}
EQUAL_MB, EQUAL_TIME = (21.5, 19, 17), (1.2, 1.4, 1.7)


def with_bits(levers):
    return levers if "--bits" in levers else ["--bits", "8", *levers]


def runs(only):
    """(lever, setting, options) of all that is asked for, the whole int8 model first."""
    curves = [(lever, setting, levers) for lever, forms in CURVES.items()
              for setting, levers in forms.items()] if only != "files" else []
    files = [("file", name, levers) for name, (levers, _, _) in FILES.items()]
    return curves + (files if only != "curves" else [])


def judge(options, path):
    said, seconds = squeeze_runs.run_nice([sys.executable, options.judge, options.program, path,
                                           "--data", options.data])
    scores = json.loads(said)
    return {k: scores[k] for k in ("sts", "retrieval", "probe")} | {
        "judge_seconds": round(seconds, 1)}


def run_setting(options, log, whole, lever, setting, levers):
    out = squeeze_runs.file_of(options.work, lever, setting)
    said = squeeze_runs.squeeze(options.program, options.model, out, options.texts,
                                with_bits(levers), options.cache)
    line = {"lever": lever, "setting": setting, "options": " ".join(with_bits(levers)),
            "bytes": out.stat().st_size, "whole_bytes": options.model.stat().st_size,
            "cpu_seconds": said["cpu_seconds"], "cached": said["calibration"]["cached"],
            "cosine": round(said["fidelity"]["cosine"], 4),
            "neighbours": round(said["fidelity"]["neighbours"], 4)}
    log.add({**line, **judge(options, out), **squeeze_runs.time_ratio(whole, out)})
    print(json.dumps(log.lines[-1]), flush=True)


def run_all(options):
    made_by = squeeze_runs.digest(options.program)
    log = squeeze_runs.Log(options.log, {"program": made_by, "model": options.model.name})
    options.cache = options.work / f"cache-{made_by}"
    options.cache.mkdir(parents=True, exist_ok=True)
    whole = options.work / f"int8-{made_by}.gguf"
    if not options.dry_run and not whole.exists():
        squeeze_runs.squeeze(options.program, options.model, whole, options.texts,
                             ["--bits", "8", "--no-fidelity"], options.cache)
    for lever, setting, levers in runs(options.only):
        made = log.get(lever=lever, setting=setting)
        if options.time_again and made:
            out = squeeze_runs.file_of(options.work, lever, setting)
            log.add({**made, **squeeze_runs.time_ratio(whole, out)})
        elif made or options.time_again:
            continue
        elif options.dry_run:
            print(f"{lever}, {setting}: {' '.join(with_bits(levers))}")
        else:
            run_setting(options, log, whole, lever, setting, levers)


# ---- tables ----

def at(points, of, where, what):
    """The number `what` of a lever where `of` is `where`, between its two neighbouring points."""
    ordered = sorted(points, key=of)
    for low, high in zip(ordered, ordered[1:]):
        if of(low) <= where <= of(high):
            part = (where - of(low)) / (of(high) - of(low) or 1)
            return f"{low[what] + part * (high[what] - low[what]):.3f}"
    return "–"


def show_points(lines):
    print("| lever | setting | MB | times as fast | sts | retrieval | probe | cosine | "
          "neighbours |\n|---|---|---|---|---|---|---|---|---|")
    for x in lines:
        print(f"| {x['lever']} | {x['setting']} | {x['bytes'] / 1e6:.2f} | {x['time_ratio']:.2f} "
              f"| {x['sts']:.4f} | {x['retrieval']:.4f} | {x['probe']:.4f} | {x['cosine']:.3f} | "
              f"{x['neighbours']:.3f} |")


def show_equal(points, of, places, title, numbers=("sts", "neighbours")):
    """The levers side by side at the same bytes, or the same time."""
    print(f"\n| {title} | " + " | ".join(points) + " |\n|---" + "|---" * len(points) + "|")
    for place in places:
        cells = [" / ".join(at(found, of, place, what) for what in numbers)
                 for found in points.values()]
        print(f"| {place} | " + " | ".join(cells) + " |")


def show_files(lines):
    print("\n| file | MB | of the prototype's | sts | less the prototype's | retrieval | probe | "
          "cosine | times as fast | CPU s |\n" + "|---" * 10 + "|")
    for x in lines:
        _, mb, sts = FILES[x["setting"]]
        print(f"| {x['setting']} | {x['bytes'] / 1e6:.3f} | {x['bytes'] / 1e6 / mb - 1:+.1%} | "
              f"{x['sts']:.4f} | {x['sts'] - sts:+.4f} | {x['retrieval']:.4f} | "
              f"{x['probe']:.4f} | {x['cosine']:.3f} | {x['time_ratio']:.2f} | "
              f"{x['cpu_seconds']:.0f} |")


def table(path):
    newest = {(x["lever"], x["setting"]): x for x in squeeze_runs.Log(path, {}).lines}
    lines = [newest[lever, setting] for lever, setting, _ in runs(None)
             if (lever, setting) in newest]
    curves = [x for x in lines if x["lever"] != "file"]
    whole = newest.get(("bits", "8 bits"))
    points = {lever: found for lever in CURVES
              if (found := [x for x in curves if x["lever"] == lever])}
    for lever in points:
        if whole and lever != "bits":
            points[lever] = [whole, *points[lever]]
    show_points(curves)
    show_equal(points, lambda x: x["bytes"] / 1e6, EQUAL_MB, "MB: sts / neighbours")
    show_equal(points, lambda x: x["time_ratio"], EQUAL_TIME, "times as fast: sts / neighbours")
    if files := [x for x in lines if x["lever"] == "file"]:
        show_files(files)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "work", "log"):
        parser.add_argument(name, type=pathlib.Path, nargs="?")
    for name in ("--texts", "--judge", "--data"):
        parser.add_argument(name)
    parser.add_argument("--only", choices=["curves", "files"])
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    parser.add_argument("--time-again", action="store_true", help="of what LOG and WORK hold")
    parser.add_argument("--table", type=pathlib.Path, metavar="LOG")
    options = parser.parse_args()
    if options.table:
        return table(options.table)
    if not (options.log and options.texts and options.judge and options.data):
        parser.error("PROGRAM, MODEL, WORK, LOG, --texts, --judge and --data are needed")
    options.program = options.program.resolve()
    os.environ.setdefault("SQZ_LIBRARY", str(options.program.parent / "libsqueezebert-full.so"))
    run_all(options)


if __name__ == "__main__":
    sys.exit(main())
