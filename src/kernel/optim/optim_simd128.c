/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the optimiser, SIMD128. */
#define KERNEL(name) optim_simd128_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_simd128
#include "kernel/optim/optim_template.h"
#include "kernel/vector_simd128.h"
#include "kernel/optim/group_errors_template.h"
