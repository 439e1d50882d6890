/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose in plain C: the reference of the others. With SQZI_DOUBLE, F32 is double. */
#define KERNEL(name) transpose_portable_##name
#include "kernel/local_names.h"

#include "kernel/grad/grad_kernels.h"

static void transpose_reals(const sqzk_transpose_args *args)
{
    const sqzi_real *x = args->x;
    sqzi_real *out = args->out;
    for (size_t j = 0; j < args->n; j++)
        for (size_t i = 0; i < args->filled; i++)
            out[j * args->ldo + i] = i < args->m ? x[i * args->ldx + j] : 0;
}

static void transpose_halves(const sqzk_transpose_args *args)
{
    const uint16_t *x = args->x;
    uint16_t *out = args->out;
    for (size_t j = 0; j < args->n; j++)
        for (size_t i = 0; i < args->filled; i++)
            out[j * args->ldo + i] = i < args->m ? x[i * args->ldx + j] : 0;
}

void sqzk_transpose_portable(const sqzk_transpose_args *args)
{
    if (args->type == SQZI_BF16) transpose_halves(args);
    else transpose_reals(args);
}
