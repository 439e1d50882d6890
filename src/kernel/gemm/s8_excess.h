/* SPDX-License-Identifier: Apache-2.0 */
/* What the excess of a row's largest number adds to its sums. Included after a s8_vector_<isa>.h
 * and gemm_s8_panel.h, with
 * add_excess(sum, excess, weights) defined: sum + excess * the weights of V_WIDTH columns that lie
 * KR bytes apart; excess as it was placed. */
#ifndef SQZK_S8_EXCESS_H
#define SQZK_S8_EXCESS_H

/* A row's excess, and the weights of a panel that meet it. */
typedef struct s8_excess {
    uint32_t excess, more;
    const signed char *weights;
} s8_excess;

static inline s8_excess excess_of_row(const sqzk_s8_row *row, const void *panel)
{
    return (s8_excess){row->excess, row->more, (const signed char *)panel + row->at};
}

/* To the sums of V_WIDTH columns from column j of the panel on. */
static inline ivec with_excess(ivec sum, s8_excess of, size_t j)
{
    return add_excess(sum, of.excess, of.weights + j * KR);
}

/* What is left of an excess where one byte does not hold it. */
static inline ivec with_more(ivec sum, s8_excess of, size_t j)
{
    return EXCESS_BITS == 8 ? add_excess(sum, of.more, of.weights + j * KR) : sum;
}

/* What the sums of a row become products by, where a template asks for it. */
typedef struct row_factors {
    vec scale;
    s8_excess excess;
    const int32_t *compensation; /* of the panel's columns */
} row_factors;

static inline row_factors factors_of_row(const sqzk_gemm_args *args, size_t i, const void *panel)
{
    return (row_factors){v_set(args->s8_rows[i].scale), excess_of_row(&args->s8_rows[i], panel),
                         panel_compensation(panel, args->k)};
}

#endif
