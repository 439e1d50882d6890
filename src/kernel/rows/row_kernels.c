/* SPDX-License-Identifier: Apache-2.0 */
/* Picks the row kernels for a set of features. */
#include "kernel/rows/row_kernels.h"

#include "base/cpu.h"

#define USE(level)                                 \
    do {                                           \
        table->rows_level = #level;                \
        table->layer_norm = sqzk_layer_norm_##level; \
        table->softmax = sqzk_softmax_##level;     \
        table->scale_rows = sqzk_scale_rows_##level; \
        table->activate = sqzk_activate_##level;   \
        table->convert = sqzk_convert_##level;         \
    } while (0)

void sqzk_row_kernels_init(sqzk_table *table, uint32_t features)
{
    (void)features;
    USE(portable);
    table->gather = sqzk_gather_portable;
#if !defined(SQZI_DOUBLE) && defined(__x86_64__)
    if (!(features & SQZI_CPU_AVX2)) return;
    USE(avx2);
    if (!(features & SQZI_CPU_AVX512)) return;
    USE(avx512);
    table->gather = sqzk_gather_avx512;
#elif !defined(SQZI_DOUBLE) && defined(__aarch64__)
    if (features & SQZI_CPU_NEON) USE(neon);
#elif !defined(SQZI_DOUBLE) && defined(__wasm__)
    if (features & SQZI_CPU_SIMD128) USE(simd128);
#endif
}
