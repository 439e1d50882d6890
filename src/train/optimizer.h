/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW over parameters, and the norm of their gradient.
 *
 * Work is cut into chunks of SQZI_CHUNK numbers of one tensor, in the order of the list. The norm
 * is a sum of the chunks' sums in that order, whoever made them: its bits, and those of a step, do
 * not depend on the team.
 */
#ifndef SQZI_OPTIMIZER_H
#define SQZI_OPTIMIZER_H

#include "kernel/optim/optim_table.h"
#include "train/parameters.h"

enum { SQZI_CHUNK = 4096 };

typedef struct sqzi_chunk {
    uint32_t parameter;
    size_t first; /* number of it */
} sqzi_chunk;

typedef struct sqzi_optimizer {
    const sqzi_parameters *parameters;
    sqzk_optim_table kernels;
    sqzi_thread_pool *pool;
    sqzi_chunk *chunks; /* [n_chunks] */
    double *squares;    /* [n_chunks] */
    uint32_t n_chunks;
    void *block;
    size_t bytes;
} sqzi_optimizer;

/* Of train.h: e_t, the factor c, and constants. */
typedef struct sqzi_adamw {
    double rate, scale, decay, beta1, beta2, epsilon;
    uint64_t t; /* from 1 on */
} sqzi_adamw;

/* The pool and the parameters live as long. SQZ_ENOMEM. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_optimizer_open(const sqzi_parameters *parameters,
                                             sqzi_thread_pool *pool, uint32_t features,
                                             sqzi_optimizer *optimizer, sqz_error *error);
void sqzi_optimizer_close(sqzi_optimizer *optimizer);

/* The Euclidean norm of the gradient of all trained numbers; not finite where one of them is
 * not. */
double sqzi_optimizer_norm(sqzi_optimizer *optimizer);

/* min(1, clip / (norm + 1e-6)), 1 where clip <= 0. */
double sqzi_clip_scale(double norm, double clip);

/* A step; gradients are 0 after it. */
void sqzi_optimizer_step(sqzi_optimizer *optimizer, const sqzi_adamw *adamw);

#endif
