/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the optimiser, AVX2. */
#define KERNEL(name) optim_avx2_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_avx2
#include "kernel/optim/optim_template.h"
#include "kernel/vector_avx2.h"
#include "kernel/optim/group_errors_template.h"
