/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of a block-diagonal matrix in units that members of a team pack: whole panels of one
 * group, about SQZI_PACK_COLUMNS columns. */
#ifndef SQZI_COLUMNS_GRAD_H
#define SQZI_COLUMNS_GRAD_H

#include "nn/linear_grad.h"

/* Some columns of a matrix, in one group; panels from `panel` of it on. */
typedef struct sqzi_columns {
    size_t group, begin, end, panel;
} sqzi_columns;

static inline size_t sqzi_panels_of(const sqzk_gemm *gemm, size_t n)
{
    return (n + gemm->nr - 1) / gemm->nr;
}

static inline uint32_t sqzi_column_units(const sqzk_gemm *gemm, size_t groups, size_t n)
{
    const size_t most = SQZI_PACK_COLUMNS / gemm->nr;
    return (uint32_t)(groups * ((sqzi_panels_of(gemm, n) + most - 1) / most));
}

static inline sqzi_columns sqzi_columns_of(const sqzk_gemm *gemm, size_t n, uint32_t unit)
{
    const size_t most = SQZI_PACK_COLUMNS / gemm->nr,
                 units = (sqzi_panels_of(gemm, n) + most - 1) / most, panel = unit % units * most;
    return (sqzi_columns){unit / units, panel * gemm->nr,
                          n < (panel + most) * gemm->nr ? n : (panel + most) * gemm->nr, panel};
}

#endif
