/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and pooling over finished hidden states. */
#include "nn/head.h"

#include <math.h>
#include <string.h>

enum { MEAN_COLUMNS = 64 }; /* summed together, in double */

void sqzi_head_layout(sqzi_head_scratch *scratch, const sqzi_head *head, uint32_t members,
                      sqzi_arena *arena)
{
    sqzi_linear_scratch need = {0};
    memset(scratch, 0, sizeof *scratch);
    if (head->has_pooler) sqzi_linear_need(&head->pooler, SQZI_HEAD_ROWS, &need);
    if (head->has_dense) sqzi_linear_need(&head->dense, SQZI_HEAD_ROWS, &need);
    if (head->reduced) sqzi_linear_need(&head->reduce, SQZI_HEAD_ROWS, &need);
    if (head->classes) sqzi_linear_need(&head->output, SQZI_HEAD_ROWS, &need);
    scratch->linear = sqzi_arena_take(arena, members, sizeof *scratch->linear);
    for (uint32_t i = 0; i < members; i++) {
        sqzi_linear_scratch own = need;
        sqzi_linear_scratch_layout(&own, arena);
        if (scratch->linear) scratch->linear[i] = own;
    }
    const size_t rows = SQZI_HEAD_ROWS * (size_t)head->width;
    scratch->first = sqzi_arena_take(arena, head->has_pooler ? rows : 0, sizeof(sqzi_real));
    scratch->pooled = sqzi_arena_take(arena, rows, sizeof(sqzi_real));
    scratch->dense = sqzi_arena_take(
        arena, head->has_dense ? SQZI_HEAD_ROWS * (size_t)head->dense.n_out : 0, sizeof(sqzi_real));
    scratch->reduced = sqzi_arena_take(
        arena, head->reduced ? SQZI_HEAD_ROWS * (size_t)head->reduce.n_out : 0, sizeof(sqzi_real));
}

/* Inputs [begin, begin + n), n <= SQZI_HEAD_ROWS, as a member sees them. */
typedef struct head_run {
    const sqzi_head_args *args;
    sqzi_turn turn;
    uint32_t begin, n;
} head_run;

/* Rows that lie behind each other. */
typedef struct head_rows {
    const sqzi_real *x;
    size_t ld;
} head_rows;

static bool take_rows(head_run *r, sqzi_range *rows)
{
    uint32_t part;
    if (!sqzi_take_part(&r->turn, r->turn.team->members, &part)) return false;
    *rows = sqzi_share(r->n, part, r->turn.team->members);
    return true;
}

/* y = linear(x), by columns. */
static head_rows run_linear(head_run *r, const sqzi_linear *linear, head_rows x,
                            sqzk_activation activation, sqzi_real *y, size_t ldy)
{
    const uint32_t parts = r->turn.team->members;
    const sqzi_linear_args args = {
        .m = r->n, .x = x.x, .ldx = x.ld, .y = y, .ldy = ldy, .activation = activation};
    for (uint32_t part; sqzi_take_part(&r->turn, parts, &part);)
        if (!sqzi_linear_run_part(linear, &args, &r->args->scratch->linear[r->turn.team->member],
                                  part, parts))
            r->args->scratch->numeric_error = true;
    return (head_rows){y, ldy};
}

/* The tokens that the inputs are, or the first ones of the sequences that they are; one alone stays
 * where it is. */
static head_rows gather(head_run *r, const uint32_t *tokens, sqzi_real *to)
{
    const size_t width = r->args->head->width;
    const uint32_t *from = tokens + r->begin;
    if (r->n == 1) return (head_rows){r->args->hidden + *from * width, width};
    for (sqzi_range rows; take_rows(r, &rows);)
        for (size_t i = rows.begin; i < rows.end; i++)
            memcpy(to + i * width, r->args->hidden + from[i] * width, width * sizeof *to);
    return (head_rows){to, width};
}

/* out[begin..end) = the mean of rows first..last-1 of the same columns. The sum runs in double,
 * over ascending rows. */
static void mean_of_rows(const sqzi_real *hidden, size_t width, uint32_t first, uint32_t last,
                         sqzi_range columns, sqzi_real *out)
{
    for (size_t begin = columns.begin; begin < columns.end; begin += MEAN_COLUMNS) {
        const size_t n = columns.end - begin < MEAN_COLUMNS ? columns.end - begin : MEAN_COLUMNS;
        double sum[MEAN_COLUMNS] = {0};
        for (uint32_t t = first; t < last; t++)
            for (size_t j = 0; j < n; j++) sum[j] += (double)hidden[t * width + begin + j];
        for (size_t j = 0; j < n; j++) out[begin + j] = (sqzi_real)(sum[j] / (last - first));
    }
}

static head_rows means(head_run *r)
{
    const uint32_t *first = r->args->first + r->begin, parts = r->turn.team->members;
    const size_t width = r->args->head->width;
    sqzi_real *out = r->args->scratch->pooled;
    for (uint32_t part; sqzi_take_part(&r->turn, parts, &part);)
        for (uint32_t i = 0; i < r->n; i++)
            mean_of_rows(r->args->hidden, width, first[i], first[i + 1],
                         sqzi_share(width, part, parts), out + i * width);
    return (head_rows){out, width};
}

/* The vectors that the inputs are pooled to. */
static head_rows pool(head_run *r)
{
    const sqzi_head_args *a = r->args;
    const size_t width = a->head->width;
    switch (a->pool) {
    case SQZ_POOL_MEAN: return means(r);
    case SQZ_POOL_CLS: return gather(r, a->first, a->scratch->pooled);
    case SQZ_POOL_POOLER:
        return run_linear(r, &a->head->pooler, gather(r, a->first, a->scratch->first), SQZK_TANH,
                          a->scratch->pooled, width);
    default:
        return a->rows ? gather(r, a->rows, a->scratch->pooled)
                       : (head_rows){a->hidden + r->begin * width, width};
    }
}

static void norm_rows(head_run *r, const sqzi_norm *norm, sqzi_real *x)
{
    for (sqzi_range rows; take_rows(r, &rows);)
        if (rows.begin < rows.end)
            r->args->kernels->layer_norm(&(sqzk_layer_norm_args){.m = rows.end - rows.begin,
                                                                 .n = norm->n,
                                                                 .x = x + rows.begin * norm->n,
                                                                 .ldx = norm->n,
                                                                 .weight = norm->weight,
                                                                 .bias = norm->bias,
                                                                 .epsilon = norm->epsilon,
                                                                 .out = x + rows.begin * norm->n,
                                                                 .ldo = norm->n});
}

static bool next_inputs(head_run *r)
{
    const uint32_t left = r->args->n - (r->begin += r->n);
    r->n = left < SQZI_HEAD_ROWS ? left : SQZI_HEAD_ROWS;
    return left > 0;
}

void sqzi_head_logits(const sqzi_head_args *args, const sqzi_team *team)
{
    const sqzi_head *head = args->head;
    head_run r = {.args = args, .turn = {.team = team}};
    while (next_inputs(&r)) {
        head_rows x = pool(&r);
        if (head->has_dense)
            x = run_linear(&r, &head->dense, x, head->activation, args->scratch->dense,
                           head->dense.n_out);
        if (head->has_norm) norm_rows(&r, &head->norm, args->scratch->dense);
        if (head->reduced)
            x = run_linear(&r, &head->reduce, x, SQZK_IDENTITY, args->scratch->reduced,
                           head->reduce.n_out);
        (void)run_linear(&r, &head->output, x, SQZK_IDENTITY, args->out + r.begin * args->ldo,
                         args->ldo);
    }
}

static void normalize_row(sqzi_real *x, uint32_t n)
{
    double squares = 0;
    for (uint32_t j = 0; j < n; j++) squares += (double)x[j] * (double)x[j];
    const double length = sqrt(squares);
    for (uint32_t j = 0; j < n && length > 0; j++) x[j] = (sqzi_real)((double)x[j] / length);
}

void sqzi_head_embed(const sqzi_head_args *args, const sqzi_team *team)
{
    head_run r = {.args = args, .turn = {.team = team}};
    while (next_inputs(&r)) {
        const head_rows x = pool(&r);
        for (sqzi_range rows; take_rows(&r, &rows);)
            for (size_t i = rows.begin; i < rows.end; i++) {
                sqzi_real *out = args->out + (r.begin + i) * args->ldo;
                memcpy(out, x.x + i * x.ld, args->dimensions * sizeof *out);
                if (args->normalize) normalize_row(out, args->dimensions);
            }
    }
}
