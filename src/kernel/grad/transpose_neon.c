/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, NEON. */
#define KERNEL(name) transpose_neon_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"

#define LEVEL(name) name##_neon
#include "kernel/grad/transpose_template.h"
