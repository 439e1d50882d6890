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
    if (head->factorised) sqzi_linear_need(&head->factor, SQZI_HEAD_ROWS, &need);
    if (head->classes) sqzi_linear_need(&head->output, SQZI_HEAD_ROWS, &need);
    size_t widest = 0;
    for (uint32_t i = 0; i < head->n_steps; i++) {
        const sqzi_embed_step *step = &head->steps[i];
        if (step->kind == SQZI_STEP_DENSE) sqzi_linear_need(&step->dense, SQZI_HEAD_ROWS, &need);
        if (step->n_out > widest) widest = step->n_out;
    }
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
    scratch->factorised =
        sqzi_arena_take(arena, head->factorised ? SQZI_HEAD_ROWS * (size_t)head->factor.n_out : 0,
                        sizeof(sqzi_real));
    for (uint32_t i = 0; i < 2; i++)
        scratch->steps[i] = sqzi_arena_take(arena, i < head->n_steps ? SQZI_HEAD_ROWS * widest : 0,
                                            sizeof(sqzi_real));
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

/* Where rows of `width` numbers are written: where they are kept, else in scratch memory. */
static sqzi_real *kept_or(const head_run *r, sqzi_real *kept, size_t width, sqzi_real *scratch)
{
    return kept ? kept + r->begin * width : scratch;
}

static const sqzi_head_keep *keep_of(const head_run *r)
{
    static const sqzi_head_keep nothing;
    return r->args->keep ? r->args->keep : &nothing;
}

static uint32_t skipped(const sqzi_head_args *a, uint32_t i)
{
    return a->skip ? a->skip[i] : 0;
}

/* The token that input i is, or the one that its pooling chooses of the sequence that it is. */
static uint32_t token_of(const sqzi_head_args *a, uint32_t i)
{
    switch (a->pooling) {
    case SQZ_POOLING_CLS: return a->first[i] + skipped(a, i);
    case SQZ_POOLING_POOLER: return a->first[i];
    case SQZ_POOLING_LAST: return a->first[i + 1] - 1;
    default: return a->rows[i];
    }
}

/* One token an input, to where they are kept, else to scratch; one alone stays where it is. */
static head_rows gather(head_run *r, sqzi_real *kept, sqzi_real *scratch)
{
    const sqzi_head_args *a = r->args;
    const size_t width = a->head->width;
    sqzi_real *to = kept_or(r, kept, width, scratch);
    if (r->n == 1 && !kept) return (head_rows){a->hidden + token_of(a, r->begin) * width, width};
    for (sqzi_range rows; take_rows(r, &rows);)
        for (size_t i = rows.begin; i < rows.end; i++)
            sqzi_head_pool(a, r->begin + (uint32_t)i, (sqzi_range){0, width}, to + i * width);
    return (head_rows){to, width};
}

/* out[begin..end) = the mean of the same columns of the sequence's rows from `from` on, weighted by
 * their places, or by 1. Sums run in double, over ascending rows. */
static void mean_of_rows(const sqzi_head_args *a, uint32_t sequence, sqzi_range columns,
                         sqzi_real *out)
{
    const size_t width = a->head->width;
    const uint32_t first = a->first[sequence], from = first + skipped(a, sequence),
                   last = a->first[sequence + 1];
    for (size_t begin = columns.begin; begin < columns.end; begin += MEAN_COLUMNS) {
        const size_t n = columns.end - begin < MEAN_COLUMNS ? columns.end - begin : MEAN_COLUMNS;
        double sum[MEAN_COLUMNS] = {0}, weights = 0;
        for (uint32_t t = from; t < last; t++) {
            const double weight = a->pooling == SQZ_POOLING_WEIGHTED_MEAN ? (double)(t - first + 1)
                                                                          : 1;
            weights += weight;
            for (size_t j = 0; j < n; j++)
                sum[j] += weight * (double)a->hidden[t * width + begin + j];
        }
        if (a->pooling == SQZ_POOLING_MEAN_SQRT_LEN) weights = sqrt(weights);
        for (size_t j = 0; j < n; j++) out[begin + j] = (sqzi_real)(sum[j] / weights);
    }
}

/* Of each column the largest number; a NaN stays one. */
static void max_of_rows(const sqzi_head_args *a, uint32_t sequence, sqzi_range columns,
                        sqzi_real *out)
{
    const size_t width = a->head->width;
    uint32_t t = a->first[sequence] + skipped(a, sequence);
    const sqzi_real *x = a->hidden + t * width;
    memcpy(out + columns.begin, x + columns.begin, (columns.end - columns.begin) * sizeof *out);
    while (++t < a->first[sequence + 1]) {
        x += width;
        for (size_t j = columns.begin; j < columns.end; j++)
            out[j] = x[j] > out[j] || isnan(x[j]) ? x[j] : out[j];
    }
}

void sqzi_head_pool(const sqzi_head_args *a, uint32_t input, sqzi_range columns, sqzi_real *out)
{
    const size_t bytes = (columns.end - columns.begin) * sizeof *out;
    switch (a->pooling) {
    case SQZ_POOLING_MEAN:
    case SQZ_POOLING_MEAN_SQRT_LEN:
    case SQZ_POOLING_WEIGHTED_MEAN: mean_of_rows(a, input, columns, out); break;
    case SQZ_POOLING_MAX: max_of_rows(a, input, columns, out); break;
    default:
        memcpy(out + columns.begin,
               a->hidden + token_of(a, input) * (size_t)a->head->width + columns.begin, bytes);
    }
}

static head_rows pool_columns(head_run *r)
{
    const sqzi_head_args *a = r->args;
    const uint32_t parts = r->turn.team->members;
    const size_t width = a->head->width;
    sqzi_real *to = kept_or(r, keep_of(r)->pooled, width, a->scratch->pooled);
    for (uint32_t part; sqzi_take_part(&r->turn, parts, &part);)
        for (uint32_t i = 0; i < r->n; i++)
            sqzi_head_pool(a, r->begin + i, sqzi_share(width, part, parts), to + i * width);
    return (head_rows){to, width};
}

/* The vectors that the inputs are pooled to. */
static head_rows pool(head_run *r)
{
    const sqzi_head_args *a = r->args;
    const size_t width = a->head->width;
    const sqzi_head_keep *keep = keep_of(r);
    switch (a->pooling) {
    case SQZ_POOLING_MEAN:
    case SQZ_POOLING_MAX:
    case SQZ_POOLING_MEAN_SQRT_LEN:
    case SQZ_POOLING_WEIGHTED_MEAN: return pool_columns(r);
    case SQZ_POOLING_CLS:
    case SQZ_POOLING_LAST: return gather(r, keep->pooled, a->scratch->pooled);
    case SQZ_POOLING_POOLER:
        return run_linear(r, &a->head->pooler, gather(r, keep->first, a->scratch->first), SQZK_TANH,
                          kept_or(r, keep->pooled, width, a->scratch->pooled), width);
    default: /* tokens as they lie are the hidden states, which the caller has */
        return a->rows ? gather(r, keep->pooled, a->scratch->pooled)
                       : (head_rows){a->hidden + r->begin * width, width};
    }
}

static head_rows norm_rows(head_run *r, const sqzi_norm *norm, head_rows x, sqzi_real *out)
{
    for (sqzi_range rows; take_rows(r, &rows);)
        if (rows.begin < rows.end)
            r->args->kernels->layer_norm(&(sqzk_layer_norm_args){.m = rows.end - rows.begin,
                                                                 .n = norm->n,
                                                                 .x = x.x + rows.begin * x.ld,
                                                                 .ldx = x.ld,
                                                                 .weight = norm->weight,
                                                                 .bias = norm->bias,
                                                                 .epsilon = norm->epsilon,
                                                                 .out = out + rows.begin * norm->n,
                                                                 .ldo = norm->n});
    return (head_rows){out, norm->n};
}

/* Each member activates rows of its own. */
static head_rows activate_rows(head_run *r, sqzk_activation activation, head_rows x, sqzi_real *out)
{
    for (sqzi_range rows; take_rows(r, &rows);)
        for (size_t i = rows.begin; i < rows.end; i++)
            r->args->kernels->activate(activation, x.ld, x.x + i * x.ld, out + i * x.ld);
    return (head_rows){out, x.ld};
}

/* The dense layer with its activation and norm, in place where nothing is kept. */
static head_rows run_dense(head_run *r, head_rows x)
{
    const sqzi_head *head = r->args->head;
    const sqzi_head_keep *keep = keep_of(r);
    const size_t width = head->has_dense ? head->dense.n_out : head->width;
    sqzi_real *scratch = r->args->scratch->dense, *dense = kept_or(r, keep->dense, width, scratch);
    if (head->has_dense && keep->dense_sum) {
        sqzi_real *sum = keep->dense_sum + r->begin * width;
        x = run_linear(r, &head->dense, x, SQZK_IDENTITY, sum, width);
        x = activate_rows(r, head->activation, x, dense);
    } else if (head->has_dense) x = run_linear(r, &head->dense, x, head->activation, dense, width);
    if (head->has_norm) x = norm_rows(r, &head->norm, x, kept_or(r, keep->normed, width, scratch));
    return x;
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
        x = run_dense(&r, x);
        if (head->factorised)
            x = run_linear(&r, &head->factor, x, SQZK_IDENTITY,
                           kept_or(&r, keep_of(&r)->factorised, head->factor.n_out,
                                   args->scratch->factorised),
                           head->factor.n_out);
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

/* out = the first n numbers of each row, of length 1 where asked for. */
static head_rows copy_rows(head_run *r, head_rows x, uint32_t n, bool normalize, sqzi_real *out,
                           size_t ldo)
{
    for (sqzi_range rows; take_rows(r, &rows);)
        for (size_t i = rows.begin; i < rows.end; i++) {
            memcpy(out + i * ldo, x.x + i * x.ld, n * sizeof *out);
            if (normalize) normalize_row(out + i * ldo, n);
        }
    return (head_rows){out, ldo};
}

static head_rows run_steps(head_run *r, head_rows x)
{
    const sqzi_head *head = r->args->head;
    for (uint32_t i = 0; i < head->n_steps; i++) {
        const sqzi_embed_step *step = &head->steps[i];
        sqzi_real *to = r->args->scratch->steps[i & 1];
        switch (step->kind) {
        case SQZI_STEP_DENSE:
            x = run_linear(r, &step->dense, x, step->activation, to, step->n_out);
            break;
        case SQZI_STEP_NORMALIZE: x = copy_rows(r, x, step->n_out, true, to, step->n_out); break;
        case SQZI_STEP_NORM: x = norm_rows(r, &step->norm, x, to); break;
        }
    }
    return x;
}

void sqzi_head_embed(const sqzi_head_args *args, const sqzi_team *team)
{
    head_run r = {.args = args, .turn = {.team = team}};
    while (next_inputs(&r)) {
        head_rows x = pool(&r);
        if (args->pooling > SQZ_POOLING_NONE) x = run_steps(&r, x);
        (void)copy_rows(&r, x, args->dimensions, args->normalize, args->out + r.begin * args->ldo,
                        args->ldo);
    }
}
