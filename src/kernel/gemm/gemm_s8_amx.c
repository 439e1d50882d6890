/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, AMX: tdpbssd multiplies signed rows by signed weights, so nothing is flipped; the sums
 * of unsigned rows begin where the panel says. */
#define KERNEL(name) gemm_s8_amx_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"
#include "kernel/gemm/s8_vector_avx512.h"

enum { NR = 32, KR = 4, FLIP = 0, OUTLIER_BITS = 8 };
#define K_MULTIPLE 64

#include "kernel/gemm/gemm_s8_panel.h"
#include "kernel/gemm/s8_rows.h"

static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return _mm512_dpbusd_epi32(sum, i_set(outlier), _mm512_loadu_si512(weights));
}

#include "kernel/gemm/s8_outlier.h"

typedef int32_t sum;
static inline vec scales_of_columns(const void *panel, size_t k, size_t j)
{
    return v_load(panel_scale(panel, k) + j);
}
static inline vec product(const sum *sums, row_factors row, size_t j, vec columns)
{
    const ivec whole = with_outlier_rest(with_outlier(i_load(sums), row.outlier, j), row.outlier,
                                         j);
    return v_mul(i_to_float(whole), v_mul(row.scale, columns));
}

#define SUMS_ARE_PRODUCTS 0
/* Loading costs more than setting to 0: SqueezeBERT takes 3 % longer where every block does. */
#define BEGIN_TILE(tile, args, panel, j)                                                           \
    if ((args)->unsigned_rows)                                                                     \
        LOAD_TILE(tile, panel_column_offsets(panel, (args)->k) + (j), (size_t)0);                  \
    else ZERO_TILE(tile)
#define TILE_PRODUCT "tdpbssd"
#define GEMM_NAME sqzk_gemm_s8_amx
#define GEMM_TEXT "gemm_s8_32x32_amx"
#define GEMM_TYPE SQZI_S8

#include "kernel/gemm/gemm_tiles_amx.h"
