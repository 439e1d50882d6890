/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels of gradients, NEON. */
#define KERNEL(name) row_grads_neon_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"

#define LEVEL(name) name##_neon
#include "kernel/grad/row_grads_template.h"
