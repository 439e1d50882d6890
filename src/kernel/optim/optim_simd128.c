/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW and the sum of squares, SIMD128. */
#define KERNEL(name) optim_simd128_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_simd128
#include "kernel/optim/optim_template.h"
