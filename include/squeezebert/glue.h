/* SPDX-License-Identifier: Apache-2.0 */
/* GLUE as a whole: which task a model has learned, every part's figures with their intervals, one
 * number of them all. In libsqueezebert-full.
 *
 *     task = sqz_glue_task_of(model);                        -1: it has to be said
 *     for (i = 0; (part = sqz_glue_part_at(i)) != NULL; i++)
 *         if (part->task == task) sqz_glue_measure(model, part, "GLUE/SST-2", ..., &result,
 * &error); sqz_glue_mean(results, n, &mean);
 */
#ifndef SQUEEZEBERT_GLUE_H
#define SQUEEZEBERT_GLUE_H

#include <squeezebert/measure.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The task whose labels a model has learned: what its file says (doc/format.md: sqz.task), else the
 * one task whose classes its labels are by words ("entailment", "neutral", "contradiction"). -1:
 * neither tells, as for numbered labels, one output, and the two classes that QNLI, RTE and WNLI
 * have in common. */
SQZ_API int sqz_glue_task_of(const sqz_model *model);

/* Can a model do a task? As sqz_evaluate would find, without reading a file. options (may be NULL):
 * cosine, prompts and classes are looked at. SQZ_EINVAL: it cannot, the text says why. */
SQZ_API SQZ_NODISCARD sqz_status sqz_glue_fits(const sqz_model *model, sqz_glue_task task,
                                               const sqz_eval_options *options, sqz_error *error);

/* One of the eleven parts that a submission has: a task, or one half of MNLI.
 *
 *   name    "MNLI-m": without ".tsv" the file's name in a submission
 *   dev, test   names of its splits, as sqz_glue_open takes them
 *   n_test  rows of the published test file
 */
typedef struct sqz_glue_part {
    const char *name;
    sqz_glue_task task;
    const char *dev, *test;
    uint32_t n_test;
} sqz_glue_part;
/* Part i: AX, CoLA, MNLI-m, MNLI-mm, MRPC, QNLI, QQP, RTE, SST-2, STS-B, WNLI; NULL behind the
 * last. */
SQZ_API const sqz_glue_part *sqz_glue_part_at(uint32_t i);

/* A model's figures on one part.
 *
 *   figures [n_figures]  those of sqz_evaluate, each with its interval (measure.h)
 *   score   the mean of its figures; without one where a figure is none
 */
typedef struct sqz_glue_result {
    const sqz_glue_part *part;
    sqz_eval_report report; /* counts of rows, and the figures once more */
    uint32_t n_figures;
    sqz_figure figures[SQZ_MAX_METRICS];
    sqz_metric score;
    uint64_t reserved[4];
} sqz_glue_result;
/* Answer the part's labelled split.
 *
 *   folder    of the task's files
 *   options   of sqz_evaluate, or NULL; split is the part's
 *   resamples of the intervals, or NULL
 *
 * Cost: sqz_evaluate, and resamples times the examples. Memory: 12 bytes an example more, 40 for
 * STS-B. As sqz_evaluate and sqz_measure. */
SQZ_API SQZ_NODISCARD sqz_status sqz_glue_measure(const sqz_model *model, const sqz_glue_part *part,
                                                  const char *folder,
                                                  const sqz_eval_options *options,
                                                  const sqz_measure_options *resamples,
                                                  sqz_glue_result *result, sqz_error *error);

/* Everything in one number: the mean of the tasks' scores, without weights, of MNLI the mean of its
 * halves, without AX.
 *
 *   n_tasks  that have a score, of the nine
 *   whole    1: all nine, both halves of MNLI: the GLUE score. Else the mean is that of other tasks
 *            than everybody's, and not to be called so
 */
typedef struct sqz_glue_overall {
    sqz_metric mean;
    uint32_t n_tasks;
    int whole;
    uint64_t reserved[4];
} sqz_glue_overall;
/* results [n]: each part once at most. */
SQZ_API void sqz_glue_mean(const sqz_glue_result *results, size_t n, sqz_glue_overall *overall);

#ifdef __cplusplus
}
#endif

#endif
