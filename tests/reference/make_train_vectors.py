#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/train_vectors.h: losses, AdamW and schedules as PyTorch and Transformers have
them, losses of embeddings as sentence-transformers has them, in float64.

    make_train_vectors.py | clang-format > tests/unit/train_vectors.h
"""
import torch
from sentence_transformers.sentence_transformer import losses
from torch.nn import functional
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
SIZE, STEPS = 5, 12


def numbers(values):
    flat = torch.as_tensor(values).flatten().tolist()
    return "{" + ", ".join(repr(v) if isinstance(v, float) else str(v) for v in flat) + "}"


def coarse(*shape):
    """Numbers that are the same in float and double."""
    return torch.randint(-96, 97, shape).to(torch.float64) / 32


def loss_case(problem, n, classes, smoothing=0.0, weighted=False, ignored=False):
    z = coarse(n, classes).requires_grad_()
    weights = (torch.arange(classes) + 2).to(torch.float64) / 4 if weighted else None
    labels, targets = torch.zeros(n, dtype=torch.long), torch.zeros(n, classes)
    if problem == "SINGLE_LABEL":
        labels = torch.randint(0, classes, (n,))
        if ignored:
            labels[::3] = -100
        loss = functional.cross_entropy(z, labels, weight=weights, label_smoothing=smoothing)
    elif problem == "MULTI_LABEL":
        targets = torch.randint(0, 2, (n, classes)).to(torch.float64)
        loss = functional.binary_cross_entropy_with_logits(z, targets, pos_weight=weights)
    else:
        targets = coarse(n, classes)
        loss = functional.mse_loss(z, targets)
    loss.backward()
    print("    {SQZ_%s, %d, %d, %r, %s," % (problem, n, classes, smoothing,
                                           "true" if weighted else "false"))
    print("     %s," % numbers(torch.clamp(labels, min=-1)))
    for values in (weights if weighted else [0.0], targets, z.detach()):
        print("     %s," % numbers(values))
    print("     %r,\n     %s}," % (float(loss.detach()), numbers(z.grad)))


def embed_case(name, n, texts, width, symmetric=False, scale=20.0, zero=False):
    x = coarse(n, texts, width)
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


def adamw(decay, epsilon):
    w = coarse(SIZE).requires_grad_()
    gradients, rates = coarse(STEPS, SIZE) / 64, torch.linspace(0, 2, STEPS) / 128
    print("    {%r, %r, %s, %s, {" % (decay, epsilon, numbers(w.detach()), numbers(rates)))
    optimizer = torch.optim.AdamW([w], lr=0, eps=epsilon, weight_decay=decay)
    for i in range(STEPS):
        optimizer.param_groups[0]["lr"] = float(rates[i])
        w.grad = gradients[i].clone()
        optimizer.step()
        print("      %s," % numbers(gradients[i]))
    print("     }, %s}," % numbers(w.detach()))


def schedule(name, make, warmup, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make(optimizer, warmup, steps), []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    print("    {SQZ_SCHEDULE_%s, %d, %d, %s}," % (name, warmup, steps, numbers(rates)))


print('''/* SPDX-License-Identifier: Apache-2.0 */
/* Written by tests/reference/make_train_vectors.py with PyTorch and Transformers, in float64. */
#ifndef TRAIN_VECTORS_H
#define TRAIN_VECTORS_H

#include <squeezebert/train.h>
#include <stdbool.h>

enum { MOST_ITEMS = 8, MOST_CLASSES = 4, ADAMW_SIZE = %d, ADAMW_STEPS = %d, MOST_RATES = 24, MOST_NUMBERS = 192 };

typedef struct loss_case {
    sqz_problem problem;
    size_t n;
    uint32_t classes;
    double smoothing;
    bool weighted;
    int32_t labels[MOST_ITEMS];
    float weights[MOST_CLASSES], targets[MOST_ITEMS * MOST_CLASSES];
    double logits[MOST_ITEMS * MOST_CLASSES], loss, d[MOST_ITEMS * MOST_CLASSES];
} loss_case;
static const loss_case loss_cases[] = {''' % (SIZE, STEPS))
loss_case("SINGLE_LABEL", 1, 2)
loss_case("SINGLE_LABEL", 7, 3)
loss_case("SINGLE_LABEL", 6, 4, 0.1)
loss_case("SINGLE_LABEL", 8, 3, 0.25, weighted=True)
loss_case("SINGLE_LABEL", 8, 4, 0.1, weighted=True, ignored=True)
loss_case("SINGLE_LABEL", 8, 2, ignored=True)
loss_case("MULTI_LABEL", 5, 4)
loss_case("MULTI_LABEL", 8, 3, weighted=True)
loss_case("REGRESSION", 6, 1)
loss_case("REGRESSION", 4, 3)
print('''};

typedef struct adamw_case {
    double decay, epsilon, start[ADAMW_SIZE], rates[ADAMW_STEPS];
    double gradients[ADAMW_STEPS][ADAMW_SIZE], end[ADAMW_SIZE];
} adamw_case;
static const adamw_case adamw_cases[] = {''')
adamw(0.0, 1e-6)
adamw(0.1, 1e-6)
adamw(0.01, 1e-2)
print('''};

typedef struct schedule_case {
    sqz_schedule schedule;
    uint64_t warmup, steps;
    double rates[MOST_RATES];
} schedule_case;
static const schedule_case schedule_cases[] = {''')
schedule("LINEAR", get_linear_schedule_with_warmup, 2, 23)
schedule("LINEAR", get_linear_schedule_with_warmup, 0, 3)
schedule("COSINE", get_cosine_schedule_with_warmup, 3, 20)
print('''};

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
