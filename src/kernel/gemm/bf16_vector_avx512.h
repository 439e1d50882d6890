/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 to and from vectors of 16 floats, AVX-512. Included after vector_avx512.h. */
#ifndef SQZK_BF16_VECTOR_H
#define SQZK_BF16_VECTOR_H

#include <string.h>

/* Not vcvtneps2bf16, which takes subnormal numbers for zero. */
static inline void v_to_bf16(const float *x, uint16_t *out)
{
    const __m512i bits = _mm512_loadu_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd), 16);
    const __m512i nan = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(_mm512_castsi512_ps(bits), _mm512_castsi512_ps(bits), _CMP_UNORD_Q);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(is_nan, rounded, nan)));
}

static inline __m512i bits_of_pair(const uint16_t *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm512_set1_epi32(two);
}

#ifndef DOT_PAIRS
typedef vec operand;
static inline vec even_of(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
static inline vec odd_of(__m512i pairs) { return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xFFFF0000u))); }
static inline vec load_even(const uint16_t *p) { return even_of(_mm512_loadu_si512(p)); }
static inline vec load_odd(const uint16_t *p) { return odd_of(_mm512_loadu_si512(p)); }
static inline vec spread_even(const uint16_t *p) { return even_of(bits_of_pair(p)); }
static inline vec spread_odd(const uint16_t *p) { return odd_of(bits_of_pair(p)); }
#endif

#endif
