/* SPDX-License-Identifier: Apache-2.0 */
/* Gathered rows in plain C: for every level but AVX-512. */
#define KERNEL(name) gather_portable_##name
#include "kernel/local_names.h"

#include "kernel/rows/row_kernels.h"

void sqzk_gather_portable(const sqzk_gather_args *args)
{
    for (size_t r = 0; r < args->m; r++) {
        const sqzi_real *x = args->x + r * args->ldx,
                        *residual = args->residual ? args->residual + r * args->ldr : NULL;
        sqzi_real *out = args->out + r * args->ldo;
        for (size_t j = 0; j < args->n; j++)
            out[j] = residual ? x[args->index[j]] + residual[j] : x[args->index[j]];
    }
}
