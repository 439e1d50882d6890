/* SPDX-License-Identifier: Apache-2.0 */
/* A head, or the pooling of embeddings with what is behind it, that is trained: its forward with
 * what the backward reads, and the backward.
 *
 * Inputs are sequences or tokens as sqzi_head_args says. Dropout stands before dense, but for one
 * with ReLU (DistilBERT's), and before output, of heads that read a pooled vector or are for
 * tokens; embeddings have none. */
#ifndef SQZI_HEAD_GRAD_H
#define SQZI_HEAD_GRAD_H

#include "nn/encoder_grad.h"

struct sqzi_head_back;

typedef struct sqzi_head_tape {
    bool embed; /* pooling and layers behind it, else pooling and the head */
    struct sqzi_head_back *back;
} sqzi_head_tape;

/* For at most max_inputs inputs, of a head whose linears have their sizes and gemms. */
void sqzi_head_tape_layout(sqzi_head_tape *tape, const sqzi_head *head, bool embed,
                           uint32_t max_inputs, uint32_t members, sqzi_arena *arena);

/* What both directions are handed. */
typedef struct sqzi_head_pass {
    const sqzi_head *head;
    const sqzk_table *kernels;
    const sqzk_grad_table *grad_kernels;
    const sqzi_head_numbers *masters, *grads; /* of grads, NULL: frozen */
    /* the encoder's, where the head is tied to its table: word and factor are the head's too */
    const sqzi_embedding_numbers *tied_masters, *tied_grads;
    sqzi_head_tape *tape;
    const sqzi_dropout *dropout; /* NULL: none; examples and views of the sequences in `first` */
    uint32_t layer;              /* of dropout's counter: 1 + the encoder's n_blocks */
    const sqzi_real *hidden;     /* [N, C] */
    uint32_t n_tokens;           /* N */
    uint32_t n_sequences;
    const uint32_t *first; /* [n_sequences + 1] */
    /* as sqzi_head_args has them; of sequences, n = n_sequences */
    sqz_pooling pooling; /* SQZ_POOLING_POOLER of heads that have one alone */
    uint32_t n;
    const uint32_t *rows, *skip;
    sqzi_real *out; /* [n, K] logits, or [n, dimensions] embeddings */
    size_t ldo;
    uint32_t dimensions; /* of embeddings */
    bool normalize;
    bool add; /* the backward adds to d_hidden */
} sqzi_head_pass;

/* The team's part; every member calls it, as its job's only call that takes parts. Without dropout
 * out has the bits of sqzi_head_logits or sqzi_head_embed. */
void sqzi_head_forward(const sqzi_head_pass *pass, const sqzi_team *team);

/* After the forward of the same pass. d_out [n, ldo] is d loss / d out; d_hidden [N, C] is written,
 * or added to; NULL where nothing before the head is trained. */
void sqzi_head_backward(const sqzi_head_pass *pass, const sqzi_real *d_out, sqzi_real *d_hidden,
                        const sqzi_team *team);

#endif
