/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, AVX-VNNI: vpdpbusd on 8 columns, for CPUs that have it without AVX-512. Rows are
 * unsigned (q + 128). */
#define KERNEL(name) gemm_s8_avxvnni_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"
#include "kernel/gemm/s8_vector_avx2.h"

#ifndef __AVXVNNI__
#error "compile this file with AVX-VNNI"
#endif

enum { KR = 4, FLIP = 128, OUTLIER_BITS = 8 };

static inline ivec load_weights(const signed char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline ivec load_rows(const unsigned char *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}
/* In assembly: with the intrinsic gcc 12 moves sums from register to register. */
static inline ivec multiply_add(ivec sum, ivec rows, ivec weights)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(rows), "x"(weights));
    return sum;
}
static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return multiply_add(sum, i_set(outlier), load_weights(weights));
}

#define TILE_VECTORS 2
#define TILE_STEPS 4
#define GEMM_NAME sqzk_gemm_s8_avxvnni
#define GEMM_TEXT "gemm_s8_6x16_avxvnni"
#define GEMM_LEVEL "avxvnni"
#define GEMM_FEATURE SQZI_CPU_AVXVNNI

#include "kernel/gemm/gemm_s8_template.h"
