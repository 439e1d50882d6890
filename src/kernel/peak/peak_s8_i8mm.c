/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of the int8 matrix extension: 2 x 8 by 8 x 2, in int8. */
#define KERNEL(name) peak_s8_i8mm_##name
#include "kernel/local_names.h"

#include "kernel/peak/peak_s8_neon.h"

static inline sum step(sum s, input a, input b)
{
    return vmmlaq_s32(s, a, b);
}

#define STEP_OPERATIONS 64
#define PEAK_NAME sqzk_peak_s8_i8mm
#define PEAK_TEXT "smmla 16b"
#define PEAK_LEVEL "i8mm"
#define PEAK_FEATURE SQZI_CPU_I8MM
#include "kernel/peak/peak_template.h"
