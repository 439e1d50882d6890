/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels, AVX2. */
#include "kernel/vector_avx2.h"

#define LEVEL(name) name##_avx2
#include "kernel/rows/row_kernels_template.h"
