/* SPDX-License-Identifier: Apache-2.0 */
/* A block's linears, attention and norms over rows, heads, groups and columns. */
#include "nn/block.h"

enum {
    /* rows that go through a whole feed-forward together, where that keeps them in the second-level
     * cache */
    PANEL_ROWS = 32,
    CACHE_BYTES = 2 << 20 /* that cache, where this was measured (doc/notebook/speed.md) */
};

static bool check(const sqzi_run *r, bool fine)
{
    if (!fine) r->workspace->numeric_error = true;
    return fine;
}

void sqzi_run_mark(const sqzi_run *r, sqz_stage stage)
{
    sqzi_stopwatch_mark(&r->scratch->watch, stage);
}

static size_t strip_from(const sqzi_run *r, size_t row, size_t end)
{
    return end - row < r->workspace->strip_rows ? end - row : r->workspace->strip_rows;
}

void sqzi_run_norm(const sqzi_run *r, const sqzi_norm *norm, const sqzi_rows *x,
                   const sqzi_rows *out, sqzi_range rows)
{
    if (rows.begin < rows.end)
        r->encoder->kernels->layer_norm(&(sqzk_layer_norm_args){.m = rows.end - rows.begin,
                                                                .n = norm->n,
                                                                .x = sqzi_row(x, rows.begin),
                                                                .ldx = x->ld,
                                                                .weight = norm->weight,
                                                                .bias = norm->bias,
                                                                .epsilon = norm->epsilon,
                                                                .out = sqzi_row(out, rows.begin),
                                                                .ldo = out->ld});
    sqzi_run_mark(r, SQZ_STAGE_NORM);
}

/* m rows from `row` on, of x to y. */
static sqzi_linear_args linear_args(const sqzi_rows *x, const sqzi_rows *y, size_t row, size_t m)
{
    return (sqzi_linear_args){.m = m,
                              .x = sqzi_row(x, row),
                              .x_bf16 = sqzi_row_bf16(x, row),
                              .ldx = x->ld,
                              .y = sqzi_row(y, row),
                              .y_bf16 = sqzi_row_bf16(y, row),
                              .ldy = y->ld};
}

static void add_residual(sqzi_linear_args *args, const sqzi_rows *residual, size_t row)
{
    args->residual = sqzi_row(residual, row);
    args->ldr = residual->ld;
}

static void show_input(const sqzi_run *r, const sqzi_linear *linear, const sqzi_linear_args *args)
{
    if (r->keep && r->keep->input)
        r->keep->input(r->keep->user, linear, args->m, args->x, args->ldx);
}

/* All columns of a strip. */
static void run_linear(const sqzi_run *r, const sqzi_linear *linear, const sqzi_linear_args *args,
                       sqz_stage stage)
{
    show_input(r, linear, args);
    check(r, sqzi_linear_run(linear, args, &r->scratch->linear));
    sqzi_run_mark(r, stage);
}

void sqzi_run_rows(const sqzi_run *r, const sqzi_linear *linear, const sqzi_rows *x,
                   const sqzi_rows *y, sqzi_range rows)
{
    for (size_t row = rows.begin, m; row < rows.end; row += m) {
        m = strip_from(r, row, rows.end);
        const sqzi_linear_args args = linear_args(x, y, row, m);
        show_input(r, linear, &args);
        check(r, sqzi_linear_run(linear, &args, &r->scratch->linear));
    }
}

bool sqzi_block_heads_apart(const sqzi_block *block, uint32_t parts)
{
    for (uint32_t part = 1; part < parts; part++) {
        const size_t column = sqzi_share(block->heads, part, parts).begin * block->head_width;
        if (!sqzi_linear_can_cut(&block->attn_q, column) ||
            !sqzi_linear_can_cut(&block->attn_k, column) ||
            !sqzi_linear_can_cut(&block->attn_v, column))
            return false;
    }
    return true;
}

/* Q, K and V of a strip of m rows, each by a call of its own; the second and third find their rows
 * prepared, and do not run where they could not be. */
typedef struct qkv_call {
    const sqzi_linear *linear;
    sqzi_linear_args args;
} qkv_call;

static void make_qkv(const sqzi_run *r, uint32_t block, const sqzi_rows *x, size_t row, size_t m,
                     qkv_call calls[3])
{
    const sqzi_block *b = &r->encoder->blocks[block];
    const sqzi_block_rows rows = sqzi_block_rows_of(r, block, 0);
    const sqzi_linear *const linears[] = {&b->attn_q, &b->attn_k, &b->attn_v};
    const sqzi_rows *const to[] = {&rows.q, &rows.k, &rows.v};
    for (uint32_t i = 0; i < 3; i++) {
        calls[i] = (qkv_call){linears[i], linear_args(x, to[i], row, m)};
        calls[i].args.prepared = i > 0 && sqzi_linear_same_input(linears[i - 1], linears[i]);
    }
}

static void run_qkv(const sqzi_run *r, uint32_t block, const sqzi_rows *x, sqzi_range rows,
                    sqzi_range heads)
{
    const size_t width = r->encoder->blocks[block].head_width;
    const sqzi_range columns = {heads.begin * width, heads.end * width};
    qkv_call calls[3];
    for (size_t row = rows.begin, m; row < rows.end; row += m) {
        m = strip_from(r, row, rows.end);
        make_qkv(r, block, x, row, m, calls);
        bool fine = true;
        for (int i = 0; i < 3 && fine; i++) {
            show_input(r, calls[i].linear, &calls[i].args);
            fine = check(r, sqzi_linear_run_columns(calls[i].linear, &calls[i].args,
                                                    &r->scratch->linear, columns));
        }
    }
    sqzi_run_mark(r, SQZ_STAGE_QKV);
}

void sqzi_block_qkv_part(const sqzi_run *r, uint32_t i, sqzi_rows x, uint32_t part, uint32_t parts)
{
    qkv_call calls[3];
    for (size_t row = 0, m; row < r->batch->n_tokens; row += m) {
        m = strip_from(r, row, r->batch->n_tokens);
        make_qkv(r, i, &x, row, m, calls);
        bool fine = true;
        for (int j = 0; j < 3 && fine; j++)
            fine = check(r, sqzi_linear_run_part(calls[j].linear, &calls[j].args,
                                                 &r->scratch->linear, part, parts));
    }
    sqzi_run_mark(r, SQZ_STAGE_QKV);
}

/* Where the scores of sequence `from` are kept, or NULL. */
static sqzi_real *scores_from(const sqzi_run *r, uint32_t i, uint32_t from)
{
    const uint32_t *first = r->batch->first;
    sqzi_real *scores = r->keep && r->keep->blocks ? r->keep->blocks[i].scores : NULL;
    for (uint32_t b = 0; scores && b < from; b++) {
        const size_t length = first[b + 1] - first[b];
        scores += r->encoder->blocks[i].heads * length * length;
    }
    return scores;
}

void sqzi_block_context(const sqzi_run *r, uint32_t i, uint32_t from, uint32_t to, sqzi_range heads)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const sqzi_block_rows rows = sqzi_block_rows_of(r, i, 0);
    const uint32_t *first = r->batch->first;
    sqzi_real *scores = scores_from(r, i, from);
    for (uint32_t b = from; b < to; b++) {
        const size_t length = first[b + 1] - first[b];
        for (size_t head = heads.begin; head < heads.end; head++)
            sqzi_attention_run(
                &(sqzi_attention_args){.kernels = r->encoder->kernels,
                                       .block = block,
                                       .scratch = &r->scratch->attention,
                                       .head = (uint32_t)head,
                                       .begin = first[b],
                                       .end = first[b + 1],
                                       .q = rows.q,
                                       .k = rows.k,
                                       .v = rows.v,
                                       .context = rows.context,
                                       .scores = scores ? scores + head * length * length : NULL});
        if (scores) scores += block->heads * length * length;
    }
    sqzi_run_mark(r, SQZ_STAGE_ATTENTION);
}

void sqzi_block_attend(const sqzi_run *r, uint32_t i, sqzi_rows x, uint32_t from, uint32_t to,
                       sqzi_range heads)
{
    const uint32_t *first = r->batch->first;
    run_qkv(r, i, &x, (sqzi_range){first[from], first[to]}, heads);
    sqzi_block_context(r, i, from, to, heads);
}

/* attn_sum = x + attn_output(context), for m rows from `row` on. */
static sqzi_linear_args output_args(const sqzi_block_rows *rows, size_t row, size_t m)
{
    sqzi_linear_args args = linear_args(&rows->context, &rows->attn_sum, row, m);
    add_residual(&args, &rows->x, row);
    return args;
}

/* up = ffn_up(attended), by one gemm with its activation where inner takes the place of up. */
static sqzi_linear_args up_args(const sqzi_block *block, const sqzi_block_rows *rows, size_t row,
                                size_t m)
{
    sqzi_linear_args args = linear_args(&rows->attended, &rows->up, row, m);
    if (rows->up.first == rows->inner.first) args.activation = block->activation;
    return args;
}

/* ffn_sum = attended + ffn_down(inner). */
static sqzi_linear_args down_args(const sqzi_block_rows *rows, size_t row, size_t m)
{
    sqzi_linear_args args = linear_args(&rows->inner, &rows->ffn_sum, row, m);
    add_residual(&args, &rows->attended, row);
    return args;
}

/* Groups of the feed-forward, one after the other, each while its part of the strip is in cache. */
static void run_groups(const sqzi_run *r, const sqzi_block *block, const sqzi_block_rows *rows,
                       size_t row, size_t m, sqzi_range groups)
{
    const uint32_t n_groups = block->ffn_up.terms[0].b.groups;
    const size_t part = r->encoder->width / n_groups;
    sqzi_block_rows own = *rows; /* inner holds one group */
    own.inner.ld = block->ffn_width / n_groups;
    own.up = own.inner;
    for (size_t g = groups.begin; g < groups.end; g++) {
        sqzi_linear_args up = up_args(block, &own, row, m), down = down_args(&own, row, m);
        up.x += g * part;
        down.y += g * part;
        down.residual += g * part;
        check(r, sqzi_linear_run_group(&block->ffn_up, (uint32_t)g, &up, &r->scratch->linear));
        sqzi_run_mark(r, SQZ_STAGE_FFN_UP);
        check(r, sqzi_linear_run_group(&block->ffn_down, (uint32_t)g, &down, &r->scratch->linear));
        sqzi_run_mark(r, SQZ_STAGE_FFN_DOWN);
    }
}

/* inner = activation(up), where each has memory of its own. */
static void activate(const sqzi_run *r, const sqzi_block *block, const sqzi_block_rows *rows,
                     size_t row, size_t m)
{
    if (rows->up.first == rows->inner.first) return;
    for (size_t i = row; i < row + m; i++)
        r->encoder->kernels->activate(block->activation, block->ffn_width, sqzi_row(&rows->up, i),
                                      sqzi_row(&rows->inner, i));
    sqzi_run_mark(r, SQZ_STAGE_FFN_UP);
}

/* From attended to ffn_sum: m rows from `row` on. */
static void feed_forward(const sqzi_run *r, uint32_t i, size_t row, size_t m)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const sqzi_block_rows rows = sqzi_block_rows_of(r, i, row);
    if (!sqzi_block_needs_whole_inner(r) &&
        sqzi_linear_in_groups(&block->ffn_up, &block->ffn_down)) {
        run_groups(r, block, &rows, row, m, (sqzi_range){0, block->ffn_up.terms[0].b.groups});
        return;
    }
    const sqzi_linear_args up = up_args(block, &rows, row, m), down = down_args(&rows, row, m);
    run_linear(r, &block->ffn_up, &up, SQZ_STAGE_FFN_UP);
    activate(r, block, &rows, row, m);
    run_linear(r, &block->ffn_down, &down, SQZ_STAGE_FFN_DOWN);
}

/* Rows of a strip's feed-forward at a time: a panel where both linears' weights stay in the
 * second-level cache and the strip's inner rows beside them do not, as in pairs of low rank; else
 * the whole strip. Groups of their own are small enough. */
static size_t feed_forward_rows(const sqzi_block *block, size_t m)
{
    if (sqzi_linear_in_groups(&block->ffn_up, &block->ffn_down)) return m;
    const size_t weights = sqzi_linear_bytes(&block->ffn_up) + sqzi_linear_bytes(&block->ffn_down),
                 inner = m * block->ffn_width * sizeof(sqzi_real);
    return weights <= CACHE_BYTES && weights + inner > CACHE_BYTES ? PANEL_ROWS : m;
}

void sqzi_block_finish_rows(const sqzi_run *r, uint32_t i, sqzi_range range)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const sqzi_block_rows rows = sqzi_block_rows_of(r, i, 0);
    for (size_t row = range.begin, m; row < range.end; row += m) {
        m = strip_from(r, row, range.end);
        const sqzi_range strip = {row, row + m};
        const sqzi_linear_args output = output_args(&rows, row, m);
        run_linear(r, &block->attn_output, &output, SQZ_STAGE_ATTENTION_OUTPUT);
        sqzi_run_norm(r, &block->attn_norm, &rows.attn_sum, &rows.attended, strip);
        const size_t panel = feed_forward_rows(block, m);
        for (size_t j = 0; j < m; j += panel)
            feed_forward(r, i, row + j, m - j < panel ? m - j : panel);
        sqzi_run_norm(r, &block->ffn_norm, &rows.ffn_sum, &rows.out, strip);
    }
}

/* The member's own copy of all rows, normed: once in a block, when it takes its first part that
 * reads them. */
static sqzi_rows normed_copy(sqzi_run *r, const sqzi_norm *norm, const sqzi_rows *x)
{
    const sqzi_rows out = {.first = r->scratch->normed, .ld = norm->n};
    if (r->copied != norm) {
        sqzi_run_norm(r, norm, x, &out, (sqzi_range){0, r->batch->n_tokens});
        r->copied = norm;
    }
    return out;
}

sqzi_rows sqzi_block_input(sqzi_run *r, uint32_t i)
{
    const sqzi_rows x = sqzi_hidden_rows(r, i);
    return i == 0 ? x : normed_copy(r, &r->encoder->blocks[i - 1].ffn_norm, &x);
}

/* Of all rows: their feed-forward shares one strip. */
static sqzi_block_rows shared_rows(sqzi_run *r, uint32_t i)
{
    sqzi_block_rows rows = sqzi_block_rows_of(r, i, 0);
    rows.attended = normed_copy(r, &r->encoder->blocks[i].attn_norm, &rows.attn_sum);
    if (rows.inner.bf16) rows.inner.bf16 = (uint16_t *)(void *)r->workspace->ffn;
    rows.inner.first = r->workspace->ffn;
    rows.up = rows.inner;
    return rows;
}

void sqzi_block_output_part(sqzi_run *r, uint32_t i, uint32_t part, uint32_t parts)
{
    sqzi_block_rows rows = sqzi_block_rows_of(r, i, 0);
    rows.x = sqzi_block_input(r, i);
    const sqzi_linear_args output = output_args(&rows, 0, r->batch->n_tokens);
    check(r, sqzi_linear_run_part(&r->encoder->blocks[i].attn_output, &output, &r->scratch->linear,
                                  part, parts));
    sqzi_run_mark(r, SQZ_STAGE_ATTENTION_OUTPUT);
}

bool sqzi_block_groups_apart(const sqzi_block *block, uint32_t parts)
{
    return sqzi_linear_in_groups(&block->ffn_up, &block->ffn_down) &&
           block->ffn_up.terms[0].b.groups % parts == 0;
}

void sqzi_block_groups_part(sqzi_run *r, uint32_t i, uint32_t part, uint32_t parts)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    sqzi_block_rows rows = sqzi_block_rows_of(r, i, 0);
    rows.attended = normed_copy(r, &block->attn_norm, &rows.attn_sum);
    run_groups(r, block, &rows, 0, r->batch->n_tokens,
               sqzi_share(block->ffn_up.terms[0].b.groups, part, parts));
}

void sqzi_block_up_part(sqzi_run *r, uint32_t i, uint32_t part, uint32_t parts)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const sqzi_block_rows rows = shared_rows(r, i);
    const sqzi_linear_args up = up_args(block, &rows, 0, r->batch->n_tokens);
    check(r, sqzi_linear_run_part(&block->ffn_up, &up, &r->scratch->linear, part, parts));
    sqzi_run_mark(r, SQZ_STAGE_FFN_UP);
}

void sqzi_block_down_part(sqzi_run *r, uint32_t i, uint32_t part, uint32_t parts)
{
    const sqzi_block_rows rows = shared_rows(r, i);
    const sqzi_linear_args down = down_args(&rows, 0, r->batch->n_tokens);
    check(r, sqzi_linear_run_part(&r->encoder->blocks[i].ffn_down, &down, &r->scratch->linear, part,
                                  parts));
    sqzi_run_mark(r, SQZ_STAGE_FFN_DOWN);
}
