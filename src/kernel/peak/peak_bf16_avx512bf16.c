/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX-512 BF16. The instruction is written out: with the intrinsic gcc 12 spills sums. */
#define KERNEL(name) peak_bf16_avx512bf16_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_sums.h"

#ifndef __AVX512BF16__
#error "compile this file with AVX-512 BF16"
#endif

typedef __m512 sum;
typedef __m512i input;

enum { BF16_ONE = 0x3F80 };

static inline input ones(void) { return _mm512_set1_epi16(BF16_ONE); }
static inline sum zero(void) { return _mm512_setzero_ps(); }
static inline sum step(sum s, input a, input b)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(s) : "v"(a), "v"(b));
    return s;
}
static inline uint64_t count(sum s) { return (uint64_t)_mm512_reduce_add_ps(s); }
#define hide(x) __asm__("" : "+v"(x))

#define SUMS PEAK_SUMS_24
#define STEP_OPERATIONS 64
#define PEAK_NAME sqzk_peak_bf16_avx512bf16
#define PEAK_TEXT "vdpbf16ps zmm"
#define PEAK_LEVEL "avx512bf16"
#define PEAK_FEATURE SQZI_CPU_AVX512BF16
#define PEAK_TYPE SQZI_BF16
#include "kernel/peak/peak_template.h"
