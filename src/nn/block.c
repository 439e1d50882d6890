/* SPDX-License-Identifier: Apache-2.0 */
/* A block's linears, attention and norms over rows, heads, groups and columns. */
#include "nn/block.h"

#include <string.h>

enum {
    /* rows that go through a whole feed-forward together, where that keeps them in the second-level
     * cache */
    PANEL_ROWS = 32,
    CACHE_BYTES = 2 << 20 /* that cache, where this was measured (doc/speed.md) */
};

static void check(const sqzi_run *r, bool fine)
{
    if (!fine) r->workspace->numeric_error = true;
}

void sqzi_run_mark(const sqzi_run *r, sqz_stage stage)
{
    sqzi_stopwatch_mark(&r->scratch->watch, stage);
}

static size_t strip_from(const sqzi_run *r, size_t row, size_t end)
{
    return end - row < r->workspace->strip_rows ? end - row : r->workspace->strip_rows;
}

void sqzi_run_norm(const sqzi_run *r, const sqzi_norm *norm, sqzi_real *x, size_t ldx,
                   sqzi_range rows)
{
    if (rows.begin < rows.end)
        r->encoder->kernels->layer_norm(&(sqzk_layer_norm_args){.m = rows.end - rows.begin,
                                                                .n = norm->n,
                                                                .x = x + rows.begin * ldx,
                                                                .ldx = ldx,
                                                                .weight = norm->weight,
                                                                .bias = norm->bias,
                                                                .epsilon = norm->epsilon,
                                                                .out = x + rows.begin * ldx,
                                                                .ldo = ldx});
    sqzi_run_mark(r, SQZ_STAGE_NORM);
}

static void keep_input(const sqzi_run *r, const sqzi_linear *linear, size_t m, const sqzi_real *x,
                       size_t ldx)
{
    if (r->keep && r->keep->input) r->keep->input(r->keep->user, linear, m, x, ldx);
}

void sqzi_run_rows(const sqzi_run *r, const sqzi_linear *linear, sqzi_linear_args args,
                   sqzi_range rows)
{
    const sqzi_linear_args whole = args;
    for (size_t row = rows.begin; row < rows.end; row += args.m) {
        args.m = strip_from(r, row, rows.end);
        args.x = whole.x + row * whole.ldx;
        args.y = whole.y + row * whole.ldy;
        keep_input(r, linear, args.m, args.x, args.ldx);
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

/* What is kept, is kept as f32. */
static bool qkv_in_bf16(const sqzi_run *r, const sqzi_block *block)
{
    return !r->keep && sqzi_attention_in_bf16(r->encoder->kernels, block);
}

/* Q, K and V of a strip of m rows, each by a call of its own; the second and third find their rows
 * prepared. */
typedef struct qkv_call {
    const sqzi_linear *linear;
    sqzi_linear_args args;
} qkv_call;

static void make_qkv(const sqzi_run *r, const sqzi_block *block, sqzi_rows x, size_t row, size_t m,
                     qkv_call calls[3])
{
    const sqzi_linear *linears[] = {&block->attn_q, &block->attn_k, &block->attn_v};
    sqzi_real *const to[] = {r->workspace->q, r->workspace->k, r->workspace->v};
    const size_t ld = r->workspace->qkv_width, at = (row - r->shift) * ld;
    const bool bf16 = qkv_in_bf16(r, block);
    for (uint32_t i = 0; i < 3; i++)
        calls[i] = (qkv_call){linears[i],
                              {.m = m,
                               .x = x.first + row * x.ld,
                               .ldx = x.ld,
                               .y = to[i] + at,
                               .y_bf16 = bf16 ? sqzi_workspace_bf16(r->workspace, i) + at : NULL,
                               .ldy = ld,
                               .prepared = i > 0 &&
                                           sqzi_linear_same_input(linears[i - 1], linears[i])}};
}

static void run_qkv(const sqzi_run *r, const sqzi_block *block, sqzi_rows x, sqzi_range rows,
                    sqzi_range heads)
{
    const sqzi_range columns = {heads.begin * block->head_width, heads.end * block->head_width};
    qkv_call calls[3];
    for (size_t row = rows.begin, m; row < rows.end; row += m) {
        m = strip_from(r, row, rows.end);
        make_qkv(r, block, x, row, m, calls);
        for (int i = 0; i < 3; i++) {
            keep_input(r, calls[i].linear, m, calls[i].args.x, calls[i].args.ldx);
            check(r, sqzi_linear_run_columns(calls[i].linear, &calls[i].args, &r->scratch->linear,
                                             columns));
        }
    }
    sqzi_run_mark(r, SQZ_STAGE_QKV);
}

void sqzi_block_qkv_part(const sqzi_run *r, uint32_t i, sqzi_rows x, uint32_t part, uint32_t parts)
{
    qkv_call calls[3];
    for (size_t row = 0, m; row < r->batch->n_tokens; row += m) {
        m = strip_from(r, row, r->batch->n_tokens);
        make_qkv(r, &r->encoder->blocks[i], x, row, m, calls);
        for (int j = 0; j < 3; j++)
            check(r, sqzi_linear_run_part(calls[j].linear, &calls[j].args, &r->scratch->linear,
                                          part, parts));
    }
    sqzi_run_mark(r, SQZ_STAGE_QKV);
}

void sqzi_block_context(const sqzi_run *r, uint32_t i, uint32_t from, uint32_t to, sqzi_range heads)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const uint32_t *first = r->batch->first;
    const bool bf16 = qkv_in_bf16(r, block);
    sqzi_real *scores = r->keep && r->keep->scores ? r->keep->scores[i] : NULL;
    for (uint32_t b = 0; scores && b < from; b++)
        scores += (size_t)block->heads * (first[b + 1] - first[b]) * (first[b + 1] - first[b]);
    for (uint32_t b = from; b < to; b++) {
        const size_t length = first[b + 1] - first[b];
        const uint32_t begin = (uint32_t)(first[b] - r->shift), end = begin + (uint32_t)length;
        for (size_t head = heads.begin; head < heads.end; head++)
            sqzi_attention_run(
                &(sqzi_attention_args){.kernels = r->encoder->kernels,
                                       .block = block,
                                       .workspace = r->workspace,
                                       .scratch = &r->scratch->attention,
                                       .head = (uint32_t)head,
                                       .begin = begin,
                                       .end = end,
                                       .in_bf16 = bf16,
                                       .scores = scores ? scores + head * length * length : NULL});
        if (scores) scores += block->heads * length * length;
    }
    sqzi_run_mark(r, SQZ_STAGE_ATTENTION);
}

/* Rows [begin, end) of the batch, which are rows - shift of `from`. */
static void keep_rows(sqzi_real *const *to, uint32_t i, const sqzi_real *from, size_t ld,
                      size_t width, size_t begin, size_t end, size_t shift)
{
    if (!to || !to[i]) return;
    for (size_t row = begin; row < end; row++)
        memcpy(to[i] + row * width, from + (row - shift) * ld, width * sizeof *from);
}

static void keep_qkv(const sqzi_run *r, uint32_t i, size_t begin, size_t end)
{
    if (!r->keep) return;
    const sqzi_block *block = &r->encoder->blocks[i];
    const size_t width = (size_t)block->heads * block->head_width, ld = r->workspace->qkv_width;
    keep_rows(r->keep->q, i, r->workspace->q, ld, width, begin, end, r->shift);
    keep_rows(r->keep->k, i, r->workspace->k, ld, width, begin, end, r->shift);
    keep_rows(r->keep->v, i, r->workspace->v, ld, width, begin, end, r->shift);
}

void sqzi_run_keep_hidden(const sqzi_run *r, uint32_t i)
{
    if (r->keep)
        keep_rows(r->keep->hidden, i, r->x, r->ldx, r->encoder->width, 0, r->batch->n_tokens, 0);
}

void sqzi_block_attend(const sqzi_run *r, uint32_t i, sqzi_rows x, uint32_t from, uint32_t to,
                       sqzi_range heads)
{
    const uint32_t *first = r->batch->first;
    run_qkv(r, &r->encoder->blocks[i], x, (sqzi_range){first[from], first[to]}, heads);
    keep_qkv(r, i, first[from], first[to]); /* the context overwrites q */
    sqzi_block_context(r, i, from, to, heads);
}

/* The output projection of m rows from `row` on; x is what the block reads. */
static sqzi_linear_args output_args(const sqzi_run *r, sqzi_rows x, size_t row, size_t m)
{
    const size_t at = row - r->shift, ld = r->workspace->qkv_width, width = r->encoder->width;
    return (sqzi_linear_args){.m = m,
                              .x = r->workspace->q + at * ld,
                              .ldx = ld,
                              .y = r->workspace->attended + at * width,
                              .ldy = width,
                              .residual = x.first + row * x.ld,
                              .ldr = x.ld};
}

/* What lies between the feed-forward's linears is written as the second reads it, where that is
 * bf16. */
static uint16_t *inner_bf16(const sqzi_run *r, const sqzi_block *block, sqzi_real *ffn)
{
    return !r->keep && sqzi_linear_writes_bf16(&block->ffn_up) &&
                   sqzi_linear_reads_bf16(&block->ffn_down)
               ? (uint16_t *)(void *)ffn
               : NULL;
}

/* Groups of the feed-forward, one after the other, each while its part of the strip is in cache. */
static void run_groups(const sqzi_run *r, const sqzi_block *block, size_t m, const sqzi_real *a,
                       sqzi_real *x, sqzi_range groups)
{
    const uint32_t n_groups = block->ffn_up.terms[0].b.groups;
    const size_t width = r->encoder->width, part = width / n_groups,
                 ffn_part = block->ffn_width / n_groups;
    uint16_t *const bf16 = inner_bf16(r, block, r->ffn);
    for (uint32_t g = (uint32_t)groups.begin; g < groups.end; g++) {
        const sqzi_linear_args up = {.m = m,
                                     .x = a + g * part,
                                     .ldx = width,
                                     .y = r->ffn,
                                     .y_bf16 = bf16,
                                     .ldy = ffn_part,
                                     .activation = block->activation};
        check(r, sqzi_linear_run_group(&block->ffn_up, g, &up, &r->scratch->linear));
        sqzi_run_mark(r, SQZ_STAGE_FFN_UP);
        const sqzi_linear_args down = {.m = m,
                                       .x = r->ffn,
                                       .x_bf16 = bf16,
                                       .ldx = ffn_part,
                                       .y = x + g * part,
                                       .ldy = r->ldx,
                                       .residual = a + g * part,
                                       .ldr = width};
        check(r, sqzi_linear_run_group(&block->ffn_down, g, &down, &r->scratch->linear));
        sqzi_run_mark(r, SQZ_STAGE_FFN_DOWN);
    }
}

static sqzi_linear_args up_args(const sqzi_run *r, const sqzi_block *block, size_t m,
                                const sqzi_real *a, sqzi_real *ffn)
{
    return (sqzi_linear_args){.m = m,
                              .x = a,
                              .ldx = r->encoder->width,
                              .y = ffn,
                              .y_bf16 = inner_bf16(r, block, ffn),
                              .ldy = block->ffn_width,
                              .activation = block->activation};
}

static sqzi_linear_args down_args(const sqzi_run *r, const sqzi_block *block, size_t m,
                                  const sqzi_real *a, sqzi_real *ffn, sqzi_real *x)
{
    return (sqzi_linear_args){.m = m,
                              .x = ffn,
                              .x_bf16 = inner_bf16(r, block, ffn),
                              .ldx = block->ffn_width,
                              .y = x,
                              .ldy = r->ldx,
                              .residual = a,
                              .ldr = r->encoder->width};
}

/* x = a + ffn_down(activation(ffn_up(a))) over a strip. */
static void feed_forward(const sqzi_run *r, const sqzi_block *block, size_t m, const sqzi_real *a,
                         sqzi_real *x)
{
    /* the same bits, but rows of the second linear exist only where they are not made group by
     * group */
    const bool whole = r->keep && r->keep->input;
    if (!whole && sqzi_linear_in_groups(&block->ffn_up, &block->ffn_down)) {
        run_groups(r, block, m, a, x, (sqzi_range){0, block->ffn_up.terms[0].b.groups});
        return;
    }
    const sqzi_linear_args up = up_args(r, block, m, a, r->ffn),
                           down = down_args(r, block, m, a, r->ffn, x);
    keep_input(r, &block->ffn_up, m, up.x, up.ldx);
    check(r, sqzi_linear_run(&block->ffn_up, &up, &r->scratch->linear));
    sqzi_run_mark(r, SQZ_STAGE_FFN_UP);
    keep_input(r, &block->ffn_down, m, down.x, down.ldx);
    check(r, sqzi_linear_run(&block->ffn_down, &down, &r->scratch->linear));
    sqzi_run_mark(r, SQZ_STAGE_FFN_DOWN);
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

void sqzi_block_finish_rows(const sqzi_run *r, uint32_t i, sqzi_range rows)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    for (size_t row = rows.begin, m; row < rows.end; row += m) {
        m = strip_from(r, row, rows.end);
        const sqzi_linear_args output = output_args(r, (sqzi_rows){r->x, r->ldx}, row, m);
        keep_input(r, &block->attn_output, m, output.x, output.ldx);
        check(r, sqzi_linear_run(&block->attn_output, &output, &r->scratch->linear));
        sqzi_run_mark(r, SQZ_STAGE_ATTENTION_OUTPUT);
        sqzi_run_norm(r, &block->attn_norm, output.y, output.ldy, (sqzi_range){0, m});
        const size_t panel = feed_forward_rows(block, m);
        for (size_t j = 0; j < m; j += panel)
            feed_forward(r, block, m - j < panel ? m - j : panel, output.y + j * output.ldy,
                         r->x + (row + j) * r->ldx);
        sqzi_run_norm(r, &block->ffn_norm, r->x, r->ldx, (sqzi_range){row, row + m});
    }
}

/* The member's own copy of all rows, normed: once in a block, when it takes its first part that
 * reads them. */
static sqzi_rows normed_copy(sqzi_run *r, const sqzi_norm *norm, const sqzi_real *x, size_t ldx)
{
    sqzi_real *out = r->scratch->normed;
    if (r->copied != norm) {
        r->encoder->kernels->layer_norm(&(sqzk_layer_norm_args){.m = r->batch->n_tokens,
                                                                .n = norm->n,
                                                                .x = x,
                                                                .ldx = ldx,
                                                                .weight = norm->weight,
                                                                .bias = norm->bias,
                                                                .epsilon = norm->epsilon,
                                                                .out = out,
                                                                .ldo = norm->n});
        r->copied = norm;
        sqzi_run_mark(r, SQZ_STAGE_NORM);
    }
    return (sqzi_rows){out, norm->n};
}

sqzi_rows sqzi_block_input(sqzi_run *r, uint32_t i)
{
    return i == 0 ? (sqzi_rows){r->x, r->ldx}
                  : normed_copy(r, &r->encoder->blocks[i - 1].ffn_norm, r->x, r->ldx);
}

static const sqzi_real *feed_forward_input(sqzi_run *r, const sqzi_block *block)
{
    return normed_copy(r, &block->attn_norm, r->workspace->attended, r->encoder->width).first;
}

void sqzi_block_output_part(sqzi_run *r, uint32_t i, uint32_t part, uint32_t parts)
{
    const sqzi_linear_args output = output_args(r, sqzi_block_input(r, i), 0, r->batch->n_tokens);
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
    run_groups(r, block, r->batch->n_tokens, feed_forward_input(r, block), r->x,
               sqzi_share(block->ffn_up.terms[0].b.groups, part, parts));
}

void sqzi_block_up_part(sqzi_run *r, uint32_t i, uint32_t part, uint32_t parts)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const sqzi_linear_args up = up_args(r, block, r->batch->n_tokens, feed_forward_input(r, block),
                                        r->workspace->ffn);
    check(r, sqzi_linear_run_part(&block->ffn_up, &up, &r->scratch->linear, part, parts));
    sqzi_run_mark(r, SQZ_STAGE_FFN_UP);
}

void sqzi_block_down_part(sqzi_run *r, uint32_t i, uint32_t part, uint32_t parts)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const sqzi_linear_args down = down_args(r, block, r->batch->n_tokens,
                                            feed_forward_input(r, block), r->workspace->ffn, r->x);
    check(r, sqzi_linear_run_part(&block->ffn_down, &down, &r->scratch->linear, part, parts));
    sqzi_run_mark(r, SQZ_STAGE_FFN_DOWN);
}
