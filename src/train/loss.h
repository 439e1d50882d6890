/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of logits against labels, and what they divide by.
 *
 * A loss is a sum over items (sequences, or tokens with a label) divided by a count over the whole
 * batch, so that a batch that is run in parts has the loss and gradient of the batch: the count is
 * made before anything runs. Arithmetic is in double, items in order.
 *
 *   cross entropy   of item i with label y and p = softmax(z), s the smoothing, w the weights:
 *                   -(1 - s) w[y] log p[y] - s/K sum_c w[c] log p[c];  divided by sum of w[y]
 *   binary          of item i and class c with target t: -w[c] t log s(z) - (1 - t) log(1 - s(z)),
 *                   s the logistic function; divided by items times classes
 *   squares         (z - t)^2; divided by items times classes
 *
 * as torch's cross_entropy (ignore_index where a label is < 0), binary_cross_entropy_with_logits
 * and mse_loss have them.
 */
#ifndef SQZI_LOSS_H
#define SQZI_LOSS_H

#include <squeezebert/model.h>

#include "base/real.h"

typedef struct sqzi_loss {
    sqz_problem problem;
    uint32_t classes;
    double smoothing;     /* cross entropy's */
    const float *weights; /* [classes], or NULL: 1 */
} sqzi_loss;

typedef struct sqzi_loss_items {
    size_t n;
    const int32_t *labels; /* [n] of cross entropy, < 0: none */
    const float *targets;  /* [n, classes] of the others */
} sqzi_loss_items;

/* What these items add to the count. */
double sqzi_loss_count(const sqzi_loss *loss, const sqzi_loss_items *items);

/* The items' part of the loss, and d of their logits [n, classes], both with row stride ld. Count
 * 0: 0, and d is 0. d may be the logits. */
double sqzi_loss_run(const sqzi_loss *loss, const sqzi_loss_items *items, double count,
                     const sqzi_real *logits, sqzi_real *d, size_t ld);

#endif
