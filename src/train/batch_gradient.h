/* SPDX-License-Identifier: Apache-2.0 */
/* The loss of a batch and its gradient: forward with what the backward reads, the loss, backward.
 * Knows no files and no model: encoder and head as structs, in tests in double.
 */
#ifndef SQZI_BATCH_GRADIENT_H
#define SQZI_BATCH_GRADIENT_H

#include "nn/head_grad.h"
#include "train/loss.h"
#include "train/parameters.h"

/* What does not change from batch to batch. */
typedef struct sqzi_gradient_model {
    const sqzi_encoder *encoder;
    const sqzi_head *head;
    const sqzi_parameters *parameters; /* of these two */
    const sqzk_grad_table *kernels;
    sqzi_thread_pool *pool;
    uint32_t padding; /* an id whose row is not trained; UINT32_MAX: none */
} sqzi_gradient_model;

typedef struct sqzi_batch_gradient {
    sqzi_gradient_model model;
    sqzi_workspace workspace;
    sqzi_encoder_tape tape;
    sqzi_head_tape head_tape;
    sqzi_real *hidden, *d_hidden; /* [N, C] */
    sqzi_real *logits;            /* [inputs, K], then d of them */
} sqzi_batch_gradient;

typedef struct sqzi_gradient_sizes {
    uint32_t max_tokens, max_sequences, max_length;
    bool recompute; /* encoder_grad.h */
} sqzi_gradient_sizes;

/* Lay it out in the arena (NULL base: counts). */
void sqzi_batch_gradient_layout(sqzi_batch_gradient *gradient, const sqzi_gradient_model *model,
                                const sqzi_gradient_sizes *sizes, sqzi_arena *arena);

/* Add the gradient of these items' part of the loss, divided by `count` (loss.h), to those of the
 * parameters; the part comes back. Items are sequences, or tokens where the head reads each.
 * dropout NULL: none. */
double sqzi_batch_gradient_add(sqzi_batch_gradient *gradient, const sqzi_batch *batch,
                               const sqzi_dropout *dropout, const sqzi_loss *loss,
                               const sqzi_loss_items *items, double count);

#endif
