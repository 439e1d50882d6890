/* SPDX-License-Identifier: Apache-2.0 */
/* A teacher: a model that is opened like any other and run, without dropout, on the batches of the
 * trainer. What it makes are outputs as a student has them. */
#ifndef SQZI_TEACHER_H
#define SQZI_TEACHER_H

#include "base/sha256.h"
#include "model/loader.h"
#include "train/distil_terms.h"

typedef struct sqzi_teacher {
    sqz_model *model;
    char sha256[SQZI_SHA256_HEX]; /* of its file */
    const char *rounded;          /* "s8", to which its weights were; NULL: they are the file's */
    uint32_t needs;
    sqzi_workspace workspace;
    sqzi_head_scratch head;
    sqzi_block_keep *blocks; /* [n_blocks] */
    sqzi_real *hidden, *logits, *embeddings;
    sqzi_outputs outputs; /* of the last batch */
} sqzi_teacher;

/* Whether a model can be a teacher in that type. SQZ_EINVAL, SQZ_EUNSUPPORTED as below. */
SQZ_NODISCARD sqz_status sqzi_teacher_check_type(const sqz_model *model, sqz_teacher_type type,
                                                 sqz_error *error);

/* Close in any case. SQZ_EINVAL: there is no such type, or no place for a temporary file;
 * SQZ_EUNSUPPORTED: the weights cannot become that; as sqz_model_open and sqz_quantize. */
SQZ_NODISCARD sqz_status sqzi_teacher_open(sqz_context *context, const sqz_distil_recipe *recipe,
                                           sqzi_teacher *teacher, sqz_error *error);
void sqzi_teacher_close(sqzi_teacher *teacher);

/* Lay out its memory in the arena (NULL base: counts); plan->teacher is its encoder. */
void sqzi_teacher_layout(sqzi_teacher *teacher, const sqzi_distil_plan *plan,
                         const sqzi_distil_sizes *sizes, sqzi_arena *arena);

/* skip [n_sequences]: pieces at the beginning that its pooling leaves out; NULL: none.
 * SQZ_ENUMERIC: an int8 layer met a NaN or an infinity. */
SQZ_NODISCARD sqz_status sqzi_teacher_run(sqzi_teacher *teacher, const sqzi_batch *batch,
                                          const uint32_t *skip, sqz_error *error);

#endif
