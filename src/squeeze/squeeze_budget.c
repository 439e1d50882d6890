/* SPDX-License-Identifier: Apache-2.0 */
/* Frontiers of a model's settings, and the plan that a choice of them is. */
#include "squeeze/squeeze_budget.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/budget_chooser.h"

/* How many blocks have left, and the best setting of each item. */
typedef struct choice {
    uint32_t n_gone;
    uint32_t *chosen; /* [n of all items] */
    sqzi_choice sums;
    bool met;
} choice;

typedef struct chooser {
    const sqzi_chooser *of;
    sqzi_frontier *frontiers; /* [n_depths] by blocks that have left */
} chooser;

static sqz_status make_frontiers(const chooser *c, sqz_error *error)
{
    for (uint32_t gone = c->of->first_depth; gone < c->of->n_depths; gone++) {
        const uint32_t n = sqzi_chooser_view(c->of, gone);
        const sqz_status status = sqzi_frontier_make(c->of->by_hand.allocator, c->of->all.view, n,
                                                     &c->frontiers[gone], error);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

static bool is_better(const sqzi_choice *a, bool a_met, const choice *b)
{
    if (a_met != b->met) return a_met;
    return a_met ? a->error < b->sums.error : a->bytes < b->sums.bytes;
}

/* The best of items within so many bytes; where none is, the least. */
static void choose(const chooser *c, int64_t target, uint32_t *tried, choice *best)
{
    for (uint32_t gone = c->of->first_depth; gone < c->of->n_depths; gone++) {
        const uint64_t others = sqzi_chooser_overhead(c->of, gone),
                       left = target > (int64_t)others ? (uint64_t)target - others : 0;
        sqzi_choice sums;
        const bool met = sqzi_frontier_choose(&c->frontiers[gone], left, tried, &sums);
        sums.error += sqzi_chooser_without(c->of, gone);
        sums.bytes += others;
        if (sums.next_bytes) sums.next_bytes += others;
        if (gone > c->of->first_depth && !is_better(&sums, met, best)) continue;
        best->n_gone = gone;
        best->met = met;
        best->sums = sums;
        memcpy(best->chosen, tried, c->of->all.n * sizeof *tried);
    }
}

static sqz_status try_choice(const chooser *c, int64_t target, uint32_t *tried, choice *now,
                             sqzi_squeeze_plan *plan, uint64_t *bytes, sqz_error *error)
{
    choose(c, target, tried, now);
    sqzi_chooser_apply(c->of, now->n_gone, now->chosen, plan);
    return c->of->task->bytes_of(c->of->task->user, plan, bytes, error);
}

/* Bytes of items and of the file differ by about as much for every plan, but not quite (names,
 * padding): so each plan says what target would have suited it, some times, and the best that was
 * within the budget is taken; in the end the least, which is. */
static sqz_status settle(const chooser *c, sqzi_squeeze_plan *plan, sqzi_budget_outcome *outcome,
                         sqz_error *error)
{
    enum { ROUNDS = 8 };
    sqz_status status = SQZ_OK;
    const uint64_t budget = c->of->task->budget;
    const size_t n = c->of->all.n;
    uint32_t *const tried = c->of->all.chosen;
    choice now = {.chosen = tried + n}, fits = {.chosen = tried + 2 * n};
    uint64_t bytes = 0, fit_bytes;
    TRY(try_choice(c, 0, tried, &fits, plan, &fit_bytes, error));
    if (fit_bytes > budget && c->of->task->unmet) *c->of->task->unmet = true;
    FAIL_IF(fit_bytes > budget, SQZ_EINVAL, fit_bytes,
            "a budget of %" PRIu64 " bytes cannot be met: the least that can is %" PRIu64 " bytes",
            budget, fit_bytes);
    int64_t target = (int64_t)budget - ((int64_t)fit_bytes - (int64_t)fits.sums.bytes);
    for (int round = 0; round < ROUNDS; round++) {
        TRY(try_choice(c, target, tried, &now, plan, &bytes, error));
        target = (int64_t)now.sums.bytes + (int64_t)budget - (int64_t)bytes;
        if (bytes > budget || now.sums.error >= fits.sums.error) continue;
        memcpy(fits.chosen, now.chosen, n * sizeof *now.chosen);
        fits.n_gone = now.n_gone;
        fits.sums = now.sums;
        fit_bytes = bytes;
    }
    sqzi_chooser_apply(c->of, fits.n_gone, fits.chosen, plan);
    *outcome = (sqzi_budget_outcome){.bytes = fit_bytes, .change = fits.sums.error};
    if (fits.sums.next_bytes)
        outcome->next_bytes = fit_bytes + fits.sums.next_bytes - fits.sums.bytes;
fail:
    return status;
}

sqzi_setting_errors_options sqzi_squeeze_budget_asks(const sqz_model *model,
                                                     const sqz_squeeze_options *o)
{
    const bool formed = o->rank > 0 || o->ranks || o->groups > 1;
    return (sqzi_setting_errors_options){.no_bits = !o->budget,
                                         .no_tables = !o->budget,
                                         .no_products = sqzi_words_by_hand(o, o->budget) ||
                                                        model->encoder.embedding.factorised,
                                         .no_neurons = o->neurons >= 1 || formed,
                                         .no_heads = o->heads >= 1 || formed,
                                         .no_layers = o->layers || o->layers_first ||
                                                      o->layers_every};
}

static sqz_status within_bytes(const sqzi_chooser *of, sqzi_squeeze_plan *plan,
                               sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = plan->allocator;
    chooser c = {.of = of};
    c.frontiers = sqzi_allocate_zeroed(allocator, of->n_depths, sizeof *c.frontiers);
    FAIL_IF(!c.frontiers, SQZ_ENOMEM, 0, "no memory for frontiers of %u blocks", plan->n_blocks);
    TRY(make_frontiers(&c, error));
    status = settle(&c, plan, outcome, error);
fail:
    for (uint32_t i = 0; i < of->n_depths && c.frontiers; i++)
        if (c.frontiers[i].allocator) sqzi_frontier_discard(&c.frontiers[i]);
    sqzi_release(allocator, c.frontiers, of->n_depths * sizeof *c.frontiers);
    return status;
}

sqz_status sqzi_squeeze_plan_by_budget(const sqzi_budget_task *task, sqzi_squeeze_plan *plan,
                                       sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqzi_chooser c;
    sqz_status status = sqzi_chooser_open(task, plan, &c, error);
    if (status == SQZ_OK)
        status = (task->times ? sqzi_chooser_within_time : within_bytes)(&c, plan, outcome, error);
    sqzi_chooser_close(&c);
    return status;
}
