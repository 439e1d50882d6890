/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the rows of embedding tables: each the sum over the tokens that read it, in the
 * order of the batch, added to what stands there. */
#ifndef SQZI_TABLE_GRAD_H
#define SQZI_TABLE_GRAD_H

#include "nn/grad.h"

/* A stable counting sort of the batch's ids: order [N] has the tokens, those of one id together and
 * in their order, of the j-th id from begin[j] on, begin [N + 1]. Returns how many ids there are.
 * counts [rows of the table] is working memory, in any state. Cost: N, whatever the table. */
uint32_t sqzi_sort_ids(const sqzi_batch *batch, uint32_t *counts, uint32_t *order, uint32_t *begin);

/* Rows of a list for all ids of a batch but one that is left out; at most list->most in all. */
void sqzi_row_list_add(sqzi_row_list *list, const sqzi_batch *batch, uint32_t padding);

typedef struct sqzi_table_grad_args {
    const sqzi_embedding *embedding;
    const sqzi_batch *batch;
    const uint32_t *order, *begin; /* of sqzi_sort_ids */
    uint32_t n_distinct;
    uint32_t padding;                       /* an id that is left out */
    const sqzi_real *d_sum;                 /* [N, E] what positions and types get */
    const sqzi_real *d_words;               /* [N, width of the table] what words get */
    const sqzi_embedding_numbers *gradient; /* word (or rows), position, type; NULL: frozen */
} sqzi_table_grad_args;

/* Parts, in any order and at once. */
uint32_t sqzi_table_grad_units(const sqzi_table_grad_args *args);
void sqzi_table_grad(const sqzi_table_grad_args *args, uint32_t unit);

#endif
