/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums in 512 bits, for the int8 loops of AVX-512 and its VNNI. */
#ifndef __AVX512F__
#error "compile this file with AVX-512"
#endif

#include "kernel/peak/peak_sums.h"

typedef __m512i sum, input;

static inline sum zero(void) { return _mm512_setzero_si512(); }
static inline uint64_t count(sum s)
{
    int32_t lane[16];
    uint64_t all = 0;
    _mm512_storeu_si512(lane, s);
    for (int i = 0; i < 16; i++) all += (uint64_t)lane[i];
    return all;
}
#define hide(x) __asm__("" : "+v"(x))
