/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm, AMX. Of every 32 k, tdpbf16ps sums the even ones in one chain from 0 and the odd ones
 * in another, each by fused multiply-adds; their sum is added to the output's. All roundings are to
 * nearest even whatever the control register says; subnormal inputs and sums are zero. */
#define KERNEL(name) gemm_bf16_amx_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"
#include "kernel/gemm/bf16_vector_avx512.h"
#include "kernel/gemm/bf16_store_amx.h"

enum { NR = 32 };
#define K_MULTIPLE 32

#include "kernel/gemm/bf16_rows.h"
#include "kernel/gemm/gemm_bf16_panel.h"

typedef float sum;
typedef char row_factors; /* none */
static inline row_factors factors_of_row(const sqzk_gemm_args *args, size_t i, const void *panel)
{
    return (void)args, (void)i, (void)panel, 0;
}
static inline vec scales_of_columns(const void *panel, size_t k, size_t j)
{
    return (void)panel, (void)k, (void)j, v_set(1.0f);
}
static inline vec product(const sum *sums, row_factors row, size_t j, vec columns)
{
    return (void)row, (void)j, (void)columns, v_load(sums);
}
static inline size_t panel_weight_bytes(size_t k) { return panel_numbers(k) * sizeof(uint16_t); }
static inline size_t panel_bytes(size_t k) { return panel_weight_bytes(k); }

#define SUMS_ARE_PRODUCTS 1
#define TILE_PRODUCT "tdpbf16ps"
#define GEMM_NAME sqzk_gemm_bf16_amx
#define GEMM_TEXT "gemm_bf16_32x32_amx"
#define GEMM_TYPE SQZI_BF16

#include "kernel/gemm/gemm_tiles_amx.h"
