/* SPDX-License-Identifier: Apache-2.0 */
/* A model that is trained: opened from its file like any other, all its numbers then moved to
 * masters. Norms, biases and tables are read where the masters lie; matrices are packed from them
 * again after each step, through their rounding where they are fake-quantised. So whoever holds
 * the model sees each step, and gets the bits of the file that is written of it; with products in
 * bf16 those of that file with its float matrices in bf16, its tables in f32.
 */
#ifndef SQZI_TRAINABLE_H
#define SQZI_TRAINABLE_H

#include <squeezebert/train.h>

#include "model/loader.h"
#include "rewrite/rewrite.h"
#include "train/fake_quantise.h"

/* The head that is wanted; kind NONE: embeddings, and no head. Its labels live as long as the
 * model. */
typedef struct sqzi_wanted_head {
    bool none; /* the base's head stays as it is, and is not trained: nothing else counts */
    sqz_head_kind kind;
    sqz_problem problem;
    sqz_pooling pooling; /* of a sequence head or embeddings; DEFAULT as in train.h */
    const char *const *labels;
    uint32_t n_labels;
    bool unnamed;   /* nobody named them: those of a head that fits else stay */
    sqzi_span task; /* whose labels they are; n 0: of none that has a name */
    bool keep;      /* the base's, or an error */
    uint64_t seed;  /* of a new one */
} sqzi_wanted_head;

/* Numbers that lie like a parameter's masters, on their way to a file. */
typedef struct sqzi_parameter_source {
    const sqz_allocator *allocator;
    const sqzi_parameter *parameter;
    const sqzi_rounded *rounded; /* of a parameter with bits */
    const float *numbers;
} sqzi_parameter_source;

typedef struct sqzi_trainable {
    sqz_model *model; /* const for everybody else */
    sqzi_parameters parameters;
    uint32_t bits; /* of what is fake-quantised, 0: nothing is */
    bool new_head;
    char lost[160];      /* of a new one: why the base's classes were not kept; "": it had none */
    bool scores_dropped; /* the base's temperature and threshold, whose head goes on */
    uint32_t *order;     /* [n_labels] or NULL: output k is the base's order[k] */
    bool keeps_head;     /* it is the base's, description and all */
    const char **labels; /* [n_labels] of the model's */
    uint32_t n_labels;
    sqzi_span task; /* as it was wanted */
    sqzi_rounded *rounded;          /* [parameters.n] what is stored of those with bits */
    sqzi_parameter_source *sources; /* [3, parameters.n]: masters, m, v */
    sqzi_arena packed; /* matrices that were of another type, and those of a new head */
} sqzi_trainable;

/* Open the file and move its numbers. trained->embeds and ->pooling are set. trained->beside are
 * projections of hidden states and of embeddings to so many rows; whose columns would be as many
 * leaves. Close in any case.
 * SQZ_EUNSUPPORTED, SQZ_EINVAL as sqz_trainer_open has them; as sqz_model_open. */
SQZ_NODISCARD sqz_status sqzi_trainable_open(sqz_context *context, const char *path,
                                             const sqzi_wanted_head *head, sqzi_trained *trained,
                                             sqzi_trainable *trainable, sqz_error *error);
void sqzi_trainable_close(sqzi_trainable *trainable);

/* What head the model gets (trainable_head.c), before there are masters: *head is the whole of what
 * is wanted then. SQZ_EINVAL: it has no pooler; the base's is to be kept and does not fit. */
SQZ_NODISCARD sqz_status sqzi_trainable_settle_head(sqzi_trainable *trainable,
                                                    sqzi_wanted_head *head, const char *path,
                                                    sqz_error *error);

/* Of parameters with bits (trainable_rounded.c): what their matrices are, gemm that of the
 * gradients; the bias of a linear, NULL where it has none; and, once there are masters and memory,
 * the biases that are read. */
void sqzi_rounded_describe(const sqzi_trainable *trainable, const sqzk_gemm *gemm);
const sqzi_real *sqzi_rounded_bias(const sqzi_trainable *trainable, const sqzi_linear *linear);
void sqzi_rounded_point(const sqzi_trainable *trainable);

/* Room for matrices that were packed for another gemm; what nothing reads any more goes. */
SQZ_NODISCARD sqz_status sqzi_trainable_make_room(sqzi_trainable *trainable, bool bf16,
                                                  sqz_error *error);
/* The matrices of trained parameters (all: of every one) from their masters. */
void sqzi_trainable_pack(const sqzi_trainable *trainable, bool all);

/* A parameter's numbers from the order of a file to the order of masters, and back: out [n]. They
 * are the same order where sqzi_trainable_is_placed. */
bool sqzi_trainable_is_placed(const sqzi_parameter *parameter);
void sqzi_trainable_place(const sqzi_parameter *parameter, const float *stored, float *placed);
void sqzi_trainable_unplace(const sqzi_parameter *parameter, const float *placed, float *stored);

/* Put description, tokenizer and tensors of the model as it is now into a writer: metadata of the
 * base, but for the head's, `history` and the name's `suffix`; tensors in the order of the base,
 * those of a new head last, in f32; what is fake-quantised as the rows that were last read, or,
 * with `masters`, in f32 too. The numbers are read while the file is written. */
SQZ_NODISCARD sqz_status sqzi_trainable_put(const sqzi_trainable *trainable, bool masters,
                                            const char *history, const char *suffix,
                                            sqzi_gguf_writer *writer, sqz_error *error);

/* The tensor `prefix`NAME [rows, columns], f32, in the order of a file; the source lives until the
 * writer has written. */
void sqzi_trainable_put_parameter(sqzi_gguf_writer *writer, const char *prefix,
                                  const sqzi_parameter_source *source);

#endif
