/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels of gradients in plain C: the reference of the others. */
#define KERNEL(name) row_grads_portable_##name
#include "kernel/local_names.h"

#include "kernel/activation/scalar_math.h"
#include "kernel/grad/grad_kernels.h"

/* n of a row: (x - mean) * scale. */
typedef struct row_moments {
    sqzi_real mean, scale;
} row_moments;

static row_moments moments_of(const sqzk_layer_norm_grad_args *args, const sqzi_real *x)
{
    sqzi_real sum = 0, squares = 0;
    for (size_t j = 0; j < args->n; j++) sum += x[j];
    const sqzi_real mean = sum / (sqzi_real)args->n;
    for (size_t j = 0; j < args->n; j++) squares += (x[j] - mean) * (x[j] - mean);
    return (row_moments){mean, 1 / REAL(sqrt)(squares / (sqzi_real)args->n + args->epsilon)};
}

void sqzk_layer_norm_grad_portable(const sqzk_layer_norm_grad_args *args)
{
    for (size_t j = 0; j < args->n && args->d_weight; j++) args->d_weight[j] = args->d_bias[j] = 0;
    for (size_t r = 0; r < args->m; r++) {
        const sqzi_real *x = args->x + r * args->ldx, *dy = args->dy + r * args->lddy;
        sqzi_real *dx = args->dx + r * args->lddx, sum = 0, with_normed = 0;
        const row_moments row = moments_of(args, x);
        for (size_t j = 0; j < args->n; j++) {
            const sqzi_real normed = (x[j] - row.mean) * row.scale, g = dy[j] * args->weight[j];
            sum += g;
            with_normed += g * normed;
            if (!args->d_weight) continue;
            args->d_weight[j] += dy[j] * normed;
            args->d_bias[j] += dy[j];
        }
        sum /= (sqzi_real)args->n;
        with_normed /= (sqzi_real)args->n;
        for (size_t j = 0; j < args->n; j++)
            dx[j] = row.scale *
                    (dy[j] * args->weight[j] - sum - (x[j] - row.mean) * row.scale * with_normed);
    }
}

void sqzk_softmax_grad_portable(const sqzk_softmax_grad_args *args)
{
    for (size_t r = 0; r < args->m; r++) {
        const sqzi_real *p = args->p + r * args->ldp,
                        *q = (args->dropped ? args->dropped : args->p) + r * args->ldp;
        sqzi_real *dp = args->dp + r * args->lddp, sum = 0;
        for (size_t j = 0; j < args->n; j++) sum += q[j] * dp[j];
        for (size_t j = 0; j < args->n; j++) {
            const sqzi_real ds = q[j] * dp[j] - p[j] * sum;
            dp[j] = args->scale * (args->add ? ds + args->add[r * args->ldadd + j] : ds);
        }
    }
}

/* Of the output y where of_outputs says so. */
static sqzi_real slope(sqzk_activation activation, bool of_outputs, sqzi_real x)
{
    switch (activation) {
    case SQZK_IDENTITY: return 1;
    case SQZK_GELU: /* the normal distribution and x times its density */
        return (sqzi_real)0.5 * REAL(erfc)(x * -(sqzi_real)0.70710678118654752440) +
               x * (sqzi_real)0.39894228040143267794 * REAL(exp)(x * x * -(sqzi_real)0.5);
    case SQZK_GELU_TANH: {
        /* past 10 tanh has long reached 1, and a product with 0 must not meet infinity */
        const sqzi_real a = x > 10    ? 10
                            : x < -10 ? -10
                                      : x,
                        root = (sqzi_real)0.79788456080286535588, c = (sqzi_real)0.044715;
        const sqzi_real t = REAL(tanh)(root * (a + c * a * a * a));
        return (sqzi_real)0.5 * ((1 + t) + a * (1 - t) * (1 + t) * root * (1 + 3 * c * a * a));
    }
    /* a NaN is no slope of 0 */
    case SQZK_RELU: return x <= 0 ? 0 : x > 0 ? 1 : x;
    case SQZK_TANH: {
        const sqzi_real y = of_outputs ? x : (sqzi_real)tanh((double)x);
        return (1 - y) * (1 + y);
    }
    }
    return 1;
}

void sqzk_activate_grad_portable(const sqzk_activate_grad_args *args)
{
    for (size_t j = 0; j < args->n; j++)
        args->dx[j] = args->dy[j] * slope(args->activation, args->of_outputs, args->x[j]);
}

static sqzi_real chain_sum(const sqzi_real *x, size_t ldx, size_t m)
{
    sqzi_real sum = x[0];
    for (size_t r = 1; r < m; r++) sum += x[r * ldx];
    return sum;
}

void sqzk_sum_rows_portable(const sqzk_sum_rows_args *args)
{
    for (size_t j = 0; j < args->n; j++) {
        sqzi_real sum = args->beta ? args->out[j] : 0;
        for (size_t r = 0; r < args->m; r += args->chain)
            sum += chain_sum(args->x + r * args->ldx + j, args->ldx,
                             args->m - r < args->chain ? args->m - r : args->chain);
        args->out[j] = sum;
    }
}

static sqzi_philox_block block_at(const sqzk_dropout_args *args, size_t r, size_t eighth)
{
    const size_t place = (args->row + r) * ((args->n + 7) / 8) + eighth;
    return sqzi_philox((sqzi_philox_block){{(uint32_t)place, args->example, args->epoch,
                                            args->stream}},
                       args->seed);
}

void sqzk_dropout_portable(const sqzk_dropout_args *args)
{
    const sqzi_real scale = 65536 / (sqzi_real)(65536 - args->share);
    for (size_t r = 0; r < args->m; r++) {
        const sqzi_real *x = args->x + r * args->ldx;
        sqzi_real *out = args->out + r * args->ldo;
        sqzi_philox_block bits = {{0}};
        for (size_t j = 0; j < args->n; j++) {
            if (j % 8 == 0) bits = block_at(args, r, j / 8);
            const uint32_t half = bits.word[j % 8 / 2] >> 16 * (j % 2) & 0xFFFF;
            const sqzi_real kept = half >= args->share ? x[j] * scale : 0;
            out[j] = args->residual ? kept + args->residual[r * args->ldr + j] : kept;
        }
    }
}
