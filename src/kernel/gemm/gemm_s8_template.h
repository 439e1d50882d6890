/* SPDX-License-Identifier: Apache-2.0 */
/* The s8 gemm on vectors: the tiles of integer_tiles.h on rows and panels of bytes.
 *
 * Include after a vector_<isa>.h, its s8_vector_<isa>.h and these: TILE_VECTORS (2 or 4), TILE_ROWS
 * where it is 12 and not 6, TILE_STEPS where it is 4 and not 1; KR, FLIP and OUTLIER_BITS
 * (gemm_s8_panel.h); load_rows(p), the KR bytes of a row spread to all columns; load_weights(p),
 * V_WIDTH columns of KR bytes; multiply_add(sum, rows, weights), exact; add_outlier (s8_outlier.h);
 * OPERAND, the type of rows and weights, where it is not ivec; GEMM_NAME, GEMM_TEXT, GEMM_LEVEL,
 * GEMM_FEATURE.
 */
#include "base/cpu.h"

enum { NR = TILE_VECTORS * V_WIDTH };

#include "kernel/gemm/gemm_s8_panel.h"
#include "kernel/gemm/s8_outlier.h"
#include "kernel/gemm/s8_rows.h"
#define HEIGHT_STEP 2 /* of integer_tiles.h */
#include "kernel/gemm/tile_target.h"

/* At the column's offset and what the row's outlier adds. */
static inline ivec first_sum(const sqzk_s8_row *row, const signed char *panel, size_t k, size_t j)
{
    return with_outlier(i_load(panel_column_offsets(panel, k) + j), outlier_of_row(row, panel), j);
}

/* Few rows have more of an outlier than their sums began with. */
static void last_sums(const sqzk_s8_row *s8_rows, size_t rows, const signed char *panel,
                      int32_t *sums)
{
    for (size_t i = 0; OUTLIER_BITS == 8 && i < rows; i++, sums += NR) {
        if (!s8_rows[i].outlier_rest) continue;
        for (size_t j = 0; j < NR; j += V_WIDTH)
            i_store(sums + j,
                    with_outlier_rest(i_load(sums + j), outlier_of_row(s8_rows + i, panel), j));
    }
}

#include "kernel/gemm/integer_tiles.h"

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = SQZI_S8,
    .mr = TILE_ROWS,
    .nr = NR,
    .kr = KR,
    .run = run_tiles,
    .pack = KERNEL(pack),
    .prepare = KERNEL(prepare),
};
