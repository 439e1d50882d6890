/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, NEON. */
#include "kernel/vector_neon.h"

#define LEVEL(name) name##_neon
#include "kernel/grad/transpose_template.h"
