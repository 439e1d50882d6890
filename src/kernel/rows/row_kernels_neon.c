/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels, NEON. */
#define KERNEL(name) row_kernels_neon_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"

#define LEVEL(name) name##_neon
#include "kernel/rows/row_kernels_template.h"
