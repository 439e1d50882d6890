/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, SIMD128. */
#include "kernel/vector_simd128.h"

#define LEVEL(name) name##_simd128
#include "kernel/grad/transpose_template.h"
