#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/embed_vectors.h: losses of embeddings and their gradients as
sentence-transformers has them, in float64.

    make_embed_vectors.py | clang-format > tests/unit/embed_vectors.h
"""
import torch
from sentence_transformers.sentence_transformer import losses

torch.set_default_dtype(torch.float64)
torch.manual_seed(6)


def numbers(values):
    flat = torch.as_tensor(values).flatten().tolist()
    return "{" + ", ".join(repr(value) for value in flat) + "}"


def embed_case(name, n, texts, width, symmetric=False, scale=20.0, zero=False):
    x = torch.randint(-96, 97, (n, texts, width)).to(torch.float64) / 32  # of float, too
    if zero:
        x[0, 1] = 0
    x.requires_grad_()
    targets = torch.randint(0, 5, (n,)).to(torch.float64) / 4
    both = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    loss = {"cosine": lambda: losses.CosineSimilarityLoss(None),
            "cosent": lambda: losses.CoSENTLoss(None, scale=scale),
            "ranking": lambda: losses.MultipleNegativesRankingLoss(
                None, scale=scale, **(both if symmetric else {}))}[name]()
    value = loss.compute_loss_from_embeddings([x[:, t] for t in range(texts)], targets)
    value.backward()
    if zero:
        x.grad[0, 1] = 0  # PyTorch's is that of its epsilon, 1e8 long
    print("    {\"%s\", %d, %d, %d, %r, %s," % (name, n, texts, width, scale,
                                             "true" if symmetric else "false"))
    for values in (targets, x.detach()):
        print("     %s," % numbers(values))
    print("     %r,\n     %s}," % (float(value.detach()), numbers(x.grad)))


print('''/* SPDX-License-Identifier: Apache-2.0 */
/* Written by tests/reference/make_embed_vectors.py with sentence-transformers, in float64. */
#ifndef EMBED_VECTORS_H
#define EMBED_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_ITEMS = 8, MOST_NUMBERS = 120 };

/* embeddings and d [n, texts, width] */
typedef struct embed_case {
    const char *loss;
    size_t n;
    uint32_t texts, width;
    double scale;
    bool symmetric;
    float targets[MOST_ITEMS];
    double embeddings[MOST_NUMBERS], value, d[MOST_NUMBERS];
} embed_case;
static const embed_case embed_cases[] = {''')
embed_case("cosine", 6, 2, 5)
embed_case("cosine", 3, 2, 7, zero=True)
embed_case("cosent", 8, 2, 6)
embed_case("cosent", 2, 2, 3, scale=5.0)
embed_case("cosent", 1, 2, 3)
embed_case("ranking", 8, 2, 6)
embed_case("ranking", 5, 4, 6, scale=3.0)
embed_case("ranking", 6, 2, 5, symmetric=True)
embed_case("ranking", 4, 3, 5, symmetric=True)
embed_case("ranking", 1, 2, 5)
print('''};

#endif''')
