/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a trained block, and of attention and dropout in it, as members of a team take them.
 * Who does which part, and when, is encoder_grad.c's business. */
#ifndef SQZI_BLOCK_GRAD_H
#define SQZI_BLOCK_GRAD_H

#include "nn/block.h"
#include "nn/encoder_grad.h"
#include "nn/linear_grad.h"
#include "nn/norm_grad.h"

/* Sites of dropout in a layer; the embedding is layer 0, block i layer 1 + i. */
typedef enum sqzi_dropout_site {
    SQZI_SITE_WEIGHTS, /* the softmax of attention */
    SQZI_SITE_OUTPUT,  /* attn_output, before the residual; what is behind the embedding's norm */
    SQZI_SITE_DOWN,    /* ffn_down, before the residual */
    SQZI_SITE_DENSE,   /* what a head's dense reads, and its output */
    SQZI_SITE_CLASSES
} sqzi_dropout_site;

/* Dropout at one site; share 0: none. */
typedef struct sqzi_mask {
    const sqzk_grad_table *kernels;
    const sqzi_dropout *dropout;
    uint32_t share; /* of 65536 */
    uint32_t layer;
    sqzi_dropout_site site;
} sqzi_mask;

/* dropout NULL: none. */
sqzi_mask sqzi_mask_of(const sqzk_grad_table *kernels, const sqzi_dropout *dropout, double p,
                       uint32_t layer, sqzi_dropout_site site);

/* A matrix of n columns: rows [row, row + m) of those that sequence b has (tokens; or heads times
 * queries), x and out pointing at the first. out = mask * x + residual (NULL: 0); out may be x or
 * residual. */
typedef struct sqzi_mask_rows {
    size_t row, m, n;
    const sqzi_real *x;
    size_t ldx;
    const sqzi_real *residual;
    size_t ldr;
    sqzi_real *out;
    size_t ldo;
} sqzi_mask_rows;

void sqzi_mask_sequence(const sqzi_mask *mask, uint32_t b, const sqzi_mask_rows *rows);
/* Rows [row, row + m) of a packed batch, whatever sequences they are of. */
void sqzi_mask_batch(const sqzi_mask *mask, const uint32_t *first, const sqzi_mask_rows *rows);

/* What attention's backward, and its forward with dropout, work in. */
typedef struct sqzi_attention_back {
    unsigned char *k_rows, *v_rows;           /* panels of k' and v', of all tokens */
    unsigned char *k_columns;                 /* of k */
    unsigned char *strip;                     /* of a strip of queries, or of d context */
    sqzi_real *weights, *dropped, *d_weights; /* [a strip, ld] */
    sqzi_real *turned;                        /* [ld, a strip], of either type */
    unsigned char *of_width, *of_length;      /* a strip's rows prepared, where they must be */
    sqzi_real *inverse;
    size_t ld;
} sqzi_attention_back;

void sqzi_attention_back_layout(sqzi_attention_back *scratch, const sqzi_encoder *encoder,
                                uint32_t max_length, sqzi_arena *arena);

/* One head of sequence b, rows [begin, end) of all matrices.
 *
 *   context    made by the forward with dropout; not read by the backward
 *   scores     NULL, or [T, T] that the forward keeps, before the softmax and what it drops
 *   d_scores   NULL, or [T, T] added to d scores
 *   dq, dk, dv written
 */
typedef struct sqzi_attention_grad_args {
    const sqzk_table *kernels;
    const sqzk_grad_table *grad_kernels;
    const sqzi_block *block;
    sqzi_attention_back *scratch;
    sqzi_mask mask;
    uint32_t sequence, head, begin, end;
    sqzi_rows q, k, v, context, d_context, dq, dk, dv;
    sqzi_real *scores;
    const sqzi_real *d_scores;
} sqzi_attention_grad_args;

/* Numbers that lie before those of a head of block i where scores, or d of them, are kept. */
size_t sqzi_scores_before(const sqzi_encoder_pass *pass, uint32_t i, uint32_t sequence,
                          uint32_t head);

/* context = (mask * softmax(q k')) v. */
void sqzi_attention_dropped(const sqzi_attention_grad_args *args);
void sqzi_attention_grad(const sqzi_attention_grad_args *args);

/* A block's matrices turned and its panels; those of all blocks lie in the same memory. */
typedef struct sqzi_block_back {
    sqzi_linear_back turned[SQZI_BLOCK_LINEARS];
    sqzi_linear_panels panels[SQZI_BLOCK_LINEARS];
} sqzi_block_back;

/* One block's rows of a backward, all tokens without gaps. Where nothing is dropped d_down is
 * d_out, and d_output d_attn. Of a narrow block x and attended are bf16, inner lies where up was
 * kept, and of d_down, d_up and d_output only what panels hold of them is there for all tokens. */
typedef struct sqzi_block_back_rows {
    sqzi_real *x, *attended, *inner;   /* made again, as the linears read them */
    uint16_t *x_bf16, *attended_bf16;  /* x_bf16 NULL: x is what counts */
    sqzi_real *d_down, *d_up, *d_attn; /* d ffn_down's outputs, [N, F] ffn_up's; d attn_sum */
    sqzi_real *d_output, *d_context;   /* d attn_output's outputs; [N, H·D] */
    sqzi_real *dq, *dk, *dv;           /* [N, H·D] */
    sqzi_real *attn_chains, *ffn_chains;
    sqzi_real *bias_chains[SQZI_BLOCK_LINEARS]; /* of a narrow block's attn_output, ffn_up, _down */
} sqzi_block_back_rows;

/* Working memory of a member. */
typedef struct sqzi_back_scratch {
    sqzi_grad_scratch linear;
    sqzi_attention_back attention;
    /* [SQZI_BACK_ROWS, C] before a residual's dropout, or behind it; [.., F] of narrow blocks */
    sqzi_real *rows, *up, *d_up;
} sqzi_back_scratch;

enum { SQZI_BACK_ROWS = 128 }; /* that go through a stage together, chains of SQZI_GRAD_ROWS */

/* A block's backward as a member sees it. */
typedef struct sqzi_block_pass {
    const sqzi_encoder_pass *pass;
    uint32_t i;
    const sqzi_block_back *back;
    const sqzi_block_back_rows *rows;
    const sqzi_block_keep *keep; /* what the block's forward kept */
    const sqzi_block_halves *halves; /* of a narrow block, else NULL */
    sqzi_back_scratch *scratch;
    /* x is made from it by the norm of the block before; NULL: rows->x is kept */
    const sqzi_real *x_sum;
    const sqzi_norm *x_norm;
    sqzi_real *d_out; /* [N, C] d of what the block made, written over */
    sqzi_real *d_x;   /* [N, C], or NULL: nothing before the block is trained */
} sqzi_block_pass;

/* The block can be narrow (encoder_grad.h). */
bool sqzi_block_can_be_narrow(const sqzk_table *kernels, const sqzi_block *block);

/* x to bf16, as a gemm of the linear takes its rows; n is a multiple of 32. */
void sqzi_round_rows(const sqzi_linear *linear, size_t m, size_t n, const sqzi_real *x, size_t ldx,
                     uint16_t *out, size_t ldo);

/* Stages, in this order: rows of everything behind attention; heads of sequences; rows of Q, K and
 * V; panels; gradients of weights. Rows begin at multiples of SQZI_GRAD_ROWS. */
void sqzi_block_grad_rows(const sqzi_block_pass *p, sqzi_range rows);
void sqzi_block_grad_attention(const sqzi_block_pass *p, uint32_t sequence, uint32_t head);
void sqzi_block_grad_inputs(const sqzi_block_pass *p, sqzi_range rows);
uint32_t sqzi_block_panel_units(const sqzi_block_pass *p);
void sqzi_block_grad_panels(const sqzi_block_pass *p, uint32_t unit);
uint32_t sqzi_block_weight_units(const sqzi_block_pass *p);
void sqzi_block_grad_weights(const sqzi_block_pass *p, uint32_t unit);
uint32_t sqzi_block_pack_units(const sqzi_block_back *back);
void sqzi_block_pack(const sqzi_block_back *back, const sqzi_block_numbers *masters, uint32_t unit);

/* Dropout at a site of block i; that of its weights is attention's. */
sqzi_mask sqzi_block_mask(const sqzi_encoder_pass *pass, uint32_t i, sqzi_dropout_site site);

#endif
