/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout, SIMD128. */
#define KERNEL(name) dropout_simd128_##name
#include "kernel/local_names.h"

#include "kernel/vector_simd128.h"

#include "kernel/grad/dropout_simd128.h"

#define LEVEL(name) name##_simd128
#include "kernel/grad/dropout_template.h"
