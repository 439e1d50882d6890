/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW and the sum of squares, AVX2. */
#define KERNEL(name) optim_avx2_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_avx2
#include "kernel/optim/optim_template.h"
