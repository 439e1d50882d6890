/* SPDX-License-Identifier: Apache-2.0 */
/* Heads: {pool, optional dense, activation, optional norm, output of K classes}, and the pooling of embeddings. */
#ifndef SQZI_HEAD_H
#define SQZI_HEAD_H

#include <squeezebert/model.h>

#include "nn/encoder.h"

typedef struct sqzi_head {
    sqz_head_kind kind;
    sqz_pool pool;               /* SQZ_POOL_NONE: every token (or the rows asked for) */
    bool has_pooler;
    sqzi_linear pooler;          /* C to C, tanh; also for embeddings */
    bool has_dense;
    sqzi_linear dense;
    sqzk_activation activation;
    bool has_norm;
    sqzi_norm norm;
    bool reduced;                /* a tied decoder over a reduced embedding: rows go through reduce (its transposed projection) first */
    sqzi_linear reduce;
    sqzi_linear output;
    uint32_t width, classes;
} sqzi_head;

enum { SQZI_HEAD_ROWS = 64 };    /* rows that go through the head together */

typedef struct sqzi_head_scratch {
    sqzi_linear_scratch linear;
    sqzi_real *pooled, *dense, *reduced; /* [SQZI_HEAD_ROWS, width] each */
} sqzi_head_scratch;

void sqzi_head_layout(sqzi_head_scratch *scratch, const sqzi_head *head, sqzi_arena *arena);

/* out [C] = pooled rows first..last-1 of hidden; pool is MEAN, CLS or POOLER. The mean's sum runs in double. */
bool sqzi_pool_sequence(const sqzi_head *head, sqz_pool pool, const sqzi_real *hidden, size_t ldh, uint32_t first, uint32_t last, sqzi_head_scratch *scratch, sqzi_real *out);

/* logits [n, K] of the n <= SQZI_HEAD_ROWS inputs x [n, C] (pooled or token states). */
bool sqzi_head_run(const sqzi_head *head, const sqzk_table *kernels, const sqzi_real *x, size_t ldx, size_t n, sqzi_head_scratch *scratch, sqzi_real *logits, size_t ldl);

#endif
