/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of what encoder.h and head.h run.
 *
 * A forward with sqzi_keep leaves the rows between the steps; a backward reads them in the opposite
 * order, and adds d loss / d number to a gradient of every number that is trained. Numbers lie
 * placed (nn/pack.h): a permutation that is packed away is nothing here.
 *
 * The law of bits is inference's, carried on: work is split over outputs, never over tokens. An
 * element of dW is one output of a gemm whose k are the tokens of the batch in order, GRAD_TOKENS
 * at a time, each added to what stands there; a sum over rows that is no gemm is a chain over
 * SQZI_GRAD_ROWS rows, the chains in order. So bits depend on the level and the batch, not on the
 * team.
 */
#ifndef SQZI_GRAD_H
#define SQZI_GRAD_H

#include "nn/head.h"
#include "nn/tensor_list.h"

enum { SQZI_GRAD_TOKENS = 1024, SQZI_GRAD_ROWS = 64 };

/* The numbers of a linear, a norm, ... as sqzi_real, placed: masters of a model that is trained,
 * and, in another struct of the same form, their gradients. NULL: there is none, or (of gradients)
 * it is frozen. */
typedef struct sqzi_linear_numbers {
    struct {
        sqzi_real *a, *b; /* as sqzi_term */
    } terms[SQZI_MAX_TERMS];
    sqzi_real *bias;
} sqzi_linear_numbers;

typedef struct sqzi_norm_numbers {
    sqzi_real *weight, *bias;
} sqzi_norm_numbers;

typedef struct sqzi_block_numbers {
    sqzi_linear_numbers linears[SQZI_BLOCK_LINEARS];
    sqzi_norm_numbers attn_norm, ffn_norm;
} sqzi_block_numbers;

/* A table's gradient as the rows that are not 0, in the order in which they were met. */
typedef struct sqzi_row_list {
    uint32_t *places;   /* [rows of the table] where in numbers; SQZI_NO_ROW: not here, it is 0 */
    uint32_t *ids;      /* [most] */
    sqzi_real *numbers; /* [most, width] */
    uint32_t n, most, n_rows, width;
} sqzi_row_list;
#define SQZI_NO_ROW UINT32_MAX

/* Lay out room for `most` rows; then all rows are 0 (table_grad.c). */
void sqzi_row_list_layout(sqzi_row_list *list, uint32_t n_rows, uint32_t width, uint32_t most,
                          sqzi_arena *arena);
void sqzi_row_list_begin(sqzi_row_list *list);
/* All rows are 0 again. Cost: of those that are there. */
void sqzi_row_list_clear(sqzi_row_list *list);

typedef struct sqzi_embedding_numbers {
    sqzi_real *word, *position, *type; /* [V, E] or [V, k]; [P, E]; [types, E] */
    sqzi_row_list *word_rows; /* of gradients: instead of word, which is NULL then; or NULL */
    sqzi_linear_numbers factor, projection;
    sqzi_norm_numbers norm;
} sqzi_embedding_numbers;

typedef struct sqzi_encoder_numbers {
    sqzi_embedding_numbers embedding;
    sqzi_block_numbers *blocks; /* [n_blocks] */
} sqzi_encoder_numbers;

typedef struct sqzi_head_numbers {
    sqzi_linear_numbers pooler, dense, factor, output;
    sqzi_norm_numbers norm;
    sqzi_linear_numbers steps[SQZI_MAX_STEPS];
    sqzi_norm_numbers step_norms[SQZI_MAX_STEPS];
} sqzi_head_numbers;

#endif
