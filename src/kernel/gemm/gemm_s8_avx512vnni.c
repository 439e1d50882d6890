/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, AVX-512 VNNI: tiles of 12 x 32; vpdpbusd multiplies unsigned rows (q + 128) by signed
 * weights, four k at a time, without saturating. */
#define KERNEL(name) gemm_s8_avx512vnni_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"
#include "kernel/gemm/s8_vector_avx512.h"

#ifndef __AVX512VNNI__
#error "compile this file with AVX-512 VNNI"
#endif

enum { KR = 4, FLIP = 128, OUTLIER_BITS = 8 };

static inline ivec load_weights(const signed char *p) { return _mm512_loadu_si512(p); }
static inline ivec load_rows(const unsigned char *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}
/* In assembly: with the intrinsic gcc 12 spills half of the 24 sums (55 % of the peak instead of 95
 * %). */
static inline ivec multiply_add(ivec sum, ivec rows, ivec weights)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(rows), "v"(weights));
    return sum;
}
static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return multiply_add(sum, i_set(outlier), load_weights(weights));
}

#define TILE_ROWS 12
#define TILE_VECTORS 2
#define TILE_STEPS 4
#define GEMM_NAME sqzk_gemm_s8_avx512vnni
#define GEMM_TEXT "gemm_s8_12x32_avx512vnni"
#define GEMM_LEVEL "avx512vnni"
#define GEMM_FEATURE SQZI_CPU_AVX512VNNI

#include "kernel/gemm/gemm_s8_template.h"
