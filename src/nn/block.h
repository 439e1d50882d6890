/* SPDX-License-Identifier: Apache-2.0 */
/* What one member of a team does of a block. Who does which part, and when, is encoder.c's
 * business.
 *
 * A part is some rows with all that follows from them, or some heads, groups or columns of all
 * rows. Parts of one stage never write the same number, nor read what another one writes.
 */
#ifndef SQZI_BLOCK_H
#define SQZI_BLOCK_H

#include "nn/encoder.h"

/* A run as a member sees it. */
typedef struct sqzi_run {
    const sqzi_encoder *encoder;
    const sqzi_batch *batch;
    const sqzi_keep *keep;
    sqzi_workspace *workspace;
    sqzi_member_scratch *scratch;
    sqzi_real *ffn;         /* [strip rows, max F], the member's own */
    sqzi_real *x;           /* [N, C] the hidden states, where they are not kept */
    size_t ldx;
    size_t origin; /* row i of the batch is row i - origin of the workspace's */
    /* what the rows in scratch->normed went through; NULL: nothing is there */
    const sqzi_norm *copied;
    sqzi_turn turn;
} sqzi_run;

/* The rows between the steps of a block:
 *
 *   q, k, v  = linears(x)              context  = softmax(q k') v
 *   attn_sum = x + attn_output(context)        attended = attn_norm(attn_sum)
 *   up       = ffn_up(attended)        inner    = activation(up)
 *   ffn_sum  = attended + ffn_down(inner)      out      = ffn_norm(ffn_sum)
 *
 * Each step may write where it reads: without sqzi_keep, context takes the place of q, attended
 * that of attn_sum, inner that of up (one gemm makes it), and ffn_sum and out that of x. up and
 * inner hold a strip alone then, from the row on that sqzi_block_rows_of was asked for.
 */
typedef struct sqzi_block_rows {
    sqzi_rows x, q, k, v, context, attn_sum, attended, up, inner, ffn_sum, out;
} sqzi_block_rows;

/* Where they lie for block i (block_rows.c). */
sqzi_block_rows sqzi_block_rows_of(const sqzi_run *run, uint32_t i, size_t strip_row);

/* What block i reads; what the last one writes for i = n_blocks. */
sqzi_rows sqzi_hidden_rows(const sqzi_run *run, uint32_t i);

/* The second linear of the feed-forward reads rows that were kept or are to be seen: no group of
 * them is made without the others. */
bool sqzi_block_needs_whole_inner(const sqzi_run *run);

/* What this member did since the last mark was this stage. */
void sqzi_run_mark(const sqzi_run *run, sqz_stage stage);

/* Norm rows of x to out, which may be x. */
void sqzi_run_norm(const sqzi_run *run, const sqzi_norm *norm, const sqzi_rows *x,
                   const sqzi_rows *out, sqzi_range rows);

/* A linear over rows of whole matrices, in strips. */
void sqzi_run_rows(const sqzi_run *run, const sqzi_linear *linear, const sqzi_rows *x,
                   const sqzi_rows *y, sqzi_range rows);

/* Q, K and V can be cut so that each of `parts` makes those of its heads. */
bool sqzi_block_heads_apart(const sqzi_block *block, uint32_t parts);

/* Q, K, V and the context of block i: these heads of sequences [from, to), which lie together. */
void sqzi_block_attend(const sqzi_run *run, uint32_t i, sqzi_rows x, uint32_t from, uint32_t to,
                       sqzi_range heads);

/* The same in two stages, where heads are not apart. */
void sqzi_block_qkv_part(const sqzi_run *run, uint32_t i, sqzi_rows x, uint32_t part,
                         uint32_t parts);
void sqzi_block_context(const sqzi_run *run, uint32_t i, uint32_t from, uint32_t to,
                        sqzi_range heads);

/* Output projection, norm, feed-forward, norm: rows all the way, a strip at a time. */
void sqzi_block_finish_rows(const sqzi_run *run, uint32_t i, sqzi_range rows);

/* By columns, of all rows (at most one strip), nothing kept: x and attended hold sums that are not
 * normed yet, and members norm them for themselves. */
sqzi_rows sqzi_block_input(sqzi_run *run, uint32_t i);
void sqzi_block_output_part(sqzi_run *run, uint32_t i, uint32_t part, uint32_t parts);
bool sqzi_block_groups_apart(const sqzi_block *block, uint32_t parts);
void sqzi_block_groups_part(sqzi_run *run, uint32_t i, uint32_t part, uint32_t parts);
void sqzi_block_up_part(sqzi_run *run, uint32_t i, uint32_t part, uint32_t parts);
void sqzi_block_down_part(sqzi_run *run, uint32_t i, uint32_t part, uint32_t parts);

#endif
