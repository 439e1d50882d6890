/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that see whole rows (norm, softmax, activation, conversion), by instruction set, and the
 * function that picks them. */
#ifndef SQZK_ROW_KERNELS_H
#define SQZK_ROW_KERNELS_H

#include "kernel/kernel.h"

void sqzk_row_kernels_init(sqzk_table *table, uint32_t features);

#define SQZK_ROW_KERNELS(level)                                               \
    void sqzk_layer_norm_##level(const sqzk_layer_norm_args *args);           \
    void sqzk_softmax_##level(const sqzk_softmax_args *args);                 \
    void sqzk_scale_rows_##level(const sqzk_scale_rows_args *args);           \
    void sqzk_activate_##level(sqzk_activation activation, size_t n, const sqzi_real *x, \
                               sqzi_real *y);                                 \
    void sqzk_convert_##level(const sqzk_convert_args *args);

SQZK_ROW_KERNELS(portable)
SQZK_ROW_KERNELS(avx2)
SQZK_ROW_KERNELS(avx512)
SQZK_ROW_KERNELS(neon)
SQZK_ROW_KERNELS(simd128)
#undef SQZK_ROW_KERNELS

void sqzk_gather_portable(const sqzk_gather_args *args);
void sqzk_gather_avx512(const sqzk_gather_args *args);

#endif
