/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are nearest to a matrix, for groups that are chosen. */
#include "squeeze/grouping.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/grouping_work.h"

static void lay_out(sqzi_grouping_work *w, sqzi_arena *arena)
{
    const size_t each = w->n_each;
    w->a = sqzi_arena_take(arena, (size_t)w->m * w->n, sizeof *w->a);
    w->factors = sqzi_arena_take(arena, each * w->n, sizeof *w->factors);
    w->fitted = sqzi_arena_take(arena, (size_t)w->m * w->n, sizeof *w->fitted);
}

static double damping_of(const sqzi_low_rank_problem *p)
{
    static const double share = 1e-6;
    double sum = 0;
    for (size_t j = 0; p->covariance && j < p->n; j++) sum += p->covariance[j * p->ldc + j];
    return sum > 0 ? share * sum / p->n : 1;
}

sqz_status sqzi_grouping_begin(const sqz_allocator *allocator, const sqzi_low_rank_problem *problem,
                               uint32_t groups, sqzi_grouping_work *work, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_low_rank_problem *p = problem;
    sqzi_grouping_work *w = work;
    *w = (sqzi_grouping_work){.p = p, .m = p->m, .n = p->n, .groups = groups};
    FAIL_IF(groups == 0 || p->m % groups || p->n % groups, SQZ_EINVAL, 0,
            "a matrix of %u x %u has no %u groups: both sides must be multiples", p->m, p->n,
            groups);
    w->m_each = p->m / groups;
    w->n_each = p->n / groups;
    w->damping = damping_of(p);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(w, &arena);
    w->bytes = arena.used;
    w->block = sqzi_allocate(allocator, w->bytes);
    FAIL_IF(!w->block, SQZ_ENOMEM, 0, "no memory for %u groups of %u x %u", groups, p->m, p->n);
    arena = sqzi_arena_over(w->block, w->bytes);
    lay_out(w, &arena);
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++)
            w->a[i * p->n + j] = p->w[i * p->ldw + j] * ((p->covariance ? 0 : 1) + w->damping);
    if (p->covariance)
        TRY(sqzi_dense_multiply(&(sqzi_dense_product){.m = p->m,
                                                      .n = p->n,
                                                      .k = p->n,
                                                      .a = p->w,
                                                      .lda = p->ldw,
                                                      .b = p->covariance,
                                                      .ldb = p->ldc,
                                                      .c = w->a,
                                                      .ldc = p->n,
                                                      .scale = 1,
                                                      .keep = 1},
                                error));
fail:
    return status;
}

void sqzi_grouping_end(const sqz_allocator *allocator, sqzi_grouping_work *work)
{
    sqzi_release(allocator, work->block, work->bytes);
    *work = (sqzi_grouping_work){0};
}

sqz_status sqzi_grouping_fit(sqzi_grouping_work *work, const uint32_t *in, sqz_error *error)
{
    sqzi_grouping_work *w = work;
    const size_t each = w->n_each;
    for (size_t g = 0; g < w->groups; g++, in += each) {
        double *factor = w->factors + g * each * each, *fitted = w->fitted + g * w->m * each;
        for (size_t i = 0; i < each; i++)
            for (size_t j = 0; j <= i; j++) factor[i * each + j] = sqzi_grouping_c(w, in[i], in[j]);
        for (size_t i = 0; i < w->m; i++)
            for (size_t j = 0; j < each; j++) fitted[i * each + j] = w->a[i * w->n + in[j]];
        sqz_status status = sqzi_dense_cholesky(w->n_each, factor, w->n_each, error);
        if (status == SQZ_OK)
            status = sqzi_dense_solve(w->n_each, factor, w->n_each, w->m, fitted, w->n_each, error);
        if (status) return status;
    }
    return SQZ_OK;
}

sqz_status sqzi_refit_groups(const sqz_allocator *allocator, const sqzi_low_rank_problem *problem,
                             uint32_t groups, const uint32_t *in, const uint32_t *out,
                             double *blocks, sqz_error *error)
{
    sqzi_grouping_work work;
    sqz_status status = sqzi_grouping_begin(allocator, problem, groups, &work, error);
    if (status == SQZ_OK) status = sqzi_grouping_fit(&work, in, error);
    for (size_t i = 0; i < problem->m && status == SQZ_OK; i++) {
        const size_t g = i / work.m_each, each = work.n_each;
        memcpy(blocks + i * each, work.fitted + (g * work.m + out[i]) * each,
               each * sizeof *blocks);
    }
    sqzi_grouping_end(allocator, &work);
    return status;
}
