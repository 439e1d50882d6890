/* SPDX-License-Identifier: Apache-2.0 */
/* An encoder that is trained: its forward with what the backward reads, and the backward.
 *
 *   forward    hidden = encoder(batch), with dropout where asked for; a tape keeps rows
 *   backward   d loss / d hidden  ->  d loss / d number, added to a gradient of every number
 *
 * Without dropout the forward has the bits of sqzi_encoder_run of an f32 encoder; of int8 rows
 * (sqzi_matrix.grad_gemm) all but the activations, which are exact here. The bits of a gradient
 * depend on the level and the batch; never on the team, nor on whether blocks run again
 * (`recompute`). Nothing before the first layer with a gradient runs backward, or keeps anything.
 *
 * Kept of a token and block, in numbers: q, k, v, context, attn_sum, up and ffn_sum, 6 C + F where
 * heads are as wide as the encoder; with recompute x alone, C, and one block's rows beside it.
 * What the same functions make again is not kept: a norm from what it reads, the softmax from q and
 * k, the activation, the masks of dropout from their counter.
 *
 * A block may be `narrow`, and then keeps q, k, v, context and up as bf16: 24 C bytes a token where
 * F = 4 C, instead of 40 C. It is where that is asked for and its linears and attention multiply
 * rows of bf16 as they lie: widths of whole lines, heads of 32 numbers or a multiple. q, k, v and
 * context are rounded so by what reads them in any case; up is not: the forward's activation reads
 * it in f32, the backward rounded.
 */
#ifndef SQZI_ENCODER_GRAD_H
#define SQZI_ENCODER_GRAD_H

#include "kernel/grad/grad_table.h"
#include "nn/grad.h"

/* Numbers set to 0 with probability p, the others times 1 / (1 - p), p rounded to 2^-16. Sites are
 * those of BERT: behind the embedding's norm, the softmax of attention, attn_output and ffn_down
 * before their residuals, and what a head's dense and output read (head_grad.h). Which numbers
 * they are depends on what stands here and on the number's place in its sequence alone. */
typedef struct sqzi_dropout {
    double hidden, attention, head; /* p, 0 <= p < 1 */
    uint64_t seed;
    uint32_t epoch;
    const uint32_t *examples; /* [n_sequences] an example's number in its data */
    /* [n_sequences] which text of the example and which pass over it; NULL: 0 */
    const uint8_t *views;
} sqzi_dropout;

/* d loss of what sqzi_keep can keep, each NULL or rows as sqzi_block_keep has them, added where the
 * backward comes by. */
typedef struct sqzi_block_keep_grad {
    const sqzi_real *x; /* [N, C] */
    const sqzi_real *q, *k, *v;
    const sqzi_real *scores; /* before the softmax, after the scale */
} sqzi_block_keep_grad;

/* What a narrow block keeps as bf16, [N, H·D] and [N, F] without gaps; NULL: it is not narrow. */
typedef struct sqzi_block_halves {
    uint16_t *q, *k, *v, *context;
    uint16_t *up; /* the backward puts the activation in its place */
} sqzi_block_halves;

struct sqzi_encoder_back;

/* Memory of a forward and its backward. */
typedef struct sqzi_encoder_tape {
    sqzi_keep keep;          /* what the forward wrote where */
    sqzi_block_keep *blocks; /* [n_blocks] */
    sqzi_block_halves *halves; /* [n_blocks]; of blocks that run again all in the same place */
    bool recompute;
    uint32_t first_trained; /* 0 the embedding, 1 + i block i, 1 + n_blocks none */
    struct sqzi_encoder_back *back;
} sqzi_encoder_tape;

typedef struct sqzi_tape_sizes {
    uint32_t max_tokens, max_length, members;
    bool recompute;
    bool
        narrow; /* blocks that can be, are: nothing reads what tape.keep would have of these rows */
} sqzi_tape_sizes;

/* Lay a tape out in the arena (NULL base: counts), for an encoder whose linears have their sizes
 * and gemms; grads says which layers are trained. */
void sqzi_encoder_tape_layout(sqzi_encoder_tape *tape, const sqzi_encoder *encoder,
                              const sqzi_encoder_numbers *grads, const sqzi_tape_sizes *sizes,
                              sqzi_arena *arena);

/* What both directions are handed. The masters are those that the encoder was packed from. */
typedef struct sqzi_encoder_pass {
    const sqzi_encoder *encoder;
    const sqzk_grad_table *kernels;
    const sqzi_encoder_numbers *masters, *grads; /* of grads, NULL: frozen */
    sqzi_workspace *workspace;                   /* the encoder's own, of as many members */
    sqzi_encoder_tape *tape;
    const sqzi_batch *batch;
    const sqzi_dropout *dropout;            /* NULL: none */
    const sqzi_block_keep_grad *keep_grads; /* [n_blocks] or NULL */
    uint32_t padding;  /* an id whose row of the word table is not trained; UINT32_MAX: none */
    sqzi_real *hidden; /* [N, C] what the forward writes; the backward writes over it */
} sqzi_encoder_pass;

/* The team's part; every member calls it, as its job's only call that takes parts, and it returns
 * when all parts are done. */
void sqzi_encoder_forward(const sqzi_encoder_pass *pass, const sqzi_team *team);

/* After the forward of the same pass. d_hidden [N, C] comes in as d loss / d hidden and is written
 * over. */
void sqzi_encoder_backward(const sqzi_encoder_pass *pass, sqzi_real *d_hidden,
                           const sqzi_team *team);

#endif
