/* SPDX-License-Identifier: Apache-2.0 */
/* The integer operations of the s8 gemm's template, in AVX2: 8 s32. Included after
 * vector_avx2.h. */
#ifndef SQZK_S8_VECTOR_H
#define SQZK_S8_VECTOR_H

#include <string.h>

typedef __m256i ivec;

static inline ivec i_zero(void) { return _mm256_setzero_si256(); }
static inline ivec i_set(uint32_t a) { return _mm256_set1_epi32((int)a); }
static inline ivec i_load(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void i_store(int32_t *p, ivec a) { _mm256_storeu_si256((__m256i *)(void *)p, a); }
static inline vec i_to_float(ivec a) { return _mm256_cvtepi32_ps(a); }
static inline ivec i_max_magnitude(ivec largest, vec x)
{
    return _mm256_max_epu32(largest, _mm256_and_si256(_mm256_castps_si256(x),
                                                      _mm256_set1_epi32(0x7FFFFFFF)));
}
static inline ivec i_max(ivec a, ivec b) { return _mm256_max_epu32(a, b); } /* unsigned */
static inline uint32_t i_largest(ivec a)
{
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(m, _mm_shuffle_epi32(m, 0xB1)));
}
/* Of magnitudes: bit i where lane i is above x; the lanes that are not, and 0 for those that are */
static inline uint32_t i_lanes_above(ivec a, uint32_t x)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(a, i_set(x))));
}
static inline ivec i_without_above(ivec a, uint32_t x)
{
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(a, i_set(x)), a);
}
static inline ivec i_round(vec x) { return _mm256_cvtps_epi32(x); } /* half to even */
static inline ivec i_subtract(ivec a, ivec b) { return _mm256_sub_epi32(a, b); }
/* 8 numbers to 8 bytes: within a byte, + flip (0 or 128) */
static inline void i_to_bytes(ivec q, int flip, unsigned char *out)
{
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q),
                                          _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64((__m128i *)(void *)out,
                     _mm_xor_si128(_mm_packs_epi16(words, words), _mm_set1_epi8((char)flip)));
}
/* 32 numbers to 32 bytes: packed twice within lanes, then the lanes' words are put in order */
#define I_TO_BYTES_4
static inline void i_to_bytes_4(ivec a, ivec b, ivec c, ivec d, int flip, unsigned char *out)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    _mm256_storeu_si256((__m256i *)(void *)out,
                        _mm256_xor_si256(_mm256_permutevar8x32_epi32(bytes, order),
                                         _mm256_set1_epi8((char)flip)));
}

#endif
