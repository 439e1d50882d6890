# SPDX-License-Identifier: Apache-2.0
"""Samples of every engine and way, taken in turn. After a few rounds what cannot be the fastest
anywhere is stopped, so that the time goes to the figures that decide; its rows keep the samples
they have.
"""
import gc
import statistics
import time

import numpy as np

import engines
import inputs
import sqz

CLASSES = ["f32", "bf16", "s8"]  # a peer of an earlier class may stand in a later one's table
WAYS = {"as they come": ("", "padded", "one by one"),
        "sorted": ("", "padded", "one by one", "sorted by 4", "sorted by 8")}
# after so many rounds a way stops whose fastest sample is over the best median by more than this
SURVEYS = {3: 1.5, 8: 1.2}


class Given:
    """One shape: the batch packed, the ways a peer may run it, and what PyTorch f32 makes of it."""

    def __init__(self, job, shape):
        ids = inputs.make(shape, job.config.vocab_size, job.tokenizer, job.options.data)
        self.shape, self.packed, self.ways = shape, sqz.Packed(ids), inputs.ways(shape, ids)
        self.lengths = [len(s) for s in ids]
        batch = inputs.padded(ids)
        self.padded_shape = batch[0].shape
        self.logits, self.hidden = job.reference(batch)

    def error(self, out, hidden, packed):
        """Largest difference over the largest number, of logits or of the hidden states of real
        tokens."""
        reference = self.hidden if hidden else self.logits
        if reference.ndim == 3:
            reference = np.concatenate([reference[i, :n] for i, n in enumerate(self.lengths)])
            out = out if packed else np.concatenate(
                [out[i, :n] for i, n in enumerate(self.lengths)])
        return float(np.abs(out - reference).max() / np.abs(reference).max())


class Run:
    """An engine on one shape in one way."""

    def __init__(self, name, engine, way, batches, ours):
        self.name, self.engine, self.way, self.batches, self.ours = name, engine, way, batches, ours
        self.precision, self.seconds, self.error = engine.precision, [], None

    def once(self):
        start = time.perf_counter()
        out = [self.engine(batch) for batch in self.batches]
        return time.perf_counter() - start, out

    def median(self):
        return statistics.median(self.seconds)


def candidates(runs, precision, column):
    """The peers' runs that may stand in a class's column."""
    return [r for r in runs if not r.ours and CLASSES.index(r.precision) <= CLASSES.index(precision)
            and r.way in WAYS[column]]


def best(runs, precision, column):
    found = candidates(runs, precision, column)
    return min(found, key=Run.median) if found else None


def still_possible(runs, precisions, most):
    """Our runs, and those of peers that may yet be the best of a class and column."""
    kept = [r for r in runs if r.ours]
    for precision in precisions:
        for column in WAYS:
            if first := best(runs, precision, column):
                kept += [r for r in candidates(runs, precision, column)
                         if min(r.seconds) <= most * first.median() and r not in kept]
    return [r for r in runs if r in kept]


def prepare(opened, given, missing):
    """Every run once without the clock, for its error and its first-time work; what fails becomes a
    row "not run"."""
    runs = []
    for name, engine in opened:
        ours = name.startswith("ours")
        try:
            engine.fix(*given.padded_shape)
            mine = [Run(name, engine, way, batches, ours)
                    for way, batches in ({"": [given.packed]} if ours else given.ways).items()
                    if ours or not engine.ways or way in engine.ways]
            for run in mine:
                _, out = run.once()
                if run.way in ("", "padded"):
                    run.error = given.error(out[0], engine.hidden, ours)
                elif run.way == "one by one" and engine.hidden:
                    run.error = given.error(np.concatenate([part[0] for part in out]), True, True)
            runs += mine
        except Exception as problem:  # a peer's own failure is a row, not the end of the run
            if ours:
                raise
            missing.append((name, given.shape,
                            f"{type(problem).__name__}: {str(problem).splitlines()[0][:120]}"))
    return runs


def measure(opened, given, peak, options, threads, missing):
    """Runs with their samples; the order within a round moves on by one a round."""
    runs = prepare(opened, given, missing)
    active = list(runs)
    gc.collect()
    gc.disable()
    for i in range(options.samples):
        peak.sample()
        start = i % len(active)
        for run in active[start:] + active[:start]:
            run.seconds.append(run.once()[0])
            if threads > 1:
                time.sleep(run.engine.rest)
        if options.survey and i + 1 in SURVEYS:
            active = still_possible(active, options.precision, SURVEYS[i + 1])
    gc.enable()
    return runs


def spread(peer, ours):
    """10th and 90th percentile of the ratio over the rounds."""
    n = min(len(peer.seconds), len(ours.seconds))
    return np.percentile(np.array(peer.seconds[:n]) / np.array(ours.seconds[:n]), [10, 90])


def open_engines(job, options, kinds, make_ours):
    """[(name, engine)], [(name, reason)]"""
    opened, missing = [], []
    makers = [(name, lambda job, p=precision, r=low_rank: make_ours(job, p, r))
              for name, precision, low_rank in our_names(job, options)]
    makers += [(name, kind) for name, kind in kinds.items()
               if CLASSES.index(kind.precision) <= max(CLASSES.index(p) for p in options.precision)]
    for name, make in makers:
        try:
            engine = make(job)
            notes = [engine.note] if engine.note else [
                "AMX stays on"] if options.no_amx and engine.keeps_amx else []
            opened.append((name + "".join(f" ({note})" for note in notes), engine))
        except engines.NotRun as reason:
            missing.append((name, "all", str(reason)))
        except Exception as problem:
            missing.append((name, "all",
                            f"{type(problem).__name__}: {str(problem).splitlines()[0][:120]}"))
    return opened, missing


def our_names(job, options):
    names = [(f"ours {p}", p, False) for p in options.precision]
    return names + ([("ours s8, rank 128", "s8", True)] if options.low_rank
                    and job.name == "bertbase" and "s8" in options.precision else [])
