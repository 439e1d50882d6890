/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a model's parts: linears of a block's halves with what stays of its heads and
 * neurons, and tables. */
#include "squeeze/budget_items.h"

#include "base/error.h"
#include "squeeze/embedding_levers.h"

static double count_of(const sqzi_budget_task *task, sqzi_change_kind kind)
{
    return task->counts[kind] > 0 ? task->counts[kind] : 1;
}

static void add_setting(sqzi_setting_item *to, double error, uint64_t bytes, double time,
                        const sqzi_setting_meaning *means)
{
    to->settings[to->n] = (sqzi_budget_setting){error, bytes, time};
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

/* What a block takes with so many heads; what it takes more with so many neurons than with those by
 * hand. Both halves run one after the other, so that adds up to a block of both. */
static double time_of(const block_task *b, const linears *l, uint32_t units)
{
    const sqzi_time_table *times = b->task->times;
    sqzi_block_plan plan = *b->plan;
    if (!times) return 0;
    if (l->removed == SQZI_REMOVE_HEADS) plan.heads = units;
    else plan.neurons = units;
    const double now = sqzi_time_of_block(times, &plan);
    return l->removed == SQZI_REMOVE_HEADS ? now : now - sqzi_time_of_block(times, b->plan);
}

/* The numbers of linears and tables have bits of their own where no option names them and bytes
 * are bounded. */
static bool bits_by_hand(const sqzi_budget_task *task)
{
    return task->options->bits || !task->budget;
}

/* One choice of storages, the k-th of all. */
static void add_storages(const block_task *b, const linears *l, uint32_t units, double time,
                         uint32_t k, sqzi_setting_item *to)
{
    sqzi_setting_meaning means = {.units = units};
    const sqzi_removal *removal = &b->errors->removals[l->removed];
    const bool neurons = l->removed == SQZI_REMOVE_NEURONS;
    const double of_int3 = count_of(b->task, SQZI_CHANGE_INT3),
                 of_units = count_of(b->task, neurons ? SQZI_CHANGE_NEURONS : SQZI_CHANGE_HEADS);
    double error = 0;
    uint64_t bytes = 0;
    /* with ranks and groups nobody looked for an order, and what is removed all settings share */
    if (units < l->whole && removal->n_units)
        error = sqzi_removal_error(removal, units) * b->errors->change[l->removed] * of_units;
    for (uint32_t j = l->first; j < l->end; j++, k /= SQZI_LINEAR_STORAGES) {
        const uint32_t s = k % SQZI_LINEAR_STORAGES;
        const bool by_hand = bits_by_hand(b->task);
        means.storage[j] = by_hand ? b->plan->linears[j].storage : sqzi_storages[s];
        if (!by_hand)
            error += b->errors->bits[j][s] * (sqzi_storages[s] == SQZI_STORED_S3 ? of_int3 : 1);
        bytes += linear_bytes(&b->block->linears[j], &b->plan->linears[j], means.storage[j],
                              rows_of(b, l, j, units), inputs_of(b, l, j, units));
    }
    add_setting(to, error, bytes, time, &means);
}

static void add_units(const block_task *b, const linears *l, uint32_t units, sqzi_setting_item *to)
{
    const double time = time_of(b, l, units);
    uint32_t n = 1;
    for (uint32_t j = l->first; j < l->end && !bits_by_hand(b->task); j++)
        n *= SQZI_LINEAR_STORAGES;
    for (uint32_t k = 0; k < n; k++) add_storages(b, l, units, time, k, to);
}

/* Those by hand first. */
static uint32_t list_units(const block_task *b, const linears *l, uint32_t by_hand,
                           uint32_t multiple, uint32_t least_share,
                           uint32_t list[SQZI_BUDGET_SHARES])
{
    const sqzi_removal *removal = &b->errors->removals[l->removed];
    const sqz_squeeze_options *o = b->task->options;
    uint32_t n = 0;
    list[n++] = by_hand;
    if ((l->removed == SQZI_REMOVE_NEURONS ? o->neurons : o->heads) > 0) return n;
    if (removal->n_units == 0) return n;
    while (multiple % removal->multiple) multiple += SQZI_NEURONS_MULTIPLE;
    for (uint32_t share = SQZI_BUDGET_SHARES - 1, last = l->whole; share >= least_share; share--) {
        const uint32_t units = l->whole * share / SQZI_BUDGET_SHARES / multiple * multiple;
        if (units && units < last) list[n++] = units;
        last = units;
    }
    return n;
}

static block_task of_block(const sqzi_budget_task *task, const sqzi_block_plan *plan,
                           linears halves[2])
{
    const block_task b = {task, plan, &task->weights->blocks[plan->source],
                          &task->errors->blocks[plan->source]};
    halves[0] = (linears){SQZI_REMOVE_HEADS, SQZI_ATTN_Q, SQZI_FFN_UP, b.block->heads,
                          b.block->head_width};
    halves[1] = (linears){SQZI_REMOVE_NEURONS, SQZI_FFN_UP, SQZI_BLOCK_LINEARS, b.block->ffn_width,
                          1};
    return b;
}

static uint32_t units_of(const block_task *b, const linears *half,
                         uint32_t list[SQZI_BUDGET_SHARES])
{
    const sqzi_removal *heads = &b->errors->removals[SQZI_REMOVE_HEADS];
    return half->removed == SQZI_REMOVE_HEADS
               ? list_units(b, half, b->plan->heads, heads->n_units ? heads->multiple : 1,
                            SQZI_BUDGET_SHARES / 2, list)
               : list_units(b, half, b->plan->neurons, SQZI_NEURONS_MULTIPLE, 1, list);
}

static void make_block(const sqzi_budget_task *task, const sqzi_block_plan *plan,
                       sqzi_setting_item pair[2])
{
    linears halves[2];
    uint32_t units[SQZI_BUDGET_SHARES];
    const block_task b = of_block(task, plan, halves);
    for (int half = 0; half < 2; half++) {
        const uint32_t n = units_of(&b, &halves[half], units);
        pair[half].n = 0;
        for (uint32_t i = 0; i < n; i++) add_units(&b, &halves[half], units[i], &pair[half]);
    }
}

uint32_t sqzi_setting_shapes(const sqzi_budget_task *task, const sqzi_block_plan *plan,
                             sqzi_block_plan shapes[2 * SQZI_BUDGET_SHARES])
{
    linears halves[2];
    uint32_t units[SQZI_BUDGET_SHARES], n = 0;
    const block_task b = of_block(task, plan, halves);
    for (int half = 0; half < 2; half++)
        for (uint32_t i = 0, of = units_of(&b, &halves[half], units); i < of; i++) {
            shapes[n] = *plan;
            *(half ? &shapes[n].neurons : &shapes[n].heads) = units[i];
            n++;
        }
    return n;
}

static void make_table(const sqzi_weight_matrix *table, sqzi_storage by_hand, bool fixed,
                       const double *errors, double counts, sqzi_setting_item *to)
{
    sqzi_setting_meaning means = {{by_hand}, 0, 0};
    to->n = 0;
    if (fixed) {
        add_setting(to, 0, matrix_bytes(table->rows, table->columns, by_hand), 0, &means);
        return;
    }
    for (uint32_t s = 0; s < SQZI_TABLE_STORAGES; s++) {
        means.storage[0] = sqzi_storages[s];
        add_setting(to, errors[s] * counts,
                    matrix_bytes(table->rows, table->columns, sqzi_storages[s]), 0, &means);
    }
}

bool sqzi_words_by_hand(const sqz_squeeze_options *o, uint64_t budget)
{
    return o->embedding != SQZ_EMBEDDING_KEEP || o->embedding_bits || !budget;
}

static void make_words(const sqzi_budget_task *task, const sqzi_squeeze_plan *plan,
                       sqzi_setting_item *to)
{
    const sqzi_setting_errors *errors = task->errors;
    const bool fixed = sqzi_words_by_hand(task->options, task->budget);
    const double counts = count_of(task, SQZI_CHANGE_WORDS);
    make_table(&task->weights->word, plan->word, fixed, errors->words, counts, to);
    /* whatever it takes by hand is a part of what is fixed */
    if (fixed && plan->embedding != SQZ_EMBEDDING_KEEP) to->settings[0].bytes = 0;
    for (uint32_t i = 0; i < errors->n_products && !fixed; i++)
        add_setting(to, errors->products[i].change * counts,
                    sqzi_squeeze_product_bytes(task->weights, errors->products[i].draft.parts), 0,
                    &(sqzi_setting_meaning){.parts = errors->products[i].draft.parts});
}

static void lay_out(sqzi_setting_items *all, sqzi_arena *arena)
{
    all->list = sqzi_arena_take(arena, all->n, sizeof *all->list);
    all->view = sqzi_arena_take(arena, all->n, sizeof *all->view);
    all->chosen = sqzi_arena_take(arena, 3 * (size_t)all->n, sizeof *all->chosen);
}

sqz_status sqzi_setting_items_make(const sqzi_budget_task *task, const sqzi_squeeze_plan *plan,
                                   sqzi_setting_items *all, sqz_error *error)
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
    make_table(&task->weights->position, plan->position,
               task->options->position_bits || !task->budget, task->errors->positions, 1,
               &all->list[all->n - 1]);
    return SQZ_OK;
}
