/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, NEON: products of bytes in 16 bits, which holds them, then added in pairs of k to 32-bit
 * sums (smull, sadalp). */
#define KERNEL(name) gemm_s8_neon_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"
#include "kernel/gemm/s8_vector_neon.h"

enum { KR = 2, FLIP = 0, OUTLIER_BITS = 0 };

static inline int8x8_t load_weights(const signed char *p) { return vld1_s8(p); }
static inline int8x8_t load_rows(const unsigned char *p)
{
    int16_t two;
    memcpy(&two, p, sizeof two);
    return vreinterpret_s8_s16(vdup_n_s16(two));
}
static inline ivec multiply_add(ivec sum, int8x8_t rows, int8x8_t weights)
{
    return vpadalq_s16(sum, vmull_s8(rows, weights));
}
static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return i_add_low_bytes(sum, outlier, vreinterpretq_s32_s16(vmovl_s8(vld1_s8(weights))));
}

#define OPERAND int8x8_t
#define TILE_VECTORS 4
#define GEMM_NAME sqzk_gemm_s8_neon
#define GEMM_TEXT "gemm_s8_6x16_neon"
#define GEMM_LEVEL "neon"
#define GEMM_FEATURE SQZI_CPU_NEON

#include "kernel/gemm/gemm_s8_template.h"
