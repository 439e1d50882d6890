/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout, AVX-512. */
#define KERNEL(name) dropout_avx512_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"

#include "kernel/grad/dropout_avx512.h"

#define LEVEL(name) name##_avx512
#include "kernel/grad/dropout_template.h"
