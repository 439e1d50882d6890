/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 to and from vectors of 8 floats, AVX2. Included after vector_avx2.h. */
#ifndef SQZK_BF16_VECTOR_H
#define SQZK_BF16_VECTOR_H

#include <string.h>

static inline void v_to_bf16(const float *x, uint16_t *out)
{
    const __m256 value = _mm256_loadu_ps(x);
    const __m256i bits = _mm256_castps_si256(value), upper = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
    const __m256i nan = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256i chosen = _mm256_blendv_epi8(rounded, nan, _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q)));
    _mm_storeu_si128((__m128i *)(void *)out, _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256(chosen, 1)));
}

typedef vec operand;
static inline vec even_of(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
static inline vec odd_of(__m256i pairs) { return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xFFFF0000u))); }
static inline __m256i load_bits(const uint16_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
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
