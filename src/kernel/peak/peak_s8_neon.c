/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of NEON without dot products: products in 16 bits, then added in pairs, in int8. */
#define KERNEL(name) peak_s8_neon_##name
#include "kernel/local_names.h"

#include "kernel/peak/peak_s8_neon.h"

static inline sum step(sum s, input a, input b)
{
    return vpadalq_s16(s, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
}

#define STEP_OPERATIONS 16
#define PEAK_NAME sqzk_peak_s8_neon
#define PEAK_TEXT "smull, sadalp"
#define PEAK_LEVEL "neon"
#define PEAK_FEATURE SQZI_CPU_NEON
#include "kernel/peak/peak_template.h"
