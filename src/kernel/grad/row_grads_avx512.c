/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels of gradients, AVX-512. */
#define KERNEL(name) row_grads_avx512_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"

#define LEVEL(name) name##_avx512
#include "kernel/grad/row_grads_template.h"
