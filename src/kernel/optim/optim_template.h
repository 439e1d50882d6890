/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW and the sum of squares, as the compiler makes vectors of them. Include with LEVEL(name)
 * defined, which makes the level's function name. Loops go by SQZK_SQUARES_LANES numbers, a length
 * that it knows. */
#include <math.h>

#include "kernel/optim/optim_kernels.h"

enum { LANES = SQZK_SQUARES_LANES };

static inline sqzi_real square_root(sqzi_real x)
{
    return sizeof x == sizeof(double) ? (sqzi_real)sqrt((double)x) : (sqzi_real)sqrtf((float)x);
}

static inline void adamw_lanes(const sqzk_adamw_args *a, size_t at, size_t n)
{
    sqzi_real *restrict w = a->w + at, *restrict m = a->m + at, *restrict v = a->v + at;
    const sqzi_real *restrict gradient = a->gradient + at;
    for (size_t i = 0; i < n; i++) {
        const sqzi_real g = a->scale * gradient[i];
        const sqzi_real mean = m[i] + (g - m[i]) * a->one_minus_beta1,
                        square = v[i] * a->beta2 + g * g * a->one_minus_beta2;
        const sqzi_real root = square_root(square) / a->correction + a->epsilon;
        m[i] = mean;
        v[i] = square;
        w[i] = w[i] * a->keep - a->step * (mean / root);
    }
}

void LEVEL(sqzk_adamw)(const sqzk_adamw_args *args)
{
    const sqzk_adamw_args a = *args;
    size_t i = 0;
    for (; i + LANES <= a.n; i += LANES) adamw_lanes(&a, i, LANES);
    adamw_lanes(&a, i, a.n - i);
}

double LEVEL(sqzk_squares)(const sqzi_real *x, size_t n)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}
