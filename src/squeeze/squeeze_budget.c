/* SPDX-License-Identifier: Apache-2.0 */
/* Frontiers of a model's settings, and the plan that a choice of them is. */
#include "squeeze/squeeze_budget.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/budget_items.h"

/* How many blocks have left, and the best setting of each item. */
typedef struct choice {
    uint32_t n_gone;
    uint32_t *chosen; /* [n of all items] */
    sqzi_choice sums;
    bool met;
} choice;

typedef struct chooser {
    const sqzi_budget_task *task;
    const sqzi_squeeze_plan *by_hand;
    const sqzi_setting_items *all;
    sqzi_frontier *frontiers; /* [n_frontiers] by blocks that have left */
    uint32_t n_frontiers;
} chooser;

static bool is_gone(const chooser *c, uint32_t source, uint32_t n_gone)
{
    for (uint32_t i = 0; i < n_gone; i++)
        if (c->task->errors->order[i] == source) return true;
    return false;
}

static sqz_status make_frontiers(chooser *c, sqz_error *error)
{
    for (uint32_t gone = 0; gone < c->n_frontiers; gone++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < c->all->n; i++) {
            const sqzi_setting_item *one = &c->all->list[i];
            if (i / 2 < c->by_hand->n_blocks && is_gone(c, c->by_hand->blocks[i / 2].source, gone))
                continue;
            c->all->view[n++] = (sqzi_budget_item){one->settings, one->n};
        }
        const sqz_status status = sqzi_frontier_make(c->by_hand->allocator, c->all->view, n,
                                                     &c->frontiers[gone], error);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

/* What is no item's and leaves with a block: its norms, and what names of tensors and the padding
 * between them take. */
static uint64_t overhead(const chooser *c, uint32_t n_gone)
{
    enum { TENSORS = 22, NAME_AND_PADDING = 72 };
    const uint64_t a_block = (uint64_t)4 * c->task->weights->width * sizeof(float) +
                             TENSORS * NAME_AND_PADDING;
    return (c->by_hand->n_blocks - n_gone) * a_block;
}

static bool is_better(const sqzi_choice *a, bool a_met, const choice *b)
{
    if (a_met != b->met) return a_met;
    return a_met ? a->error < b->sums.error : a->bytes < b->sums.bytes;
}

/* The best of items within so many bytes; where none is, the least. */
static void choose(const chooser *c, int64_t target, uint32_t *tried, choice *best)
{
    for (uint32_t gone = 0; gone < c->n_frontiers; gone++) {
        const uint64_t others = overhead(c, gone),
                       left = target > (int64_t)others ? (uint64_t)target - others : 0;
        sqzi_choice sums;
        const bool met = sqzi_frontier_choose(&c->frontiers[gone], left, tried, &sums);
        if (gone)
            sums.error +=
                c->task->errors->without[gone - 1] *
                (c->task->counts[SQZI_CHANGE_LAYERS] > 0 ? c->task->counts[SQZI_CHANGE_LAYERS] : 1);
        sums.bytes += others;
        if (sums.next_bytes) sums.next_bytes += others;
        if (gone && !is_better(&sums, met, best)) continue;
        best->n_gone = gone;
        best->met = met;
        best->sums = sums;
        memcpy(best->chosen, tried, c->all->n * sizeof *tried);
    }
}

/* The plan of a choice. */
static void apply(const chooser *c, const choice *made, sqzi_squeeze_plan *plan)
{
    const sqzi_squeeze_plan *hand = c->by_hand;
    uint32_t n = 0, at = 0;
    for (uint32_t i = 0; i < hand->n_blocks; i++) {
        if (is_gone(c, hand->blocks[i].source, made->n_gone)) continue;
        const sqzi_setting_meaning *attention = &c->all->list[2 * i].meanings[made->chosen[at++]],
                                   *ffn = &c->all->list[2 * i + 1].meanings[made->chosen[at++]];
        sqzi_block_plan *to = &plan->blocks[n++];
        *to = hand->blocks[i];
        to->heads = attention->units;
        to->neurons = ffn->units;
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            to->linears[j].storage = (j < SQZI_FFN_UP ? attention : ffn)->storage[j];
    }
    plan->n_blocks = n;
    const sqzi_setting_meaning *words = &c->all->list[c->all->n - 2].meanings[made->chosen[at++]],
                               *positions = &c->all->list[c->all->n - 1].meanings[made->chosen[at]];
    if (words->parts) {
        plan->embedding = SQZ_EMBEDDING_PRODUCT;
        plan->embedding_size = words->parts;
    } else if (!sqzi_words_by_hand(c->task->options)) {
        plan->embedding = hand->embedding;
        plan->word = words->storage[0];
    }
    plan->position = positions->storage[0];
    if (!c->task->options->bits) plan->factor = plan->projection = plan->others = SQZI_STORED_S8;
}

static sqz_status try_choice(const chooser *c, int64_t target, uint32_t *tried, choice *now,
                             sqzi_squeeze_plan *plan, uint64_t *bytes, sqz_error *error)
{
    choose(c, target, tried, now);
    apply(c, now, plan);
    return c->task->bytes_of(c->task->user, plan, bytes, error);
}

/* Bytes of items and of the file differ by about as much for every plan, but not quite (names,
 * padding): so each plan says what target would have suited it, some times, and the best that was
 * within the budget is taken; in the end the least, which is. */
static sqz_status settle(const chooser *c, sqzi_squeeze_plan *plan, sqzi_budget_outcome *outcome,
                         sqz_error *error)
{
    enum { ROUNDS = 8 };
    sqz_status status = SQZ_OK;
    const uint64_t budget = c->task->budget;
    const size_t n = c->all->n;
    uint32_t *const tried = c->all->chosen;
    choice now = {.chosen = tried + n}, fits = {.chosen = tried + 2 * n};
    uint64_t bytes = 0, fit_bytes;
    TRY(try_choice(c, 0, tried, &fits, plan, &fit_bytes, error));
    FAIL_IF(fit_bytes > budget, SQZ_EINVAL, 0,
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
    apply(c, &fits, plan);
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
    return (sqzi_setting_errors_options){.no_products = sqzi_words_by_hand(o) ||
                                                        model->encoder.embedding.factorised,
                                         .no_neurons = o->neurons >= 1 || formed,
                                         .no_heads = o->heads >= 1 || formed,
                                         .no_layers = o->layers != NULL};
}

sqz_status sqzi_squeeze_plan_by_budget(const sqzi_budget_task *task, sqzi_squeeze_plan *plan,
                                       sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = plan->allocator;
    const size_t block_bytes = plan->n_blocks * sizeof *plan->blocks;
    sqzi_squeeze_plan by_hand = *plan;
    sqzi_setting_items all = {0};
    chooser c = {.task = task, .by_hand = &by_hand, .all = &all};
    /* one block stays */
    c.n_frontiers = task->errors->n_order ? task->errors->n_order : 1;
    by_hand.blocks = sqzi_allocate(allocator, block_bytes);
    c.frontiers = sqzi_allocate_zeroed(allocator, c.n_frontiers, sizeof *c.frontiers);
    FAIL_IF(!by_hand.blocks || !c.frontiers, SQZ_ENOMEM, 0, "no memory for a plan of %u blocks",
            plan->n_blocks);
    memcpy(by_hand.blocks, plan->blocks, block_bytes);
    TRY(sqzi_setting_items_make(task, &by_hand, &all, error));
    TRY(make_frontiers(&c, error));
    status = settle(&c, plan, outcome, error);
fail:
    for (uint32_t i = 0; i < c.n_frontiers && c.frontiers; i++)
        if (c.frontiers[i].allocator) sqzi_frontier_discard(&c.frontiers[i]);
    sqzi_release(allocator, c.frontiers, c.n_frontiers * sizeof *c.frontiers);
    sqzi_release(allocator, all.block, all.bytes);
    sqzi_release(allocator, by_hand.blocks, block_bytes);
    return status;
}
