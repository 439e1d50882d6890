/* SPDX-License-Identifier: Apache-2.0 */
/* The least squares of what is left. With H split into what is kept (S) and removed (R),
 *
 *   (W H)[:, S] H_SS^-1 = W_S + W_R H_RS H_SS^-1
 *
 * so that weights are only added to, by little where little is removed.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/dense_algebra.h"
#include "squeeze/removal.h"

typedef struct refitting {
    const sqzi_refit *r;
    size_t n_removed;
    uint32_t *removed; /* [n_removed] */
    double *weights;   /* [m, n_removed] W_R */
    double *cross;     /* [n_removed, n_kept] H_RS */
    double *factor;    /* [n_kept, n_kept] H_SS */
    double *change;    /* [m, n_kept] */
} refitting;

static void lay_out(refitting *f, sqzi_arena *arena)
{
    const size_t kept = f->r->n_kept;
    f->removed = sqzi_arena_take(arena, f->n_removed, sizeof *f->removed);
    f->weights = sqzi_arena_take(arena, f->r->m * f->n_removed, sizeof *f->weights);
    f->cross = sqzi_arena_take(arena, f->n_removed * kept, sizeof *f->cross);
    f->factor = sqzi_arena_take(arena, kept * kept, sizeof *f->factor);
    f->change = sqzi_arena_take(arena, f->r->m * kept, sizeof *f->change);
}

static void find_removed(const refitting *f)
{
    for (uint32_t i = 0, k = 0, to = 0; i < f->r->n; i++)
        if (k < f->r->n_kept && f->r->kept[k] == i) k++;
        else f->removed[to++] = i;
}

static void gather(const refitting *f, double *result)
{
    const sqzi_refit *r = f->r;
    const size_t n = r->n, kept = r->n_kept;
    for (size_t i = 0; i < r->m; i++) {
        for (size_t j = 0; j < kept; j++) result[i * kept + j] = r->weights[i * n + r->kept[j]];
        for (size_t j = 0; j < f->n_removed; j++)
            f->weights[i * f->n_removed + j] = r->weights[i * n + f->removed[j]];
    }
    for (size_t i = 0; i < kept; i++)
        for (size_t j = 0; j < kept; j++)
            f->factor[i * kept + j] = r->moments[(size_t)r->kept[i] * n + r->kept[j]];
    for (size_t i = 0; i < f->n_removed; i++)
        for (size_t j = 0; j < kept; j++)
            f->cross[i * kept + j] = r->moments[(size_t)f->removed[i] * n + r->kept[j]];
}

static sqz_status multiply(uint32_t m, uint32_t n, size_t k, const double *a, const double *b,
                           double *c, sqz_error *error)
{
    return sqzi_dense_multiply(&(sqzi_dense_product){.m = m,
                                                     .n = n,
                                                     .k = (uint32_t)k,
                                                     .a = a,
                                                     .b = b,
                                                     .c = c,
                                                     .lda = (uint32_t)k,
                                                     .ldb = n,
                                                     .ldc = n,
                                                     .scale = 1},
                               error);
}

sqz_status sqzi_refit_run(const sqzi_refit *r, double *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    refitting f = {.r = r, .n_removed = r->n - r->n_kept};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&f, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(r->allocator, bytes);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory to fit %u inputs", r->n_kept);
    arena = sqzi_arena_over(block, bytes);
    lay_out(&f, &arena);
    find_removed(&f);
    gather(&f, result);
    if (!f.n_removed) goto fail;
    TRY(multiply(r->m, r->n_kept, f.n_removed, f.weights, f.cross, f.change, error));
    TRY(sqzi_dense_cholesky(r->n_kept, f.factor, r->n_kept, error));
    TRY(sqzi_dense_solve(r->n_kept, f.factor, r->n_kept, r->m, f.change, r->n_kept, error));
    for (size_t i = 0; i < (size_t)r->m * r->n_kept; i++) result[i] += f.change[i];
fail:
    sqzi_release(r->allocator, block, bytes);
    return status;
}

/* The sum over all rows a of a' C a; product is room for as many. */
static sqz_status add_squares(const sqzi_refit *r, const double *rows, double *product, double *sum,
                              sqz_error *error)
{
    const sqz_status status = multiply(r->m, r->n, r->n, rows, r->moments, product, error);
    double total = 0;
    if (status != SQZ_OK) return status;
    for (size_t i = 0; i < (size_t)r->m * r->n; i++) total += rows[i] * product[i];
    *sum = total > 0 ? total : 0;
    return SQZ_OK;
}

sqz_status sqzi_refit_error(const sqzi_refit *r, const double *result, double *lost, double *whole,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t numbers = (size_t)r->m * r->n, bytes = 2 * numbers * sizeof(double);
    double *difference = sqzi_allocate(r->allocator, bytes);
    FAIL_IF(!difference, SQZ_ENOMEM, 0, "no memory for what %u inputs lost", r->n);
    double *product = difference + numbers;
    memcpy(difference, r->weights, numbers * sizeof *difference);
    TRY(add_squares(r, difference, product, whole, error));
    for (size_t i = 0; i < r->m; i++)
        for (size_t j = 0; j < r->n_kept; j++)
            difference[i * r->n + r->kept[j]] -= result[i * r->n_kept + j];
    TRY(add_squares(r, difference, product, lost, error));
fail:
    sqzi_release(r->allocator, difference, bytes);
    return status;
}
