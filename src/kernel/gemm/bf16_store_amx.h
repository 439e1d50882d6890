/* SPDX-License-Identifier: Apache-2.0 */
/* Floats to bf16 by the instruction, which takes subnormal numbers for zero, as the products of the
 * level do; rows of bf16 to pairs. Included after vector_avx512.h. */
#ifndef SQZK_BF16_STORE_H
#define SQZK_BF16_STORE_H

#include <string.h>

/* n of the 32 numbers left, right. */
static inline void store_bf16(void *to, vec left, vec right, size_t n)
{
    const __m512bh both = _mm512_cvtne2ps_pbh(right, left);
    __m512i bits;
    memcpy(&bits, &both, sizeof bits);
    _mm512_mask_storeu_epi16(to, (__mmask32)((1ull << n) - 1), bits);
}
#define STORE_BF16 store_bf16

/* out[2i] = even[i], out[2i + 1] = odd[i] for 16 numbers each. */
static inline void store_paired(uint16_t *out, const uint16_t *even, const uint16_t *odd)
{
    const __m512i low = _mm512_cvtepu16_epi32(
        _mm256_loadu_si256((const __m256i *)(const void *)even));
    const __m512i high = _mm512_cvtepu16_epi32(
        _mm256_loadu_si256((const __m256i *)(const void *)odd));
    _mm512_storeu_si512(out, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

#endif
