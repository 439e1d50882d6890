/* SPDX-License-Identifier: Apache-2.0 */
/* A trained head as a row of layers, each with what it made and what its backward needs. */
#ifndef SQZI_HEAD_BACK_GRAD_H
#define SQZI_HEAD_BACK_GRAD_H

#include "nn/block_grad.h"
#include "nn/head_grad.h"

typedef enum sqzi_head_layer_kind {
    SQZI_LAYER_LINEAR,
    SQZI_LAYER_NORM,
    SQZI_LAYER_DROPOUT,
    SQZI_LAYER_NORMALIZE, /* to length 1 */
    SQZI_LAYER_CUT        /* the first numbers of an embedding, of length 1 where asked for */
} sqzi_head_layer_kind;

typedef struct sqzi_head_layer {
    sqzi_head_layer_kind kind;
    uint32_t n_in, n_out;
    bool pooler; /* runs where the pooling is the pooler's alone */
    sqzi_dropout_site site;
    const sqzi_linear *linear;
    sqzk_activation activation;
    const sqzi_norm *norm;
    size_t numbers;    /* of a linear or a norm: where in sqzi_head_numbers */
    sqzi_real *sum;    /* [n, n_out] what its activation reads, where its outputs cannot
                        * tell the gradient */
    sqzi_real *out;    /* [n, n_out]; of the last one none: the caller's */
    sqzi_real *d_in;   /* [n, n_in] */
    sqzi_real *d_out;  /* [n, n_out] of a linear with an activation: before it */
    sqzi_real *chains; /* of a norm */
    sqzi_linear_back back;
    sqzi_linear_panels panels;
} sqzi_head_layer;

enum { SQZI_MOST_LAYERS = SQZI_MAX_STEPS + 8 };

struct sqzi_head_back {
    sqzi_head_layer layers[SQZI_MOST_LAYERS];
    uint32_t n_layers;
    sqzi_real *pooled;          /* [n, C] */
    sqzi_grad_scratch *scratch; /* [members] */
};

/* Rows of numbers. */
typedef struct sqzi_head_rows {
    sqzi_real *x;
    size_t ld;
} sqzi_head_rows;

/* A layer as a pass sees it: its numbers, where it reads and writes, forward and backward. */
typedef struct sqzi_layer_pass {
    const sqzi_head_pass *pass;
    sqzi_head_layer *layer;
    sqzi_grad_scratch *scratch;
    sqzi_head_rows in, out, d_in, d_out; /* d_in.x NULL: not wanted */
    sqzi_linear_numbers masters, grads;  /* of a linear */
    sqzi_norm_numbers norm_grads;
    uint32_t n_out; /* of a cut: what is left */
    bool normalize;
} sqzi_layer_pass;

/* Rows of inputs, at most SQZI_HEAD_ROWS. */
void sqzi_layer_run(const sqzi_layer_pass *p, sqzi_range rows);
void sqzi_layer_grad_rows(const sqzi_layer_pass *p, sqzi_range rows);
/* Units of the stages before and behind those rows. */
uint32_t sqzi_layer_pack_units(const sqzi_layer_pass *p);
void sqzi_layer_pack(const sqzi_layer_pass *p, uint32_t unit);
uint32_t sqzi_layer_panel_units(const sqzi_layer_pass *p);
void sqzi_layer_grad_panels(const sqzi_layer_pass *p, uint32_t unit);
uint32_t sqzi_layer_weight_units(const sqzi_layer_pass *p);
void sqzi_layer_grad_weights(const sqzi_layer_pass *p, uint32_t unit);

/* d_hidden of rows [begin, end) of the batch, written or added to, from d of the vectors that
 * inputs were pooled to (pooling_grad.c). */
void sqzi_pooling_grad(const sqzi_head_pass *pass, sqzi_head_rows d_pooled, sqzi_real *d_hidden,
                       sqzi_range rows);

#endif
