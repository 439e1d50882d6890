/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels, SIMD128. */
#include "kernel/vector_simd128.h"

#define LEVEL(name) name##_simd128
#include "kernel/rows/row_kernels_template.h"
