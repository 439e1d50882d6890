/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, NEON with the int8 matrix extension: smmla multiplies signed bytes, two rows by two
 * columns, eight k at a time. */
#define KERNEL(name) gemm_s8_i8mm_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"
#include "kernel/gemm/s8_vector_neon.h"

#ifndef __ARM_FEATURE_MATMUL_INT8
#error "compile this file with the int8 matrix extension"
#endif

enum { MR = 6, TILE_VECTORS = 4, NR = 16, KR = 8, GROUP_BYTES = 8, FLIP = 0, OUTLIER_BITS = 0 };

#include "kernel/gemm/gemm_s8_panel.h"
#include "kernel/gemm/s8_rows.h"

static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return i_add_low_bytes(sum, outlier,
                           vuzp1q_s32(vreinterpretq_s32_s8(vld1q_s8(weights)),
                                      vreinterpretq_s32_s8(vld1q_s8(weights + 16))));
}

#include "kernel/gemm/s8_outlier.h"

typedef int32x4_t block_sum;
static inline block_sum block_zero(void) { return vdupq_n_s32(0); }
static inline block_sum block_step(block_sum sum, uint8x16_t rows, uint8x16_t columns)
{
    return vmmlaq_s32(sum, vreinterpretq_s8_u8(rows), vreinterpretq_s8_u8(columns));
}
static inline block_sum block_row(block_sum first, block_sum second, bool upper)
{
    return upper ? vcombine_s32(vget_low_s32(first), vget_low_s32(second))
                 : vcombine_s32(vget_high_s32(first), vget_high_s32(second));
}
static inline vec product(ivec sums, row_factors row, size_t j, vec columns)
{
    const ivec whole = with_outlier(i_add(sums, i_load(row.column_offsets + j)), row.outlier, j);
    return v_mul(i_to_float(whole), v_mul(row.scale, columns));
}
static inline vec scales_of_columns(const void *panel, size_t k, size_t j)
{
    return v_load(panel_scale(panel, k) + j);
}

#define GEMM_NAME sqzk_gemm_s8_i8mm
#define GEMM_TEXT "gemm_s8_6x16_i8mm"
#define GEMM_LEVEL "i8mm"
#define GEMM_FEATURE SQZI_CPU_I8MM
#define GEMM_TYPE SQZI_S8

#include "kernel/gemm/gemm_blocks_neon.h"
