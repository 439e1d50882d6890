/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 to and from vectors of 4 floats, NEON. Included after vector_neon.h. */
#ifndef SQZK_BF16_VECTOR_H
#define SQZK_BF16_VECTOR_H

#include <string.h>

/* The upper halves are bf16. */
static inline vec v_rounded(vec x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x),
                     odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd),
                     nan = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vreinterpretq_f32_u32(vbslq_u32(vceqq_f32(x, x), rounded, nan));
}

typedef vec operand;
static inline vec even_of(uint32x4_t pairs)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
}
static inline vec odd_of(uint32x4_t pairs)
{
    return vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xFFFF0000u)));
}
static inline uint32x4_t load_bits(const uint16_t *p)
{
    return vreinterpretq_u32_u16(vld1q_u16(p));
}
static inline vec load_even(const uint16_t *p) { return even_of(load_bits(p)); }
static inline vec load_odd(const uint16_t *p) { return odd_of(load_bits(p)); }
static inline uint32x4_t bits_of_pair(const uint16_t *p)
{
    uint32_t two;
    memcpy(&two, p, sizeof two);
    return vdupq_n_u32(two);
}
static inline vec spread_even(const uint16_t *p) { return even_of(bits_of_pair(p)); }
static inline vec spread_odd(const uint16_t *p) { return odd_of(bits_of_pair(p)); }

#endif
