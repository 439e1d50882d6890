/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW and the sum of squares, NEON. */
#define KERNEL(name) optim_neon_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_neon
#include "kernel/optim/optim_template.h"
