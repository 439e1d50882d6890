/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, SIMD128. */
#define KERNEL(name) transpose_simd128_##name
#include "kernel/local_names.h"

#include "kernel/vector_simd128.h"

#define LEVEL(name) name##_simd128
#include "kernel/grad/transpose_template.h"
