/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW and the sum of squares, for any CPU. */
#define KERNEL(name) optim_portable_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_portable
#include "kernel/optim/optim_template.h"
