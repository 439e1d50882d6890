# SPDX-License-Identifier: Apache-2.0
"""The tables of glue_small.py: its runs, their means beside the bars, published figures."""
import statistics

from glue_rows import ASKED, TASKS

# On GLUE's dev, of models that learned all rows. TinyBERT's (66 M): the model card of
# microsoft/xtremedistil-l6-h384-uncased; CoFi's: 95 % of BERT-base's encoder removed.
PUBLISHED = {"BERT-base": {"sst2": 92.7, "mrpc": 88.6, "stsb": 89.0},
             "TinyBERT, 6 layers": {"sst2": 91.6, "mrpc": 88.4, "qnli": 90.5},
             "CoFi, 95 %": {"sst2": 90.4, "mrpc": 83.6}}


def percent(value):
    return f"{100 * value:.1f}"


def show_runs(lines):
    print("| task | share | seed | teacher | student | difference, of 95 % | kept | bytes | "
          "int8 over it |\n" + "|---" * 9 + "|")
    for x in lines:
        low, high = (f"{100 * end:+.1f}" for end in x["interval"])
        print(f"| {TASKS[x['task']].name} | {x['share']} % | {x['seed']} | "
              f"{percent(x['teacher_figure'])} | {percent(x['figure'])} | "
              f"{100 * (x['figure'] - x['teacher_figure']):+.1f} ({low} to {high}) | "
              f"{x['figure'] / x['teacher_figure']:.1%} | {x['bytes']:,} | "
              f"{x['time_ratio']:.2f} |")


def means(lines, ours, theirs):
    """Of both over the tasks, a task's seeds averaged first."""
    by_task = {}
    for x in lines:
        by_task.setdefault(x["task"], []).append((x[ours], x[theirs]))
    seeds = [[statistics.mean(side) for side in zip(*pairs)] for pairs in by_task.values()]
    return [statistics.mean(side) for side in zip(*seeds)]


def show_bars(lines):
    """Says whether a mean of all that was asked is below its bar."""
    missed = False
    print("\n| share | runs | mean of | teachers | students | kept | bar |\n" + "|---" * 7 + "|")
    for share, (tasks, seeds, bar) in ASKED.items():
        found = [x for x in lines if x["share"] == share]
        all_of = len(tasks) * len(seeds)
        for what, keys in (("the figures above", ("figure", "teacher_figure")),
                           ("GLUE's figures of a task", ("glue", "teacher_glue"))):
            if not found:
                continue
            ours, theirs = means(found, *keys)
            made = {(x["task"], x["seed"]) for x in found}
            complete = made == {(task, seed) for task in tasks for seed in seeds}
            kept = ours >= bar * theirs
            missed |= complete and not kept
            print(f"| {share} % | {len(found)} of {all_of} | {what} | {percent(theirs)} | "
                  f"{percent(ours)} | {ours / theirs:.1%} | {bar:.1%}: "
                  f"{('kept' if kept else 'MISSED') if complete else 'not all run'} |")
    return missed


def show_published(lines):
    print("\nPublished figures of GLUE's dev (MRPC: accuracy or F1, as published), in brackets "
          "ours over them, in points:\n\n| task | share | ours |"
          + "".join(f" {name} |" for name in PUBLISHED) + "\n" + "|---" * (3 + len(PUBLISHED))
          + "|")
    for share in ASKED:
        for name, task in TASKS.items():
            found = [x for x in lines if x["share"] == share and x["task"] == name]
            if not found or not any(name in figures for figures in PUBLISHED.values()):
                continue
            ours = 100 * means(found, "figure", "teacher_figure")[0]
            cells = [f"{figures[name]} ({ours - figures[name]:+.1f})" if name in figures else "–"
                     for figures in PUBLISHED.values()]
            print(f"| {task.name} | {share} % | {ours:.1f} | {' | '.join(cells)} |")


def show(o, lines):
    if o.short:
        print(f"A SHORT RUN: every training ended after {o.short} steps, its rate far from 0.\n")
    show_runs(lines)
    for x in {x["task"]: x for x in lines}.values():
        task = TASKS[x["task"]]
        if task.repeats:
            print(f"\n{task.name}: {x['rows_of_all'] - x['rows_left']} of {x['rows_of_all']} rows "
                  f"of {task.repeats} are left out, a text of theirs is in the other part.")
    missed = show_bars(lines)
    show_published(lines)
    return missed
