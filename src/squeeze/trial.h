/* SPDX-License-Identifier: Apache-2.0 */
/* What a model's output becomes when some of its weights are others, without a file in between.
 *
 *     sqzi_trial_open(model, sequences, NULL, 0, &trial, error)   runs the model as it is, once
 *     sqzi_trial_set_block(&trial, i, &weights, &block, error)
 *     sqzi_trial_run(&trial, 1 + i, &change, error)         from that block on
 *     sqzi_trial_reset(&trial)
 *
 * The output is that of `embed` with what the head reads: the model's own pooling, or that of its
 * head, each vector of length 1. The change is
 *
 *     mean over the vectors of |v - v'|^2 / 2 = 1 - mean cosine
 *
 * which for small changes of many weights is the sum of what each of them causes alone, since they
 * do not point the same way.
 *
 * Everything is computed in f32 by the context's kernels and threads; the number of threads changes
 * nothing. Memory: the hidden states of all tokens before every block.
 */
#ifndef SQZI_TRIAL_H
#define SQZI_TRIAL_H

#include "squeeze/sequences.h"
#include "squeeze/weights.h"

typedef struct sqzi_trial_block {
    bool absent;   /* in any trial */
    bool left_out; /* until a reset */
    void *memory;  /* packed weights and biases of a block that was set, or NULL */
    size_t bytes;
} sqzi_trial_block;

typedef struct sqzi_trial {
    const sqz_model *model;
    const sqzi_sequences *sequences;
    sqzi_encoder encoder;     /* the model's, with blocks and tables of its own */
    sqzi_trial_block *blocks; /* [n_blocks] */
    sqzi_workspace workspace;
    sqzi_head_scratch head;
    sqzi_real *states;      /* [n_blocks, tokens, C] what the model's blocks read */
    sqzi_real *hidden;      /* [tokens, C] */
    sqzi_real *whole, *now; /* [vectors, dimensions] of the model; of a run */
    uint32_t *first;        /* of a batch */
    sqz_pooling pooling;
    uint32_t n_vectors, dimensions;
    void *block;
    size_t bytes;
} sqzi_trial;

/* blocks [n] ascending: those that the model consists of, without the others; NULL: all.
 * SQZ_ENOMEM. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_trial_open(const sqz_model *model, const sqzi_sequences *sequences,
                                         const uint32_t *blocks, uint32_t n, sqzi_trial *trial,
                                         sqz_error *error);
void sqzi_trial_close(sqzi_trial *trial);

/* Block i of the model becomes this one, rounded matrices as their integers say; copied. Heads and
 * neurons may be fewer, forms are those of the model. SQZ_ENOMEM: the model's block stays. */
SQZ_NODISCARD sqz_status sqzi_trial_set_block(sqzi_trial *trial, uint32_t i,
                                              const sqzi_weight_block *block, sqz_error *error);
/* Tables as floats, which must live on; NULL: the model's. */
void sqzi_trial_set_tables(sqzi_trial *trial, const float *word, const float *position);
void sqzi_trial_leave_out(sqzi_trial *trial, uint32_t i);
/* All as in the model. */
void sqzi_trial_reset(sqzi_trial *trial);

/* Run from a stage on: 0 the embedding, 1 + i block i; nothing before it may have been set. */
void sqzi_trial_run(sqzi_trial *trial, uint32_t stage, double *change);

#endif
