/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of an encoder as floats in memory: what levers change, in any order, and what is
 * then rounded and written as a new model file.
 *
 *     sqzi_weights_of(model, &weights, error)        every matrix as f32, whatever it is stored as
 *     ... levers: layers, heads, neurons, rank, groups, embedding ...
 *     ... bits: each matrix to integers ...
 *     sqzi_weights_write(weights, &step, out, error)
 *     sqzi_weights_discard(weights)
 *
 * Held here are the tables and all linears with their biases. Norms belong to their block and are
 * read from the model by the number that the block had in it (`source`); those behind the blocks,
 * and a masked LM's decoder, are carried over as they are.
 *
 * Each array is a block of its own from the context's allocator; the functions below make them and
 * let them go, and keep the counts beside them true. Not safe to be changed by two threads at once.
 */
#ifndef SQZI_WEIGHTS_H
#define SQZI_WEIGHTS_H

#include "model/loader.h"
#include "nn/tensor_list.h"
#include "rewrite/rewrite.h"

/* What a matrix or table is written as. */
typedef enum sqzi_storage {
    SQZI_STORED_F32,
    SQZI_STORED_S8,
    SQZI_STORED_S4, /* groups of 32 along a row, expanding exactly to int8 (io/packed_rows.h) */
    SQZI_STORED_S3,
    SQZI_STORED_S2 /* tables alone */
} sqzi_storage;

/* Bits of a number of rounded matrices. */
static inline uint32_t sqzi_storage_bits(sqzi_storage storage)
{
    static const uint8_t bits[] = {32, 8, 4, 3, 2};
    return bits[storage];
}

/* The integers of a matrix that has been rounded: value = scale[row] * integers[row, column]. */
typedef struct sqzi_rounded {
    int8_t *integers;     /* [rows, columns], or NULL: not rounded */
    float *scale;         /* [rows] */
    uint8_t *multipliers; /* [rows, ceil(columns / 32)] of s4, s3 and s2, else NULL */
} sqzi_rounded;

/* Block diagonal, or a table (groups 1): [rows, columns], columns the inputs of a group. rows 0:
 * there is none. */
typedef struct sqzi_weight_matrix {
    uint32_t rows, columns, groups;
    float *values;
    sqzi_storage storage; /* SQZI_STORED_F32 until it is rounded */
    sqzi_rounded rounded;
} sqzi_weight_matrix;

/* y = sum of terms + bias; a term is whole (a.rows 0) or B (A x). */
typedef struct sqzi_weight_term {
    sqzi_weight_matrix a, b;
} sqzi_weight_term;

typedef struct sqzi_weight_linear {
    uint32_t n_in, n_out, n_terms;
    sqzi_weight_term terms[SQZI_MAX_TERMS];
    float *bias; /* [n_out] or NULL; in the order of y before `out` */
    /* permutations as the file has them, or NULL: the terms read x[in[j]] as their j-th input;
     * their j-th output is y[out[j]] */
    uint32_t *in, *out; /* [n_in], [n_out] */
} sqzi_weight_linear;

typedef struct sqzi_weight_block {
    uint32_t source; /* its number in the model, whose norms and activation it keeps */
    uint32_t heads, head_width, ffn_width;
    bool new_attention, new_feed_forward; /* their norms are new: ones and zeros */
    sqzi_weight_linear linears[SQZI_BLOCK_LINEARS];
} sqzi_weight_block;

/* Product quantisation of a table [rows, width]: part p of row r, before the fixed rotation is
 * undone (nn/product_table.h), is centroid codes[r, p] of that part. */
typedef struct sqzi_weight_product {
    uint32_t parts;    /* 0: the table is not one */
    uint8_t *codes;    /* [rows, parts] */
    int8_t *centroids; /* [parts, 256, width / parts] */
    float *scale;      /* [parts, 256] */
} sqzi_weight_product;

typedef struct sqzi_weights {
    const sqz_model *model;
    uint32_t width, embedding_width, n_blocks;
    uint32_t n_made;           /* blocks that there is room for: the model's */
    sqzi_weight_block *blocks; /* [n_blocks] */
    sqzi_weight_matrix word;   /* [V, E], or [V, k] where factorised; values are NULL where
                                * `product` takes its place */
    sqzi_weight_product product;
    sqzi_weight_matrix factor;     /* [E, k] where factorised */
    sqzi_weight_matrix position;   /* [P, E], rows 0 of a bare embedding */
    sqzi_weight_matrix type;       /* [types, E] or rows 0 */
    sqzi_weight_linear projection; /* E to C, n_terms 0 where there is none */
    /* NULL, or [word.rows]: the row of the model's table that each row was; the tokenizer and a
     * masked LM's decoder follow */
    uint32_t *kept_words;
    /* what stands behind the blocks: pooler, head, layers behind the pooling; not a masked LM's
     * decoder. n_terms 0: it leaves */
    struct sqzi_weight_other *others; /* [n_others] */
    uint32_t n_others;
    bool new_logits; /* temperature and threshold of the model's are not those of what comes out */
    /* students (student.h) */
    bool reshaped;      /* widths are not the model's: what is carried over leaves, and the head */
    bool new_embedding; /* its norm is new */
    float *ones;        /* of new norms: [n_ones] ones, then as many zeros; NULL: there is none */
    uint32_t n_ones;
} sqzi_weights;

/* Something of it is new. */
static inline bool sqzi_weights_are_new(const sqzi_weights *weights)
{
    return weights->ones != NULL;
}

/* Words alone, without positions and norm. */
static inline bool sqzi_weights_are_bare(const sqzi_weights *weights)
{
    return weights->position.rows == 0;
}

typedef struct sqzi_weight_other {
    char name[SQZI_LINEAR_NAME];
    sqzi_weight_linear linear;
} sqzi_weight_other;

/* All of a model's weights as f32, the numbers that a run of it has of them; the model must live as
 * long. SQZ_ENOMEM; SQZ_ENUMERIC where one is not finite. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_weights_of(const sqz_model *model, sqzi_weights *weights,
                                         sqz_error *error);
void sqzi_weights_discard(sqzi_weights *weights);

/* Keep the blocks order[0 .. n), which ascend; n may be 0. */
void sqzi_weights_keep_blocks(sqzi_weights *weights, const uint32_t *order, uint32_t n);

/* A matrix of zeros in the place of what was there. SQZ_ENOMEM: what was there stays. */
SQZ_NODISCARD sqz_status sqzi_weight_matrix_make(const sqzi_weights *weights, uint32_t rows,
                                                 uint32_t columns, uint32_t groups,
                                                 sqzi_weight_matrix *matrix, sqz_error *error);
void sqzi_weight_matrix_drop(const sqzi_weights *weights, sqzi_weight_matrix *matrix);

/* Room for the integers, scales and multipliers that `storage` (not F32) has, all zero, in the
 * place of what was there; values stay, and are dropped by nobody. SQZ_ENOMEM: it is as
 * unrounded. */
SQZ_NODISCARD sqz_status sqzi_weight_matrix_round(const sqzi_weights *weights, sqzi_storage storage,
                                                  sqzi_weight_matrix *matrix, sqz_error *error);
/* Its values are what is written again. */
void sqzi_weight_matrix_unround(const sqzi_weights *weights, sqzi_weight_matrix *matrix);
/* Multipliers of s4, s3 or s2: rows * ceil(columns / 32). */
size_t sqzi_weight_multipliers(const sqzi_weight_matrix *matrix);

/* A bias of zeros where there is none. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_weight_linear_add_bias(const sqzi_weights *weights,
                                                     sqzi_weight_linear *linear, sqz_error *error);
void sqzi_weight_linear_drop(const sqzi_weights *weights, sqzi_weight_linear *linear);
void sqzi_weight_block_drop(const sqzi_weights *weights, sqzi_weight_block *block);

/* Keep some rows of every matrix's outputs, or some inputs, of a linear that is one whole term of
 * one group without permutations: kept [n] ascends. SQZ_EUNSUPPORTED: it is of another form;
 * SQZ_ENOMEM; then nothing has changed. */
SQZ_NODISCARD sqz_status sqzi_weight_linear_keep_outputs(const sqzi_weights *weights,
                                                         sqzi_weight_linear *linear,
                                                         const uint32_t *kept, uint32_t n,
                                                         sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_weight_linear_keep_inputs(const sqzi_weights *weights,
                                                        sqzi_weight_linear *linear,
                                                        const uint32_t *kept, uint32_t n,
                                                        sqz_error *error);

/* Bytes that a matrix, or all that is held here, takes in a file: exact, without the padding that
 * the container puts between tensors. */
uint64_t sqzi_weight_matrix_bytes(const sqzi_weight_matrix *matrix);
uint64_t sqzi_weight_linear_bytes(const sqzi_weight_linear *linear);
/* Of the words: table, or codes and centroids, and factor. */
uint64_t sqzi_weights_word_bytes(const sqzi_weights *weights);
uint64_t sqzi_weights_bytes(const sqzi_weights *weights);

/* Every tensor that would be written, in the order of the file. */
typedef void sqzi_weights_seen(void *user, const char *name, uint32_t n_dims,
                               const uint64_t *shape);
void sqzi_weights_list(const sqzi_weights *weights, sqzi_weights_seen *seen, void *user);

/* Put all into a writer, beside the metadata and tensors of the model that stay, and write it
 * (rewrite/rewrite.h). `out` NULL: only *bytes, which are those of the file that would be
 * written. */
SQZ_NODISCARD sqz_status sqzi_weights_write(const sqzi_weights *weights, const sqzi_step *step,
                                            const char *out, uint64_t *bytes, sqz_error *error);

#endif
