/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder over a packed batch: how its work is cut into parts, by sequences, by rows or by
 * columns. */
#include "nn/encoder.h"

#include <string.h>

#include "nn/block.h"
#include "nn/tensor_list.h"

enum {
    /* rows that go through a linear together: their weights are read once a strip */
    STRIP_ROWS = 128,
    /* where gemms are fast and a block's weights far larger than the second-level cache */
    LONG_STRIP_ROWS = 256,
    LARGE_BLOCK = 3 << 20, /* bytes of such weights; doc/notebook/speed.md has what was measured */
    LEAST_ROWS = 32        /* a member's share of rows below which columns are split instead */
};

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static size_t strip_rows(const sqzi_encoder *encoder)
{
    size_t rows = STRIP_ROWS;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *b = &encoder->blocks[i];
        size_t bytes = 0;
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            bytes += sqzi_linear_bytes(sqzi_block_linear_of(b, j));
        if (b->ffn_up.terms[0].b.gemm->fast && bytes > LARGE_BLOCK) rows = LONG_STRIP_ROWS;
    }
    return rows;
}

/* The encoder's largest sizes, and what its linears need of a member. */
static void find_sizes(const sqzi_encoder *encoder, sqzi_workspace *workspace,
                       sqzi_linear_scratch *need)
{
    const sqzi_embedding *embedding = &encoder->embedding;
    if (embedding->factorised) sqzi_linear_need(&embedding->factor, 1, need);
    if (embedding->projected) sqzi_linear_need(&embedding->projection, workspace->strip_rows, need);
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *block = &encoder->blocks[i];
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            sqzi_linear_need(sqzi_block_linear_of(block, j), workspace->strip_rows, need);
        if (block->heads * block->head_width > workspace->qkv_width)
            workspace->qkv_width = block->heads * block->head_width;
        if (block->ffn_width > workspace->ffn_width) workspace->ffn_width = block->ffn_width;
    }
}

void sqzi_workspace_layout(sqzi_workspace *workspace, const sqzi_encoder *encoder,
                           uint32_t max_tokens, uint32_t max_length, uint32_t members,
                           sqzi_arena *arena)
{
    const sqzi_embedding *embedding = &encoder->embedding;
    sqzi_linear_scratch need = {0};
    memset(workspace, 0, sizeof *workspace);
    workspace->members = members;
    workspace->max_tokens = max_tokens;
    workspace->max_length = max_length;
    workspace->strip_rows = strip_rows(encoder);
    if (max_tokens < workspace->strip_rows) workspace->strip_rows = max_tokens;
    find_sizes(encoder, workspace, &need);
    const size_t qkv = (size_t)max_tokens * workspace->qkv_width;
    workspace->q = sqzi_arena_take(arena, qkv, sizeof(sqzi_real));
    workspace->k = sqzi_arena_take(arena, qkv, sizeof(sqzi_real));
    workspace->v = sqzi_arena_take(arena, qkv, sizeof(sqzi_real));
    workspace->attended = sqzi_arena_take(arena, (size_t)max_tokens * encoder->width,
                                          sizeof(sqzi_real));
    workspace->embedded = sqzi_arena_take(
        arena, embedding->projected ? (size_t)max_tokens * embedding->width : 0, sizeof(sqzi_real));
    workspace->ffn = sqzi_arena_take(arena, members * workspace->strip_rows * workspace->ffn_width,
                                     sizeof(sqzi_real));
    workspace->scratch = sqzi_arena_take(arena, members, sizeof *workspace->scratch);
    for (uint32_t i = 0; i < members; i++) {
        sqzi_member_scratch own = {.linear = need};
        sqzi_linear_scratch_layout(&own.linear, arena);
        sqzi_attention_layout(&own.attention, encoder, max_length, arena);
        own.normed = sqzi_arena_take(arena,
                                     members > 1 ? workspace->strip_rows * encoder->width : 0,
                                     sizeof(sqzi_real));
        own.row = sqzi_arena_take(arena, embedding->factorised ? embedding->word.width : 0,
                                  sizeof(sqzi_real));
        if (workspace->scratch) workspace->scratch[i] = own;
    }
}

/* The next part of the stage. What a member does between parts is waiting. */
static bool take(sqzi_run *r, uint32_t parts, uint32_t *part)
{
    const bool taken = sqzi_take_part(&r->turn, parts, part);
    sqzi_run_mark(r, SQZ_STAGE_WAIT);
    return taken;
}

static void embed(const sqzi_run *r, sqzi_range rows)
{
    const sqzi_embedding *embedding = &r->encoder->embedding;
    const sqzi_rows x = sqzi_hidden_rows(r, 0),
                    own = {.first = r->workspace->embedded, .ld = embedding->width},
                    kept = {.first = r->keep ? r->keep->embedded_sum : NULL,
                            .ld = embedding->width};
    const sqzi_rows *embedded = embedding->projected ? &own : &x;
    if (rows.begin < rows.end &&
        !sqzi_embedding_run(embedding, r->encoder->kernels, r->batch, rows,
                            kept.first ? &kept : embedded, embedded, r->scratch))
        r->workspace->numeric_error = true;
    if (embedding->projected) sqzi_run_rows(r, &embedding->projection, embedded, &x, rows);
    sqzi_run_mark(r, SQZ_STAGE_EMBEDDING);
}

/* As many sequences from b on as fit a strip, so that all they need of q, k, v and the rest stays
 * in cache; one at least. */
static uint32_t strip_of_sequences(const sqzi_run *r, uint32_t b, uint32_t to)
{
    const uint32_t *first = r->batch->first;
    uint32_t next = b + 1;
    while (next < to && first[next + 1] - first[b] <= r->workspace->strip_rows) next++;
    return next;
}

/* Sequences [from, to) through block i. */
static void run_block(sqzi_run *r, uint32_t i, uint32_t from, uint32_t to)
{
    const uint32_t *first = r->batch->first;
    const sqzi_range heads = {0, r->encoder->blocks[i].heads};
    for (uint32_t b = from, next; b < to; b = next) {
        next = strip_of_sequences(r, b, to);
        r->origin = first[b] - first[from];
        sqzi_block_attend(r, i, sqzi_hidden_rows(r, i), b, next, heads);
        sqzi_block_finish_rows(r, i, (sqzi_range){first[b], first[next]});
    }
}

/* Sequences [from, to) through everything. */
static void run_sequences(sqzi_run *r, uint32_t from, uint32_t to)
{
    const uint32_t *first = r->batch->first;
    embed(r, (sqzi_range){first[from], first[to]});
    for (uint32_t i = 0; i < r->encoder->n_blocks; i++) run_block(r, i, from, to);
}

/* Q, K, V and the context of a block: by heads, in one stage where each part's heads are columns of
 * their own. */
static void attend(sqzi_run *r, uint32_t i, bool by_rows)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const uint32_t n = r->batch->n_sequences, parts = r->turn.team->members;
    const bool apart = sqzi_block_heads_apart(block, parts);
    const sqzi_rows whole = sqzi_hidden_rows(r, i);
    uint32_t part;
    while (!apart && take(r, parts, &part))
        sqzi_block_qkv_part(r, i, by_rows ? whole : sqzi_block_input(r, i), part, parts);
    while (take(r, parts, &part)) {
        const sqzi_range heads = sqzi_share(block->heads, part, parts);
        if (!apart) sqzi_block_context(r, i, 0, n, heads);
        else if (!by_rows) sqzi_block_attend(r, i, sqzi_block_input(r, i), 0, n, heads);
        else
            for (uint32_t b = 0, next; b < n; b = next) {
                next = strip_of_sequences(r, b, n);
                sqzi_block_attend(r, i, whole, b, next, heads);
            }
    }
}

/* The rest of a block by columns, for few rows. */
static void finish_columns(sqzi_run *r, uint32_t i)
{
    const uint32_t parts = r->turn.team->members;
    uint32_t part;
    while (take(r, parts, &part)) sqzi_block_output_part(r, i, part, parts);
    if (sqzi_block_groups_apart(&r->encoder->blocks[i], parts)) {
        while (take(r, parts, &part)) sqzi_block_groups_part(r, i, part, parts);
        return;
    }
    while (take(r, parts, &part)) sqzi_block_up_part(r, i, part, parts);
    while (take(r, parts, &part)) sqzi_block_down_part(r, i, part, parts);
}

static void run_block_by_rows(sqzi_run *r, uint32_t i)
{
    const uint32_t parts = r->turn.team->members;
    attend(r, i, true);
    for (uint32_t part; take(r, parts, &part);)
        sqzi_block_finish_rows(r, i, sqzi_share(r->batch->n_tokens, part, parts));
}

static void run_together(sqzi_run *r)
{
    const uint32_t n_tokens = r->batch->n_tokens, parts = r->turn.team->members,
                   n_blocks = r->encoder->n_blocks;
    /* what is kept is whole rows */
    const bool by_rows = r->keep || n_tokens >= LEAST_ROWS * parts ||
                         n_tokens > r->workspace->strip_rows;
    const sqzi_rows hidden = sqzi_hidden_rows(r, n_blocks);
    uint32_t part;
    while (take(r, parts, &part)) embed(r, sqzi_share(n_tokens, part, parts));
    for (uint32_t i = 0; i < n_blocks; i++)
        if (by_rows) run_block_by_rows(r, i);
        else {
            attend(r, i, false);
            finish_columns(r, i);
        }
    while (!by_rows && n_blocks && take(r, parts, &part))
        sqzi_run_norm(r, &r->encoder->blocks[n_blocks - 1].ffn_norm, &hidden, &hidden,
                      sqzi_share(n_tokens, part, parts));
}

/* The sequence that begins nearest to the first token of a part. */
static uint32_t first_sequence(const sqzi_batch *batch, uint32_t part, uint32_t parts)
{
    const uint64_t wanted = (uint64_t)batch->n_tokens * part / parts;
    uint32_t b = 0;
    while (b < batch->n_sequences && (uint64_t)batch->first[b] + batch->first[b + 1] < 2 * wanted)
        b++;
    return b;
}

/* Sequences can be dealt out whole when no part is more than an eighth over its fair share. */
static bool can_deal_sequences(const sqzi_batch *batch, uint32_t parts)
{
    uint32_t largest = 0;
    for (uint32_t part = 0; part < parts; part++)
        largest = most(largest, batch->first[first_sequence(batch, part + 1, parts)] -
                                    batch->first[first_sequence(batch, part, parts)]);
    return (uint64_t)largest * parts <= batch->n_tokens + batch->n_tokens / 8;
}

static sqzi_run begin_run(const sqzi_encoder *encoder, const sqzi_batch *batch,
                          const sqzi_keep *keep, sqzi_workspace *workspace, sqzi_real *hidden,
                          size_t ldh, const sqzi_team *team)
{
    sqzi_run r = {.encoder = encoder,
                  .batch = batch,
                  .keep = keep,
                  .workspace = workspace,
                  .scratch = &workspace->scratch[team->member],
                  .x = hidden,
                  .ldx = ldh,
                  .turn = {.team = team}};
    r.ffn = workspace->ffn + team->member * workspace->strip_rows * workspace->ffn_width;
    sqzi_stopwatch_begin(&r.scratch->watch);
    return r;
}

void sqzi_encoder_run(const sqzi_encoder *encoder, const sqzi_batch *batch, const sqzi_keep *keep,
                      sqzi_workspace *workspace, sqzi_real *hidden, size_t ldh,
                      const sqzi_team *team)
{
    sqzi_run r = begin_run(encoder, batch, keep, workspace, hidden, ldh, team);
    const uint32_t parts = team->members;
    if (can_deal_sequences(batch, parts))
        for (uint32_t part; take(&r, parts, &part);)
            run_sequences(&r, first_sequence(batch, part, parts),
                          first_sequence(batch, part + 1, parts));
    else run_together(&r);
}

void sqzi_encoder_embed(const sqzi_encoder *encoder, const sqzi_batch *batch, const sqzi_keep *keep,
                        sqzi_workspace *workspace, sqzi_real *hidden, size_t ldh,
                        const sqzi_team *team)
{
    sqzi_run r = begin_run(encoder, batch, keep, workspace, hidden, ldh, team);
    for (uint32_t part; take(&r, team->members, &part);)
        embed(&r, sqzi_share(batch->n_tokens, part, team->members));
}

void sqzi_encoder_run_block(const sqzi_encoder *encoder, uint32_t i, const sqzi_batch *batch,
                            const sqzi_keep *keep, sqzi_workspace *workspace, sqzi_real *hidden,
                            size_t ldh, const sqzi_team *team)
{
    sqzi_run r = begin_run(encoder, batch, keep, workspace, hidden, ldh, team);
    const uint32_t parts = team->members;
    if (!can_deal_sequences(batch, parts)) {
        run_block_by_rows(&r, i);
        return;
    }
    for (uint32_t part; take(&r, parts, &part);)
        run_block(&r, i, first_sequence(batch, part, parts),
                  first_sequence(batch, part + 1, parts));
}
