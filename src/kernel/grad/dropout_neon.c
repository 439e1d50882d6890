/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout, NEON. */
#define KERNEL(name) dropout_neon_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"

#include "kernel/grad/dropout_neon.h"

#define LEVEL(name) name##_neon
#include "kernel/grad/dropout_template.h"
