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
 * one at a time, or none. Run 0 is the table's first shape, which all others are beside; run 1 that
 * without blocks. */
typedef struct contest {
    sqzi_time_table *table;
    sqz_model model;
    sqzi_invented_block *invented; /* [n] */
    sqzi_block *blocks;            /* [n] */
    double *ns;                    /* [n + 1] */
    uint32_t n;
    sqzi_timed_run run;
} contest;

enum { AROUND = 1 };

static sqz_status run_one(void *user, uint32_t i, uint64_t *ns, sqz_error *error)
{
    contest *c = user;
    c->model.encoder.blocks = c->blocks + (i > AROUND ? i - AROUND : 0);
    c->model.encoder.n_blocks = i != AROUND;
    return sqzi_timed_run_once(&c->run, ns, error);
}

static sqz_status run_contest(contest *c, sqz_error *error)
{
    const uint64_t limit = UINT64_C(4000000000);
    const sqzi_time_options *o = &c->table->options;
    c->model.encoder.blocks = c->blocks;
    c->model.encoder.n_blocks = c->n;
    sqz_status status = sqzi_timed_run_open(&c->model, o->n_sequences, o->length, &c->run, error);
    if (status == SQZ_OK)
        status = sqzi_times_beside(allocator_of(c->table), 1 + c->n, run_one, c,
                                   limit / c->table->n * c->n, c->ns, error);
    sqzi_timed_run_close(&c->run);
    return status;
}

static sqz_status invent(contest *c, uint32_t i, size_t *bytes, sqz_error *error)
{
    sqzi_time_table *t = c->table;
    sqzi_invented_block *one = &c->invented[c->n];
    const sqz_status status = sqzi_invented_block_make(t->weights, &t->plans[i],
                                                       t->options.integers, one, error);
    c->blocks[c->n++] = one->block;
    *bytes += one->bytes;
    return status;
}

/* Of shapes from `first` on; the first of the table is in every contest, and what it takes is what
 * the first contest said. */
static void take(const contest *c, uint32_t first)
{
    float *ns = c->table->ns;
    const double around = c->ns[AROUND];
    if (first == 1) {
        ns[0] = (float)around;
        ns[1] = (float)fmax(0, c->ns[0] - around);
    }
    const double scale = c->ns[0] > 0 ? (double)(ns[0] + ns[1]) / c->ns[0] : 1;
    for (uint32_t i = 1; i < c->n; i++)
        ns[first + i] = (float)fmax(0, c->ns[AROUND + i] * scale - (double)ns[0]);
}

/* From a shape on as many as fit; *end: those behind them. */
static sqz_status measure_some(contest *c, uint32_t first, uint32_t *end, sqz_error *error)
{
    size_t bytes = 0;
    c->n = 0;
    sqz_status status = invent(c, 0, &bytes, error);
    for (*end = first; status == SQZ_OK && *end < c->table->n && bytes < MOST_MEMORY; ++*end)
        status = invent(c, *end, &bytes, error);
    if (status == SQZ_OK) status = run_contest(c, error);
    if (status == SQZ_OK) take(c, first);
    for (uint32_t i = 0; i < c->n; i++)
        sqzi_invented_block_discard(c->table->weights, &c->invented[i]);
    return status;
}

static void lay_out(contest *c, uint32_t n, sqzi_arena *arena)
{
    c->invented = sqzi_arena_take(arena, n, sizeof *c->invented);
    c->blocks = sqzi_arena_take(arena, n, sizeof *c->blocks);
    c->ns = sqzi_arena_take(arena, n + 1, sizeof *c->ns);
}

static sqz_status measure(sqzi_time_table *t, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    contest c = {.table = t, .model = *t->weights->model};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&c, t->n, &arena);
    const size_t bytes = arena.used;
    void *memory = sqzi_allocate(allocator_of(t), bytes);
    FAIL_IF(!memory, SQZ_ENOMEM, 0, "no memory for the times of %u blocks", t->n);
    arena = sqzi_arena_over(memory, bytes);
    lay_out(&c, t->n, &arena);
    uint32_t end = 1;
    do TRY(measure_some(&c, end, &end, error));
    while (end < t->n);
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
    if (t->cached || n == 0) return SQZ_OK;
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
