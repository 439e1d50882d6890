/* SPDX-License-Identifier: Apache-2.0 */
/* What dropout_template.h needs in AVX-512: 8 words in the lower halves of 64 bits. */
#ifndef SQZK_DROPOUT_VECTOR_H
#define SQZK_DROPOUT_VECTOR_H

enum { W_LANES = 8 };
typedef __m512i wide;

static inline wide w_set(uint32_t x)
{
    return _mm512_set1_epi64((long long)x);
}
/* x, x + 1, ... modulo 2^32, which products alone read */
static inline wide w_count(uint32_t x)
{
    return _mm512_add_epi64(w_set(x), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
}
/* of the lower halves */
static inline wide w_multiply(wide a, wide b)
{
    return _mm512_mul_epu32(a, b);
}
static inline wide w_upper(wide a)
{
    return _mm512_srli_epi64(a, 32);
}
static inline wide w_xor(wide a, wide b)
{
    return _mm512_xor_si512(a, b);
}
/* The lower halves of x, y, z, w, lane by lane */
static inline void w_store(uint16_t *p, wide x, wide y, wide z, wide w)
{
    const wide a = _mm512_mask_blend_epi32(0xAAAA, x, _mm512_slli_epi64(y, 32)),
               b = _mm512_mask_blend_epi32(0xAAAA, z, _mm512_slli_epi64(w, 32));
    const wide even = _mm512_unpacklo_epi64(a, b), odd = _mm512_unpackhi_epi64(a, b);
    _mm512_storeu_si512(
        p, _mm512_permutex2var_epi64(even, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), odd));
    _mm512_storeu_si512(p + 32, _mm512_permutex2var_epi64(
                                    even, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), odd));
}
/* x where the half-word is at least `share`, else 0 */
static inline vec w_kept(vec x, const uint16_t *halves, uint32_t share)
{
    const __m512i words = _mm512_cvtepu16_epi32(
        _mm256_loadu_si256((const __m256i *)(const void *)halves));
    return _mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(words, _mm512_set1_epi32((int)share)), x);
}

#endif
