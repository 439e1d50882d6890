/* SPDX-License-Identifier: Apache-2.0 */
/* The distillation of a trainer: its recipe, settled; the teacher; and what a step adds. */
#ifndef SQZI_DISTILLING_H
#define SQZI_DISTILLING_H

#include "base/memory.h"
#include "train/batch_gradient.h"
#include "train/teacher_cache.h"

typedef struct sqzi_distilling {
    const sqz_allocator *allocator;
    sqz_distil_recipe recipe; /* with its defaults; layers NULL */
    sqzi_teacher teacher;
    sqzi_teacher_cache cache;
    sqzi_distil_plan plan;
    sqzi_distil distil;
    uint32_t *map; /* [n_map] */
    uint32_t n_map;
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
                                             const sqz_distil_recipe *recipe, sqz_error *error);
/* What examples may be, so that the teacher can read them too. */
void sqzi_distilling_limit(const sqzi_distilling *d, sqz_model_info *info);

/* Projections that a student needs whose widths are not the teacher's: rows of each. */
void sqzi_distilling_beside(const sqzi_distilling *d, sqzi_beside beside[SQZI_MOST_BESIDE]);

/* Where these lie among the student's parameters; kernels live as long. After the fit. */
void sqzi_distilling_take(sqzi_distilling *d, const sqzi_parameters *parameters,
                          const struct sqzk_grad_table *kernels);

/* After the layout of the student's gradient, whose tape gets what is to be kept. */
void sqzi_distilling_layout(sqzi_distilling *d, sqzi_batch_gradient *student,
                            const sqzi_distil_sizes *sizes, sqzi_arena *arena);

/* Before the steps of a run: what of the teacher's outputs is to be kept, where batches come again.
 * SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_distilling_begin(sqzi_distilling *d, const sqz_train_data *data,
                                               const sqz_train_run *run, sqz_error *error);

/* A part of a batch: types [n_tokens], examples [n_sequences], and what its losses divide by. */
typedef struct sqzi_taught {
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
