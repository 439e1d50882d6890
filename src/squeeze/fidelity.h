/* SPDX-License-Identifier: Apache-2.0 */
/* How near a model made of another is to it, on texts that neither calibration nor any choice has
 * seen, and what each block contributes.
 *
 *   cosine       mean over the texts of the cosine of the two models' vectors, as `embed` makes
 *                them
 *   neighbours   mean over the texts of the share of its ten nearest other texts (by cosine among
 *                the first model's vectors) that are among the ten nearest by the second's; of
 *                equally near ones the earlier text is nearer
 *   classes      share of texts to which both give the same class; NaN for models without a
 *                sequence head
 */
#ifndef SQZI_FIDELITY_H
#define SQZI_FIDELITY_H

#include <squeezebert/task.h>

enum {
    SQZI_FIDELITY_NEIGHBOURS = 10,
    SQZI_FIDELITY_LEAST = 50,  /* different texts that are held out at least */
    SQZI_FIDELITY_MOST = 1000, /* and at most */
    SQZI_HELD_OUT_EVERY = 10   /* the last text of every ten */
};

typedef struct sqzi_fidelity {
    uint32_t n_texts;
    double cosine, neighbours, classes;
} sqzi_fidelity;

/* Two parts of some texts: every SQZI_HELD_OUT_EVERY-th different one is held out, until there are
 * SQZI_FIDELITY_MOST, the others are learnt from (calibrated on). Texts that are equal but for
 * white space count once; empty ones are left out. */
typedef struct sqzi_text_split {
    const sqz_allocator *allocator;
    sqz_text *learn, *held_out; /* [n_learn], [n_held_out]: in the order given, not copied */
    size_t n_learn, n_held_out;
    size_t capacity;
} sqzi_text_split;

/* SQZ_EINVAL: fewer than SQZI_FIDELITY_LEAST would be held out; the text has the number of texts
 * that would do. SQZ_ENOMEM. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_text_split_make(const sqz_allocator *allocator, const sqz_text *texts,
                                              size_t n, sqzi_text_split *split, sqz_error *error);
void sqzi_text_split_discard(sqzi_text_split *split);

/* The vectors of texts by a model: pooled as its file says, unit length; and its classes. */
typedef struct sqzi_text_vectors {
    const sqz_allocator *allocator;
    uint32_t n, dimensions;
    float *vectors;    /* [n, dimensions] */
    uint32_t *classes; /* [n], or NULL: the model has no sequence head */
} sqzi_text_vectors;

/* Texts longer than the model takes are cut. SQZ_ENOMEM; what stands in a text's outcome, with its
 * number. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_text_vectors_make(const sqz_model *model, const sqz_text *texts,
                                                size_t n, sqzi_text_vectors *vectors,
                                                sqz_error *error);
void sqzi_text_vectors_discard(sqzi_text_vectors *vectors);

/* Compare the vectors of two models of the same texts. Cost: n^2 dimensions multiply-adds twice.
 * SQZ_EINVAL: fewer texts than SQZI_FIDELITY_NEIGHBOURS + 1, or of two numbers of texts or
 * dimensions. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_fidelity_of(const sqzi_text_vectors *from,
                                          const sqzi_text_vectors *to, sqzi_fidelity *fidelity,
                                          sqz_error *error);

/* What each block gives: 1 - mean cosine between the model's vectors and those of the model without
 * that block, importance [n_blocks]. Cost: the texts run n_blocks + 1 times. SQZ_ENOMEM,
 * SQZ_ECANCELLED (progress, as in sqz_quantize_options; may be NULL). */
SQZ_NODISCARD sqz_status sqzi_layer_importance(const sqz_model *model, const sqz_text *texts,
                                               size_t n,
                                               int (*progress)(void *user, size_t done,
                                                               size_t total),
                                               void *user, double *importance, sqz_error *error);

#endif
