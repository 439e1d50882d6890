# SPDX-License-Identifier: Apache-2.0
"""The choice of answer spans, as include/squeezebert/task.h says it and src/task/answer_spans.c
does it.

A window is a list of pieces (sequence, begin, end) and a list of logits (start, end). Standard
library only.
"""
import math

KEPT = 20


def best_answers(windows, max_answer_pieces=30, no_answer=False, null_threshold=0.0):
    """windows: [(pieces, logits)]; returns [(begin, end, worth, score)], begin None for "the
    context does not say"."""
    spans, nulls = {}, []
    for pieces, logits in windows:
        nulls.append(logits[0][0] + logits[0][1])
        context = [i for i, (sequence, _, _) in enumerate(pieces) if sequence == 1]
        for first in context:
            for last in context:
                if not first <= last < first + max_answer_pieces:
                    continue
                place = (pieces[first][1], pieces[last][2])
                worth = logits[first][0] + logits[last][1]
                spans[place] = max(worth, spans.get(place, -math.inf))
    ranked = sorted(((begin, end, worth) for (begin, end), worth in spans.items()),
                    key=lambda s: (-s[2], s[0], s[1]))[:KEPT]
    if no_answer:
        null = min(nulls)
        wins = not ranked or null - ranked[0][2] > null_threshold
        at = 0 if wins else max(1, sum(worth >= null for _, _, worth in ranked))
        ranked.insert(at, (None, None, null))
    if not ranked:
        return []
    largest = max(worth for _, _, worth in ranked)
    total = sum(math.exp(worth - largest) for _, _, worth in ranked)
    return [(begin, end, worth, math.exp(worth - largest) / total) for begin, end, worth in ranked]
