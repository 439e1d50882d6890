/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 to and from vectors of 8 floats, AVX2. Included after vector_avx2.h. */
#ifndef SQZK_BF16_VECTOR_H
#define SQZK_BF16_VECTOR_H

#include <string.h>

/* The upper halves are bf16. */
static inline __m256i rounded_bits(vec x)
{
    const __m256i bits = _mm256_castps_si256(x),
                  odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)),
                                             odd),
                  nan = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    return _mm256_blendv_epi8(rounded, nan, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
static inline vec v_rounded(vec x) { return _mm256_castsi256_ps(rounded_bits(x)); }
/* V_WIDTH pairs: out[2i] = even[i], out[2i + 1] = odd[i]. */
#define V_PAIRS
static inline void v_store_pairs(uint16_t *out, vec even, vec odd)
{
    _mm256_storeu_si256((__m256i *)(void *)out,
                        _mm256_blend_epi16(_mm256_srli_epi32(rounded_bits(even), 16),
                                           rounded_bits(odd), 0xAA));
}

typedef vec operand;
static inline vec even_of(__m256i pairs)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}
static inline vec odd_of(__m256i pairs)
{
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xFFFF0000u)));
}
static inline __m256i load_bits(const uint16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline vec load_even(const uint16_t *p) { return even_of(load_bits(p)); }
static inline vec load_odd(const uint16_t *p) { return odd_of(load_bits(p)); }
static inline __m256i bits_of_pair(const uint16_t *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm256_set1_epi32(two);
}
static inline vec spread_even(const uint16_t *p) { return even_of(bits_of_pair(p)); }
static inline vec spread_odd(const uint16_t *p) { return odd_of(bits_of_pair(p)); }

#endif
