/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of the bf16 matrix extension: 2 x 4 by 4 x 2. */
#define KERNEL(name) peak_bf16_armbf16_##name
#include "kernel/local_names.h"

#include <arm_neon.h>

#include "kernel/peak/peak_sums.h"

typedef float32x4_t sum;
typedef bfloat16x8_t input;

enum { BF16_ONE = 0x3F80 };

/* The empty assembly hides the constant: gcc 12 makes an fmov of half floats of it, which is
 * another number. */
static inline input ones(void)
{
    uint16_t one = BF16_ONE;
    __asm__("" : "+r"(one));
    return vreinterpretq_bf16_u16(vdupq_n_u16(one));
}
static inline sum zero(void) { return vdupq_n_f32(0); }
static inline sum step(sum s, input a, input b) { return vbfmmlaq_f32(s, a, b); }
static inline uint64_t count(sum s) { return (uint64_t)vaddvq_f32(s); }
#define hide(x) __asm__("" : "+w"(x))

#define SUMS PEAK_SUMS_24
#define STEP_OPERATIONS 32
#define PEAK_NAME sqzk_peak_bf16_armbf16
#define PEAK_TEXT "bfmmla"
#define PEAK_LEVEL "armbf16"
#define PEAK_FEATURE SQZI_CPU_ARMBF16
#define PEAK_TYPE SQZI_BF16
#include "kernel/peak/peak_template.h"
