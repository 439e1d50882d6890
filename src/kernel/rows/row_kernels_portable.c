/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels in plain C and with the C library's exp, erf and tanh: the reference of the
 * others. */
#define KERNEL(name) row_kernels_portable_##name
#include "kernel/local_names.h"

#include <string.h>

#include "base/half.h"
#include "kernel/activation/scalar_math.h"
#include "kernel/rows/row_kernels.h"

void sqzk_layer_norm_portable(const sqzk_layer_norm_args *args)
{
    for (size_t r = 0; r < args->m; r++) {
        const sqzi_real *x = args->x + r * args->ldx;
        sqzi_real *out = args->out + r * args->ldo;
        sqzi_real sum = 0, squares = 0;
        for (size_t j = 0; j < args->n; j++) sum += x[j];
        const sqzi_real mean = sum / (sqzi_real)args->n;
        for (size_t j = 0; j < args->n; j++) squares += (x[j] - mean) * (x[j] - mean);
        const sqzi_real scale = 1 / REAL(sqrt)(squares / (sqzi_real)args->n + args->epsilon);
        for (size_t j = 0; j < args->n; j++)
            out[j] = (x[j] - mean) * scale * args->weight[j] + args->bias[j];
    }
}

static void round_row(const sqzk_softmax_args *args, sqzi_real *x, uint16_t *halves)
{
    for (size_t j = 0; j < args->n; j++) {
        halves[j] = sqzi_to_bf16((float)x[j]);
        x[j] = sqzi_from_bf16(halves[j]);
    }
    memset(halves + args->n, 0, ((args->n + 31) / 32 * 32 - args->n) * sizeof *halves);
}

void sqzk_softmax_portable(const sqzk_softmax_args *args)
{
    for (size_t r = 0; r < args->m; r++) {
        sqzi_real *x = args->x + r * args->ldx;
        sqzi_real largest = x[0] * args->scale, sum = 0;
        for (size_t j = 0; j < args->n; j++) {
            x[j] *= args->scale;
            if (x[j] > largest) largest = x[j];
        }
        for (size_t j = 0; j < args->n; j++) x[j] = REAL(exp)(x[j] - largest);
        if (args->halves) round_row(args, x, args->halves + r * args->ldh);
        for (size_t j = 0; j < args->n; j++) sum += x[j];
        args->inverse[r] = 1 / sum;
    }
}

void sqzk_scale_rows_portable(const sqzk_scale_rows_args *args)
{
    for (size_t r = 0; r < args->m; r++)
        for (size_t j = 0; j < args->n; j++) args->x[r * args->ldx + j] *= args->factor[r];
}

void sqzk_activate_portable(sqzk_activation activation, size_t n, const sqzi_real *x, sqzi_real *y)
{
    for (size_t j = 0; j < n; j++) y[j] = sqzk_scalar_activate(activation, x[j]);
}

void sqzk_convert_portable(const sqzk_convert_args *args)
{
    for (size_t j = 0; j < args->n; j++) {
        const sqzi_real x = args->type == SQZI_S8
                                ? ((const int8_t *)args->source)[j] * (sqzi_real)args->scale
                                : sqzi_load_real(args->source, j, args->type);
        args->out[j] = args->beta ? args->out[j] + x : x;
    }
}
