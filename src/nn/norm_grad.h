/* SPDX-License-Identifier: Apache-2.0 */
/* The backward of a LayerNorm.
 *
 *   rows    sqzi_norm_grad_rows      dx, and for each chain of SQZI_GRAD_ROWS rows what it adds to
 *                                    d weight and d bias
 *   sums    sqzi_norm_grad_weights   the chains in order
 */
#ifndef SQZI_NORM_GRAD_H
#define SQZI_NORM_GRAD_H

#include "nn/grad.h"

struct sqzk_grad_table;

typedef struct sqzi_norm_grad_args {
    const sqzi_norm *norm;
    const struct sqzk_grad_table *kernels;
    size_t m;           /* rows of the batch */
    const sqzi_real *x; /* [m, n] what the norm read: a sum, not what it made */
    size_t ldx;
    const sqzi_real *dy; /* [m, n] */
    size_t lddy;
    sqzi_real *dx; /* [m, n], may be dy */
    size_t lddx;
    sqzi_real *chains; /* [sqzi_norm_chains(m, n)], or NULL: frozen */
} sqzi_norm_grad_args;

/* Numbers of the chains of m rows. */
size_t sqzi_norm_chains(size_t m, size_t n);

/* Rows [begin, end): begin a multiple of SQZI_GRAD_ROWS, end one too, or m. */
void sqzi_norm_grad_rows(const sqzi_norm_grad_args *args, sqzi_range rows);

/* Columns of the gradient of weight and bias from the chains, added to it with beta. */
void sqzi_norm_grad_weights(const sqzi_norm_grad_args *args, const sqzi_norm_numbers *gradient,
                            bool beta, sqzi_range columns);

#endif
