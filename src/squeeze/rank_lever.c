/* SPDX-License-Identifier: Apache-2.0 */
/* Low rank, from a target in double to factors in the weights, group by group. */
#include "squeeze/rank_lever.h"

#include <string.h>

#include "base/error.h"

/* Group g of a target; the whole of it where groups is 1. */
static sqzi_low_rank_problem group_of(const sqzi_layer_target *t, uint32_t g, bool plain)
{
    const size_t m = t->m / t->groups, n = t->n / t->groups;
    return (sqzi_low_rank_problem){.m = (uint32_t)m,
                                   .n = (uint32_t)n,
                                   .w = t->w + g * m * t->n + g * n,
                                   .ldw = t->n,
                                   .covariance = plain || !t->covariance
                                                     ? NULL
                                                     : t->covariance + g * n * t->n + g * n,
                                   .ldc = t->n};
}

sqz_status sqzi_rank_errors(const sqzi_layer_target *target, sqzi_low_rank_spectrum *spectrum,
                            sqz_error *error)
{
    sqzi_low_rank_problem problem = group_of(target, 0, false);
    sqz_status status = sqzi_low_rank_spectrum_make(target->allocator, &problem, false, spectrum,
                                                    error);
    for (uint32_t g = 1; g < target->groups && status == SQZ_OK; g++) {
        sqzi_low_rank_spectrum next;
        problem = group_of(target, g, false);
        status = sqzi_low_rank_spectrum_make(target->allocator, &problem, false, &next, error);
        for (size_t i = 0; i < spectrum->most && status == SQZ_OK; i++)
            spectrum->values[i] += next.values[i];
        spectrum->trace += next.trace;
        sqzi_low_rank_spectrum_discard(&next);
    }
    return status;
}

static void to_floats(const double *from, size_t n, float *to)
{
    for (size_t i = 0; i < n; i++) to[i] = (float)from[i];
}

static sqz_status make_term(const sqzi_weights *weights, uint32_t m, uint32_t n, uint32_t rank,
                            uint32_t groups, sqzi_weight_term *term, sqz_error *error)
{
    sqz_status status = sqzi_weight_matrix_make(weights, rank * groups, n / groups, groups,
                                                &term->a, error);
    if (status) return status;
    status = sqzi_weight_matrix_make(weights, m, rank, groups, &term->b, error);
    if (status) sqzi_weight_matrix_drop(weights, &term->a);
    return status;
}

/* The factors of one group into its place in the term. */
static sqz_status fit_group(const sqz_allocator *allocator, const sqzi_low_rank_problem *p,
                            uint32_t rank, uint32_t g, sqzi_weight_term *term, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_low_rank_spectrum spectrum;
    const size_t a_items = (size_t)rank * p->n, b_items = (size_t)p->m * rank,
                 bytes = (a_items + b_items) * sizeof(double);
    double *a = NULL;
    TRY(sqzi_low_rank_spectrum_make(allocator, p, true, &spectrum, error));
    a = sqzi_allocate(allocator, bytes);
    FAIL_IF(!a, SQZ_ENOMEM, 0, "no memory for factors of %u x %u at rank %u", p->m, p->n, rank);
    TRY(sqzi_low_rank_factors(&spectrum, p->w, p->ldw, rank, a, a + a_items, error));
    to_floats(a, a_items, term->a.values + g * a_items);
    to_floats(a + a_items, b_items, term->b.values + g * b_items);
fail:
    sqzi_release(allocator, a, bytes);
    sqzi_low_rank_spectrum_discard(&spectrum);
    return status;
}

static sqz_status check_rank(const sqzi_low_rank_problem *p, uint32_t rank, sqz_error *error)
{
    const uint32_t most = p->m < p->n ? p->m : p->n;
    if (rank && rank <= most) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0, "rank %u of a matrix of %u x %u: 1 to %u is possible",
                     rank, p->m, p->n, most);
}

sqz_status sqzi_fit_rank(const sqzi_weights *weights, const sqzi_layer_target *target,
                         uint32_t rank, bool plain, sqzi_weight_linear *linear, double *share,
                         sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_layer_target *t = target;
    sqzi_weight_linear made = {.n_in = t->n, .n_out = t->m, .n_terms = 1};
    sqzi_low_rank_problem problem = group_of(t, 0, plain);
    TRY(check_rank(&problem, rank, error));
    TRY(make_term(weights, t->m, t->n, rank, t->groups, &made.terms[0], error));
    for (uint32_t g = 0; g < t->groups; g++) {
        problem = group_of(t, g, plain);
        TRY(fit_group(t->allocator, &problem, rank, g, &made.terms[0], error));
    }
    return sqzi_layer_settle(weights, t, NULL, NULL, !plain, &made, linear, share, error);
fail:
    sqzi_weight_linear_drop(weights, &made);
    return status;
}
