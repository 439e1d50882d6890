/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels, SIMD128. */
#define KERNEL(name) row_kernels_simd128_##name
#include "kernel/local_names.h"

#include "kernel/vector_simd128.h"

#define LEVEL(name) name##_simd128
#include "kernel/rows/row_kernels_template.h"
