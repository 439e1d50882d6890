/* SPDX-License-Identifier: Apache-2.0 */
/* Picks the kernels of gradients for a set of features. */
#include "kernel/grad/grad_table.h"

#include "base/cpu.h"
#include "kernel/grad/grad_kernels.h"

#define USE(level)                                                                                 \
    do {                                                                                           \
        table->rows_level = #level;                                                                \
        table->transpose = sqzk_transpose_##level;                                                 \
    } while (0)

#define USE_ROWS(level)                                                                            \
    do {                                                                                           \
        table->layer_norm_grad = sqzk_layer_norm_grad_##level;                                     \
        table->softmax_grad = sqzk_softmax_grad_##level;                                           \
        table->activate_grad = sqzk_activate_grad_##level;                                         \
        table->sum_rows = sqzk_sum_rows_##level;                                                   \
        table->dropout = sqzk_dropout_##level;                                                     \
    } while (0)

void sqzk_grad_table_init(sqzk_grad_table *table, uint32_t features)
{
    table->features = features;
    USE(portable);
    USE_ROWS(portable);
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    if (!(features & SQZI_CPU_AVX2)) return;
    USE(avx2);
    if (!(features & SQZI_CPU_AVX512)) return;
    USE(avx512);
#elif !defined(SQZI_DOUBLE) && defined(__aarch64__)
    if (features & SQZI_CPU_NEON) USE(neon);
#elif !defined(SQZI_DOUBLE) && defined(__wasm__)
    if (features & SQZI_CPU_SIMD128) USE(simd128);
#endif
}
