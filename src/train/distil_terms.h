/* SPDX-License-Identifier: Apache-2.0 */
/* What a student learns of a batch: its outputs beside its teacher's (outputs.h), made terms of
 * loss_distil.h. Knows no file: encoders as structs, in tests in double.
 */
#ifndef SQZI_DISTIL_TERMS_H
#define SQZI_DISTIL_TERMS_H

#include <squeezebert/distil.h>

#include "train/loss_distil.h"
#include "train/outputs.h"
#include "train/projection.h"

/* What losses read of a model, bits; of blocks which those are, sqzi_distil_plan says. */
typedef enum sqzi_distil_needs {
    SQZI_NEEDS_LOGITS = 1,
    SQZI_NEEDS_EMBEDDINGS = 2,
    SQZI_NEEDS_HIDDEN = 4,
    SQZI_NEEDS_SCORES = 8,
    SQZI_NEEDS_QUERIES = 16,
    SQZI_NEEDS_KEYS = 32,
    SQZI_NEEDS_VALUES = 64
} sqzi_distil_needs;

uint32_t sqzi_distil_needs_of(const double weights[SQZ_DISTIL_LOSSES]);

/* A settled recipe, and the sizes that both models share.
 *
 *   map             [student->n_blocks + 1] hidden states of the teacher
 *   relation_block  of the teacher
 *   dimensions, teacher_dimensions   of embeddings
 *   tokens          logits are of tokens, not of sequences
 *   of_hidden, of_embeddings   projections to the teacher's widths; n_out 0: they are the student's
 *   kernels         of projections; may be NULL without
 */
typedef struct sqzi_distil_plan {
    const sqzi_encoder *student, *teacher;
    double weights[SQZ_DISTIL_LOSSES];
    double temperature;
    const uint32_t *map;
    uint32_t relation_heads, relation_block;
    uint32_t classes, dimensions, teacher_dimensions;
    bool tokens;
    sqzi_projection_numbers of_hidden, of_embeddings;
    const struct sqzk_grad_table *kernels;
} sqzi_distil_plan;

/* The largest part of a batch. */
typedef struct sqzi_distil_sizes {
    uint32_t max_tokens, max_sequences, max_length, members;
} sqzi_distil_sizes;

/* What a whole batch counts: its losses divide by it. */
typedef struct sqzi_distil_counts {
    double sequences, tokens, squares; /* of lengths, summed */
} sqzi_distil_counts;

typedef struct sqzi_distil {
    sqzi_distil_plan plan;
    uint32_t needs;
    sqzi_distil_terms terms;
    sqz_distil_loss *losses; /* [terms] whose each is */
    sqzi_distil_term *list;  /* what terms.list points at */
    sqzi_projection of_hidden, of_embeddings;
    sqzi_block_keep_grad *grads; /* [student's blocks] rows in d, NULL where there is none */
    double *scratch;             /* [members, n_scratch] */
    size_t n_scratch;
    uint32_t members;
} sqzi_distil;

/* Lay it out in the arena (NULL base: counts). */
void sqzi_distil_layout(sqzi_distil *distil, const sqzi_distil_plan *plan,
                        const sqzi_distil_sizes *sizes, sqzi_arena *arena);

/* Memory for what is read of either model's blocks: of the student what its tape does not keep, no
 * block of which is narrow; of the teacher blocks [n_blocks], NULL while counting. */
void sqzi_distil_keep_student(const sqzi_distil_plan *plan, const sqzi_distil_sizes *sizes,
                              sqzi_encoder_tape *tape, sqzi_arena *arena);
void sqzi_distil_keep_teacher(const sqzi_distil_plan *plan, const sqzi_distil_sizes *sizes,
                              sqzi_block_keep *blocks, sqzi_arena *arena);

/* Room for d of what is read of the student's blocks: grads [n_blocks], NULL while counting. */
void sqzi_distil_keep_grads(const sqzi_distil_plan *plan, const sqzi_distil_sizes *sizes,
                            sqzi_block_keep_grad *grads, sqzi_arena *arena);

double sqzi_distil_squares(const sqzi_batch *batch);

/* Add d of the losses to the student's grads and to those of projections, and each weighted loss to
 * values; those of one batch that is run in parts are its own. */
void sqzi_distil_add(sqzi_distil *distil, const sqzi_batch *batch, const sqzi_outputs *student,
                     const sqzi_outputs *teacher, const sqzi_output_grads *grads,
                     const sqzi_distil_counts *counts, sqzi_thread_pool *pool,
                     double values[SQZ_DISTIL_LOSSES]);

#endif
