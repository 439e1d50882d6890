/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the optimiser, and of the rounding behind it: a table of their own, in the archive
 * of what writes models.
 *
 * AdamW and the sum of squares go through every trained number once a step and wait for memory, so
 * a level is the same C compiled for its instructions. No fma, and the order of sums is fixed
 * below: all levels have the same bits.
 */
#ifndef SQZK_OPTIM_TABLE_H
#define SQZK_OPTIM_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

/* A step of AdamW on n numbers, for i < n, each operation rounded to sqzi_real:
 *
 *   g      = scale gradient[i]
 *   w[i]   = w[i] * keep
 *   m[i]   = m[i] + (g - m[i]) * one_minus_beta1
 *   v[i]   = v[i] * beta2 + g * g * one_minus_beta2
 *   w[i]   = w[i] - step * (m[i] / (sqrt(v[i]) / correction + epsilon))
 *
 *   scale        of clipping; 1: none
 *   keep         1 - rate * decay, what w is multiplied with
 *   step         rate / (1 - beta1^t)
 *   correction   sqrt(1 - beta2^t)
 */
typedef struct sqzk_adamw_args {
    size_t n;
    sqzi_real *w, *m, *v;
    const sqzi_real *gradient;
    sqzi_real scale, keep, one_minus_beta1, beta2, one_minus_beta2, step, correction, epsilon;
} sqzk_adamw_args;

enum { SQZK_SQUARES_LANES = 16 };

/* A group of n <= 32 weights that share a step, and what may be stored of each: codes 0 .. top,
 * level(c) = lowest + step c. */
typedef struct sqzk_group {
    const float *weights;
    size_t n;
    float lowest, step, top;
} sqzk_group;
enum { SQZK_GROUP_STEPS = 16, SQZK_GROUP_LANES = 8 };

typedef struct sqzk_optim_table {
    const char *level;
    void (*adamw)(const sqzk_adamw_args *args);
    /* The sum of x[i]^2 in double: lane l has i = l, l + 16, ... in order, and the lanes are added
     * from 0 to 15. */
    double (*squares)(const sqzi_real *x, size_t n);
    /* For each of SQZK_GROUP_STEPS steps s the sum of (w - s level(c))^2, c nearest to w / s:
     *
     *   c = round to even(min(max(w * (1 / (s step)) - lowest / step, 0), top))
     *
     * each operation rounded to float; weights i, i + 8 .. in order, then these sums from 0 to
     * 7. */
    void (*group_errors)(const sqzk_group *group, const float *steps, float *errors);
} sqzk_optim_table;

/* Fill the table for a set of features (sqzi_cpu_detect, masked). */
void sqzk_optim_table_init(sqzk_optim_table *table, uint32_t features);

#endif
