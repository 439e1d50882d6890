/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, NEON with the dot-product extension: sdot multiplies signed bytes, four k at a time. */
#define KERNEL(name) gemm_s8_dotprod_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"
#include "kernel/gemm/s8_vector_neon.h"

#ifndef __ARM_FEATURE_DOTPROD
#error "compile this file with the dot-product extension"
#endif

enum { KR = 4, FLIP = 0, OUTLIER_BITS = 0 };

static inline int8x16_t load_weights(const signed char *p) { return vld1q_s8(p); }
static inline int8x16_t load_rows(const unsigned char *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
static inline ivec multiply_add(ivec sum, int8x16_t rows, int8x16_t weights)
{
    return vdotq_s32(sum, rows, weights);
}
static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return i_add_low_bytes(sum, outlier, vreinterpretq_s32_s8(vld1q_s8(weights)));
}

#define OPERAND int8x16_t
#define TILE_VECTORS 4
#define GEMM_NAME sqzk_gemm_s8_dotprod
#define GEMM_TEXT "gemm_s8_6x16_dotprod"
#define GEMM_LEVEL "dotprod"
#define GEMM_FEATURE SQZI_CPU_DOTPROD

#include "kernel/gemm/gemm_s8_template.h"
