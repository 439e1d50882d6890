/* SPDX-License-Identifier: Apache-2.0 */
/* A batch forward and backward, any loss between the two:
 *
 *     sqzi_batch_forward(&g, &batch, &dropout);
 *     ... read g.outputs, add d loss of them to g.grads ...
 *     sqzi_batch_backward(&g);      adds d loss of each trained number to the parameters' gradients
 *
 * Knows no files and no model: encoder and head as structs, in tests in double.
 */
#ifndef SQZI_BATCH_GRADIENT_H
#define SQZI_BATCH_GRADIENT_H

#include "nn/head_grad.h"
#include "train/outputs.h"
#include "train/parameters.h"

/* How embeddings are made; dimensions 0: none are. */
typedef struct sqzi_embedding_use {
    sqz_pooling pooling;
    uint32_t dimensions;
    bool normalize;
} sqzi_embedding_use;

/* What does not change from batch to batch. */
typedef struct sqzi_gradient_model {
    const sqzi_encoder *encoder;
    const sqzi_head *head;
    const sqzi_parameters *parameters; /* of these two */
    const sqzk_grad_table *kernels;
    sqzi_thread_pool *pool;
    uint32_t padding; /* an id whose row is not trained; UINT32_MAX: none */
    bool logits;      /* the head is run */
    sqzi_embedding_use embed;
} sqzi_gradient_model;

typedef struct sqzi_batch_gradient {
    sqzi_gradient_model model;
    sqzi_workspace workspace;
    sqzi_encoder_tape tape;
    sqzi_head_tape head_tape, embed_tape;
    /* the caller's: of embeddings, [sequences] tokens at their beginning that pooling leaves out;
     * NULL: none */
    const uint32_t *skip;
    sqzi_real *hidden, *logits, *embeddings;
    sqzi_outputs outputs; /* of the forward */
    sqzi_output_grads grads;
    sqzi_encoder_pass encoder_pass;
    sqzi_head_pass head_pass, embed_pass;
} sqzi_batch_gradient;

typedef struct sqzi_gradient_sizes {
    uint32_t max_tokens, max_sequences, max_length;
    bool recompute, narrow; /* encoder_grad.h; the latter where no loss reads outputs.blocks */
} sqzi_gradient_sizes;

/* Lay it out in the arena (NULL base: counts). */
void sqzi_batch_gradient_layout(sqzi_batch_gradient *gradient, const sqzi_gradient_model *model,
                                const sqzi_gradient_sizes *sizes, sqzi_arena *arena);

/* The batch and the dropout (NULL: none) live until the backward is done. A forward may follow
 * another one: what the first one made is forgotten. */
void sqzi_batch_forward(sqzi_batch_gradient *gradient, const sqzi_batch *batch,
                        const sqzi_dropout *dropout);
void sqzi_batch_backward(sqzi_batch_gradient *gradient);

#endif
