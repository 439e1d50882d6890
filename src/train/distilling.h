/* SPDX-License-Identifier: Apache-2.0 */
/* The distillation of a trainer: its recipe, settled; the teacher; and what a step adds. */
#ifndef SQZI_DISTILLING_H
#define SQZI_DISTILLING_H

#include "base/memory.h"
#include "train/batch_gradient.h"
#include "train/teacher_cache.h"

/* A batch as a teacher of another vocabulary reads it. */
typedef struct sqzi_read_apart {
    uint32_t *first, *ids;
    uint8_t *types;
} sqzi_read_apart;

typedef struct sqzi_distilling {
    const sqz_allocator *allocator;
    sqz_distil_recipe recipe; /* with its defaults; layers NULL */
    sqzi_teacher teacher;
    sqzi_teacher_cache cache;
    sqzi_distil_plan plan;
    sqzi_distil distil;
    uint32_t *map; /* [n_map] */
    uint32_t n_map;
    uint32_t *classes; /* [n_classes] the teacher's number of each class of the student's; NULL: the
                        * same */
    uint32_t n_classes;
    sqzi_real *row; /* [n_classes], of one item, where their order is another */
    bool apart;     /* the teacher reads pieces of its own */
    sqzi_read_apart read;
} sqzi_distilling;

/* Check numbers and open the teacher. SQZ_EINVAL names what is out of range; as sqz_model_open.
 * Close in any case. */
SQZ_NODISCARD sqz_status sqzi_distilling_open(sqz_context *context, const sqz_distil_recipe *recipe,
                                              sqzi_distilling *d, sqz_error *error);
void sqzi_distilling_close(sqzi_distilling *d);

/* Labels, or logits, are learned: the student needs a head. */
bool sqzi_distilling_has_labels(const sqzi_distilling *d);
bool sqzi_distilling_has_logits(const sqzi_distilling *d);
/* Something between the blocks is learned. */
bool sqzi_distilling_reads_blocks(const sqzi_distilling *d);

/* Fit it to a student whose head is as it will be trained. SQZ_EINVAL: a loss cannot be had of
 * these two; the text says which, why, and what can. */
SQZ_NODISCARD sqz_status sqzi_distilling_fit(sqzi_distilling *d, const sqz_model *student,
                                             const sqz_distil_recipe *recipe,
                                             const sqz_train_data *data, sqz_error *error);
/* Parts of the fit, of which plan.tokens and apart are known (distil_match.c): the pieces are the
 * same, or what is learned is of whole texts; logits are of the same classes. */
SQZ_NODISCARD sqz_status sqzi_distilling_match_pieces(const sqzi_distilling *d,
                                                      const sqz_model *student, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_distilling_match_logits(sqzi_distilling *d, const sqz_model *student,
                                                      sqz_error *error);

/* What examples may be, so that the teacher can read them too; not where it reads its own. */
void sqzi_distilling_limit(const sqzi_distilling *d, sqz_model_info *info);

/* Projections that a student needs whose widths are not the teacher's: rows of each. */
void sqzi_distilling_beside(const sqzi_distilling *d, sqzi_beside beside[SQZI_MOST_BESIDE]);

/* Where these lie among the student's parameters; kernels live as long. After the fit. */
void sqzi_distilling_take(sqzi_distilling *d, const sqzi_parameters *parameters,
                          const struct sqzk_grad_table *kernels);

/* After the layout of the student's gradient, whose tape gets what is to be kept; teacher: sizes of
 * what it reads. */
void sqzi_distilling_layout(sqzi_distilling *d, sqzi_batch_gradient *student,
                            const sqzi_distil_sizes *sizes, const sqzi_distil_sizes *teacher,
                            sqzi_arena *arena);

/* Before the steps of a run: what of the teacher's outputs is to be kept, where batches come again.
 * SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_distilling_begin(sqzi_distilling *d, const sqz_train_data *data,
                                               const sqz_train_run *run, sqz_error *error);

/* A part of a batch: types [n_tokens], examples [n_sequences] of data, and what its losses divide
 * by. */
typedef struct sqzi_taught {
    const sqz_train_data *data;
    const sqzi_batch *batch;
    const uint8_t *types;
    const uint32_t *examples;
    const sqzi_distil_counts *counts;
} sqzi_taught;

/* Between forward and backward: the teacher's outputs, and d of the losses. */
SQZ_NODISCARD sqz_status sqzi_distilling_add(sqzi_distilling *d, sqzi_batch_gradient *student,
                                             const sqzi_taught *taught,
                                             double values[SQZ_DISTIL_LOSSES], sqz_error *error);

/* `,"distil":{...}`: everything that decides what comes out. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_distilling_text(const sqzi_distilling *d, sqzi_buffer *buffer,
                                              sqz_error *error);

/* Its part of a line of sqz.history: " --loss hidden:1,pooled:5". */
enum { SQZI_DISTILLING_LINE = 340 };
void sqzi_distilling_history(const sqzi_distilling *d, char line[SQZI_DISTILLING_LINE]);

#endif
