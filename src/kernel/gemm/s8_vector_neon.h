/* SPDX-License-Identifier: Apache-2.0 */
/* The integer operations of the s8 gemm's templates, in NEON: 4 s32. Included after
 * vector_neon.h. */
#ifndef SQZK_S8_VECTOR_H
#define SQZK_S8_VECTOR_H

#include <string.h>

typedef int32x4_t ivec;

static inline ivec i_zero(void) { return vdupq_n_s32(0); }
static inline ivec i_set(uint32_t a) { return vdupq_n_s32((int32_t)a); }
static inline ivec i_load(const int32_t *p) { return vld1q_s32(p); }
static inline void i_store(int32_t *p, ivec a) { vst1q_s32(p, a); }
static inline vec i_to_float(ivec a) { return vcvtq_f32_s32(a); }
static inline ivec i_max_magnitude(ivec largest, vec x)
{
    const uint32x4_t magnitude = vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x7FFFFFFFu));
    return vreinterpretq_s32_u32(vmaxq_u32(vreinterpretq_u32_s32(largest), magnitude));
}
/* unsigned */
static inline ivec i_max(ivec a, ivec b)
{
    return vreinterpretq_s32_u32(vmaxq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}
static inline uint32_t i_largest(ivec a) { return vmaxvq_u32(vreinterpretq_u32_s32(a)); }
/* Of magnitudes: bit i where lane i is above x; the lanes that are not, and 0 for those that are */
static inline uint32_t i_lanes_above(ivec a, uint32_t x)
{
    static const uint32_t bits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcgtq_s32(a, i_set(x)), vld1q_u32(bits)));
}
static inline ivec i_without_above(ivec a, uint32_t x)
{
    return vbicq_s32(a, vreinterpretq_s32_u32(vcgtq_s32(a, i_set(x))));
}
/* sum + outlier * the lowest byte, signed, of each lane of weights */
static inline ivec i_add_low_bytes(ivec sum, uint32_t outlier, ivec weights)
{
    return vmlaq_n_s32(sum, vshrq_n_s32(vshlq_n_s32(weights, 24), 24), (int32_t)outlier);
}
static inline ivec i_round(vec x) { return vcvtnq_s32_f32(x); } /* half to even */
static inline ivec i_subtract(ivec a, ivec b) { return vsubq_s32(a, b); }
static inline ivec i_add(ivec a, ivec b) { return vaddq_s32(a, b); }
/* 4 numbers to 4 bytes: within a byte, + flip (0 or 128) */
static inline void i_to_bytes(ivec q, int flip, unsigned char *out)
{
    const int16x4_t words = vmovn_s32(q);
    const int8x8_t bytes = veor_s8(vqmovn_s16(vcombine_s16(words, words)), vdup_n_s8((int8_t)flip));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
    memcpy(out, &four, sizeof four);
}

#endif
