/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels, AVX512. */
#define KERNEL(name) row_kernels_avx512_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"

#define LEVEL(name) name##_avx512
#include "kernel/rows/row_kernels_template.h"
