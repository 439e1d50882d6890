/* SPDX-License-Identifier: Apache-2.0 */
/* Picks the optimiser's kernels for a set of features. */
#include "kernel/optim/optim_table.h"

#include "base/cpu.h"
#include "kernel/optim/optim_kernels.h"

#define USE(name)                                                                                  \
    *table = (sqzk_optim_table)                                                                    \
    {                                                                                              \
        .level = #name, .adamw = sqzk_adamw_##name, .squares = sqzk_squares_##name,                \
        .group_errors = sqzk_group_errors_##name                                                   \
    }

void sqzk_optim_table_init(sqzk_optim_table *table, uint32_t features)
{
    USE(portable);
    (void)features; /* of another CPU */
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    if (!(features & SQZI_CPU_AVX2)) return;
    USE(avx2);
    if (features & SQZI_CPU_AVX512) USE(avx512);
#elif !defined(SQZI_DOUBLE) && defined(__aarch64__)
    if (features & SQZI_CPU_NEON) USE(neon);
#elif !defined(SQZI_DOUBLE) && defined(__wasm__)
    if (features & SQZI_CPU_SIMD128) USE(simd128);
#endif
}
