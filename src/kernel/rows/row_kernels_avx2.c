/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels, AVX2. */
#define KERNEL(name) row_kernels_avx2_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"

#define LEVEL(name) name##_avx2
#include "kernel/rows/row_kernels_template.h"
