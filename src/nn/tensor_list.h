/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is made of: every tensor by the name that it has in a model file (doc/format.md),
 * and where its numbers are used. One list for whoever goes through them all: opening, counting,
 * quantising, training.
 */
#ifndef SQZI_TENSOR_LIST_H
#define SQZI_TENSOR_LIST_H

#include "nn/head.h"

/* The linears of a block, in the order in which they run. */
typedef enum sqzi_block_linear_id {
    SQZI_ATTN_Q,
    SQZI_ATTN_K,
    SQZI_ATTN_V,
    SQZI_ATTN_OUTPUT,
    SQZI_FFN_UP,
    SQZI_FFN_DOWN,
    SQZI_BLOCK_LINEARS
} sqzi_block_linear_id;

/* "attn_q"; the linear itself; its inputs and outputs in an encoder of this width, for which the
 * block's own sizes must be set. */
const char *sqzi_block_linear_name(uint32_t j);
sqzi_linear *sqzi_block_linear(sqzi_block *block, uint32_t j);
const sqzi_linear *sqzi_block_linear_of(const sqzi_block *block, uint32_t j);
void sqzi_block_linear_sides(const sqzi_block *block, uint32_t width, uint32_t j, uint32_t *n_in,
                             uint32_t *n_out);

typedef enum sqzi_tensor_part {
    SQZI_PART_EMBEDDING,
    SQZI_PART_BLOCK,
    SQZI_PART_POOLER,
    SQZI_PART_HEAD,
    SQZI_PART_EMBED_STEP /* a layer behind the pooling of embeddings */
} sqzi_tensor_part;

typedef enum sqzi_tensor_role {
    SQZI_ROLE_TABLE,  /* rows, one of which is read for a token */
    SQZI_ROLE_WHOLE,  /* a term of a linear that is one matrix */
    SQZI_ROLE_FIRST,  /* A of a term y = B (A x) ... */
    SQZI_ROLE_SECOND, /* ... and its B */
    SQZI_ROLE_BIAS,   /* of a linear */
    SQZI_ROLE_NORM_WEIGHT,
    SQZI_ROLE_NORM_BIAS
} sqzi_tensor_role;

enum { SQZI_LINEAR_NAME = 40, SQZI_TENSOR_NAME = SQZI_LINEAR_NAME + 16 };

/* A tensor [rows, columns], or a vector [rows] where columns is 0. */
typedef struct sqzi_tensor_entry {
    char name[SQZI_TENSOR_NAME];
    sqzi_tensor_part part;
    sqzi_tensor_role role;
    uint32_t block; /* of SQZI_PART_BLOCK */
    uint32_t rows, columns;
    uint32_t groups;           /* of a matrix: group g of the rows reads group g of the inputs */
    const sqzi_linear *linear; /* of matrices and biases, else NULL */
    uint32_t term;             /* of matrices */
    const sqzi_table *table;   /* of tables, else NULL */
    const sqzi_norm *norm;     /* of norms, else NULL */
} sqzi_tensor_entry;

/* A linear and what its tensors' names begin with; stage 0 runs with the embedding, 1 + i in block
 * i, after those pooler and head. */
typedef struct sqzi_linear_entry {
    char name[SQZI_LINEAR_NAME];
    sqzi_tensor_part part;
    uint32_t block, stage;
    const sqzi_linear *linear;
} sqzi_linear_entry;

/* The i-th linear that has tensors of its own, of a model that is loaded, or whose sizes and forms
 * are; false from the end on. The factor of a factorised table, whose one tensor has no ending,
 * and a decoder tied to the table are not among them. head NULL: those of the encoder alone. */
bool sqzi_linear_list(const sqzi_encoder *encoder, const sqzi_head *head, uint32_t i,
                      sqzi_linear_entry *out);

/* Visit every tensor in the order embedding, blocks, pooler, head. The entry lives during the call
 * alone. A tensor that serves twice (a tied decoder's) is visited once; scales of int8 are no
 * tensors of their own here. */
typedef void sqzi_tensor_visitor(void *user, const sqzi_tensor_entry *entry);
void sqzi_tensor_list(const sqzi_encoder *encoder, const sqzi_head *head,
                      sqzi_tensor_visitor *visit, void *user);

#endif
