/* SPDX-License-Identifier: Apache-2.0 */
/* What a distillation may take: bytes that are kept of its teacher, minutes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"
#include "lever_options.h"

enum { TIMED_STEPS = 3 /* the first one is not counted */ };
static const uint64_t usual_bytes = 256000000;

/* Something but logits and embeddings. */
static bool reads_more(const sqz_distil_recipe *recipe)
{
    for (int i = SQZ_DISTIL_HIDDEN; i <= SQZ_DISTIL_VALUES; i++)
        if (recipe->weights[i] > 0) return true;
    return false;
}

char *cli_keep_outputs(sqz_distil_recipe *recipe)
{
    const char *text = cli_teaching.teacher_cache, *out = cli_tuning.output_path;
    const uint64_t bytes = !text                ? usual_bytes
                           : !strcmp(text, "0") ? 0
                                                : cli_read_bytes("teacher-cache", text);
    if (text && bytes && reads_more(recipe))
        cli_die(CLI_USAGE, "--teacher-cache keeps logits and embeddings: of a loss that is of "
                           "hidden states, attention or relations the teacher runs in every epoch");
    if (!bytes || cli_tuning.dry_run || reads_more(recipe)) return NULL;
    char *path = cli_allocate(NULL, strlen(out) + sizeof ".teacher");
    sprintf(path, "%s.teacher", out);
    recipe->cache = path;
    recipe->cache_bytes = bytes;
    return path;
}

/* Pieces of a batch, in the mean. */
static double batch_pieces(const sqz_train_data *data)
{
    double pieces = 0;
    for (uint32_t i = 0; i < data->n_examples; i++) pieces += data->examples[i].n_tokens;
    return pieces / data->n_batches;
}

void cli_bound_minutes(cli_distill_job *j, const sqz_train_recipe *recipe)
{
    sqz_error error = {0};
    sqz_trainer *trainer;
    sqz_train_result result;
    cli_distilling timed = {.recipe = &j->recipe, .stop_after = TIMED_STEPS};
    const sqz_train_data *data = sqz_batches_data(j->base.batches);
    const sqz_train_run run = {.progress = cli_distilling_step, .user = &timed};
    cli_check(sqz_trainer_open(cli_context(), cli_teaching.student_path, recipe, data, &trainer,
                               &error),
              &error);
    const uint64_t all = sqz_trainer_steps(trainer);
    const sqz_status status = sqz_trainer_run(trainer, &run, &result, &error);
    if (status != SQZ_ECANCELLED) cli_check(status, &error);
    sqz_trainer_close(trainer);
    if (all <= TIMED_STEPS || !timed.pieces) return; /* as short as can be told */
    const double step = timed.step_seconds * (TIMED_STEPS - 1) / (double)timed.pieces *
                        batch_pieces(data),
                 steps = fmax(1, floor(60 * cli_teaching.minutes / step));
    if (steps < (double)all) cli_tuning.max_steps = (uint32_t)steps;
    cli_say("--minutes %g: %.3f s a step, without comparing: %s %.0f of %llu", cli_teaching.minutes,
            step,
            steps < (double)all ? "--max-steps" : "all is done in these:", fmin(steps, (double)all),
            (unsigned long long)all);
}
