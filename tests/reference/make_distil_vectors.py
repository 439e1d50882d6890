#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/distil_vectors.h: losses of a student against its teacher in numpy, float64.
Sequences are padded here and padding is masked out, where the library packs them.

    make_distil_vectors.py | clang-format > tests/unit/distil_vectors.h
"""
import numpy as np

random = np.random.default_rng(11)
LENGTHS = [3, 1, 5, 2]


def coarse(*shape):
    """Numbers that are the same in float and double."""
    return random.integers(-96, 97, shape) / 32.0


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def kl(zs, zt, temperature):
    p, q = softmax(zt / temperature), softmax(zs / temperature)
    return temperature ** 2 * (p * np.log(p / q)).sum(axis=-1).mean()


def soft(zs, zt, temperature):
    return -(softmax(zt / temperature) * np.log(softmax(zs / temperature))).sum(axis=-1).mean()


def squares(s, t):
    return ((s - t) ** 2).mean()


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def cosine(s, t):
    return 1 - (unit(s) * unit(t)).sum(axis=-1).mean()


def similarities(s, t):
    return ((unit(s) @ unit(s).T - unit(t) @ unit(t).T) ** 2).mean()


def padded(x):
    """[tokens, width] to [sequences, longest, width] and its mask."""
    out = np.full((len(LENGTHS), max(LENGTHS), x.shape[1]), 77.0)
    mask = np.zeros((len(LENGTHS), max(LENGTHS)), bool)
    at = 0
    for b, length in enumerate(LENGTHS):
        out[b, :length] = x[at:at + length]
        mask[b, :length] = True
        at += length
    return out, mask


def relation(x, mask, heads):
    """[sequences, heads, longest, longest] probabilities, 0 where padding is."""
    b, t, width = x.shape
    h = x.reshape(b, t, heads, width // heads).transpose(0, 2, 1, 3)
    z = h @ h.transpose(0, 1, 3, 2) / np.sqrt(width // heads)
    z[np.broadcast_to(~mask[:, None, None, :], z.shape)] = -np.inf
    return softmax(z)


def relations(s, t, heads):
    (s, mask), (t, _) = padded(s), padded(t)
    q, p = relation(s, mask, heads), relation(t, mask, heads)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / q), 0).sum(axis=-1)
    rows = np.broadcast_to(mask[:, None, :], terms.shape)
    return terms[rows].mean()


def hidden(s, t):
    """Mean over the numbers of tokens, padding masked."""
    (s, mask), (t, _) = padded(s), padded(t)
    return ((s - t) ** 2)[mask].mean()


def show(values):
    return "{" + ", ".join(repr(float(v)) for v in np.ravel(values)) + "}"


def case(form, function, n, width, teacher_width=None, temperature=1.0, heads=1):
    s, t = coarse(n, width), coarse(n, teacher_width or width)
    arguments = {"KL": (temperature,), "SOFT": (temperature,), "RELATIONS": (heads,)}
    value = function(s, t, *arguments.get(form, ()))
    divisor = {"KL": n, "SOFT": n, "SQUARES": n * width, "COSINE": n, "SIMILARITIES": n * n,
               "RELATIONS": n * heads}[form]
    print(f"{{SQZI_DISTIL_{form}, {n}, {width}, {teacher_width or width}, {heads}, "
          f"{temperature}, {divisor}, {float(value)!r}, {show(s)}, {show(t)}}},")


TOKENS = sum(LENGTHS)
print(f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Written by tests/reference/make_distil_vectors.py with numpy, in float64. */
#ifndef DISTIL_VECTORS_H
#define DISTIL_VECTORS_H

#include "train/loss_distil.h"

enum {{ DISTIL_SEQUENCES = {len(LENGTHS)}, DISTIL_LONGEST = {max(LENGTHS)},
DISTIL_NUMBERS = {TOKENS * 24} }};
static const uint32_t distil_first[] = {{{", ".join(str(sum(LENGTHS[:i]))
                                                    for i in range(len(LENGTHS) + 1))}}};

typedef struct distil_case {{
    sqzi_distil_form form;
    size_t n, width, teacher_width;
    uint32_t heads;
    double temperature, divisor, loss, student[DISTIL_NUMBERS], teacher[DISTIL_NUMBERS];
}} distil_case;
static const distil_case distil_cases[] = {{""")
case("KL", kl, 5, 3)
case("KL", kl, 19, 2, temperature=4.0)
case("SOFT", soft, 6, 3)
case("SOFT", soft, 3, 7, temperature=2.0)
case("SQUARES", squares, 4, 1)
case("SQUARES", hidden, TOKENS, 12)
case("COSINE", cosine, 3, 8)
case("COSINE", cosine, 18, 5)
case("SIMILARITIES", similarities, 5, 6)
case("RELATIONS", relations, TOKENS, 12, heads=3)
case("RELATIONS", relations, TOKENS, 12, teacher_width=24, heads=4)
case("RELATIONS", relations, TOKENS, 18, teacher_width=6, heads=6)
case("SIMILARITIES", similarities, 5, 6, teacher_width=9)
print("};\n\n#endif")
