/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder's stages over a packed batch, by rows or by columns. */
#include "nn/encoder.h"

#include <string.h>

enum {
    STRIP_ROWS = 128,      /* rows that go through a linear together: their weights are read once a strip */
    LEAST_ROWS = 32        /* a member's share of rows below which columns are split instead */
};

/* One run as each member sees it. */
typedef struct run {
    const sqzi_encoder *encoder;
    const sqzi_batch *batch;
    const sqzi_keep *keep;
    sqzi_workspace *workspace;
    sqzi_member_scratch *scratch;
    sqzi_real *x; /* [N, C] the hidden states */
    size_t ldx;
    const sqzi_team *team;
} run;

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The encoder's largest sizes, and what its linears need of a member. */
static void find_sizes(const sqzi_encoder *encoder, sqzi_workspace *workspace, sqzi_linear_scratch *need)
{
    const sqzi_embedding *embedding = &encoder->embedding;
    if (embedding->reduced) sqzi_linear_need(&embedding->projection, 1, need);
    if (embedding->resized) sqzi_linear_need(&embedding->output, workspace->strip_rows, need);
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *block = &encoder->blocks[i];
        const sqzi_linear *linears[] = {&block->attn_q, &block->attn_k, &block->attn_v, &block->attn_output, &block->ffn_up, &block->ffn_down};
        for (size_t j = 0; j < sizeof linears / sizeof *linears; j++) sqzi_linear_need(linears[j], workspace->strip_rows, need);
        if (block->heads * block->head_width > workspace->qkv_width) workspace->qkv_width = block->heads * block->head_width;
        if (block->ffn_width > workspace->ffn_width) workspace->ffn_width = block->ffn_width;
    }
}

void sqzi_workspace_layout(sqzi_workspace *workspace, const sqzi_encoder *encoder, uint32_t max_tokens, uint32_t max_length, uint32_t members, sqzi_arena *arena)
{
    const sqzi_embedding *embedding = &encoder->embedding;
    sqzi_linear_scratch need = {0};
    memset(workspace, 0, sizeof *workspace);
    workspace->members = members;
    workspace->max_tokens = max_tokens;
    workspace->max_length = max_length;
    workspace->strip_rows = max_tokens < STRIP_ROWS ? max_tokens : STRIP_ROWS;
    find_sizes(encoder, workspace, &need);
    const size_t qkv = (size_t)max_tokens * workspace->qkv_width;
    workspace->q = sqzi_arena_take(arena, qkv, sizeof(sqzi_real));
    workspace->k = sqzi_arena_take(arena, qkv, sizeof(sqzi_real));
    workspace->v = sqzi_arena_take(arena, qkv, sizeof(sqzi_real));
    workspace->attended = sqzi_arena_take(arena, (size_t)max_tokens * encoder->width, sizeof(sqzi_real));
    workspace->embedded = sqzi_arena_take(arena, embedding->resized ? (size_t)max_tokens * embedding->width : 0, sizeof(sqzi_real));
    workspace->ffn = sqzi_arena_take(arena, members * workspace->strip_rows * workspace->ffn_width, sizeof(sqzi_real));
    workspace->scratch = sqzi_arena_take(arena, members, sizeof *workspace->scratch);
    for (uint32_t i = 0; i < members; i++) {
        sqzi_member_scratch own = {.linear = need};
        sqzi_linear_scratch_layout(&own.linear, arena);
        sqzi_attention_layout(&own.attention, encoder, max_length, arena);
        own.row = sqzi_arena_take(arena, most(embedding->width, embedding->word.width), sizeof(sqzi_real));
        if (workspace->scratch) workspace->scratch[i] = own;
    }
}

static void check(run *r, bool fine)
{
    if (!fine) r->workspace->numeric_error = true;
}

/* What this member did since the last mark was this stage. */
static void mark(run *r, sqz_stage stage)
{
    sqzi_stopwatch_mark(&r->scratch->watch, stage);
}

static void barrier(run *r)
{
    sqzi_team_barrier(r->team);
    mark(r, SQZ_STAGE_WAIT);
}

static void norm_rows(run *r, const sqzi_norm *norm, sqzi_real *x, size_t ldx, size_t begin, size_t end)
{
    if (begin < end)
        r->encoder->kernels->layer_norm(&(sqzk_layer_norm_args){.m = end - begin, .n = norm->n, .x = x + begin * ldx, .ldx = ldx, .weight = norm->weight, .bias = norm->bias,
                                                                .epsilon = norm->epsilon, .out = x + begin * ldx, .ldo = ldx});
    mark(r, SQZ_STAGE_NORM);
}

/* A linear over rows [begin, end) of whole matrices, in strips. */
static void run_rows(run *r, const sqzi_linear *linear, sqzi_linear_args args, size_t begin, size_t end)
{
    const sqzi_linear_args whole = args;
    for (size_t row = begin; row < end; row += r->workspace->strip_rows) {
        args.m = end - row < r->workspace->strip_rows ? end - row : r->workspace->strip_rows;
        args.x = whole.x + row * whole.ldx;
        args.y = whole.y + row * whole.ldy;
        if (whole.residual) args.residual = whole.residual + row * whole.ldr;
        check(r, sqzi_linear_run(linear, &args, &r->scratch->linear));
    }
}

/* The member's columns of a linear over all rows (few: at most one strip). */
static void run_columns(run *r, const sqzi_linear *linear, sqzi_linear_args args)
{
    args.m = r->batch->n_tokens;
    check(r, sqzi_linear_run_part(linear, &args, &r->scratch->linear, r->team));
}

static void run_qkv_rows(run *r, const sqzi_block *block, size_t begin, size_t end)
{
    const sqzi_linear *linears[] = {&block->attn_q, &block->attn_k, &block->attn_v};
    sqzi_real *const to[] = {r->workspace->q, r->workspace->k, r->workspace->v};
    for (size_t row = begin; row < end; row += r->workspace->strip_rows) {
        const size_t stop = end - row < r->workspace->strip_rows ? end : row + r->workspace->strip_rows;
        for (int i = 0; i < 3; i++) {
            const sqzi_linear_args args = {.x = r->x, .ldx = r->ldx, .y = to[i], .ldy = r->workspace->qkv_width, .prepared = i > 0 && sqzi_linear_same_input(linears[i - 1], linears[i])};
            run_rows(r, linears[i], args, row, stop);
        }
    }
}

static void run_qkv_columns(run *r, const sqzi_block *block)
{
    const sqzi_linear *linears[] = {&block->attn_q, &block->attn_k, &block->attn_v};
    sqzi_real *const to[] = {r->workspace->q, r->workspace->k, r->workspace->v};
    for (int i = 0; i < 3; i++) run_columns(r, linears[i], (sqzi_linear_args){.x = r->x, .ldx = r->ldx, .y = to[i], .ldy = r->workspace->qkv_width});
}

/* The member's heads: a sequence's heads are dealt one after the other, so that members get their share of long and of short sequences. */
static void run_attention(run *r, const sqzi_block *block, sqzi_real *scores)
{
    const uint32_t *first = r->batch->first;
    uint32_t item = 0;
    size_t place = 0;
    for (uint32_t b = 0; b < r->batch->n_sequences; b++) {
        const size_t length = first[b + 1] - first[b];
        for (uint32_t head = 0; head < block->heads; head++, item++, place += length * length)
            if (item % r->team->members == r->team->member)
                sqzi_attention_run(r->encoder->kernels, block, r->workspace, &r->scratch->attention, head, first[b], first[b + 1], scores ? scores + place : NULL);
    }
}

static void keep_rows(sqzi_real *const *to, uint32_t i, const sqzi_real *from, size_t ld, size_t width, size_t begin, size_t end)
{
    if (!to || !to[i]) return;
    for (size_t row = begin; row < end; row++) memcpy(to[i] + row * width, from + row * ld, width * sizeof *from);
}

static void keep_qkv(const run *r, const sqzi_block *block, uint32_t i, size_t begin, size_t end)
{
    const size_t width = (size_t)block->heads * block->head_width, ld = r->workspace->qkv_width;
    keep_rows(r->keep->q, i, r->workspace->q, ld, width, begin, end);
    keep_rows(r->keep->k, i, r->workspace->k, ld, width, begin, end);
    keep_rows(r->keep->v, i, r->workspace->v, ld, width, begin, end);
}

static sqzi_linear_args output_args(const run *r)
{
    return (sqzi_linear_args){.x = r->workspace->q, .ldx = r->workspace->qkv_width, .y = r->workspace->attended, .ldy = r->encoder->width, .residual = r->x, .ldr = r->ldx};
}

/* x = a + ffn_down(activation(ffn_up(a))) over a strip. Groups of their own go one after the other, each while its part of the strip is in cache. */
static void feed_forward(run *r, const sqzi_block *block, size_t m, const sqzi_real *a, sqzi_real *x)
{
    sqzi_workspace *w = r->workspace;
    const bool in_groups = sqzi_linear_in_groups(&block->ffn_up, &block->ffn_down);
    const uint32_t groups = in_groups ? block->ffn_up.terms[0].b.groups : 1;
    const size_t width = r->encoder->width, part = width / groups, ffn_part = block->ffn_width / groups;
    sqzi_real *ffn = w->ffn + r->team->member * w->strip_rows * w->ffn_width;
    for (uint32_t g = 0; g < groups; g++) {
        const sqzi_linear_args up = {.m = m, .x = a + g * part, .ldx = width, .y = ffn, .ldy = ffn_part, .activation = block->activation};
        check(r, in_groups ? sqzi_linear_run_group(&block->ffn_up, g, &up, &r->scratch->linear) : sqzi_linear_run(&block->ffn_up, &up, &r->scratch->linear));
        mark(r, SQZ_STAGE_FFN_UP);
        const sqzi_linear_args down = {.m = m, .x = ffn, .ldx = ffn_part, .y = x + g * part, .ldy = r->ldx, .residual = a + g * part, .ldr = width};
        check(r, in_groups ? sqzi_linear_run_group(&block->ffn_down, g, &down, &r->scratch->linear) : sqzi_linear_run(&block->ffn_down, &down, &r->scratch->linear));
        mark(r, SQZ_STAGE_FFN_DOWN);
    }
}

/* Output projection, norm, feed-forward, norm: a strip of rows all the way. */
static void finish_rows(run *r, const sqzi_block *block, size_t begin, size_t end)
{
    sqzi_workspace *w = r->workspace;
    const size_t width = r->encoder->width;
    for (size_t row = begin; row < end; row += w->strip_rows) {
        const size_t stop = end - row < w->strip_rows ? end : row + w->strip_rows;
        run_rows(r, &block->attn_output, output_args(r), row, stop);
        mark(r, SQZ_STAGE_ATTENTION_OUTPUT);
        norm_rows(r, &block->attn_norm, w->attended, width, row, stop);
        feed_forward(r, block, stop - row, w->attended + row * width, r->x + row * r->ldx);
        norm_rows(r, &block->ffn_norm, r->x, r->ldx, row, stop);
    }
}

static void finish_columns(run *r, const sqzi_block *block, size_t begin, size_t end)
{
    sqzi_workspace *w = r->workspace;
    const size_t width = r->encoder->width;
    run_columns(r, &block->attn_output, output_args(r));
    mark(r, SQZ_STAGE_ATTENTION_OUTPUT);
    barrier(r);
    norm_rows(r, &block->attn_norm, w->attended, width, begin, end);
    barrier(r);
    run_columns(r, &block->ffn_up, (sqzi_linear_args){.x = w->attended, .ldx = width, .y = w->ffn, .ldy = w->ffn_width, .activation = block->activation});
    mark(r, SQZ_STAGE_FFN_UP);
    barrier(r);
    run_columns(r, &block->ffn_down, (sqzi_linear_args){.x = w->ffn, .ldx = w->ffn_width, .y = r->x, .ldy = r->ldx, .residual = w->attended, .ldr = width});
    mark(r, SQZ_STAGE_FFN_DOWN);
    barrier(r);
    norm_rows(r, &block->ffn_norm, r->x, r->ldx, begin, end);
    barrier(r);
}

static void run_block(run *r, uint32_t i, bool by_rows, size_t begin, size_t end)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    if (by_rows)
        run_qkv_rows(r, block, begin, end);
    else
        run_qkv_columns(r, block);
    mark(r, SQZ_STAGE_QKV);
    barrier(r);
    if (r->keep) {
        keep_qkv(r, block, i, begin, end);
        barrier(r); /* the context overwrites q */
    }
    run_attention(r, block, r->keep && r->keep->scores ? r->keep->scores[i] : NULL);
    mark(r, SQZ_STAGE_ATTENTION);
    barrier(r);
    if (by_rows)
        finish_rows(r, block, begin, end);
    else
        finish_columns(r, block, begin, end);
    if (r->keep) keep_rows(r->keep->hidden, i + 1, r->x, r->ldx, r->encoder->width, begin, end);
}

void sqzi_encoder_run(const sqzi_encoder *encoder, const sqzi_batch *batch, const sqzi_keep *keep, sqzi_workspace *workspace, sqzi_real *hidden, size_t ldh, const sqzi_team *team)
{
    run r = {encoder, batch, keep, workspace, &workspace->scratch[team->member], hidden, ldh, team};
    const sqzi_embedding *embedding = &encoder->embedding;
    const bool by_rows = team->members == 1 || batch->n_tokens >= LEAST_ROWS * team->members || batch->n_tokens > workspace->strip_rows;
    size_t begin, end;
    sqzi_stopwatch_begin(&r.scratch->watch);
    sqzi_team_share(team, batch->n_tokens, 1, &begin, &end);
    check(&r, begin == end || sqzi_embedding_run(embedding, encoder->kernels, batch, begin, end, workspace->embedded, hidden, ldh, r.scratch));
    if (embedding->resized)
        run_rows(&r, &embedding->output, (sqzi_linear_args){.x = workspace->embedded, .ldx = embedding->width, .y = hidden, .ldy = ldh}, begin, end);
    mark(&r, SQZ_STAGE_EMBEDDING);
    if (keep) keep_rows(keep->hidden, 0, hidden, ldh, encoder->width, begin, end);
    if (!by_rows) barrier(&r);
    for (uint32_t i = 0; i < encoder->n_blocks; i++) run_block(&r, i, by_rows, begin, end);
    barrier(&r);
}
