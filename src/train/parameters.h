/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers that a model has, as a list of parameters, and the memory of those that are trained.
 *
 *   masters     every number as sqzi_real, placed (nn/pack.h)        what is written
 *   rounded     of matrices that are fake-quantised, what is read
 *   gradients   d loss / d number     \
 *   m, v        moments of AdamW       > of trained parameters alone
 *
 * Each of these is one block that parameters lie in by the order of the list, which is that of
 * the list of tensors. Structs of numbers (nn/grad.h) point into the first two.
 */
#ifndef SQZI_PARAMETERS_H
#define SQZI_PARAMETERS_H

#include "nn/grad.h"

typedef struct sqzi_parameter {
    sqzi_tensor_entry entry;
    size_t n; /* numbers */
    bool trained;
    bool beside; /* it is none of the model: behind all that are */
    bool decays; /* matrices and tables; biases and norms do not */
    double rate; /* a factor of the step's rate */
    uint32_t bits; /* not 0: a matrix that is read as rows of 8, 4 or 3 bits (fake_quantise.h) */
    sqzi_real *master;
    sqzi_real *rounded; /* of bits: the numbers that are read, else NULL */
    sqzi_real *gradient, *m, *v; /* NULL where it is not trained */
    sqzi_row_list *rows;         /* not NULL: they are the gradient, and `gradient` is NULL */
} sqzi_parameter;

typedef struct sqzi_parameters {
    const sqz_allocator *allocator;
    sqzi_parameter *list; /* [n] */
    uint32_t n;
    uint32_t n_blocks; /* of the encoder */
    sqzi_encoder_numbers masters, gradients; /* masters: of what is rounded, that */
    sqzi_head_numbers head_masters, head_gradients;
    size_t n_trained;   /* numbers */
    uint64_t n_numbers; /* of all tensors, those that are no parameters too */
    bool multiplies_integers; /* linears that are no parameters do */
    /* a tensor that holds integers where it would have to be trained; "": there is none */
    char integers[SQZI_TENSOR_NAME];
    sqzi_row_list words; /* of the table of words, where asked for */
    void *block;
    size_t bytes;
} sqzi_parameters;

/* A matrix that is trained beside a model's own, and is not in the file that is written of it:
 * optim.w.NAME of a checkpoint. rows 0: there is none. */
typedef struct sqzi_beside {
    const char *name;
    uint32_t rows, columns;
} sqzi_beside;
enum { SQZI_MOST_BESIDE = 2 };

/* As many bits as the file has of each; what of the integers is not trained stays as it is. */
#define SQZI_BITS_AS_STORED UINT32_MAX

/* What is trained of a model that is used as its head says. */
typedef struct sqzi_trained {
    bool freeze_embeddings;
    uint32_t freeze_blocks; /* the first so many; all: the encoder is frozen */
    bool embeds;            /* what is trained are embeddings: no head, the steps behind pooling */
    sqz_pooling pooling;    /* of the head, or of embeddings */
    double head_rate;       /* factor of the head's rate */
    bool bf16;              /* matrices are multiplied in bf16, else in f32 */
    /* of matrices of the embedding and of blocks: 0, 8, 4, 3; or AS_STORED, of any matrix */
    uint32_t bits;
    /* of the model's file, 0: floats. Without bits, what it holds as integers stays; NULL: there is
     * no file */
    uint32_t (*stored_bits)(const void *file, const sqzi_tensor_entry *entry);
    const void *file;
    /* the gradient of the table of words is `words`, whose memory the caller lays out; not where a
     * decoder is tied to the table */
    bool list_words;
    sqzi_beside beside[SQZI_MOST_BESIDE];
} sqzi_trained;

/* The parameters of an encoder and head whose sizes and forms are set; masters are not filled, all
 * else is 0. A parameter that nothing reaches (a pooler where the mean is taken) is not trained.
 * Tables and linears of integers, with their biases, are no parameters.
 * The encoder and the head must live as long. SQZ_ENOMEM. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_parameters_open(const sqz_allocator *allocator,
                                              const sqzi_encoder *encoder, const sqzi_head *head,
                                              const sqzi_trained *trained,
                                              sqzi_parameters *parameters, sqz_error *error);
/* All gradients are 0 again. */
void sqzi_parameters_forget(sqzi_parameters *parameters);
void sqzi_parameters_close(sqzi_parameters *parameters);

/* The parameter of this name, NULL where there is none. */
const sqzi_parameter *sqzi_parameters_find(const sqzi_parameters *parameters, const char *name);

/* The matrix that a parameter's numbers are packed in; NULL of tables, biases and norms. */
const sqzi_matrix *sqzi_parameter_matrix(const sqzi_parameter *parameter);

#endif
