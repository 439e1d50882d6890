/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which a block's neurons or heads go: each group of the linear that reads them by
 * itself (removal.h), then a round of all groups after the other. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "squeeze/dense_algebra.h"
#include "squeeze/removal.h"
#include "squeeze/removal_target.h"

static sqz_status order_group(const sqzi_removal_target *t, uint32_t g, double *memory,
                              uint32_t *order, double *loss, sqz_error *error)
{
    const size_t square = (size_t)t->columns * t->columns;
    double *moments = memory, *products = moments + square, *weights = products + square;
    sqzi_removal_moments(t, g, t->damping, moments);
    sqzi_removal_weights(t, g, weights);
    sqz_status status = sqzi_dense_multiply(&(sqzi_dense_product){.m = t->columns,
                                                                  .n = t->columns,
                                                                  .k = t->rows,
                                                                  .a = weights,
                                                                  .b = weights,
                                                                  .c = products,
                                                                  .lda = t->columns,
                                                                  .ldb = t->columns,
                                                                  .ldc = t->columns,
                                                                  .transpose_a = true,
                                                                  .scale = 1},
                                            error);
    if (status != SQZ_OK) return status;
    return sqzi_removal_order(&(sqzi_removal_problem){.allocator = t->allocator,
                                                      .n = t->columns,
                                                      .unit = t->unit,
                                                      .groups = t->multiple / t->groups,
                                                      .moments = moments,
                                                      .products = products},
                              order, loss, error);
}

/* The groups' orders into one: `turn` units of each in every round. */
static void join_orders(const sqzi_removal_target *t, const uint32_t *orders, const double *losses,
                        sqzi_removal *removal)
{
    const uint32_t per_group = t->n_units / t->groups, turn = t->multiple / t->groups;
    double sum = 0, whole = 0;
    uint32_t to = 0;
    for (uint32_t g = 0; g < t->groups; g++) whole += losses[(g + 1) * per_group - 1];
    for (uint32_t begin = 0; begin < per_group; begin += turn)
        for (uint32_t g = 0; g < t->groups; g++)
            for (uint32_t i = begin; i < begin + turn; i++, to++) {
                const double *loss = losses + g * per_group;
                sum += loss[i] - (i ? loss[i - 1] : 0);
                removal->order[to] = g * per_group + orders[g * per_group + i];
                removal->loss[to] = whole > 0 ? sum / whole : 0;
            }
}

static sqz_status order_by_loss(const sqzi_removal_target *t, sqzi_removal *removal,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t n = t->columns, per_group = t->n_units / t->groups;
    uint32_t *orders;
    double *losses, *memory;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    void *block = NULL;
    for (int placed = 0; placed < 2; placed++) {
        orders = sqzi_arena_take(&arena, t->n_units, sizeof *orders);
        losses = sqzi_arena_take(&arena, t->n_units, sizeof *losses);
        memory = sqzi_arena_take(&arena, (2 * n + t->rows) * n, sizeof *memory);
        if (placed) break;
        block = sqzi_allocate(t->allocator, arena.used);
        FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the moments of %zu inputs", n);
        arena = sqzi_arena_over(block, arena.used);
    }
    for (uint32_t g = 0; g < t->groups; g++)
        TRY(order_group(t, g, memory, orders + g * per_group, losses + g * per_group, error));
    join_orders(t, orders, losses, removal);
fail:
    if (block) sqzi_release(t->allocator, block, arena.capacity);
    return status;
}

typedef struct scored {
    double score;
    uint32_t unit;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
                                : (x->unit > y->unit) - (x->unit < y->unit);
}

/* |w_j|^2 var(x_j), summed over a unit. */
static double plain_score(const sqzi_removal_target *t, uint32_t unit)
{
    double score = 0;
    for (size_t i = (size_t)unit * t->unit; i < ((size_t)unit + 1) * t->unit; i++) {
        const size_t g = i / t->columns, column = i % t->columns;
        const float *values = t->reader->terms[0].b.values + g * t->rows * t->columns;
        double squares = 0;
        for (size_t r = 0; r < t->rows; r++) {
            const double w = (double)values[r * t->columns + column];
            squares += w * w;
        }
        score += squares * (double)t->input->covariance[i * t->input->n + i];
    }
    return score;
}

static sqz_status order_plainly(const sqzi_removal_target *t, sqzi_removal *removal,
                                sqz_error *error)
{
    const size_t bytes = t->n_units * sizeof(scored);
    const uint32_t per_group = t->n_units / t->multiple;
    scored *units = sqzi_allocate(t->allocator, bytes);
    if (!units) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u scores", t->n_units);
    for (uint32_t u = 0; u < t->n_units; u++) units[u] = (scored){plain_score(t, u), u};
    for (uint32_t g = 0; g < t->multiple; g++)
        qsort(units + (size_t)g * per_group, per_group, sizeof *units, by_score);
    for (uint32_t i = 0; i < t->n_units; i++) {
        removal->order[i] = units[(size_t)(i % t->multiple) * per_group + i / t->multiple].unit;
        removal->loss[i] = NAN;
    }
    sqzi_release(t->allocator, units, bytes);
    return SQZ_OK;
}

sqz_status sqzi_removal_of(const sqzi_removal_target *t, bool plain, sqzi_removal *removal,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *removal = (sqzi_removal){
        .allocator = t->allocator, .n_units = t->n_units, .unit = t->unit, .multiple = t->multiple};
    removal->order = sqzi_allocate(t->allocator, t->n_units * sizeof *removal->order);
    removal->loss = sqzi_allocate(t->allocator, t->n_units * sizeof *removal->loss);
    FAIL_IF(!removal->order || !removal->loss, SQZ_ENOMEM, 0, "no memory for the order of %u %s",
            t->n_units, t->units);
    TRY(plain ? order_plainly(t, removal, error) : order_by_loss(t, removal, error));
fail:
    return status;
}

sqz_status sqzi_removal_make(const sqzi_weights *weights, uint32_t block, sqzi_removed what,
                             bool plain, const sqzi_input_statistics *input, sqzi_removal *removal,
                             sqz_error *error)
{
    sqzi_removal_target t;
    *removal = (sqzi_removal){0};
    const sqz_status status = sqzi_removal_find(weights, block, what, input, &t, error);
    return status == SQZ_OK ? sqzi_removal_of(&t, plain, removal, error) : status;
}

void sqzi_removal_discard(sqzi_removal *r)
{
    if (!r->allocator) return;
    if (r->order) sqzi_release(r->allocator, r->order, r->n_units * sizeof *r->order);
    if (r->loss) sqzi_release(r->allocator, r->loss, r->n_units * sizeof *r->loss);
    *r = (sqzi_removal){0};
}

double sqzi_removal_error(const sqzi_removal *removal, uint32_t keep)
{
    assert(keep > 0 && keep <= removal->n_units);
    return keep == removal->n_units ? 0 : removal->loss[removal->n_units - keep - 1];
}
