/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of the dot-product extension, in int8. */
#define KERNEL(name) peak_s8_dotprod_##name
#include "kernel/local_names.h"

#include "kernel/peak/peak_s8_neon.h"

static inline sum step(sum s, input a, input b)
{
    return vdotq_s32(s, a, b);
}

#define STEP_OPERATIONS 32
#define PEAK_NAME sqzk_peak_s8_dotprod
#define PEAK_TEXT "sdot 16b"
#define PEAK_LEVEL "dotprod"
#define PEAK_FEATURE SQZI_CPU_DOTPROD
#include "kernel/peak/peak_template.h"
