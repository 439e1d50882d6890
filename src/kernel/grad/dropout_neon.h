/* SPDX-License-Identifier: Apache-2.0 */
/* What dropout_template.h needs in NEON: 2 words in the lower halves of 64 bits. */
#ifndef SQZK_DROPOUT_VECTOR_H
#define SQZK_DROPOUT_VECTOR_H

enum { W_LANES = 2 };
typedef uint64x2_t wide;

static inline wide w_set(uint32_t x)
{
    return vdupq_n_u64(x);
}
/* x, x + 1, ... modulo 2^32, which products alone read */
static inline wide w_count(uint32_t x)
{
    return vsetq_lane_u64((uint64_t)x + 1, w_set(x), 1);
}
/* of the lower halves */
static inline wide w_multiply(wide a, wide b)
{
    return vmull_u32(vmovn_u64(a), vmovn_u64(b));
}
static inline wide w_upper(wide a)
{
    return vshrq_n_u64(a, 32);
}
static inline wide w_xor(wide a, wide b)
{
    return veorq_u64(a, b);
}
/* The lower halves of x, y, z, w, lane by lane */
static inline void w_store(uint16_t *p, wide x, wide y, wide z, wide w)
{
    const wide a = vsliq_n_u64(x, y, 32), b = vsliq_n_u64(z, w, 32);
    vst1q_u16(p, vreinterpretq_u16_u64(vzip1q_u64(a, b)));
    vst1q_u16(p + 8, vreinterpretq_u16_u64(vzip2q_u64(a, b)));
}
/* x where the half-word is at least `share`, else 0 */
static inline vec w_kept(vec x, const uint16_t *halves, uint32_t share)
{
    const uint32x4_t kept = vcgeq_u32(vmovl_u16(vld1_u16(halves)), vdupq_n_u32(share));
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), kept));
}

#endif
