/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes told apart, invented and run. */
#include "squeeze/time_table.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/invented_block.h"
#include "squeeze/plan_bytes.h"
#include "squeeze/timed_run.h"

enum { MOST_MEMORY = 256 << 20 }; /* of shapes that run in turn */

static const sqz_allocator *allocator_of(const sqzi_time_table *t)
{
    return &t->weights->model->context->allocator;
}

/* ---- shapes ---- */

static void add(sqzi_block_shape *shape, uint32_t *n, uint32_t number)
{
    shape->numbers[(*n)++] = number;
}

static void add_linear(const sqzi_weight_linear *linear, const sqzi_linear *of,
                       const uint32_t *order, sqzi_block_shape *shape, uint32_t *n)
{
    const sqzi_term *first = &of->terms[0];
    const bool gathers = first->a.gather || first->b.gather, places = of->from != NULL;
    add(shape, n, linear->n_in);
    add(shape, n, linear->n_out);
    add(shape, n, linear->n_terms);
    add(shape, n, linear->in == order || gathers);
    add(shape, n, linear->out == order || places);
    for (uint32_t t = 0; t < SQZI_MAX_TERMS; t++) {
        const sqzi_weight_term none = {0}, *term = t < linear->n_terms ? &linear->terms[t] : &none;
        add(shape, n, term->a.rows);
        add(shape, n, term->a.columns);
        add(shape, n, term->b.rows);
        add(shape, n, term->b.columns);
        add(shape, n, term->b.groups);
    }
}

static sqzi_block_shape shape_of(const sqzi_weights *weights, const sqzi_block_plan *plan)
{
    const sqzi_block *of = &weights->model->encoder.blocks[plan->source];
    sqzi_weight_block block = weights->blocks[plan->source];
    sqzi_block_shape shape = {0};
    uint32_t order, n = 0;
    float bias;
    sqzi_plan_shape_block(plan, &(sqzi_shape_numbers){&order, &bias}, &block);
    add(&shape, &n, block.heads);
    add(&shape, &n, block.head_width);
    add(&shape, &n, block.ffn_width);
    add(&shape, &n, of->activation);
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        add_linear(&block.linears[j], sqzi_block_linear_of(of, j), &order, &shape, &n);
    return shape;
}

/* Its place; t->n where it is none of them. */
static uint32_t find(const sqzi_time_table *t, const sqzi_block_shape *shape)
{
    uint32_t i = 0;
    while (i < t->n && memcmp(&t->shapes[i], shape, sizeof *shape) != 0) i++;
    return i;
}

double sqzi_time_of_block(const sqzi_time_table *t, const sqzi_block_plan *block)
{
    const sqzi_block_shape shape = shape_of(t->weights, block);
    const uint32_t i = find(t, &shape);
    return i < t->n ? (double)t->ns[1 + i] : (double)NAN;
}

double sqzi_time_of_blocks(const sqzi_time_table *t, const sqzi_block_plan *blocks, uint32_t n)
{
    double ns = (double)t->ns[0];
    for (uint32_t i = 0; i < n; i++) ns += sqzi_time_of_block(t, &blocks[i]);
    return ns;
}

/* ---- runs ---- */

/* Some shapes in the place of a model's blocks: the session has room for each of them, and finds
 * one at a time, or none. */
typedef struct contest {
    sqzi_time_table *table;
    sqz_model model;
    sqzi_block *blocks; /* [n] */
    uint32_t n;
    sqzi_timed_run run;
} contest;

/* Run 0 is that without blocks. */
static sqz_status run_one(void *user, uint32_t i, uint64_t *ns, sqz_error *error)
{
    contest *c = user;
    c->model.encoder.blocks = c->blocks + (i ? i - 1 : 0);
    c->model.encoder.n_blocks = i > 0;
    return sqzi_timed_run_once(&c->run, ns, error);
}

static sqz_status run_contest(contest *c, uint32_t first, uint64_t *least, sqz_error *error)
{
    const uint64_t limit = UINT64_C(4000000000);
    const sqzi_time_options *o = &c->table->options;
    float *ns = c->table->ns;
    c->model.encoder.blocks = c->blocks;
    c->model.encoder.n_blocks = c->n;
    sqz_status status = sqzi_timed_run_open(&c->model, o->n_sequences, o->length, &c->run, error);
    if (status == SQZ_OK)
        status = sqzi_least_times(1 + c->n, run_one, c, limit / c->table->n * c->n, least, error);
    sqzi_timed_run_close(&c->run);
    if (status != SQZ_OK) return status;
    if (first == 0) ns[0] = (float)least[0];
    for (uint32_t i = 0; i < c->n; i++)
        ns[1 + first + i] = least[1 + i] > least[0] ? (float)(least[1 + i] - least[0]) : 0;
    return SQZ_OK;
}

/* From a shape on as many as fit; *end: those behind them. */
static sqz_status measure_some(sqzi_time_table *t, uint32_t first, sqzi_invented_block *invented,
                               sqzi_block *blocks, uint64_t *least, uint32_t *end, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t bytes = 0;
    contest c = {.table = t, .model = *t->weights->model, .blocks = blocks};
    for (*end = first; *end < t->n && bytes < MOST_MEMORY; ++*end) {
        sqzi_invented_block *one = &invented[c.n];
        status = sqzi_invented_block_make(t->weights, &t->plans[*end], t->options.integers, one,
                                          error);
        blocks[c.n++] = one->block;
        bytes += one->bytes;
        if (status != SQZ_OK) break;
    }
    if (status == SQZ_OK) status = run_contest(&c, first, least, error);
    for (uint32_t i = 0; i < c.n; i++) sqzi_invented_block_discard(t->weights, &invented[i]);
    return status;
}

typedef struct room {
    sqzi_invented_block *invented;
    sqzi_block *blocks;
    uint64_t *least;
} room;

static room lay_out(uint32_t n, sqzi_arena *arena)
{
    room r;
    r.invented = sqzi_arena_take(arena, n, sizeof *r.invented);
    r.blocks = sqzi_arena_take(arena, n, sizeof *r.blocks);
    r.least = sqzi_arena_take(arena, n + 1, sizeof *r.least);
    return r;
}

static sqz_status measure(sqzi_time_table *t, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    (void)lay_out(t->n, &arena);
    const size_t bytes = arena.used;
    void *memory = sqzi_allocate(allocator_of(t), bytes);
    FAIL_IF(!memory, SQZ_ENOMEM, 0, "no memory for the times of %u blocks", t->n);
    arena = sqzi_arena_over(memory, bytes);
    const room r = lay_out(t->n, &arena);
    for (uint32_t first = 0, end; first < t->n; first = end)
        TRY(measure_some(t, first, r.invented, r.blocks, r.least, &end, error));
fail:
    sqzi_release(allocator_of(t), memory, bytes);
    return status;
}

/* ---- the table ---- */

sqz_status sqzi_time_table_make(const sqzi_weights *weights, const sqzi_time_options *options,
                                const sqzi_block_plan *blocks, uint32_t n, sqzi_time_table *t,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *t = (sqzi_time_table){.weights = weights, .options = *options, .room = n};
    t->plans = sqzi_allocate_zeroed(allocator_of(t), n, sizeof *t->plans);
    t->shapes = sqzi_allocate_zeroed(allocator_of(t), n, sizeof *t->shapes);
    t->ns = sqzi_allocate_zeroed(allocator_of(t), n + 1, sizeof *t->ns);
    FAIL_IF(!t->plans || !t->shapes || !t->ns, SQZ_ENOMEM, 0,
            "no memory for the times of %u blocks", n);
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_block_shape shape = shape_of(weights, &blocks[i]);
        if (find(t, &shape) < t->n) continue;
        t->plans[t->n] = blocks[i];
        t->shapes[t->n++] = shape;
    }
    if (options->folder) TRY(sqzi_time_table_load(t, error));
    if (t->cached) return SQZ_OK;
    TRY(measure(t, error));
    if (options->folder) TRY(sqzi_time_table_save(t, error));
fail:
    return status;
}

void sqzi_time_table_discard(sqzi_time_table *t)
{
    if (!t->weights) return;
    sqzi_release(allocator_of(t), t->plans, t->room * sizeof *t->plans);
    sqzi_release(allocator_of(t), t->shapes, t->room * sizeof *t->shapes);
    sqzi_release(allocator_of(t), t->ns, (t->room + 1) * sizeof *t->ns);
    *t = (sqzi_time_table){0};
}
