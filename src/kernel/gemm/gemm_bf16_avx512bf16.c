/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm, AVX-512 BF16: vdpbf16ps adds the product of the odd k, then that of the even one, each
 * rounded to nearest even whatever the control register says; subnormal inputs, products and sums
 * are zero. */
#define DOT_PAIRS
#define KERNEL(name) gemm_bf16_avx512bf16_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"
#include "kernel/gemm/bf16_vector_avx512.h"

#ifndef __AVX512BF16__
#error "compile this file with AVX-512 BF16"
#endif

typedef __m512i operand;
static inline operand load_pairs(const uint16_t *p) { return _mm512_loadu_si512(p); }
static inline operand spread_pairs(const uint16_t *p) { return bits_of_pair(p); }
/* In assembly: with the intrinsic gcc 12 spills sums. */
static inline vec dot(vec sum, operand row, operand weights)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(row), "v"(weights));
    return sum;
}

#define TILE_ROWS 12
#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_bf16_avx512bf16
#define GEMM_TEXT "gemm_bf16_12x32_avx512bf16"
#define GEMM_LEVEL "avx512bf16"
#define GEMM_FEATURE SQZI_CPU_AVX512BF16

#include "kernel/gemm/gemm_bf16_template.h"
