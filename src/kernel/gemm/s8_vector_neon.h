/* SPDX-License-Identifier: Apache-2.0 */
/* The integer operations of the s8 gemm's templates, in NEON: 4 s32. Included after vector_neon.h. */
#ifndef SQZK_S8_VECTOR_H
#define SQZK_S8_VECTOR_H

#include <string.h>

typedef int32x4_t ivec;

static inline ivec i_zero(void) { return vdupq_n_s32(0); }
static inline ivec i_load(const int32_t *p) { return vld1q_s32(p); }
static inline vec i_to_float(ivec a) { return vcvtq_f32_s32(a); }
static inline ivec i_max_magnitude(ivec largest, const float *x)
{
    const uint32x4_t magnitude = vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x)), vdupq_n_u32(0x7FFFFFFFu));
    return vreinterpretq_s32_u32(vmaxq_u32(vreinterpretq_u32_s32(largest), magnitude));
}
static inline uint32_t i_largest(ivec a, ivec b) { return vmaxvq_u32(vmaxq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b))); }
/* 4 floats to 4 bytes: round(x * inverse) + flip (0 or 128) */
static inline void i_quantise(const float *x, vec inverse, int flip, unsigned char *out)
{
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x), inverse)));
    const int8x8_t bytes = veor_s8(vmovn_s16(vcombine_s16(words, words)), vdup_n_s8((int8_t)flip));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
    memcpy(out, &four, sizeof four);
}

#endif
