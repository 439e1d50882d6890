/* SPDX-License-Identifier: Apache-2.0 */
/* Row kernels, NEON. */
#include "kernel/vector_neon.h"

#define LEVEL(name) name##_neon
#include "kernel/rows/row_kernels_template.h"
