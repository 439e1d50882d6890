/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: the parts of a model file into the canonical encoder, in two passes over the same code.
 * The first counts the bytes of packed weights, the second packs them into one block. */
#ifndef SQZI_LOADER_H
#define SQZI_LOADER_H

#include <math.h>

#include "io/stored_matrix.h"
#include "model/context.h"
#include "nn/head.h"
#include "text/tokenizer_spec.h"

struct sqz_model {
    sqz_context *context;
    sqzi_file_map map;
    sqzi_gguf *gguf;
    sqz_model_info info;
    sqzi_encoder encoder;
    sqzi_head head;
    sqz_tokenizer *tokenizer;  /* NULL until the texts are read */
    sqz_tokenizer *lowering_tokenizer; /* of embeddings, NULL where that is the same */
    const char **labels;       /* [n_labels] for a head with classes, else NULL */
    const char **tensor_names;
    const char **keys, **values; /* metadata, as shown */
    const char **prompt_names, **prompts;
    uint32_t n_prompts, default_prompt; /* default_prompt = n_prompts: none */
    sqzi_arena weights;        /* packed linears */
    sqzi_arena strings;        /* names and labels, each with a NUL */
};

/* It is known how sure its logits are. */
static inline bool sqzi_model_has_scores(const sqz_model *model)
{
    return model->info.temperature != 1 || model->info.threshold > -HUGE_VAL;
}

typedef struct sqzi_loader {
    sqz_model *model;
    const sqzi_gguf *gguf;
    sqzi_arena arena;      /* base NULL: the counting pass */
    bool *used;            /* [tensors] by the model; the rest is an error */
    int8_t *expanded;      /* packed rows of one matrix after the other, or NULL */
    size_t expanded_bytes;
    sqz_error *error;
} sqzi_loader;

/* An activation's word in a file, by its enumerator; ends with NULL. */
extern const char *const sqzi_activation_words[];

/* A tensor of this name, marked as used; NULL where there is none. */
const sqzi_gguf_tensor *sqzi_load_find(sqzi_loader *loader, const char *name);
/* A tensor of this name with this shape (n_dims 1 or 2), or NULL and SQZ_OK where it is absent and
 * not required. */
SQZ_NODISCARD sqz_status sqzi_load_tensor(sqzi_loader *loader, const char *name, bool required,
                                          uint64_t rows, uint64_t columns,
                                          const sqzi_gguf_tensor **tensor);
/* A matrix or table of this shape as it is stored (io/stored_matrix.h), its scales included; rows
 * 0: any number. stored->tensor NULL and SQZ_OK where it is absent and not required. */
SQZ_NODISCARD sqz_status sqzi_load_stored(sqzi_loader *loader, const char *name, bool required,
                                          uint64_t rows, uint64_t columns, sqzi_stored *stored);
/* Where a matrix is, in whatever form; NULL: nowhere. Not marked as used. */
const sqzi_gguf_tensor *sqzi_load_look(const sqzi_loader *loader, const char *name);
/* An F32 vector, used from the mapping, checked to be finite. */
SQZ_NODISCARD sqz_status sqzi_load_vector(sqzi_loader *loader, const char *name, bool required,
                                          uint32_t n, const float **vector);
SQZ_NODISCARD sqz_status sqzi_load_norm(sqzi_loader *loader, const char *name, uint32_t n,
                                        double epsilon, sqzi_norm *norm);
/* A linear of any form; found (may be NULL) tells whether an optional one is there. */
typedef struct sqzi_linear_shape {
    uint32_t n_in, n_out, groups, factor_groups;
    /* [n_in] or NULL: number i of what the file says it reads is number order[i] of what it is
     * handed */
    const uint32_t *order;
    sqzk_activation input; /* what its inputs come from: of some, no number is below a bound */
} sqzi_linear_shape;
/* Int8 rows that come from this activation are unsigned: its results and zero_point, which is what
 * they are at least, taken off, are never negative. */
bool sqzi_lowest_of(sqzk_activation activation, float *zero_point);
SQZ_NODISCARD sqz_status sqzi_load_linear(sqzi_loader *loader, const char *name,
                                          sqzi_linear_shape shape, bool required, bool *found,
                                          sqzi_linear *linear);
/* One matrix [n_out, n_in/groups] of a tensor, packed. */
typedef struct sqzi_matrix_form {
    uint32_t n_in, n_out, groups;
    bool transposed;          /* the tensor is [n_in, n_out] and groups 1 */
    bool unsigned_rows;       /* int8: the rows it multiplies are */
    /* int8: [n_out] the sums of each output's weights are written here, in the order in which they
     * are packed; NULL: none */
    int32_t *sums;
    /* NULL, or permutations that keep their groups: the tensor's column i reads input in[i], its
     * row j makes output out[j] */
    const uint32_t *in, *out;
} sqzi_matrix_form;
SQZ_NODISCARD sqz_status sqzi_load_matrix(sqzi_loader *loader, const sqzi_stored *stored,
                                          const sqzi_matrix_form *form, sqzi_matrix *matrix);
SQZ_NODISCARD sqz_status sqzi_load_table(sqzi_loader *loader, const char *name, uint32_t rows,
                                         uint32_t width, sqzi_table *table);
/* The table of words: where the file has it as codes, those and the centroids (load_product.c). */
SQZ_NODISCARD sqz_status sqzi_load_words(sqzi_loader *loader, uint32_t rows, uint32_t width,
                                         sqzi_table *table);
/* The matrix of a decoder tied to a table of codes, packed as the floats that it means. */
SQZ_NODISCARD sqz_status sqzi_load_words_matrix(sqzi_loader *loader, const sqzi_table *table,
                                                sqzi_matrix *matrix);
/* In the counting pass: packed weights, which only says that there are some. */
extern const unsigned char sqzi_counted_weights;

/* True when an exponent of n 16- or 32-bit floats is all ones: a NaN or an infinity. */
bool sqzi_has_nonfinite(const void *data, size_t n, sqzi_type type);

/* Which of `words`, ended by NULL, a metadata string is; `fallback` where it is absent. */
SQZ_NODISCARD sqz_status sqzi_load_word(sqzi_loader *loader, const char *key, const char *fallback,
                                        const char *const *words, uint32_t *index);

enum { SQZI_MAX_WIDTH = 1 << 16 };

SQZ_NODISCARD sqz_status sqzi_load_encoder(sqzi_loader *loader);
SQZ_NODISCARD sqz_status sqzi_load_head(sqzi_loader *loader);
/* Of embeddings. After the pooler (load_pooling.c). */
SQZ_NODISCARD sqz_status sqzi_load_pooling(sqzi_loader *loader);
SQZ_NODISCARD sqz_status sqzi_load_texts(sqz_model *model, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_load_tokenizer(sqz_model *model, sqz_error *error);

#endif
