/* SPDX-License-Identifier: Apache-2.0 */
/* Items of a model for the frontier, and the plan that a choice of their settings is. */
#include "squeeze/squeeze_budget.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/budget.h"
#include "squeeze/embedding_levers.h"

/* What a setting means, of whichever item. */
typedef struct meaning {
    sqzi_storage storage[SQZI_BLOCK_LINEARS]; /* of a block's own; of a table the first */
    uint32_t parts;                           /* of a product quantised table */
    uint32_t units;                           /* heads or neurons that stay */
} meaning;

enum { SHARES = 8, MOST_SETTINGS = SHARES * 81 };

typedef struct item {
    sqzi_budget_setting settings[MOST_SETTINGS];
    meaning meanings[MOST_SETTINGS];
    uint32_t n;
} item;

/* Two of a block, and words and positions behind those. */
typedef struct items {
    item *list;
    sqzi_budget_item *view; /* of those that are in the model that is tried */
    uint32_t *chosen;       /* [3, n] */
    uint32_t n;             /* of list */
    size_t bytes;
    void *block;
} items;

static void add_setting(item *to, double error, uint64_t bytes, const meaning *means)
{
    to->settings[to->n] = (sqzi_budget_setting){error, bytes};
    to->meanings[to->n++] = *means;
}

static uint64_t matrix_bytes(uint32_t rows, uint32_t columns, sqzi_storage storage)
{
    return sqzi_weight_matrix_bytes(
        &(sqzi_weight_matrix){.rows = rows, .columns = columns, .groups = 1, .storage = storage});
}

/* Of a linear of a plan with this storage, where m of its rows and n of its inputs are left. */
static uint64_t linear_bytes(const sqzi_weight_linear *linear, const sqzi_linear_plan *plan,
                             sqzi_storage storage, uint32_t m, uint32_t n)
{
    uint64_t bytes = (uint64_t)m * sizeof(float);
    if (plan->rank)
        bytes += matrix_bytes(plan->rank, n, storage) + matrix_bytes(m, plan->rank, storage);
    if (plan->groups > 1) bytes += matrix_bytes(m, n / plan->groups, storage);
    if (plan->rank || plan->groups > 1) return bytes;
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_weight_term *term = &linear->terms[t];
        if (term->a.rows)
            bytes += matrix_bytes(term->a.rows, term->a.columns, storage) +
                     matrix_bytes(m, term->b.columns, storage);
        else bytes += matrix_bytes(m, n / term->b.groups, storage);
    }
    return bytes;
}

typedef struct block_task {
    const sqzi_budget_task *task;
    const sqzi_block_plan *plan; /* by hand */
    const sqzi_weight_block *block;
    const sqzi_block_errors *errors;
} block_task;

/* The linears of an item: attention's or the feed-forward's. */
typedef struct linears {
    sqzi_removed removed;
    uint32_t first, end;
    uint32_t whole, unit; /* units there are, and numbers of one */
} linears;

static uint32_t rows_of(const block_task *b, const linears *l, uint32_t j, uint32_t units)
{
    const bool makes = j + 1 < l->end;
    return makes ? units * l->unit : b->block->linears[j].n_out;
}

static uint32_t inputs_of(const block_task *b, const linears *l, uint32_t j, uint32_t units)
{
    const bool reads = j + 1 == l->end;
    return reads ? units * l->unit : b->block->linears[j].n_in;
}

/* One choice of storages, the k-th of all. */
static void add_storages(const block_task *b, const linears *l, uint32_t units, uint32_t k,
                         item *to)
{
    meaning means = {.units = units};
    double error = sqzi_removal_error(&b->errors->removals[l->removed], units) *
                   b->errors->change[l->removed];
    uint64_t bytes = 0;
    const bool whole = units == l->whole;
    if (whole) error = 0;
    for (uint32_t j = l->first; j < l->end; j++, k /= SQZI_LINEAR_STORAGES) {
        const uint32_t s = k % SQZI_LINEAR_STORAGES;
        const bool by_hand = b->task->options->bits != 0;
        means.storage[j] = by_hand ? b->plan->linears[j].storage : sqzi_storages[s];
        if (!by_hand) error += b->errors->bits[j][s];
        bytes += linear_bytes(&b->block->linears[j], &b->plan->linears[j], means.storage[j],
                              rows_of(b, l, j, units), inputs_of(b, l, j, units));
    }
    add_setting(to, error, bytes, &means);
}

static void add_units(const block_task *b, const linears *l, uint32_t units, item *to)
{
    uint32_t n = 1;
    for (uint32_t j = l->first; j < l->end && !b->task->options->bits; j++)
        n *= SQZI_LINEAR_STORAGES;
    for (uint32_t k = 0; k < n; k++) add_storages(b, l, units, k, to);
}

static void make_item(const block_task *b, const linears *l, uint32_t by_hand, uint32_t multiple,
                      uint32_t least_share, item *to)
{
    const sqzi_removal *removal = &b->errors->removals[l->removed];
    to->n = 0;
    add_units(b, l, by_hand, to);
    if (by_hand < l->whole || removal->n_units == 0) return;
    while (multiple % removal->multiple) multiple += SQZI_NEURONS_MULTIPLE;
    for (uint32_t share = SHARES - 1, last = l->whole; share >= least_share; share--) {
        const uint32_t units = l->whole * share / SHARES / multiple * multiple;
        if (units && units < last) add_units(b, l, units, to);
        last = units;
    }
}

static void make_block(const sqzi_budget_task *task, const sqzi_block_plan *plan, item pair[2])
{
    const block_task b = {task, plan, &task->weights->blocks[plan->source],
                          &task->errors->blocks[plan->source]};
    const linears attention = {SQZI_REMOVE_HEADS, SQZI_ATTN_Q, SQZI_FFN_UP, b.block->heads,
                               b.block->head_width},
                  ffn = {SQZI_REMOVE_NEURONS, SQZI_FFN_UP, SQZI_BLOCK_LINEARS, b.block->ffn_width,
                         1};
    const sqzi_removal *heads = &b.errors->removals[SQZI_REMOVE_HEADS];
    make_item(&b, &attention, plan->heads, heads->n_units ? heads->multiple : 1, SHARES / 2,
              &pair[0]);
    make_item(&b, &ffn, plan->neurons, SQZI_NEURONS_MULTIPLE, 1, &pair[1]);
}

static void make_table(const sqzi_weight_matrix *table, sqzi_storage by_hand, bool fixed,
                       const double *errors, item *to)
{
    meaning means = {{by_hand}, 0, 0};
    to->n = 0;
    if (fixed) {
        add_setting(to, 0, matrix_bytes(table->rows, table->columns, by_hand), &means);
        return;
    }
    for (uint32_t s = 0; s < SQZI_TABLE_STORAGES; s++) {
        means.storage[0] = sqzi_storages[s];
        add_setting(to, errors[s], matrix_bytes(table->rows, table->columns, sqzi_storages[s]),
                    &means);
    }
}

static bool words_by_hand(const sqz_squeeze_options *o)
{
    return o->embedding != SQZ_EMBEDDING_KEEP || o->embedding_bits;
}

static void make_words(const sqzi_budget_task *task, const sqzi_squeeze_plan *plan, item *to)
{
    const sqzi_setting_errors *errors = task->errors;
    const bool fixed = words_by_hand(task->options);
    make_table(&task->weights->word, plan->word, fixed, errors->words, to);
    /* whatever it takes by hand is a part of what is fixed */
    if (fixed && plan->embedding != SQZ_EMBEDDING_KEEP) to->settings[0].bytes = 0;
    for (uint32_t i = 0; i < errors->n_products && !fixed; i++)
        add_setting(to, errors->products[i],
                    sqzi_squeeze_product_bytes(task->weights, errors->parts[i]),
                    &(meaning){.parts = errors->parts[i]});
}

static void lay_out(items *all, sqzi_arena *arena)
{
    all->list = sqzi_arena_take(arena, all->n, sizeof *all->list);
    all->view = sqzi_arena_take(arena, all->n, sizeof *all->view);
    all->chosen = sqzi_arena_take(arena, 3 * (size_t)all->n, sizeof *all->chosen);
}

static sqz_status make_items(const sqzi_budget_task *task, const sqzi_squeeze_plan *plan,
                             items *all, sqz_error *error)
{
    all->n = 2 * plan->n_blocks + 2;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(all, &arena);
    all->bytes = arena.used;
    all->block = sqzi_allocate(plan->allocator, all->bytes);
    if (!all->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the settings of %u blocks",
                         plan->n_blocks);
    arena = sqzi_arena_over(all->block, all->bytes);
    lay_out(all, &arena);
    for (uint32_t i = 0; i < plan->n_blocks; i++)
        make_block(task, &plan->blocks[i], &all->list[2 * (size_t)i]);
    make_words(task, plan, &all->list[all->n - 2]);
    make_table(&task->weights->position, plan->position, task->options->position_bits != 0,
               task->errors->positions, &all->list[all->n - 1]);
    return SQZ_OK;
}

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
    const items *all;
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
            const item *one = &c->all->list[i];
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
        if (gone) sums.error += c->task->errors->without[gone - 1];
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
        const meaning *attention = &c->all->list[2 * i].meanings[made->chosen[at++]],
                      *ffn = &c->all->list[2 * i + 1].meanings[made->chosen[at++]];
        sqzi_block_plan *to = &plan->blocks[n++];
        *to = hand->blocks[i];
        to->heads = attention->units;
        to->neurons = ffn->units;
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            to->linears[j].storage = (j < SQZI_FFN_UP ? attention : ffn)->storage[j];
    }
    plan->n_blocks = n;
    const meaning *words = &c->all->list[c->all->n - 2].meanings[made->chosen[at++]],
                  *positions = &c->all->list[c->all->n - 1].meanings[made->chosen[at]];
    if (words->parts) {
        plan->embedding = SQZ_EMBEDDING_PRODUCT;
        plan->embedding_size = words->parts;
    } else if (!words_by_hand(c->task->options)) {
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
    return (sqzi_setting_errors_options){.no_products = words_by_hand(o) ||
                                                        model->encoder.embedding.factorised,
                                         .no_neurons = o->neurons > 0 || formed,
                                         .no_heads = o->heads > 0 || formed,
                                         .no_layers = o->layers != NULL};
}

sqz_status sqzi_squeeze_plan_by_budget(const sqzi_budget_task *task, sqzi_squeeze_plan *plan,
                                       sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = plan->allocator;
    const size_t block_bytes = plan->n_blocks * sizeof *plan->blocks;
    sqzi_squeeze_plan by_hand = *plan;
    items all = {0};
    chooser c = {.task = task, .by_hand = &by_hand, .all = &all};
    /* one block stays */
    c.n_frontiers = task->errors->n_order ? task->errors->n_order : 1;
    by_hand.blocks = sqzi_allocate(allocator, block_bytes);
    c.frontiers = sqzi_allocate_zeroed(allocator, c.n_frontiers, sizeof *c.frontiers);
    FAIL_IF(!by_hand.blocks || !c.frontiers, SQZ_ENOMEM, 0, "no memory for a plan of %u blocks",
            plan->n_blocks);
    memcpy(by_hand.blocks, plan->blocks, block_bytes);
    TRY(make_items(task, &by_hand, &all, error));
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
