/* SPDX-License-Identifier: Apache-2.0 */
/* What an outlier, of which its byte holds a part alone, adds to the sums of its row. Included
 * after a s8_vector_<isa>.h and gemm_s8_panel.h, with add_outlier(sum, outlier, weights) defined:
 * sum + outlier * the weights of V_WIDTH columns that lie KR bytes apart; outlier as it was
 * placed. */
#ifndef SQZK_S8_OUTLIER_H
#define SQZK_S8_OUTLIER_H

/* A row's outlier, and the weights of a panel that meet it. */
typedef struct s8_outlier {
    uint32_t outlier, rest;
    const signed char *weights;
} s8_outlier;

static inline s8_outlier outlier_of_row(const sqzk_s8_row *row, const void *panel)
{
    return (s8_outlier){row->outlier, row->outlier_rest, (const signed char *)panel + row->at};
}

/* To the sums of V_WIDTH columns from column j of the panel on. */
static inline ivec with_outlier(ivec sum, s8_outlier of, size_t j)
{
    return add_outlier(sum, of.outlier, of.weights + j * KR);
}

/* What is left of an outlier where one byte does not hold it. */
static inline ivec with_outlier_rest(ivec sum, s8_outlier of, size_t j)
{
    return OUTLIER_BITS == 8 ? add_outlier(sum, of.rest, of.weights + j * KR) : sum;
}

/* What the sums of a row become products by, where a template asks for it. */
typedef struct row_factors {
    vec scale;
    s8_outlier outlier;
    const int32_t *column_offsets;
} row_factors;

static inline row_factors factors_of_row(const sqzk_gemm_args *args, size_t i, const void *panel)
{
    return (row_factors){v_set(args->s8_rows[i].scale), outlier_of_row(&args->s8_rows[i], panel),
                         panel_column_offsets(panel, args->k)};
}

#endif
