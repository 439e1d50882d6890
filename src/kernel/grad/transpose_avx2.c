/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, AVX2. */
#define KERNEL(name) transpose_avx2_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"

#define LEVEL(name) name##_avx2
#include "kernel/grad/transpose_template.h"
