/* SPDX-License-Identifier: Apache-2.0 */
/* The vector operations that the kernel templates use, in NEON of AArch64: 4 floats. */
#ifndef SQZK_VECTOR_H
#define SQZK_VECTOR_H

#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for AArch64 with NEON"
#endif

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define V_WIDTH 4
typedef float32x4_t vec;

static inline vec v_load(const float *p) { return vld1q_f32(p); }
/* n floats, the rest of the vector is `fill` */
static inline vec v_load_fill(const float *p, size_t n, float fill)
{
    if (n == V_WIDTH) return vld1q_f32(p);
    float part[V_WIDTH] = {fill, fill, fill, fill};
    memcpy(part, p, n * sizeof *part);
    return vld1q_f32(part);
}
static inline vec v_load_part(const float *p, size_t n) { return v_load_fill(p, n, 0.0f); }
static inline void v_store(float *p, vec v) { vst1q_f32(p, v); }
static inline void v_store_part(float *p, vec v, size_t n)
{
    if (n == V_WIDTH) {
        vst1q_f32(p, v);
        return;
    }
    float part[V_WIDTH];
    vst1q_f32(part, v);
    memcpy(p, part, n * sizeof *part);
}
static inline vec v_set(float x) { return vdupq_n_f32(x); }
static inline vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec v_max(vec a, vec b) { return vmaxq_f32(a, b); } /* NaN where either is */
static inline vec v_min(vec a, vec b) { return vminq_f32(a, b); }
static inline vec v_round(vec a) { return vrndnq_f32(a); }
/* a * 2^n for integral n in [-150, 127]: two factors, so that a subnormal result rounds once */
static inline vec v_scale2(vec a, vec n)
{
    const int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1),
                    rest = vsubq_s32(whole, half), bias = vdupq_n_s32(127);
    const vec first = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    const vec second = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23));
    return vmulq_f32(vmulq_f32(a, first), second);
}
/* t - floor(t), and in *whole floor(t), as an exponent for v_scale2_from */
static inline vec v_fraction(vec t, vec *whole)
{
    *whole = vrndmq_f32(t);
    return vsubq_f32(t, *whole);
}
/* a * 2^n where x >= least or x is NaN, else 0; what is 0 never becomes a subnormal number on the
 * way */
static inline vec v_scale2_from(vec a, vec n, vec x, float least)
{
    const uint32x4_t small = vcltq_f32(x, vdupq_n_f32(least));
    const vec whole = vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(n), small));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v_scale2(a, whole)), small));
}
static inline vec v_where_less(vec a, vec b, vec yes, vec no)
{
    return vbslq_f32(vcltq_f32(a, b), yes, no);
}
static inline vec v_abs(vec a) { return vabsq_f32(a); }
static inline float v_sum(vec a)
{
    const float32x2_t s = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(s, 0) + vget_lane_f32(s, 1);
}
static inline float v_largest(vec a) { return vmaxvq_f32(a); }
static inline vec v_from_s8(const int8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four))))));
}
static inline vec v_from_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline vec v_from_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
/* The upper halves of 4 floats: bf16, where the lower ones are 0 */
static inline void v_store_upper(uint16_t *p, vec v)
{
    vst1_u16(p, vshrn_n_u32(vreinterpretq_u32_f32(v), 16));
}
/* Those of a, then those of b */
static inline void v_store_uppers(uint16_t *p, vec a, vec b)
{
    vst1q_u16(p, vuzp2q_u16(vreinterpretq_u16_f32(a), vreinterpretq_u16_f32(b)));
}
/* Words a and b in turn: their lower halves to one row of halves, the upper ones to another */
static inline void v_store_halves(uint16_t *lower, uint16_t *upper, vec a, vec b)
{
    const uint16x8_t even = vreinterpretq_u16_f32(a), odd = vreinterpretq_u16_f32(b);
    vst1q_u16(lower, vtrn1q_u16(even, odd));
    vst1q_u16(upper, vtrn2q_u16(even, odd));
}

/* out[j][i] = in[i][j] for 4 x 4 floats; row strides in floats. */
static inline void v_transpose(const float *in, size_t ldi, float *out, size_t ldo)
{
    const float32x4x2_t top = vzipq_f32(vld1q_f32(in), vld1q_f32(in + 2 * ldi));
    const float32x4x2_t bottom = vzipq_f32(vld1q_f32(in + ldi), vld1q_f32(in + 3 * ldi));
    const float32x4x2_t left = vzipq_f32(top.val[0], bottom.val[0]),
                        right = vzipq_f32(top.val[1], bottom.val[1]);
    vst1q_f32(out, left.val[0]);
    vst1q_f32(out + ldo, left.val[1]);
    vst1q_f32(out + 2 * ldo, right.val[0]);
    vst1q_f32(out + 3 * ldo, right.val[1]);
}

#endif
