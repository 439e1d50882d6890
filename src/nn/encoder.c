/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder's stages over a packed batch, by sequences, by rows or by columns. */
#include "nn/encoder.h"

#include <string.h>

enum {
    STRIP_ROWS = 128,      /* rows that go through a linear together: their weights are read once a strip */
    PANEL_ROWS = 32,       /* rows that go through a whole feed-forward together, where that keeps them in the second-level cache */
    CACHE_BYTES = 2 << 20, /* that cache, where this was measured (doc/speed.md) */
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
    size_t begin, end; /* the member's rows */
    size_t shift;      /* row i of the batch is row i - shift of q, k, v and attended */
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

static void keep_input(const run *r, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx)
{
    if (r->keep && r->keep->input) r->keep->input(r->keep->user, linear, m, x, ldx);
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
        keep_input(r, linear, args.m, args.x, args.ldx);
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
    const size_t ld = r->workspace->qkv_width;
    for (size_t row = begin; row < end; row += r->workspace->strip_rows) {
        const size_t m = end - row < r->workspace->strip_rows ? end - row : r->workspace->strip_rows;
        for (int i = 0; i < 3; i++) {
            const sqzi_linear_args args = {.m = m, .x = r->x + row * r->ldx, .ldx = r->ldx, .y = to[i] + (row - r->shift) * ld, .ldy = ld,
                                           .prepared = i > 0 && sqzi_linear_same_input(linears[i - 1], linears[i])};
            keep_input(r, linears[i], m, args.x, args.ldx);
            check(r, sqzi_linear_run(linears[i], &args, &r->scratch->linear));
        }
    }
}

static void run_qkv_columns(run *r, const sqzi_block *block)
{
    const sqzi_linear *linears[] = {&block->attn_q, &block->attn_k, &block->attn_v};
    sqzi_real *const to[] = {r->workspace->q, r->workspace->k, r->workspace->v};
    for (int i = 0; i < 3; i++) run_columns(r, linears[i], (sqzi_linear_args){.x = r->x, .ldx = r->ldx, .y = to[i], .ldy = r->workspace->qkv_width});
}

/* Heads of sequences [from, to); every stride-th of them from `item` on. A sequence's heads are dealt one after the other, so that members get their
 * share of long and of short sequences. */
static void run_attention(run *r, const sqzi_block *block, uint32_t i, uint32_t from, uint32_t to, uint32_t stride, uint32_t item)
{
    const uint32_t *first = r->batch->first;
    sqzi_real *scores = r->keep && r->keep->scores ? r->keep->scores[i] : NULL;
    for (uint32_t b = 0; scores && b < from; b++) scores += (size_t)block->heads * (first[b + 1] - first[b]) * (first[b + 1] - first[b]);
    for (uint32_t b = from; b < to; b++) {
        const size_t length = first[b + 1] - first[b];
        const uint32_t begin = (uint32_t)(first[b] - r->shift), end = begin + (uint32_t)length;
        for (; item < block->heads; item += stride)
            sqzi_attention_run(r->encoder->kernels, block, r->workspace, &r->scratch->attention, item, begin, end, scores ? scores + item * length * length : NULL);
        item -= block->heads;
        if (scores) scores += block->heads * length * length;
    }
}

/* Rows [begin, end) of the batch, which are rows - shift of `from`. */
static void keep_rows(sqzi_real *const *to, uint32_t i, const sqzi_real *from, size_t ld, size_t width, size_t begin, size_t end, size_t shift)
{
    if (!to || !to[i]) return;
    for (size_t row = begin; row < end; row++) memcpy(to[i] + row * width, from + (row - shift) * ld, width * sizeof *from);
}

static void keep_qkv(const run *r, const sqzi_block *block, uint32_t i, size_t begin, size_t end)
{
    if (!r->keep) return;
    const size_t width = (size_t)block->heads * block->head_width, ld = r->workspace->qkv_width;
    keep_rows(r->keep->q, i, r->workspace->q, ld, width, begin, end, r->shift);
    keep_rows(r->keep->k, i, r->workspace->k, ld, width, begin, end, r->shift);
    keep_rows(r->keep->v, i, r->workspace->v, ld, width, begin, end, r->shift);
}

static void keep_hidden(const run *r, uint32_t i, size_t begin, size_t end)
{
    if (r->keep) keep_rows(r->keep->hidden, i, r->x, r->ldx, r->encoder->width, begin, end, 0);
}

/* The output projection of rows from `row` on. */
static sqzi_linear_args output_args(const run *r, size_t row)
{
    const size_t at = row - r->shift, ld = r->workspace->qkv_width, width = r->encoder->width;
    return (sqzi_linear_args){.x = r->workspace->q + at * ld, .ldx = ld, .y = r->workspace->attended + at * width, .ldy = width, .residual = r->x + row * r->ldx, .ldr = r->ldx};
}

/* x = a + ffn_down(activation(ffn_up(a))) over a strip. Groups of their own go one after the other, each while its part of the strip is in cache. */
static void feed_forward(run *r, const sqzi_block *block, size_t m, const sqzi_real *a, sqzi_real *x)
{
    sqzi_workspace *w = r->workspace;
    const bool whole = r->keep && r->keep->input; /* the same bits, but rows of the second linear exist only where they are not made group by group */
    const bool in_groups = !whole && sqzi_linear_in_groups(&block->ffn_up, &block->ffn_down);
    const uint32_t groups = in_groups ? block->ffn_up.terms[0].b.groups : 1;
    const size_t width = r->encoder->width, part = width / groups, ffn_part = block->ffn_width / groups;
    sqzi_real *ffn = w->ffn + r->team->member * w->strip_rows * w->ffn_width;
    for (uint32_t g = 0; g < groups; g++) {
        const sqzi_linear_args up = {.m = m, .x = a + g * part, .ldx = width, .y = ffn, .ldy = ffn_part, .activation = block->activation};
        keep_input(r, &block->ffn_up, m, up.x, up.ldx);
        check(r, in_groups ? sqzi_linear_run_group(&block->ffn_up, g, &up, &r->scratch->linear) : sqzi_linear_run(&block->ffn_up, &up, &r->scratch->linear));
        mark(r, SQZ_STAGE_FFN_UP);
        const sqzi_linear_args down = {.m = m, .x = ffn, .ldx = ffn_part, .y = x + g * part, .ldy = r->ldx, .residual = a + g * part, .ldr = width};
        keep_input(r, &block->ffn_down, m, down.x, down.ldx);
        check(r, in_groups ? sqzi_linear_run_group(&block->ffn_down, g, &down, &r->scratch->linear) : sqzi_linear_run(&block->ffn_down, &down, &r->scratch->linear));
        mark(r, SQZ_STAGE_FFN_DOWN);
    }
}

/* Rows of a strip's feed-forward at a time: a panel where both linears' weights stay in the second-level cache and the strip's inner rows beside them do
 * not, as in pairs of low rank; else the whole strip. Groups of their own are small enough. */
static size_t feed_forward_rows(const sqzi_block *block, size_t m)
{
    if (sqzi_linear_in_groups(&block->ffn_up, &block->ffn_down)) return m;
    const size_t weights = sqzi_linear_bytes(&block->ffn_up) + sqzi_linear_bytes(&block->ffn_down), inner = m * block->ffn_width * sizeof(sqzi_real);
    return weights <= CACHE_BYTES && weights + inner > CACHE_BYTES ? PANEL_ROWS : m;
}

/* Output projection, norm, feed-forward, norm: a strip of rows all the way. */
static void finish_rows(run *r, const sqzi_block *block, size_t begin, size_t end)
{
    sqzi_workspace *w = r->workspace;
    for (size_t row = begin; row < end; row += w->strip_rows) {
        const size_t m = end - row < w->strip_rows ? end - row : w->strip_rows;
        sqzi_linear_args output = output_args(r, row);
        output.m = m;
        keep_input(r, &block->attn_output, m, output.x, output.ldx);
        check(r, sqzi_linear_run(&block->attn_output, &output, &r->scratch->linear));
        mark(r, SQZ_STAGE_ATTENTION_OUTPUT);
        norm_rows(r, &block->attn_norm, output.y, output.ldy, 0, m);
        const size_t panel = feed_forward_rows(block, m);
        for (size_t i = 0; i < m; i += panel) feed_forward(r, block, m - i < panel ? m - i : panel, output.y + i * output.ldy, r->x + (row + i) * r->ldx);
        norm_rows(r, &block->ffn_norm, r->x, r->ldx, row, row + m);
    }
}

static void finish_columns(run *r, const sqzi_block *block)
{
    sqzi_workspace *w = r->workspace;
    const size_t width = r->encoder->width;
    run_columns(r, &block->attn_output, output_args(r, 0));
    mark(r, SQZ_STAGE_ATTENTION_OUTPUT);
    barrier(r);
    norm_rows(r, &block->attn_norm, w->attended, width, r->begin, r->end);
    barrier(r);
    run_columns(r, &block->ffn_up, (sqzi_linear_args){.x = w->attended, .ldx = width, .y = w->ffn, .ldy = w->ffn_width, .activation = block->activation});
    mark(r, SQZ_STAGE_FFN_UP);
    barrier(r);
    run_columns(r, &block->ffn_down, (sqzi_linear_args){.x = w->ffn, .ldx = w->ffn_width, .y = r->x, .ldy = r->ldx, .residual = w->attended, .ldr = width});
    mark(r, SQZ_STAGE_FFN_DOWN);
    barrier(r);
    norm_rows(r, &block->ffn_norm, r->x, r->ldx, r->begin, r->end);
    barrier(r);
}

/* One block, its attention dealt out by heads, the rest by rows or by columns. */
static void run_block_together(run *r, uint32_t i, bool by_rows)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    if (by_rows) run_qkv_rows(r, block, r->begin, r->end);
    else run_qkv_columns(r, block);
    mark(r, SQZ_STAGE_QKV);
    barrier(r);
    if (r->keep) {
        keep_qkv(r, block, i, r->begin, r->end);
        barrier(r); /* the context overwrites q */
    }
    run_attention(r, block, i, 0, r->batch->n_sequences, r->team->members, r->team->member);
    mark(r, SQZ_STAGE_ATTENTION);
    barrier(r);
    if (by_rows) finish_rows(r, block, r->begin, r->end);
    else finish_columns(r, block);
    keep_hidden(r, i + 1, r->begin, r->end);
}

/* One block over the member's own sequences, some at a time: as many as fit a strip, so that all they need of q, k, v and the rest stays in cache. */
static void run_block_alone(run *r, uint32_t i, uint32_t from, uint32_t to)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const uint32_t *first = r->batch->first;
    for (uint32_t b = from, next; b < to; b = next) {
        for (next = b + 1; next < to && first[next + 1] - first[b] <= r->workspace->strip_rows; next++) continue;
        r->shift = first[b] - r->begin;
        run_qkv_rows(r, block, first[b], first[next]);
        mark(r, SQZ_STAGE_QKV);
        keep_qkv(r, block, i, first[b], first[next]);
        run_attention(r, block, i, b, next, 1, 0);
        mark(r, SQZ_STAGE_ATTENTION);
        finish_rows(r, block, first[b], first[next]);
    }
    keep_hidden(r, i + 1, r->begin, r->end);
}

/* The sequence that begins nearest to a member's fair share of the tokens. */
static uint32_t first_sequence(const sqzi_batch *batch, const sqzi_team *team, uint32_t member)
{
    const uint64_t wanted = (uint64_t)batch->n_tokens * member / team->members;
    uint32_t b = 0;
    while (b < batch->n_sequences && (uint64_t)batch->first[b] + batch->first[b + 1] < 2 * wanted) b++;
    return b;
}

/* Sequences can be dealt out whole when nobody gets more than an eighth over the fair share. */
static bool can_deal_sequences(const sqzi_batch *batch, const sqzi_team *team)
{
    uint32_t largest = 0;
    for (uint32_t member = 0; member < team->members; member++)
        largest = most(largest, batch->first[first_sequence(batch, team, member + 1)] - batch->first[first_sequence(batch, team, member)]);
    return (uint64_t)largest * team->members <= batch->n_tokens + batch->n_tokens / 8;
}

static void embed(run *r)
{
    const sqzi_embedding *embedding = &r->encoder->embedding;
    const sqzi_linear_args output = {.x = r->workspace->embedded, .ldx = embedding->width, .y = r->x, .ldy = r->ldx};
    if (r->begin < r->end) check(r, sqzi_embedding_run(embedding, r->encoder->kernels, r->batch, r->begin, r->end, r->workspace->embedded, r->x, r->ldx, r->scratch));
    if (embedding->resized) run_rows(r, &embedding->output, output, r->begin, r->end);
    mark(r, SQZ_STAGE_EMBEDDING);
    keep_hidden(r, 0, r->begin, r->end);
}

void sqzi_encoder_run(const sqzi_encoder *encoder, const sqzi_batch *batch, const sqzi_keep *keep, sqzi_workspace *workspace, sqzi_real *hidden, size_t ldh, const sqzi_team *team)
{
    run r = {.encoder = encoder, .batch = batch, .keep = keep, .workspace = workspace, .scratch = &workspace->scratch[team->member], .x = hidden, .ldx = ldh, .team = team};
    sqzi_stopwatch_begin(&r.scratch->watch);
    if (can_deal_sequences(batch, team)) {
        const uint32_t from = first_sequence(batch, team, team->member), to = first_sequence(batch, team, team->member + 1);
        r.begin = batch->first[from];
        r.end = batch->first[to];
        embed(&r);
        for (uint32_t i = 0; i < encoder->n_blocks; i++) run_block_alone(&r, i, from, to);
    } else {
        const bool by_rows = batch->n_tokens >= LEAST_ROWS * team->members || batch->n_tokens > workspace->strip_rows;
        sqzi_team_share(team, batch->n_tokens, 1, &r.begin, &r.end);
        embed(&r);
        if (!by_rows) barrier(&r);
        for (uint32_t i = 0; i < encoder->n_blocks; i++) run_block_together(&r, i, by_rows);
    }
    barrier(&r);
}
