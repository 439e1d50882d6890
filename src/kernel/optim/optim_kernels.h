/* SPDX-License-Identifier: Apache-2.0 */
/* The optimiser's kernels by instruction set, for the function that picks them. */
#ifndef SQZK_OPTIM_KERNELS_H
#define SQZK_OPTIM_KERNELS_H

#include "kernel/optim/optim_table.h"

#define SQZK_OPTIM_KERNELS(level)                                                                  \
    void sqzk_adamw_##level(const sqzk_adamw_args *args);                                          \
    double sqzk_squares_##level(const sqzi_real *x, size_t n);                                     \
    void sqzk_group_errors_##level(const sqzk_group *group, const float *steps, float *errors);

SQZK_OPTIM_KERNELS(portable)
SQZK_OPTIM_KERNELS(avx2)
SQZK_OPTIM_KERNELS(avx512)
SQZK_OPTIM_KERNELS(neon)
SQZK_OPTIM_KERNELS(simd128)
#undef SQZK_OPTIM_KERNELS

#endif
