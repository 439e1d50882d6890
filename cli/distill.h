/* SPDX-License-Identifier: Apache-2.0 */
/* A distillation's options, and what happens while it runs. */
#ifndef CLI_DISTILL_H
#define CLI_DISTILL_H

#include "finetune.h"

#include <squeezebert/distil.h>
#include <squeezebert/squeeze.h>

/* ---- distill_loss.c ---- */

/* "hidden:1,pooled:5"; dies with CLI_USAGE. */
void cli_read_losses(const char *text, sqz_distil_recipe *recipe);
/* "uniform", "last", "2,3,5,6"; what is to be freed, or NULL. Dies with CLI_USAGE. */
uint32_t *cli_read_map(const char *text, sqz_distil_recipe *recipe);

/* ---- distill_watch.c ---- */

/* What a distillation on texts is watched by.
 *
 *   teacher     opened beside the trainer's, to compare with
 *   texts       [n_texts] held out; none: nothing is compared
 *   every       steps between two comparisons
 *   losses      sums of the steps since the last one, n_steps of them
 */
typedef struct cli_distilling {
    const sqz_trainer *trainer;
    const sqz_model *teacher;
    const sqz_distil_recipe *recipe;
    sqz_text *texts;
    size_t n_texts;
    uint64_t every, stop_after;
    double losses[SQZ_DISTIL_LOSSES];
    uint64_t n_steps;
    FILE *log;
    const char *log_name;
    double began, step_seconds;
} cli_distilling;

/* For sqz_train_run; user is a cli_distilling. */
int cli_distilling_step(void *user, const sqz_train_progress *progress);
sqz_status cli_distilling_evaluate(void *user, const sqz_model *model, uint64_t step, double *score,
                                   sqz_error *error);
/* Both models on the texts that are held out; dies where that fails. */
sqz_likeness cli_distilling_compare(const cli_distilling *d, const sqz_model *student);
/* Milliseconds of each model for one text, one after the other: means over some of the texts,
 * models in turn, after a round that is not counted. */
void cli_time_models(const cli_distilling *d, const sqz_model *const models[], uint32_t n,
                     double milliseconds[]);

#endif
