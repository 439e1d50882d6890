/* SPDX-License-Identifier: Apache-2.0 */
/* A tiny encoder with its head over one batch, forward and backward: the loss is half the squared
 * distance of all outputs to random targets, in double, a sum in which nothing cancels. */
#ifndef SQZT_TINY_PASS_H
#define SQZT_TINY_PASS_H

#include "base/threads.h"
#include "nn/head_grad.h"
#include "support/tiny_encoder.h"

enum { SQZT_MOST_MEMBERS = 3, SQZT_MOST_SEQUENCES = 16 };

typedef struct sqzt_pass_options {
    uint32_t features;
    sqzi_type type;            /* of the gemms */
    double dropout;            /* of hidden states, attention and the head alike */
    bool recompute, narrow, normalize; /* the last one of embeddings */
    uint32_t members;
    uint32_t lengths[SQZT_MOST_SEQUENCES]; /* ended by 0; cut to the positions there are */
    uint32_t padding;                      /* UINT32_MAX: none */
    bool some_tokens; /* a head for tokens reads some of them, one of them twice */
    bool skip;        /* pooling leaves out a token of sequences that have two */
    /* the loss has a weighted sum of kept rows too: of x, q, k, v and scores of every block */
    bool keep_grads;
    const char *only, *frozen; /* what is trained, and what is not: names that begin so; or NULL */
} sqzt_pass_options;

typedef struct sqzt_pass {
    sqzt_encoder model;
    sqzt_pass_options options;
    sqzi_thread_pool *pool;
    uint32_t first[SQZT_MOST_SEQUENCES + 1], examples[SQZT_MOST_SEQUENCES];
    uint8_t views[SQZT_MOST_SEQUENCES];
    sqzi_batch batch;
    sqzi_dropout dropout;
    sqzi_workspace workspace;
    sqzi_encoder_tape tape;
    sqzi_head_tape head_tape;
    sqzi_encoder_pass pass;
    sqzi_head_pass head;
    size_t n_out;
    sqzi_real *targets, *d_out, *d_hidden;
    sqzi_block_keep_grad *keep_grads; /* [n_blocks] weights of kept rows */
} sqzt_pass;

void sqzt_pass_make(sqzt_pass *p, const sqzt_tiny *tiny, const sqzt_pass_options *options);
void sqzt_pass_free(sqzt_pass *p);

/* The loss of the masters as they stand. */
double sqzt_pass_loss(sqzt_pass *p);
/* The gradients of all tensors, added to what stands there, or after clearing that. */
void sqzt_pass_add_gradients(sqzt_pass *p);
void sqzt_pass_gradients(sqzt_pass *p);

#endif
