/* SPDX-License-Identifier: Apache-2.0 */
/* What dropout_template.h needs in AVX2: 4 words in the lower halves of 64 bits. */
#ifndef SQZK_DROPOUT_VECTOR_H
#define SQZK_DROPOUT_VECTOR_H

enum { W_LANES = 4 };
typedef __m256i wide;

static inline wide w_set(uint32_t x)
{
    return _mm256_set1_epi64x((long long)x);
}
/* x, x + 1, ... modulo 2^32, which products alone read */
static inline wide w_count(uint32_t x)
{
    return _mm256_add_epi64(w_set(x), _mm256_setr_epi64x(0, 1, 2, 3));
}
/* of the lower halves */
static inline wide w_multiply(wide a, wide b)
{
    return _mm256_mul_epu32(a, b);
}
static inline wide w_upper(wide a)
{
    return _mm256_srli_epi64(a, 32);
}
static inline wide w_xor(wide a, wide b)
{
    return _mm256_xor_si256(a, b);
}
/* The lower halves of x, y, z, w, lane by lane */
static inline void w_store(uint16_t *p, wide x, wide y, wide z, wide w)
{
    const wide a = _mm256_blend_epi32(x, _mm256_slli_epi64(y, 32), 0xAA),
               b = _mm256_blend_epi32(z, _mm256_slli_epi64(w, 32), 0xAA);
    const wide even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(p + 16), _mm256_permute2x128_si256(even, odd, 0x31));
}
/* x where the half-word is at least `share`, else 0 */
static inline vec w_kept(vec x, const uint16_t *halves, uint32_t share)
{
    const __m256i words = _mm256_cvtepu16_epi32(
        _mm_loadu_si128((const __m128i *)(const void *)halves));
    const __m256i dropped = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)share), words);
    return _mm256_andnot_ps(_mm256_castsi256_ps(dropped), x);
}

#endif
