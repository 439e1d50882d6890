/* SPDX-License-Identifier: Apache-2.0 */
/* How near a model made of another is to it, on texts that neither calibration nor any choice has
 * seen, and what each block contributes.
 *
 *   cosine       mean over the texts of the cosine of the two models' vectors, as `embed` makes
 *                them; NaN where these have two dimensions
 *   neighbours   mean over the texts of the share of its ten nearest other texts (by cosine among
 *                the first model's vectors) that are among the ten nearest by the second's; of
 *                equally near ones the earlier text is nearer
 *   classes      share of texts to which both give the same class; NaN for models without a
 *                sequence head
 */
#ifndef SQZI_FIDELITY_H
#define SQZI_FIDELITY_H

#include "rewrite/rewrite.h"
#include "squeeze/text_split.h"

enum { SQZI_FIDELITY_NEIGHBOURS = 10 };

typedef struct sqzi_fidelity {
    uint32_t n_texts;
    double cosine, neighbours, classes;
    double cosine_error, neighbours_error; /* standard, of the means */
} sqzi_fidelity;

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
 * SQZ_EINVAL: fewer texts than SQZI_FIDELITY_NEIGHBOURS + 1, or of two numbers of texts.
 * SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_fidelity_of(const sqzi_text_vectors *from,
                                          const sqzi_text_vectors *to, sqzi_fidelity *fidelity,
                                          sqz_error *error);

/* A new file compared with the model that it is made of, while it is written
 * (sqzi_step.measured): its metadata get
 *
 *   sqz.squeeze.fidelity.texts                           u32
 *   sqz.squeeze.fidelity.cosine, .neighbours, .classes   f64; .classes of models with classes alone
 *
 * and `fidelity` is filled. `of` and `texts` outlive the writing. */
typedef struct sqzi_fidelity_run {
    const sqz_model *model; /* whose context runs the new file */
    const sqz_text *texts;
    size_t n_texts;
    sqzi_text_vectors of;   /* the model's vectors of the texts */
    sqzi_fidelity fidelity; /* once the file is written */
    double values[3];
    sqzi_measured measured;
} sqzi_fidelity_run;

/* run->measured then is what a step takes; both models are run, and compared, when the file is
 * written (errors as sqzi_text_vectors_make and sqzi_fidelity_of). Not to be moved. Discard after.
 */
void sqzi_fidelity_run_make(const sqz_model *model, const sqz_text *texts, size_t n,
                            sqzi_fidelity_run *run);
void sqzi_fidelity_run_discard(sqzi_fidelity_run *run);

#endif
