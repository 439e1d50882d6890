/* SPDX-License-Identifier: Apache-2.0 */
/* What a trained encoder keeps, and the memory of its backward. */
#include <string.h>

#include "nn/encoder_back_grad.h"

static bool linear_is_trained(const sqzi_linear_numbers *l)
{
    bool trained = l->bias;
    for (uint32_t t = 0; t < SQZI_MAX_TERMS; t++)
        trained = trained || l->terms[t].a || l->terms[t].b;
    return trained;
}

static bool norm_is_trained(const sqzi_norm_numbers *n)
{
    return n->weight || n->bias;
}

static bool embedding_is_trained(const sqzi_embedding_numbers *e)
{
    return e->word || e->word_rows || e->position || e->type || norm_is_trained(&e->norm) ||
           linear_is_trained(&e->factor) || linear_is_trained(&e->projection);
}

static bool block_is_trained(const sqzi_block_numbers *b)
{
    bool trained = norm_is_trained(&b->attn_norm) || norm_is_trained(&b->ffn_norm);
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        trained = trained || linear_is_trained(&b->linears[j]);
    return trained;
}

static uint32_t first_trained(const sqzi_encoder *encoder, const sqzi_encoder_numbers *grads)
{
    uint32_t layer = 0;
    if (embedding_is_trained(&grads->embedding)) return layer;
    while (layer < encoder->n_blocks && !block_is_trained(&grads->blocks[layer])) layer++;
    return layer + 1;
}

/* Memory that several things are laid over, one at a time. */
typedef struct overlay {
    sqzi_arena at;
    size_t most;
} overlay;

static overlay begin_overlay(sqzi_arena *arena)
{
    (void)sqzi_arena_take(arena, 0, 1); /* to where items are aligned */
    return (overlay){*arena, arena->used};
}

static void next_of_overlay(overlay *o, const sqzi_arena *arena)
{
    if (o->at.used > o->most) o->most = o->at.used;
    o->at = *arena;
}

static sqzi_real *rows(sqzi_arena *arena, size_t n, size_t width)
{
    return sqzi_arena_take(arena, n * width, sizeof(sqzi_real));
}

static size_t heads_width(const sqzi_block *block)
{
    return (size_t)block->heads * block->head_width;
}

static uint16_t *half_rows(sqzi_arena *arena, size_t n, size_t width)
{
    return sqzi_arena_take(arena, n * width, sizeof(uint16_t));
}

/* An encoder that is laid out for n tokens. */
typedef struct plan {
    const sqzi_encoder *encoder;
    size_t n;
    uint32_t first; /* block that runs backward */
    bool may_be_narrow;
} plan;

static bool is_narrow(const plan *p, uint32_t i)
{
    return p->may_be_narrow &&
           sqzi_block_can_be_narrow(p->encoder->kernels, &p->encoder->blocks[i]);
}

/* What a block keeps besides x. */
static void lay_out_kept(const plan *p, uint32_t i, sqzi_block_keep *keep,
                         sqzi_block_halves *halves, sqzi_arena *arena)
{
    const sqzi_block *block = &p->encoder->blocks[i];
    const size_t heads = heads_width(block), ffn = block->ffn_width, width = p->encoder->width;
    if (is_narrow(p, i)) {
        halves->q = half_rows(arena, p->n, heads);
        halves->k = half_rows(arena, p->n, heads);
        halves->v = half_rows(arena, p->n, heads);
        halves->context = half_rows(arena, p->n, heads);
        halves->up = half_rows(arena, p->n, ffn);
    } else {
        keep->q = rows(arena, p->n, heads);
        keep->k = rows(arena, p->n, heads);
        keep->v = rows(arena, p->n, heads);
        keep->context = rows(arena, p->n, heads);
        keep->up = rows(arena, p->n, ffn);
    }
    keep->attn_sum = rows(arena, p->n, width);
    keep->ffn_sum = rows(arena, p->n, width);
}

/* Blocks from the first trained one on; x of the first of them, or of all that run again. */
static void lay_out_blocks(sqzi_encoder_tape *tape, struct sqzi_encoder_back *back, const plan *p,
                           sqzi_arena *arena)
{
    const uint32_t n_blocks = p->encoder->n_blocks;
    for (uint32_t i = p->first; i < n_blocks; i++) {
        sqzi_block_keep keep = {0};
        sqzi_block_halves halves = {0};
        if (i == p->first || tape->recompute) keep.x = rows(arena, p->n, p->encoder->width);
        if (!tape->recompute) lay_out_kept(p, i, &keep, &halves, arena);
        if (tape->blocks) tape->blocks[i] = keep;
        if (tape->halves) tape->halves[i] = halves;
    }
    overlay o = begin_overlay(arena);
    for (uint32_t i = p->first; i < n_blocks && tape->recompute; i++) {
        sqzi_block_keep keep = {.x = tape->blocks ? tape->blocks[i].x : NULL};
        sqzi_block_halves halves = {0};
        lay_out_kept(p, i, &keep, &halves, &o.at);
        if (back->again) back->again[i] = keep;
        if (tape->halves) tape->halves[i] = halves;
        next_of_overlay(&o, arena);
    }
    arena->used = o.most;
}

/* The largest sizes of blocks that are narrow, or that are not; 0 where there are none. */
typedef struct largest {
    size_t n, heads, width, ffn; /* n: tokens */
} largest;

static largest largest_of(const plan *p, bool narrow)
{
    largest l = {0};
    for (uint32_t i = p->first; i < p->encoder->n_blocks; i++) {
        const sqzi_block *block = &p->encoder->blocks[i];
        if (is_narrow(p, i) != narrow) continue;
        l.n = p->n;
        l.width = p->encoder->width;
        if (heads_width(block) > l.heads) l.heads = heads_width(block);
        if (block->ffn_width > l.ffn) l.ffn = block->ffn_width;
    }
    return l;
}

static void lay_out_back_rows(sqzi_block_back_rows *r, const plan *p, sqzi_arena *arena)
{
    const size_t n = p->n, width = p->encoder->width, chains = sqzi_norm_chains(n, width),
                 sums = (n + SQZI_GRAD_ROWS - 1) / SQZI_GRAD_ROWS;
    const largest wide = largest_of(p, false), narrow = largest_of(p, true);
    const size_t heads = wide.heads > narrow.heads ? wide.heads : narrow.heads;
    r->x = rows(arena, wide.n, wide.width);
    r->attended = rows(arena, wide.n, wide.width);
    r->inner = rows(arena, wide.n, wide.ffn);
    r->d_down = rows(arena, wide.n, wide.width);
    r->d_up = rows(arena, wide.n, wide.ffn);
    r->d_output = rows(arena, wide.n, wide.width);
    r->x_bf16 = half_rows(arena, narrow.n, narrow.width);
    r->attended_bf16 = half_rows(arena, narrow.n, narrow.width);
    r->bias_chains[SQZI_ATTN_OUTPUT] = rows(arena, narrow.n ? sums : 0, narrow.width);
    r->bias_chains[SQZI_FFN_UP] = rows(arena, narrow.n ? sums : 0, narrow.ffn);
    r->bias_chains[SQZI_FFN_DOWN] = rows(arena, narrow.n ? sums : 0, narrow.width);
    r->d_attn = rows(arena, n, width);
    r->d_context = rows(arena, n, heads > width ? heads : 0); /* else the workspace has room */
    r->attn_chains = rows(arena, chains, 1);
    r->ffn_chains = rows(arena, chains, 1);
}

static bool matrices_are_trained(const sqzi_linear *linear, const sqzi_linear_numbers *grads)
{
    bool trained = true;
    for (uint32_t t = 0; t < linear->n_terms; t++)
        trained = trained && grads->terms[t].b && (!linear->terms[t].a.packed || grads->terms[t].a);
    return trained;
}

/* K's and V's inputs are Q's, whose panels serve them where Q makes any. */
static void lay_out_panels(sqzi_block_back *back, const sqzi_block *block,
                           const sqzi_block_numbers *grads, size_t n, sqzi_arena *arena)
{
    const bool shared = matrices_are_trained(&block->attn_q, &grads->linears[SQZI_ATTN_Q]);
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        const bool same = shared && (j == SQZI_ATTN_K || j == SQZI_ATTN_V);
        sqzi_linear_panels_layout(sqzi_block_linear_of(block, j), n, same ? &block->attn_q : NULL,
                                  same ? &back->panels[SQZI_ATTN_Q] : NULL, &back->panels[j],
                                  arena);
    }
}

/* Matrices turned and panels, of all blocks in the same memory; a block's matrices are packed while
 * the panels of the one behind it are read. */
static void lay_out_linears(sqzi_block_back *placed, const sqzi_encoder *encoder,
                            const sqzi_encoder_numbers *grads, uint32_t first, size_t n,
                            sqzi_linear_scratch *need, sqzi_arena *arena)
{
    sqzi_block_back counted = {0};
    overlay o = begin_overlay(arena);
    for (uint32_t i = first; i < encoder->n_blocks; i++) {
        sqzi_block_back *back = placed ? &placed[i] : &counted;
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            const sqzi_linear *linear = sqzi_block_linear_of(&encoder->blocks[i], j);
            sqzi_linear_back_layout(linear, &back->turned[j], &o.at);
            sqzi_linear_grad_need(linear, &back->turned[j], SQZI_BACK_ROWS, need);
        }
        next_of_overlay(&o, arena);
    }
    arena->used = o.most;
    o = begin_overlay(arena);
    for (uint32_t i = first; i < encoder->n_blocks; i++) {
        lay_out_panels(placed ? &placed[i] : &counted, &encoder->blocks[i], &grads->blocks[i], n,
                       &o.at);
        next_of_overlay(&o, arena);
    }
    arena->used = o.most;
}

static void lay_out_members(struct sqzi_encoder_back *back, const plan *p,
                            const sqzi_tape_sizes *sizes, const sqzi_linear_scratch *need,
                            sqzi_arena *arena)
{
    const size_t ffn = largest_of(p, true).ffn;
    back->scratch = sqzi_arena_take(arena, sizes->members, sizeof *back->scratch);
    for (uint32_t i = 0; i < sizes->members; i++) {
        sqzi_back_scratch own = {.linear = {.rows = *need}};
        sqzi_grad_scratch_layout(&own.linear, arena);
        sqzi_attention_back_layout(&own.attention, p->encoder, sizes->max_length, arena);
        own.rows = rows(arena, SQZI_BACK_ROWS, p->encoder->width);
        own.up = rows(arena, SQZI_BACK_ROWS, ffn);
        own.d_up = rows(arena, SQZI_BACK_ROWS, ffn);
        if (back->scratch) back->scratch[i] = own;
    }
}

void sqzi_encoder_tape_layout(sqzi_encoder_tape *tape, const sqzi_encoder *encoder,
                              const sqzi_encoder_numbers *grads, const sqzi_tape_sizes *sizes,
                              sqzi_arena *arena)
{
    const size_t n = sizes->max_tokens;
    sqzi_linear_scratch need = {0};
    struct sqzi_encoder_back own = {0};
    memset(tape, 0, sizeof *tape);
    tape->recompute = sizes->recompute;
    tape->first_trained = first_trained(encoder, grads);
    tape->blocks = sqzi_arena_take(arena, encoder->n_blocks, sizeof *tape->blocks);
    tape->halves = sqzi_arena_take(arena, encoder->n_blocks, sizeof *tape->halves);
    if (tape->blocks) memset(tape->blocks, 0, encoder->n_blocks * sizeof *tape->blocks);
    if (tape->halves) memset(tape->halves, 0, encoder->n_blocks * sizeof *tape->halves);
    const plan p = {.encoder = encoder,
                    .n = n,
                    .first = tape->first_trained ? tape->first_trained - 1 : 0,
                    .may_be_narrow = sizes->narrow};
    tape->back = sqzi_arena_take(arena, 1, sizeof *tape->back);
    own.again = sqzi_arena_take(arena, sizes->recompute ? encoder->n_blocks : 0, sizeof *own.again);
    own.blocks = sqzi_arena_take(arena, encoder->n_blocks, sizeof *own.blocks);
    if (tape->first_trained == 0) {
        if (!encoder->embedding.bare)
            tape->keep.embedded_sum = rows(arena, n, encoder->embedding.width);
        sqzi_embedding_back_layout(&own.embedding, &encoder->embedding, sizes->max_tokens, arena);
        sqzi_embedding_back_need(&own.embedding, &encoder->embedding, &need);
    }
    lay_out_blocks(tape, &own, &p, arena);
    lay_out_back_rows(&own.rows, &p, arena);
    lay_out_linears(own.blocks, encoder, grads, p.first, n, &need, arena);
    lay_out_members(&own, &p, sizes, &need, arena);
    tape->keep.blocks = tape->blocks;
    if (tape->back) *tape->back = own;
}
