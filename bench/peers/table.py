# SPDX-License-Identifier: Apache-2.0
"""The rows of a run, and at its end the table of ratios with the bars beside them."""
import statistics

import measure

COLUMNS = [("1x16", "as they come"), ("1x128", "as they come"), ("8x128", "as they come"),
           ("mixed", "as they come"), ("mixed", "sorted")]
# time of the best peer over ours, one thread, AVX-512 VNNI/BF16; on a machine with AMX 1 with the
# peers that use it
BARS = {("squeezebert", "f32"): (1.3, 1.2, 1.2, 1.5, 1.35),
        ("squeezebert", "bf16"): (1.6, 1.4, 1.35, 2.2, 1.6),
        ("squeezebert", "s8"): (2.2, 2.0, 1.9, 3.2, 2.2),
        ("bertbase", "f32"): (1.2, 1.05, 1.0, 1.25, 1.15),
        ("bertbase", "bf16"): (1.3, 1.05, 1.0, 1.5, 1.25),
        ("bertbase", "s8"): (1.3, 1.15, 1.08, 1.8, 1.4),
        ("minilm", "s8"): (1.4, 1.3, 1.2, 1.7, 1.7)}
MORE_THREADS = 0.9  # of a bar, with more than one thread
LOW_RANK_BARS = {"best peer": 2.5, "ours s8": 2.2}
SHARE_BARS = {"f32": 0.85, "bf16": 0.85, "s8": 0.78}

HEAD = ("| model | threads | shape | engine | class | n | median ms | min ms | 10–90 % ms | error "
        "| of peak | " + " | ".join(f"/ ours {p}" for p in measure.CLASSES) + " |")


def share_of_peak(run, giga, peak):
    return giga / run.median() / peak.best[run.precision]


def show(job, given, runs, giga, peak, rows):
    """One row an engine and way: its time over ours of each class that it may stand in, with the
    spread of that ratio."""
    ours = {r.precision: r for r in runs if r.ours and not r.engine.low_rank}
    for run in runs:
        ms = sorted(1e3 * s for s in run.seconds)
        ratios = {}
        for precision, mine in ours.items():
            if run is not mine and measure.CLASSES.index(run.precision) <= measure.CLASSES.index(
                    precision):
                ratios[precision] = (run.median() / mine.median(), *measure.spread(run, mine))
        share = share_of_peak(run, giga[run.name], peak) if run.ours else None
        cells = [f"{r:.2f} ({low:.2f}–{high:.2f})" if (found := ratios.get(p)) and (r := found[0])
                 and (low := found[1]) and (high := found[2]) else "" for p in measure.CLASSES]
        error = "" if run.error is None else f"{run.error:.1e}"
        print(f"| {job.name} | {job.threads} | {given.shape} | "
              f"{run.name}{', ' + run.way if run.way else ''} | {run.precision} | {len(ms)} | "
              f"{statistics.median(ms):.3f} | {ms[0]:.3f} | "
              f"{ms[len(ms) // 10]:.3f}–{ms[len(ms) - 1 - len(ms) // 10]:.3f} | {error} | "
              f"{'' if share is None else f'{share:.0%}'} | " + " | ".join(cells) + " |",
              flush=True)
        rows.append(dict(
            model=job.name, threads=job.threads, shape=given.shape, engine=run.name, way=run.way,
            precision=run.precision, samples_ms=[1e3 * s for s in run.seconds], error=run.error,
            output="hidden states" if run.engine.hidden or given.logits.ndim == 3 else "logits",
            giga_operations=giga.get(run.name), share_of_peak=share, ratios=ratios))


def cell(runs, precision, column, bar, giga, peak):
    """'1.32 (bar 1.3, met) OpenVINO f32; 61 % of peak'"""
    mine = next((r for r in runs if r.ours and r.precision == precision and not r.engine.low_rank),
                None)
    first = measure.best(runs, precision, column)
    if not mine or not first:
        return "not run"
    ratio, (low, high) = first.median() / mine.median(), measure.spread(first, mine)
    share = share_of_peak(mine, giga[mine.name], peak)
    word = ""
    if bar:
        word = f" / {bar}: " + ("met" if ratio >= bar else f"met by {share:.0%} of peak"
                                if share >= SHARE_BARS[precision] else "short")
    return (f"**{ratio:.2f}**{word} ({low:.2f}–{high:.2f}; {share:.0%} of peak; "
            f"{first.name}{', ' + first.way if first.way else ''})")


def low_rank_cell(runs):
    """The row of BERT-base at rank 128, from 1x128."""
    pair = next((r for r in runs if r.ours and r.engine.low_rank), None)
    dense = next((r for r in runs if r.ours and r.precision == "s8" and not r.engine.low_rank),
                 None)
    peers = [r for r in runs if not r.ours and r.precision == "s8"]
    if not pair or not peers:
        return None
    first = min(peers, key=measure.Run.median)
    text = (f"{first.median() / pair.median():.2f} times {first.name} (bar "
            f"{LOW_RANK_BARS['best peer']})")
    return text + (f", {dense.median() / pair.median():.2f} times our dense s8 (bar "
                   f"{LOW_RANK_BARS['ours s8']})" if dense else "")


def summary(results, peaks, gigas, options):
    """The table of the bars, for every model and class that was run: results[(model,
    threads)][shape] are its runs."""
    for threads in options.threads:
        print(f"\n## Best peer's time over ours, {threads} thread{'s' if threads > 1 else ''}: "
              "ratio / bar (10–90 % of the rounds; share of this run's peak; the best peer)\n")
        print("| model, class | " + " | ".join(shape if shape != "mixed" else f"mixed, {column}"
                                               for shape, column in COLUMNS) + " |\n|---|" +
              "---|" * len(COLUMNS))
        for (model, n), shapes in results.items():
            if n != threads:
                continue
            for precision in options.precision:
                bars = [bar and round(bar * (MORE_THREADS if threads > 1 else 1), 3)
                        for bar in BARS.get((model, precision), (None,) * len(COLUMNS))]
                cells = [cell(shapes[shape], precision, column, bar, gigas[model, n][shape],
                              peaks[model, n]) if shape in shapes else "not run"
                         for (shape, column), bar in zip(COLUMNS, bars)]
                print(f"| {model} {precision} | " + " | ".join(cells) + " |")
            if "1x128" in shapes and (text := low_rank_cell(shapes["1x128"])):
                print(f"| {model} rank 128, s8 | – | {text} | | | |")
        for (model, n), peak in peaks.items():
            if n == threads:
                print(f"\nPeak in the run of {model}: " +
                      ", ".join(f"{p} {value:.0f} GOP/s" for p, value in peak.best.items()))
