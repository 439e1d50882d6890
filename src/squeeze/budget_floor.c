/* SPDX-License-Identifier: Apache-2.0 */
/* The settings that a planner would choose from, of errors that are all 0. */
#include "squeeze/budget_floor.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "squeeze/budget_chooser.h"
#include "squeeze/removal_target.h"

typedef struct floor_work {
    const sqzi_weights *weights;
    sqzi_setting_errors errors;
    uint64_t *least; /* [n_blocks of the plan] bytes */
    double *zeros;   /* as many as a block has neurons or heads */
    uint32_t n, n_zeros;
} floor_work;

static void lay_out(floor_work *f, sqzi_arena *arena)
{
    sqzi_setting_errors *e = &f->errors;
    e->blocks = sqzi_arena_take(arena, e->n_blocks, sizeof *e->blocks);
    e->order = sqzi_arena_take(arena, f->n, sizeof *e->order);
    e->without = sqzi_arena_take(arena, f->n, sizeof *e->without);
    f->least = sqzi_arena_take(arena, f->n, sizeof *f->least);
    f->zeros = sqzi_arena_take(arena, f->n_zeros, sizeof *f->zeros);
}

/* ---- settings ---- */

/* A removal that no text was asked for: counts that could stay. */
static void shape_removal(const floor_work *f, uint32_t block, sqzi_removed what, sqzi_removal *to)
{
    sqz_error none = {0};
    sqzi_removal_target target;
    if (sqzi_removal_shape(f->weights, block, what, &target, &none) != SQZ_OK) return;
    *to = (sqzi_removal){.n_units = target.n_units,
                         .unit = target.unit,
                         .multiple = target.multiple,
                         .loss = f->zeros};
}

static void shape_errors(floor_work *f, const sqz_squeeze_options *options,
                         const sqzi_squeeze_plan *plan)
{
    sqzi_setting_errors *e = &f->errors;
    const sqzi_setting_errors_options asks = sqzi_squeeze_budget_asks(f->weights->model, options);
    uint32_t sizes[SQZI_MOST_PRODUCTS];
    if (!asks.no_products) e->n_products = sqzi_product_sizes(f->weights, sizes);
    for (uint32_t i = 0; i < e->n_products; i++) e->products[i].draft.parts = sizes[i];
    if (!asks.no_layers) e->n_order = plan->n_blocks;
    for (uint32_t k = 0; k < plan->n_blocks; k++) {
        const uint32_t block = plan->blocks[k].source;
        sqzi_removal *removals = e->blocks[block].removals;
        if (!asks.no_heads)
            shape_removal(f, block, SQZI_REMOVE_HEADS, &removals[SQZI_REMOVE_HEADS]);
        if (!asks.no_neurons)
            shape_removal(f, block, SQZI_REMOVE_NEURONS, &removals[SQZI_REMOVE_NEURONS]);
    }
}

/* ---- the least ---- */

static uint32_t smallest(const sqzi_budget_setting *settings, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t s = 1; s < n; s++)
        if (settings[s].bytes < settings[best].bytes) best = s;
    return best;
}

static uint64_t least_of(const sqzi_setting_item *item)
{
    return item->settings[smallest(item->settings, item->n)].bytes;
}

/* Blocks leave from the largest on. */
static void sort_blocks(floor_work *f, const sqzi_chooser *c)
{
    for (uint32_t k = 0; k < f->n; k++) {
        const sqzi_setting_item *half = &c->all.list[2 * (size_t)k];
        const uint64_t bytes = least_of(&half[0]) + least_of(&half[1]);
        uint32_t at = k;
        for (; at > 0 && f->least[at - 1] < bytes; at--) {
            f->least[at] = f->least[at - 1];
            f->errors.order[at] = f->errors.order[at - 1];
        }
        f->least[at] = bytes;
        f->errors.order[at] = c->by_hand.blocks[k].source;
    }
}

static sqz_status find_least(floor_work *f, const sqzi_budget_task *task,
                             const sqzi_squeeze_plan *by_hand, sqzi_squeeze_plan *plan,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_chooser c;
    TRY(sqzi_chooser_open(task, by_hand, &c, error));
    sort_blocks(f, &c);
    for (uint32_t i = 0, n = sqzi_chooser_view(&c, c.n_depths - 1); i < n; i++)
        c.all.chosen[i] = smallest(c.all.view[i].settings, c.all.view[i].n);
    sqzi_chooser_apply(&c, c.n_depths - 1, c.all.chosen, plan);
fail:
    sqzi_chooser_close(&c);
    return status;
}

static void count_zeros(floor_work *f)
{
    const sqzi_encoder *encoder = &f->weights->model->encoder;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *b = &encoder->blocks[i];
        const uint32_t most = b->heads > b->ffn_width ? b->heads : b->ffn_width;
        f->n_zeros = most > f->n_zeros ? most : f->n_zeros;
    }
}

sqz_status sqzi_budget_floor(const sqzi_budget_task *given, const sqzi_squeeze_plan *by_hand,
                             uint64_t *bytes, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model *model = given->weights->model;
    sqzi_budget_task task = *given;
    sqzi_squeeze_plan plan = {0};
    floor_work f = {.weights = given->weights,
                    .errors.n_blocks = model->encoder.n_blocks,
                    .n = by_hand->n_blocks};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    count_zeros(&f);
    lay_out(&f, &arena);
    const size_t size = arena.used;
    void *block = sqzi_allocate_zeroed(by_hand->allocator, size, 1);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the settings of %u blocks", f.n);
    arena = sqzi_arena_over(block, size);
    lay_out(&f, &arena);
    shape_errors(&f, given->options, by_hand);
    task.errors = &f.errors;
    task.times = NULL;
    TRY(sqzi_squeeze_plan_make(model, &plan, error));
    sqzi_squeeze_plan_copy(by_hand, &plan);
    TRY(find_least(&f, &task, by_hand, &plan, error));
    status = task.bytes_of(task.user, &plan, bytes, error);
fail:
    sqzi_squeeze_plan_discard(&plan);
    sqzi_release(by_hand->allocator, block, size);
    return status;
}
