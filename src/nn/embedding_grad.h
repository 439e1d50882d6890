/* SPDX-License-Identifier: Apache-2.0 */
/* The embedding backward, as members of a team take its parts. A row of a table is one output: the
 * sum over the tokens that read it, in the order of the batch, in chains of SQZI_GRAD_ROWS of
 * them. */
#ifndef SQZI_EMBEDDING_GRAD_H
#define SQZI_EMBEDDING_GRAD_H

#include "nn/block_grad.h"

typedef struct sqzi_embedding_back {
    sqzi_linear_back projection, factor;
    sqzi_linear_panels projection_panels, factor_panels;
    sqzi_real *embedded, *d_embedded; /* [N, E] where the embedding is projected */
    sqzi_real *words, *d_words;       /* [N, k] where it is factorised */
    sqzi_real *chains;                /* of the norm */
    /* tokens by id: those of distinct id j at order[begin[j]], .. order[begin[j + 1] - 1] */
    uint32_t *order, *begin;
    uint32_t *counts; /* [V] */
    uint32_t n_distinct;
} sqzi_embedding_back;

void sqzi_embedding_back_layout(sqzi_embedding_back *back, const sqzi_embedding *embedding,
                                uint32_t max_tokens, sqzi_arena *arena);
void sqzi_embedding_back_need(const sqzi_embedding_back *back, const sqzi_embedding *embedding,
                              sqzi_linear_scratch *need);

typedef struct sqzi_embedding_pass {
    const sqzi_encoder_pass *pass;
    sqzi_embedding_back *back;
    sqzi_back_scratch *scratch;
    sqzi_real *d_x; /* [N, C] d of what block 0 reads, written over */
} sqzi_embedding_pass;

/* Forward with dropout: x, as block 0 reads it, of some rows. */
void sqzi_embedding_dropped(const sqzi_run *run, const sqzi_encoder_pass *pass, sqzi_range rows);

/* Stages: rows, and beside them the tokens by id; panels; gradients. */
void sqzi_embedding_grad_rows(const sqzi_embedding_pass *p, sqzi_range rows);
void sqzi_embedding_sort(const sqzi_embedding_pass *p);
uint32_t sqzi_embedding_panel_units(const sqzi_embedding_pass *p);
void sqzi_embedding_grad_panels(const sqzi_embedding_pass *p, uint32_t unit);
uint32_t sqzi_embedding_weight_units(const sqzi_embedding_pass *p);
void sqzi_embedding_grad_weights(const sqzi_embedding_pass *p, uint32_t unit);
uint32_t sqzi_embedding_pack_units(const sqzi_embedding_pass *p);
void sqzi_embedding_pack(const sqzi_embedding_pass *p, uint32_t unit);

#endif
