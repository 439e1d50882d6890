/* SPDX-License-Identifier: Apache-2.0 */
/* Where the rows between the steps of a block lie: in memory of their own where they are kept, else
 * in the workspace, in as little of it as the steps allow. */
#include "nn/block.h"

static const sqzi_block_keep *keep_of(const sqzi_run *r, uint32_t i)
{
    static const sqzi_block_keep nothing;
    return r->keep && r->keep->blocks ? &r->keep->blocks[i] : &nothing;
}

static sqzi_rows kept_or(sqzi_real *kept, size_t width, sqzi_rows otherwise)
{
    return kept ? (sqzi_rows){.first = kept, .ld = width} : otherwise;
}

sqzi_rows sqzi_hidden_rows(const sqzi_run *r, uint32_t i)
{
    const sqzi_rows hidden = {.first = r->x, .ld = r->ldx};
    return i == r->encoder->n_blocks ? hidden
                                     : kept_or(keep_of(r, i)->x, r->encoder->width, hidden);
}

/* What is kept, is kept as f32. */
static bool qkv_in_bf16(const sqzi_run *r, const sqzi_block *block)
{
    return !r->keep && sqzi_attention_in_bf16(r->encoder->kernels, block);
}

/* What lies between the feed-forward's linears is written as the second reads it, where that is
 * bf16. */
static bool inner_in_bf16(const sqzi_run *r, const sqzi_block *block)
{
    return !r->keep && sqzi_linear_writes_bf16(&block->ffn_up) &&
           sqzi_linear_reads_bf16(&block->ffn_down);
}

bool sqzi_block_needs_whole_inner(const sqzi_run *r)
{
    return r->keep != NULL;
}

/* Q, K or V (which = 0, 1, 2). */
static sqzi_rows attention_rows(const sqzi_run *r, const sqzi_block *block, uint32_t which)
{
    const sqzi_workspace *w = r->workspace;
    sqzi_real *const memory[] = {w->q, w->k, w->v};
    return (sqzi_rows){.first = memory[which],
                       .bf16 = qkv_in_bf16(r, block) ? sqzi_workspace_bf16(w, which) : NULL,
                       .ld = w->qkv_width,
                       .origin = r->origin};
}

sqzi_block_rows sqzi_block_rows_of(const sqzi_run *r, uint32_t i, size_t strip_row)
{
    const sqzi_block *block = &r->encoder->blocks[i];
    const sqzi_block_keep *keep = keep_of(r, i);
    const size_t width = r->encoder->width, heads = (size_t)block->heads * block->head_width,
                 ffn = block->ffn_width;
    sqzi_block_rows rows = {.x = sqzi_hidden_rows(r, i), .out = sqzi_hidden_rows(r, i + 1)};
    rows.q = kept_or(keep->q, heads, attention_rows(r, block, 0));
    rows.k = kept_or(keep->k, heads, attention_rows(r, block, 1));
    rows.v = kept_or(keep->v, heads, attention_rows(r, block, 2));
    rows.context = kept_or(
        keep->context, heads,
        (sqzi_rows){.first = r->workspace->q, .ld = r->workspace->qkv_width, .origin = r->origin});
    rows.attended =
        kept_or(keep->attended, width,
                (sqzi_rows){.first = r->workspace->attended, .ld = width, .origin = r->origin});
    rows.attn_sum = kept_or(keep->attn_sum, width, rows.attended);
    rows.inner = kept_or(keep->inner, ffn,
                         (sqzi_rows){.first = r->ffn,
                                     .bf16 = inner_in_bf16(r, block) ? (uint16_t *)(void *)r->ffn
                                                                     : NULL,
                                     .ld = ffn,
                                     .origin = strip_row});
    rows.up = kept_or(keep->up, ffn, rows.inner);
    rows.ffn_sum = kept_or(keep->ffn_sum, width, rows.out);
    return rows;
}
