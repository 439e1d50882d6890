/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout, AVX2. */
#define KERNEL(name) dropout_avx2_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"

#include "kernel/grad/dropout_avx2.h"

#define LEVEL(name) name##_avx2
#include "kernel/grad/dropout_template.h"
