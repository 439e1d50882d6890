/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels of gradients, AVX2. */
#define KERNEL(name) row_grads_avx2_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"

#define LEVEL(name) name##_avx2
#include "kernel/grad/row_grads_template.h"
