/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of gradients by instruction set, for the function that picks them. */
#ifndef SQZK_GRAD_KERNELS_H
#define SQZK_GRAD_KERNELS_H

#include "kernel/grad/grad_table.h"

#define SQZK_GRAD_KERNELS(level)                                                                   \
    void sqzk_transpose_##level(const sqzk_transpose_args *args);                                  \
    void sqzk_layer_norm_grad_##level(const sqzk_layer_norm_grad_args *args);                      \
    void sqzk_softmax_grad_##level(const sqzk_softmax_grad_args *args);                            \
    void sqzk_activate_grad_##level(const sqzk_activate_grad_args *args);                          \
    void sqzk_sum_rows_##level(const sqzk_sum_rows_args *args);                                    \
    void sqzk_dropout_##level(const sqzk_dropout_args *args);

SQZK_GRAD_KERNELS(portable)
SQZK_GRAD_KERNELS(avx2)
SQZK_GRAD_KERNELS(avx512)
SQZK_GRAD_KERNELS(neon)
SQZK_GRAD_KERNELS(simd128)
#undef SQZK_GRAD_KERNELS

#endif
