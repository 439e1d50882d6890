/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm, NEON with BF16: bfmmla takes the pairs of k in ascending order, adds the two products
 * of a pair, then that to the output's sum; both additions are rounded to odd whatever the control
 * register says (as long as its EBF bit is 0, as it is at a process's start), and subnormal inputs
 * and sums are zero. bfdot gives the same bits at half the speed. */
#define KERNEL(name) gemm_bf16_armbf16_##name
#include "kernel/local_names.h"

#include "kernel/vector_neon.h"
#include "kernel/gemm/bf16_vector_neon.h"

#ifndef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#error "compile this file with BF16"
#endif

enum { MR = 6, TILE_VECTORS = 4, NR = 16, GROUP_BYTES = 8 };
#define K_TOGETHER 4
#define K_MULTIPLE 4

#include "kernel/gemm/bf16_rows.h"
#include "kernel/gemm/gemm_bf16_panel.h"

typedef float32x4_t block_sum;
static inline block_sum block_zero(void) { return vdupq_n_f32(0); }
static inline block_sum block_step(block_sum sum, uint8x16_t rows, uint8x16_t columns)
{
    return vbfmmlaq_f32(sum, vreinterpretq_bf16_u8(rows), vreinterpretq_bf16_u8(columns));
}
static inline vec block_row(block_sum first, block_sum second, bool upper)
{
    return upper ? vcombine_f32(vget_low_f32(first), vget_low_f32(second))
                 : vcombine_f32(vget_high_f32(first), vget_high_f32(second));
}
typedef char row_factors; /* none */
static inline row_factors factors_of_row(const sqzk_gemm_args *args, size_t i, const void *panel)
{
    return (void)args, (void)i, (void)panel, 0;
}
static inline vec scales_of_columns(const void *panel, size_t k, size_t j)
{
    return (void)panel, (void)k, (void)j, v_set(1.0f);
}
static inline vec product(vec sums, row_factors row, size_t j, vec columns)
{
    return (void)row, (void)j, (void)columns, sums;
}
static inline size_t panel_bytes(size_t k) { return panel_numbers(k) * sizeof(uint16_t); }

#define GEMM_NAME sqzk_gemm_bf16_armbf16
#define GEMM_TEXT "gemm_bf16_6x16_armbf16"
#define GEMM_LEVEL "armbf16"
#define GEMM_FEATURE SQZI_CPU_ARMBF16
#define GEMM_TYPE SQZI_BF16

#include "kernel/gemm/gemm_blocks_neon.h"
