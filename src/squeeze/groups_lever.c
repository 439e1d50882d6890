/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, from a target in double to blocks, factors and permutations in the weights. */
#include "squeeze/groups_lever.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/grouping.h"

enum { TURNS = 6 }; /* of groups and rest */

typedef struct fit {
    const sqzi_layer_target *t;
    const sqzi_groups *groups;
    sqzi_low_rank_problem problem; /* whose W is `left` */
    uint32_t *in, *out;            /* [n], [m] */
    double *left;                  /* [m, n] what the term that is fitted next is to come near to */
    double *blocks;                /* [m, n/G] */
    double *a, *b;                 /* [r, n], [m, r] in the target's order */
    void *block;
    size_t bytes;
} fit;

static void lay_out(fit *f, sqzi_arena *arena)
{
    const size_t m = f->t->m, n = f->t->n, rank = f->groups->rest_rank;
    f->in = sqzi_arena_take(arena, n, sizeof *f->in);
    f->out = sqzi_arena_take(arena, m, sizeof *f->out);
    f->left = sqzi_arena_take(arena, m * n, sizeof *f->left);
    f->blocks = sqzi_arena_take(arena, m * (n / f->groups->groups), sizeof *f->blocks);
    f->a = sqzi_arena_take(arena, rank * n, sizeof *f->a);
    f->b = sqzi_arena_take(arena, m * rank, sizeof *f->b);
}

/* left = W - B A */
static sqz_status leave_groups(const fit *f, sqz_error *error)
{
    const uint32_t m = f->t->m, n = f->t->n, rank = f->groups->rest_rank;
    memcpy(f->left, f->t->w, (size_t)m * n * sizeof *f->left);
    return sqzi_dense_multiply(&(sqzi_dense_product){.m = m,
                                                     .n = n,
                                                     .k = rank,
                                                     .a = f->b,
                                                     .lda = rank,
                                                     .b = f->a,
                                                     .ldb = n,
                                                     .c = f->left,
                                                     .ldc = n,
                                                     .scale = -1,
                                                     .keep = 1},
                               error);
}

/* left = W - the blocks */
static void leave_rest(const fit *f)
{
    const size_t m = f->t->m, n = f->t->n, groups = f->groups->groups, each = n / groups;
    memcpy(f->left, f->t->w, m * n * sizeof *f->left);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < each; j++)
            f->left[f->out[i] * n + f->in[i / (m / groups) * each + j]] -= f->blocks[i * each + j];
}

static sqz_status fit_rest(const fit *f, sqz_error *error)
{
    sqzi_low_rank_spectrum spectrum;
    sqz_status status = sqzi_low_rank_spectrum_make(f->t->allocator, &f->problem, true, &spectrum,
                                                    error);
    if (status == SQZ_OK)
        status = sqzi_low_rank_factors(&spectrum, f->left, f->t->n, f->groups->rest_rank, f->a,
                                       f->b, error);
    sqzi_low_rank_spectrum_discard(&spectrum);
    return status;
}

static sqz_status find_terms(const fit *f, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = f->t->allocator;
    const uint32_t groups = f->groups->groups, rank = f->groups->rest_rank;
    memcpy(f->left, f->t->w, (size_t)f->t->m * f->t->n * sizeof *f->left);
    if (rank) {
        TRY(fit_rest(f, error));
        TRY(leave_groups(f, error));
    }
    for (uint32_t i = 0; i < f->t->n; i++) f->in[i] = i;
    for (uint32_t i = 0; i < f->t->m; i++) f->out[i] = i;
    if (!f->groups->plain)
        TRY(sqzi_gather_groups(allocator, &f->problem, groups, f->in, f->out, error));
    TRY(sqzi_refit_groups(allocator, &f->problem, groups, f->in, f->out, f->blocks, error));
    for (int turn = 0; turn < TURNS && rank; turn++) {
        leave_rest(f);
        TRY(fit_rest(f, error));
        TRY(leave_groups(f, error));
        TRY(sqzi_refit_groups(allocator, &f->problem, groups, f->in, f->out, f->blocks, error));
    }
fail:
    return status;
}

static sqz_status put_terms(const sqzi_weights *weights, const fit *f, sqzi_weight_linear *made,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t m = f->t->m, n = f->t->n, groups = f->groups->groups,
                   rank = f->groups->rest_rank;
    sqzi_weight_matrix *blocks = &made->terms[0].b, *a = &made->terms[1].a, *b = &made->terms[1].b;
    made->n_terms = rank ? 2 : 1;
    TRY(sqzi_weight_matrix_make(weights, m, n / groups, groups, blocks, error));
    for (size_t i = 0; i < (size_t)m * (n / groups); i++) blocks->values[i] = (float)f->blocks[i];
    if (!rank) return SQZ_OK;
    TRY(sqzi_weight_matrix_make(weights, rank, n, 1, a, error));
    TRY(sqzi_weight_matrix_make(weights, m, rank, 1, b, error));
    for (size_t k = 0; k < rank; k++) {
        for (size_t j = 0; j < n; j++) a->values[k * n + j] = (float)f->a[k * n + f->in[j]];
        for (size_t i = 0; i < m; i++) b->values[i * rank + k] = (float)f->b[f->out[i] * rank + k];
    }
fail:
    return status;
}

static sqz_status check(const sqzi_layer_target *t, const sqzi_groups *groups, sqz_error *error)
{
    const uint32_t most = t->m < t->n ? t->m : t->n, g = groups->groups;
    if (t->groups != 1)
        return sqzi_fail(error, SQZ_EUNSUPPORTED, 0, "the linear has %u groups already", t->groups);
    if (!g || t->m % g || t->n % g)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "%u groups of a linear with %u inputs and %u outputs: the number of "
                         "groups must divide both",
                         g, t->n, t->m);
    if (groups->rest_rank > most)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "a rest of rank %u beside groups of %u x %u: 0 to "
                         "%u is possible",
                         groups->rest_rank, t->m, t->n, most);
    return SQZ_OK;
}

sqz_status sqzi_fit_groups(const sqzi_weights *weights, const sqzi_layer_target *target,
                           const sqzi_groups *groups, sqzi_weight_linear *linear, double *share,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_layer_target *t = target;
    sqzi_weight_linear made = {.n_in = t->n, .n_out = t->m};
    fit f = {.t = t, .groups = groups};
    TRY(check(t, groups, error));
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&f, &arena);
    f.bytes = arena.used;
    f.block = sqzi_allocate(t->allocator, f.bytes);
    FAIL_IF(!f.block, SQZ_ENOMEM, 0, "no memory for groups of %u x %u", t->m, t->n);
    arena = sqzi_arena_over(f.block, f.bytes);
    lay_out(&f, &arena);
    f.problem = (sqzi_low_rank_problem){.m = t->m,
                                        .n = t->n,
                                        .w = f.left,
                                        .ldw = t->n,
                                        .covariance = groups->plain ? NULL : t->covariance,
                                        .ldc = t->n};
    TRY(find_terms(&f, error));
    TRY(put_terms(weights, &f, &made, error));
    status = sqzi_layer_settle(weights, t, f.in, f.out, !groups->plain, &made, linear, share,
                               error);
fail:
    sqzi_weight_linear_drop(weights, &made);
    sqzi_release(t->allocator, f.block, f.bytes);
    return status;
}
