/* SPDX-License-Identifier: Apache-2.0 */
/* A learned map of a student's rows to the width of its teacher's, y = W x, between a loss and what
 * it compares:
 *
 *     sqzi_projection_forward(&p, x, n, pack, pool)   y of x; W packed, where it changed since
 *     ... d loss of y into p.d ...
 *     sqzi_projection_backward(&p, dx, pool)          dW added to its gradient, W' d to dx
 *
 * Products are f32 gemms, cut over outputs: bits do not depend on the team. Knows no file.
 */
#ifndef SQZI_PROJECTION_H
#define SQZI_PROJECTION_H

#include "nn/linear_grad.h"

/* W [n_out, n_in]; n_out 0: there is none. */
typedef struct sqzi_projection_numbers {
    uint32_t n_out, n_in;
    sqzi_real *master, *gradient;
} sqzi_projection_numbers;

typedef struct sqzi_projection {
    const struct sqzk_grad_table *kernels;
    sqzi_linear linear;
    sqzi_linear_numbers masters, gradients;
    unsigned char *packed;
    sqzi_linear_back back;
    sqzi_linear_panels panels;
    sqzi_grad_scratch *scratch; /* [members] */
    uint32_t members;
    sqzi_real *y, *d; /* [rows, n_out] */
    const sqzi_real *x;
    size_t n; /* of the forward */
} sqzi_projection;

typedef struct sqzi_projection_sizes {
    const sqzk_table *forward;
    const struct sqzk_grad_table *backward;
    size_t rows; /* at most */
    uint32_t members;
} sqzi_projection_sizes;

/* Lay it out in the arena (NULL base: counts). */
void sqzi_projection_layout(sqzi_projection *projection, const sqzi_projection_numbers *numbers,
                            const sqzi_projection_sizes *sizes, sqzi_arena *arena);

/* y of x [n, n_in], which lives until the backward is done; d is 0 then. */
void sqzi_projection_forward(sqzi_projection *projection, const sqzi_real *x, size_t n, bool pack,
                             sqzi_thread_pool *pool);
/* dx [n, n_in] is added to. */
void sqzi_projection_backward(sqzi_projection *projection, sqzi_real *dx, sqzi_thread_pool *pool);

#endif
