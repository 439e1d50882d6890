#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders as Transformers 2 to 5 and Sentence-Transformers wrote them: imported, and compared with
both.

Tiny random models of every type and head, in the layouts, names and file formats of the releases
(folders_of_*.py), so that every pair of values of DIMENSIONS stands in some folder. Transformers
loads each folder and computes in float64 from the weights that it found; the program imports the
same folder. What must agree:

  tokens      ids, types and offsets of texts and pairs, and the length at which a text is cut
  hidden      the last hidden states; the pooled output where both have it
  logits      of the head
  labels      their names, and the scores of Transformers' text-classification pipeline
  vectors     of Sentence-Transformers, with each prompt and without (cosine >= 0.999999, and the
              same length)

    import_compare.py PROGRAM LIBRARY [--coverings N] [--only TEXT] [--jobs N] [--keep FOLDER]
        [--list]

A refusal counts where REFUSED_RIGHTLY lists it with its reason, and where Transformers refuses the
folder as well. Prints every wrong combination with what differed, then the table for
doc/results.md; exit 1 if one was wrong.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

from import_combinations import DIMENSIONS, combinations, name_of, refused_rightly


def compared(folder, row, program, path, reference):
    """What differs between the program's model file and the reference."""
    import import_checks as check  # not before quiet()
    texts, pairs = check.texts_of(folder.pick)
    few = texts[:check.RUN_TEXTS]
    bad, runs = check.tokens(program, path, reference, texts, pairs)
    some = runs[:check.RUN_TEXTS] + runs[-check.RUN_TEXTS:]
    if some:
        ids, types = zip(*some)
        bad += check.numbers(path, reference, ids, types, row)
    bad += check.labels(program, path, reference, few, row)
    if reference.sentences:
        bad += check.vectors(program, path, reference, few + texts[-6:])
    return bad


def outcome(row, index, program, work):
    """(equal | refused rightly | refused by both | wrong, lines that say why)"""
    import import_sides  # not before quiet()
    folder = import_sides.Folder(row, index, work)
    program, path = import_sides.Program(program), str(folder.root) + ".gguf"
    refusal = program.imported(folder, row)
    try:
        reference, theirs = import_sides.Reference(folder), None
    except Exception as error:  # whatever Transformers says
        reference, theirs = None, f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
    said = [f"Transformers: {theirs}"] if theirs else []
    if refusal is not None:
        right = "refused rightly" if refused_rightly(
            row, refusal) else "refused by both" if theirs else "wrong"
        return right, [f"import: {refusal[-400:]}"] + said
    bad = said or compared(folder, row, program, path, reference)
    return "wrong" if bad else "equal", bad


def one(options, index, row):
    work = pathlib.Path(tempfile.mkdtemp(dir=options.work))
    try:
        kind, why = outcome(row, index, options.program, work)
    except Exception:  # the script's own fault, or a record that is no JSON
        kind, why = "wrong", ["script: " + " ".join(traceback.format_exc().split())[-300:]]
    if options.keep:
        shutil.copytree(work, options.keep / str(index), dirs_exist_ok=True)
    shutil.rmtree(work)
    return {"row": row, "index": index, "outcome": kind, "why": why}


def quiet():
    """Before the packages are loaded: no network, no bars, one thread each."""
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="critical", TOKENIZERS_PARALLELISM="false",
        HF_HUB_DISABLE_PROGRESS_BARS="1", OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    import logging
    import torch
    import transformers
    torch.set_num_threads(1)
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def table(results):
    """Counts by value of each dimension, for doc/results.md."""
    outcomes = ["equal", "refused rightly", "refused by both", "wrong"]
    print("\n| dimension | value | combinations | " + " | ".join(outcomes) + " |\n|---|---|---|" +
          "---|" * len(outcomes))
    for dimension, values in DIMENSIONS.items():
        for value in values:
            counts = collections.Counter(r["outcome"]
                                         for r in results if r["row"][dimension] == value)
            print(f"| {dimension} | {value} | {sum(counts.values())} | " +
                  " | ".join(str(counts[o]) for o in outcomes) + " |")
    counts = collections.Counter(r["outcome"] for r in results)
    print(f"| all | | {len(results)} | " + " | ".join(str(counts[o]) for o in outcomes) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("library", help="libsqueezebert-full.so of the same build")
    parser.add_argument("--coverings", type=int, default=1,
                        help="each has every pair, with other company")
    parser.add_argument("--only", default="", help="combinations whose name holds this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=pathlib.Path, help="folders and model files stay here")
    parser.add_argument("--list", action="store_true", help="the combinations, and no more")
    options = parser.parse_args()
    rows = combinations(options.coverings)
    chosen = [(i, row) for i, row in enumerate(rows) if options.only in name_of(row)]
    if options.list:
        print("\n".join(f"{i:3} {name_of(row)}" for i, row in chosen))
        print(f"{len(rows)} combinations")
        return 0
    os.environ["SQZ_LIBRARY"] = os.path.abspath(options.library)
    options.program, begin = os.path.abspath(options.program), time.monotonic()
    with tempfile.TemporaryDirectory() as options.work, \
            concurrent.futures.ProcessPoolExecutor(options.jobs, initializer=quiet) as pool:
        waiting = [pool.submit(one, options, i, row) for i, row in chosen]
        results = [w.result() for w in concurrent.futures.as_completed(waiting)]
    for r in sorted(results, key=lambda r: r["index"]):
        if r["outcome"] != "equal":
            print(f"{r['outcome']}: {r['index']} {name_of(r['row'])}" +
                  "".join(f"\n    {b}" for b in r["why"]))
    table(results)
    wrong = sum(r["outcome"] == "wrong" for r in results)
    print(f"\n{len(results)} combinations, {wrong} wrong, {time.monotonic() - begin:.0f} s")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
