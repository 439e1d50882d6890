/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of NEON in f32. */
#define KERNEL(name) peak_f32_neon_##name
#include "kernel/local_names.h"

#include <arm_neon.h>

#include "kernel/peak/peak_sums.h"

typedef float32x4_t sum, input;

static inline input ones(void) { return vdupq_n_f32(1); }
static inline sum zero(void) { return vdupq_n_f32(0); }
static inline sum step(sum s, input a, input b) { return vfmaq_f32(s, a, b); }
static inline uint64_t count(sum s) { return (uint64_t)vaddvq_f32(s); }
#define hide(x) __asm__("" : "+w"(x))

#define SUMS PEAK_SUMS_24
#define STEP_OPERATIONS 8
#define PEAK_NAME sqzk_peak_f32_neon
#define PEAK_TEXT "fmla 4s"
#define PEAK_LEVEL "neon"
#define PEAK_FEATURE SQZI_CPU_NEON
#define PEAK_TYPE SQZI_F32
#include "kernel/peak/peak_template.h"
