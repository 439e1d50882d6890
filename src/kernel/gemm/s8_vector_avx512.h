/* SPDX-License-Identifier: Apache-2.0 */
/* The integer operations of the s8 gemm's template, in AVX-512: 16 s32. Included after
 * vector_avx512.h. */
#ifndef SQZK_S8_VECTOR_H
#define SQZK_S8_VECTOR_H

#include <string.h>

typedef __m512i ivec;

static inline ivec i_zero(void) { return _mm512_setzero_si512(); }
static inline ivec i_set(uint32_t a) { return _mm512_set1_epi32((int)a); }
static inline ivec i_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void i_store(int32_t *p, ivec a) { _mm512_storeu_si512(p, a); }
static inline vec i_to_float(ivec a) { return _mm512_cvtepi32_ps(a); }
static inline ivec i_max_magnitude(ivec largest, vec x)
{
    return _mm512_max_epu32(largest, _mm512_and_si512(_mm512_castps_si512(x),
                                                      _mm512_set1_epi32(0x7FFFFFFF)));
}
static inline ivec i_max(ivec a, ivec b) { return _mm512_max_epu32(a, b); } /* unsigned */
static inline uint32_t i_largest(ivec a) { return _mm512_reduce_max_epu32(a); }
/* Of magnitudes: bit i where lane i is above x; the lanes that are not, and 0 for those that are */
static inline uint32_t i_lanes_above(ivec a, uint32_t x)
{
    return _mm512_cmpgt_epi32_mask(a, i_set(x));
}
static inline ivec i_without_above(ivec a, uint32_t x)
{
    return _mm512_maskz_mov_epi32(_mm512_cmple_epi32_mask(a, i_set(x)), a);
}
static inline ivec i_round(vec x) { return _mm512_cvtps_epi32(x); } /* half to even */
static inline ivec i_subtract(ivec a, ivec b) { return _mm512_sub_epi32(a, b); }
/* 16 numbers to 16 bytes: within a byte, + flip (0 or 128) */
static inline void i_to_bytes(ivec q, int flip, unsigned char *out)
{
    _mm_storeu_si128((__m128i *)(void *)out,
                     _mm_xor_si128(_mm512_cvtsepi32_epi8(q), _mm_set1_epi8((char)flip)));
}
/* 64 numbers to 64 bytes: packed twice within lanes, then the lanes' words are put in order */
#define I_TO_BYTES_4
static inline void i_to_bytes_4(ivec a, ivec b, ivec c, ivec d, int flip, unsigned char *out)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    _mm512_storeu_si512(out, _mm512_xor_si512(_mm512_permutexvar_epi32(order, bytes),
                                              _mm512_set1_epi8((char)flip)));
}

#endif
