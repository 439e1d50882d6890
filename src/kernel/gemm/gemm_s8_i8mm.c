/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, NEON with the int8 matrix extension: smmla multiplies signed bytes, two rows by two columns, eight k at a time. */
#include "kernel/vector_neon.h"
#include "kernel/gemm/s8_vector_neon.h"

#ifndef __ARM_FEATURE_MATMUL_INT8
#error "compile this file with the int8 matrix extension"
#endif

enum { MR = 6, TILE_VECTORS = 4, NR = 16, KR = 8, GROUP_BYTES = 8, FLIP = 0 };

#include "kernel/gemm/gemm_s8_panel.h"
#include "kernel/gemm/s8_rows.h"

typedef int32x4_t block_sum;
static inline block_sum block_zero(void) { return vdupq_n_s32(0); }
static inline block_sum block_step(block_sum sum, uint8x16_t rows, uint8x16_t columns)
{
    return vmmlaq_s32(sum, vreinterpretq_s8_u8(rows), vreinterpretq_s8_u8(columns));
}
static inline vec block_row(block_sum first, block_sum second, bool upper)
{
    return vcvtq_f32_s32(upper ? vcombine_s32(vget_low_s32(first), vget_low_s32(second)) : vcombine_s32(vget_high_s32(first), vget_high_s32(second)));
}
static inline vec scale_of_row(const sqzk_gemm_args *args, size_t i) { return v_set(args->row_scale[i * args->row_scale_stride]); }
static inline vec scales_of_columns(const void *panel, size_t k, size_t j) { return v_load(panel_scale(panel, k) + j); }
static inline vec scaled(vec sums, vec row, vec columns) { return v_mul(sums, v_mul(row, columns)); }

#define GEMM_NAME sqzk_gemm_s8_i8mm
#define GEMM_TEXT "gemm_s8_6x16_i8mm"
#define GEMM_LEVEL "i8mm"
#define GEMM_FEATURE SQZI_CPU_I8MM
#define GEMM_TYPE SQZI_S8

#include "kernel/gemm/gemm_blocks_neon.h"
