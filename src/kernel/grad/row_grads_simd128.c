/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels of gradients, SIMD128. */
#define KERNEL(name) row_grads_simd128_##name
#include "kernel/local_names.h"

#include "kernel/vector_simd128.h"

#define LEVEL(name) name##_simd128
#include "kernel/grad/row_grads_template.h"
