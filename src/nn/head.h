/* SPDX-License-Identifier: Apache-2.0 */
/* Heads: {pool, optional dense, activation, optional norm, output of K classes}, and embeddings:
 * {pool, layers behind it, normalising}. A
 * team runs them in stages: linears by columns, what is done to rows by rows, means by columns; a
 * row's bits depend on none of it. */
#ifndef SQZI_HEAD_H
#define SQZI_HEAD_H

#include <squeezebert/model.h>

#include "nn/encoder.h"

/* A layer behind the pooling of an embedding: a linear with its activation, a division by the
 * Euclidean length, or a LayerNorm. */
typedef enum sqzi_step_kind { SQZI_STEP_DENSE, SQZI_STEP_NORMALIZE, SQZI_STEP_NORM } sqzi_step_kind;
typedef struct sqzi_embed_step {
    sqzi_step_kind kind;
    uint32_t n_out;
    sqzi_linear dense;
    sqzk_activation activation;
    sqzi_norm norm;
} sqzi_embed_step;

enum { SQZI_MAX_STEPS = 8 };

typedef struct sqzi_head {
    sqz_head_kind kind;
    sqz_pooling pooling; /* SQZ_POOLING_NONE: every token (or the rows asked for) */
    bool has_pooler;
    sqzi_linear pooler; /* C to C, tanh; also for embeddings */
    bool has_dense;
    sqzi_linear dense;
    sqzk_activation activation;
    bool has_norm;
    sqzi_norm norm;
    bool tied; /* output is the table of words, and has no matrix of its own */
    /* a tied decoder over a factorised embedding: rows go through factor (its transpose)
     * first */
    bool factorised;
    sqzi_linear factor;
    sqzi_linear output;
    uint32_t width, classes;
    sqzi_embed_step steps[SQZI_MAX_STEPS];
    uint32_t n_steps;
    uint32_t embedding_width; /* of what the last step makes; the width where there is none */
} sqzi_head;

enum { SQZI_HEAD_ROWS = 64 }; /* rows that go through the head together */

typedef struct sqzi_head_scratch {
    sqzi_linear_scratch *linear; /* [members] */
    /* [SQZI_HEAD_ROWS, width] each; first: tokens that the pooler reads */
    sqzi_real *first, *pooled, *dense, *factorised;
    sqzi_real *steps[2]; /* [SQZI_HEAD_ROWS, widest step], in turn */
    _Atomic bool numeric_error;
} sqzi_head_scratch;

void sqzi_head_layout(sqzi_head_scratch *scratch, const sqzi_head *head, uint32_t members,
                      sqzi_arena *arena);

/* Which rows between the steps of sqzi_head_logits have memory of their own, those of all n inputs
 * without gaps; NULL: they share the scratch memory, and are gone when the next SQZI_HEAD_ROWS
 * inputs come.
 *
 *   first       [n, C]  tokens that the pooler reads
 *   pooled      [n, C]  what dense reads, or output where there is none: tokens, means, the
 *                       pooler's tanh
 *   dense_sum   [n, D]  before the activation
 *   dense       [n, D]  behind it, what norm reads
 *   normed      [n, D]
 *   factorised  [n, k]  what output reads, where the head has a factor
 *
 * Results have the same bits, but for a GELU that is written by itself where dense_sum is kept, of
 * int8 layers (doc/kernels.md). */
typedef struct sqzi_head_keep {
    sqzi_real *first, *pooled, *dense_sum, *dense, *normed, *factorised;
} sqzi_head_keep;

/* What a head reads and writes. */
typedef struct sqzi_head_args {
    const sqzi_head *head;
    const sqzk_table *kernels;
    sqzi_head_scratch *scratch;
    const sqzi_real *hidden; /* [N, width] finished hidden states */
    /* SQZ_POOLING_NONE or SQZ_POOLING_DEFAULT: inputs are tokens, else sequences */
    sqz_pooling pooling;
    uint32_t n;            /* inputs */
    const uint32_t *first; /* [n + 1] where sequences begin */
    const uint32_t *rows;  /* [n] which tokens, NULL: the first n */
    const uint32_t *skip;  /* [n] tokens that pooling leaves out, NULL: none */
    sqzi_real *out;
    size_t ldo;
    uint32_t dimensions;        /* of an embedding: the first so many numbers of a row */
    bool normalize;             /* an embedding has length 1 */
    const sqzi_head_keep *keep; /* or NULL */
} sqzi_head_args;

/* The team's part of out [n, K], logits, or of out [n, dimensions], embeddings. Every member calls
 * it; returns when all parts are done. scratch->numeric_error is set when an int8 layer met a NaN
 * or an infinity. */
typedef void sqzi_head_function(const sqzi_head_args *args, const sqzi_team *team);
sqzi_head_function sqzi_head_logits, sqzi_head_embed;

/* out[columns] = those of the vector that an input is pooled to, for the pooler the token that it
 * reads; out has the width's room. */
void sqzi_head_pool(const sqzi_head_args *args, uint32_t input, sqzi_range columns, sqzi_real *out);

#endif
