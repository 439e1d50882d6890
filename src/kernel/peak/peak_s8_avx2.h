/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums in 256 bits, for the int8 loops of AVX2 and AVX-VNNI. */
#ifndef __AVX2__
#error "compile this file with AVX2"
#endif

#include "kernel/peak/peak_sums.h"

typedef __m256i sum, input;

static inline sum zero(void) { return _mm256_setzero_si256(); }
static inline uint64_t count(sum s)
{
    int32_t lane[8];
    uint64_t all = 0;
    _mm256_storeu_si256((__m256i *)(void *)lane, s);
    for (int i = 0; i < 8; i++) all += (uint64_t)lane[i];
    return all;
}
#define hide(x) __asm__("" : "+x"(x))
