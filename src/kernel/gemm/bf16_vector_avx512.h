/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 to and from vectors of 16 floats, AVX-512. Included after vector_avx512.h. */
#ifndef SQZK_BF16_VECTOR_H
#define SQZK_BF16_VECTOR_H

#include <string.h>

/* The upper halves are bf16. Not vcvtneps2bf16, which takes subnormal numbers for zero. */
static inline __m512i rounded_bits(vec x)
{
    /* a tie stays below */
    const __m512i bits = _mm512_castps_si512(x),
                  below = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF));
    const __m512i rounded =
        _mm512_mask_add_epi32(below, _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000)),
                              below, _mm512_set1_epi32(1));
    /* a NaN: a quiet one */
    return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits,
                                _mm512_set1_epi32(0x400000));
}
static inline vec v_rounded(vec x) { return _mm512_castsi512_ps(rounded_bits(x)); }
/* V_WIDTH pairs: out[2i] = even[i], out[2i + 1] = odd[i]. */
#define V_PAIRS
static inline void v_store_pairs(uint16_t *out, vec even, vec odd)
{
    const __m512i upper = _mm512_and_si512(rounded_bits(odd), _mm512_set1_epi32((int)0xFFFF0000u));
    _mm512_storeu_si512(out, _mm512_or_si512(upper, _mm512_srli_epi32(rounded_bits(even), 16)));
}

static inline __m512i bits_of_pair(const uint16_t *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm512_set1_epi32(two);
}

#ifndef DOT_PAIRS
typedef vec operand;
static inline vec even_of(__m512i pairs)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}
static inline vec odd_of(__m512i pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xFFFF0000u)));
}
static inline vec load_even(const uint16_t *p) { return even_of(_mm512_loadu_si512(p)); }
static inline vec load_odd(const uint16_t *p) { return odd_of(_mm512_loadu_si512(p)); }
static inline vec spread_even(const uint16_t *p) { return even_of(bits_of_pair(p)); }
static inline vec spread_odd(const uint16_t *p) { return odd_of(bits_of_pair(p)); }
#endif

#endif
