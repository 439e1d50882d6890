/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, AVX2. */
#include "kernel/vector_avx2.h"

#define LEVEL(name) name##_avx2
#include "kernel/grad/transpose_template.h"
