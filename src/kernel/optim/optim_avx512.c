/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW and the sum of squares, AVX-512. */
#define KERNEL(name) optim_avx512_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_avx512
#include "kernel/optim/optim_template.h"
