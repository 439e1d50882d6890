# SPDX-License-Identifier: Apache-2.0
"""Few rows in which every pair of values of some dimensions stands together.

Greedy: each row begins with a pair that no row has yet; the other dimensions follow in a random
order, each with the value that brings most new pairs. Fifty rows are tried, the best one stays. The
seed is fixed, so the rows are the same every time.
"""
import itertools
import random

TRIES = 50


def pairs_of(row):
    return {frozenset(two) for two in itertools.combinations(row.items(), 2)}


def complete(row, dimensions, missing, allowed, pick):
    """The row with a value for every dimension, or None where the law leaves none."""
    names = [name for name in dimensions if name not in row]
    pick.shuffle(names)
    for name in names:
        best, most = [], -1
        for value in dimensions[name]:
            if not allowed(row | {name: value}):
                continue
            gain = sum(frozenset(((name, value), other)) in missing for other in row.items())
            if gain > most:
                best, most = [], gain
            if gain == most:
                best.append(value)
        if not best:
            return None
        row = row | {name: pick.choice(best)}
    return row


def rows(dimensions, allowed, seed=1):
    """Rows {dimension: value}. `allowed` judges a row, whole or in part. A pair that no whole row
    may hold is left out."""
    pick, found = random.Random(seed), []
    missing = {frozenset(((a, x), (b, y))) for a, b in itertools.combinations(dimensions, 2)
               for x in dimensions[a] for y in dimensions[b]}
    while missing:
        wanted = min(missing, key=lambda pair: sorted(map(str, pair)))
        tried = [complete(dict(wanted), dimensions, missing, allowed, pick)
                 for _ in range(TRIES) if allowed(dict(wanted))]
        tried = [row for row in tried if row]
        if not tried:
            missing.remove(wanted)
            continue
        best = max(tried, key=lambda row: len(pairs_of(row) & missing))
        found.append({name: best[name] for name in dimensions})
        missing -= pairs_of(best)
    return found
