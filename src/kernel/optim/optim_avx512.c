/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the optimiser, AVX-512. */
#define KERNEL(name) optim_avx512_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_avx512
#include "kernel/optim/optim_template.h"
#include "kernel/vector_avx512.h"
#include "kernel/optim/group_errors_template.h"
