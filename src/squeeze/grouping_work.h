/* SPDX-License-Identifier: Apache-2.0 */
/* What fitting and gathering groups share: factors of C's blocks, and each output's weights. */
#ifndef SQZI_GROUPING_WORK_H
#define SQZI_GROUPING_WORK_H

#include "squeeze/balanced_groups.h"
#include "squeeze/grouping.h"

typedef struct sqzi_grouping_work {
    const sqzi_low_rank_problem *p;
    uint32_t m, n, groups, n_each, m_each;
    double damping;
    double *a;       /* [m, n] W (C + damping) */
    double *factors; /* [G, n/G, n/G] of C[I_g, I_g] */
    double *fitted;  /* [G, m, n/G] of every output, had it group g's inputs */
    void *block;
    size_t bytes;
} sqzi_grouping_work;

/* Lay out, and find A. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_grouping_begin(const sqz_allocator *allocator,
                                             const sqzi_low_rank_problem *problem, uint32_t groups,
                                             sqzi_grouping_work *work, sqz_error *error);
void sqzi_grouping_end(const sqz_allocator *allocator, sqzi_grouping_work *work);

/* factors and fitted for these inputs. SQZ_ENUMERIC. */
SQZ_NODISCARD sqz_status sqzi_grouping_fit(sqzi_grouping_work *work, const uint32_t *in,
                                           sqz_error *error);

/* C[i, j], the identity where the problem has none. */
static inline double sqzi_grouping_c(const sqzi_grouping_work *work, size_t i, size_t j)
{
    const sqzi_low_rank_problem *p = work->p;
    return (p->covariance ? p->covariance[i * p->ldc + j] : i == j) + (i == j ? work->damping : 0);
}

#endif
