/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the optimiser, NEON. */
#define KERNEL(name) optim_neon_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_neon
#include "kernel/optim/optim_template.h"
#include "kernel/vector_neon.h"
#include "kernel/optim/group_errors_template.h"
