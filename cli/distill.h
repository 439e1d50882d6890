/* SPDX-License-Identifier: Apache-2.0 */
/* A distillation's options, and what happens while it runs. */
#ifndef CLI_DISTILL_H
#define CLI_DISTILL_H

#include "finetune.h"

#include <squeezebert/distil.h>
#include <squeezebert/squeeze.h>

/* The options of the verb, beside those of finetune.h. */
typedef struct cli_teaching_options {
    const char *teacher_path, *student_path, *losses, *map, *texts_path, *keep;
    uint32_t relation_heads, relation_layer, max_pieces, measure_steps;
    uint32_t teacher_type; /* an sqz_teacher_type */
    const char *teacher_cache;
    double temperature, minutes;
    bool whole_texts, windows;
} cli_teaching_options;
extern cli_teaching_options cli_teaching;

/* ---- distill_loss.c ---- */

/* "hidden:1,pooled:5"; dies with CLI_USAGE. */
void cli_read_losses(const char *text, sqz_distil_recipe *recipe);
/* Dies where a setting is of losses that have no weight. */
void cli_check_distillation(const sqz_distil_recipe *recipe, bool labelled);
/* What can be learned of a teacher of another vocabulary; without --loss that of the usual losses.
 * Dies with CLI_USAGE where --loss names another. */
void cli_choose_losses_apart(sqz_distil_recipe *recipe, bool labelled);
/* "uniform", "last", "2,3,5,6"; what is to be freed, or NULL. Dies with CLI_USAGE. */
uint32_t *cli_read_map(const char *text, sqz_distil_recipe *recipe);

/* ---- distill_watch.c ---- */

/* What a distillation is watched by.
 *
 *   teacher     opened beside the trainer's, to compare with
 *   texts       [n_texts] held out; none: nothing is compared
 *   labelled    NULL, or what else is measured: its dev, its metric
 *   every       steps between two comparisons
 *   losses      sums of the steps since the last one, n_steps of them
 */
typedef struct cli_distilling {
    const sqz_trainer *trainer;
    const sqz_model *teacher;
    const sqz_distil_recipe *recipe;
    sqz_text *texts;
    size_t n_texts;
    cli_watch *labelled;
    uint64_t every, stop_after;
    double losses[SQZ_DISTIL_LOSSES];
    uint64_t n_steps;
    double began, step_seconds;
    uint64_t pieces; /* of the steps but the first */
} cli_distilling;

/* For sqz_train_run; user is a cli_distilling. */
int cli_distilling_step(void *user, const sqz_train_progress *progress);
sqz_status cli_distilling_evaluate(void *user, const sqz_model *model, uint64_t step, double *score,
                                   sqz_error *error);
/* Both models on the texts that are held out; dies where that fails. */
sqz_likeness cli_distilling_compare(const cli_distilling *d, const sqz_model *student);
/* Milliseconds of each model for one text, one after the other: means over some of the texts,
 * models in turn, after a round that is not counted. */
void cli_time_models(const sqz_text *texts, size_t n_texts, const sqz_model *const models[],
                     uint32_t n, double milliseconds[]);

/* ---- distill_windows.c ---- */

/* The texts in parts of `length` pieces at most, special ones included, none of which is in two
 * parts; each is of a text's own bytes. A word of several pieces may be cut. What is to be
 * freed. */
sqz_text *cli_cut_windows(const sqz_text *texts, size_t n, const sqz_tokenizer *tokenizer,
                          uint32_t length, size_t *n_parts);

/* ---- distill_data.c ---- */

/* A run.
 *
 *   labelled   with --task or --data; else plain texts
 *   apart      the teacher has another vocabulary: each model reads the text in its own pieces
 *   base       labels, batches and what of them is measured; of texts the batches alone
 *   rows       of texts: to learn, then held out
 */
typedef struct cli_distill_job {
    bool labelled, apart;
    cli_job base;
    sqz_dataset *texts;
    uint32_t *rows;
    size_t n, n_learn;
    sqz_model *teacher, *student;
    sqz_distil_recipe recipe;
    uint32_t *layers;
    char *cache;
    cli_distilling watch;
    sqz_likeness before;
    sqz_measures measured_before; /* n 0: the student had no such head */
} cli_distill_job;

/* Data, what is held out of them, pieces and batches, once the models are open. */
void cli_distill_open_data(cli_distill_job *job);

/* ---- distill_cost.c ---- */

/* What of the teacher's outputs is kept, and where, once the losses are known; what is to be freed,
 * or NULL. Dies with CLI_USAGE. */
char *cli_keep_outputs(sqz_distil_recipe *recipe);
/* --minutes as --max-steps: by the time of two steps. */
void cli_bound_minutes(cli_distill_job *job, const sqz_train_recipe *recipe);

/* ---- distill_report.c ---- */

void cli_distill_show_plan(const cli_distill_job *job);
/* How near the student is before it learns. */
void cli_distill_show_before(cli_distill_job *job);
/* Once the new file is there. */
void cli_distill_show_result(cli_distill_job *job);

#endif
