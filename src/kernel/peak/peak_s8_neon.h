/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums of NEON, for its int8 loops. */
#include <arm_neon.h>

#include "kernel/peak/peak_sums.h"

typedef int32x4_t sum;
typedef int8x16_t input;

static inline input ones(void) { return vdupq_n_s8(1); }
static inline sum zero(void) { return vdupq_n_s32(0); }
static inline uint64_t count(sum s) { return (uint64_t)vaddlvq_s32(s); }
#define hide(x) __asm__("" : "+w"(x))

#define SUMS PEAK_SUMS_24
#define PEAK_TYPE SQZI_S8
