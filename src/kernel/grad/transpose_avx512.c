/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, AVX-512. */
#define KERNEL(name) transpose_avx512_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"

#define LEVEL(name) name##_avx512
#include "kernel/grad/transpose_template.h"
