/* SPDX-License-Identifier: Apache-2.0 */
/* About how a logistic regression is curved: of every class alike
 *
 *     M = spread S + decay I,   S = 1/n sum_r (x_r, 1) (x_r, 1)^T,   spread = mean p (1 - p)
 *
 * M^-1 is what L-BFGS starts its inverse Hessian from: features that lie along a few directions
 * would cost it hundreds of steps.
 */
#ifndef SQZI_FIT_CURVATURE_H
#define SQZI_FIT_CURVATURE_H

#include <squeezebert/status.h>

#include "base/memory.h"
#include "kernel/kernel.h"

enum { SQZI_CURVATURE_ROWS = 4096 }; /* that S is taken over, evenly among all */

typedef struct sqzi_curvature {
    const sqz_allocator *allocator;
    const sqzk_gemm *gemm;
    uint32_t n, classes;                 /* n: width + 1 */
    double *moments, *factor;            /* [n, n] */
    sqzi_real *inverse, *rows, *product; /* [n, n], [classes, n] */
    unsigned char *packed;
    double spread, decay; /* that `packed` is of; spread 0: of none */
    void *block;
    size_t bytes;
} sqzi_curvature;

/* x [n_rows, width], row stride ldx. Cost: width^2 times 4,096 rows. SQZ_ENOMEM. Close in any
 * case. */
SQZ_NODISCARD sqz_status sqzi_curvature_open(const sqz_allocator *allocator, const sqzk_gemm *gemm,
                                             const sqzi_real *x, size_t ldx, uint32_t n_rows,
                                             uint32_t width, uint32_t classes,
                                             sqzi_curvature *curvature, sqz_error *error);
void sqzi_curvature_close(sqzi_curvature *curvature);

/* v [classes, n] to M^-1 v. M is made anew where spread is another one by a factor of 4, or decay
 * is another: some n^3 operations. */
void sqzi_curvature_solve(sqzi_curvature *curvature, double spread, double decay, double *v);

#endif
