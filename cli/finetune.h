/* SPDX-License-Identifier: Apache-2.0 */
/* What happens while `finetune` trains: progress, the log, figures on held-out examples. */
#ifndef CLI_FINETUNE_H
#define CLI_FINETUNE_H

#include "labelled.h"

#include <squeezebert/batches.h>
#include <squeezebert/distil.h>

/*   trainer    whose progress it is
 *   dev        NULL: there is nothing to measure on
 *   batch      examples of a batch
 *   metric     the figure that decides, by its number in sqz_figure_name
 *   each_epoch 1: measure and show after each epoch, where nothing decides
 *   n_batches  of an epoch
 *   task       how texts of dev are read
 *   losses     [n_losses] NULL: not kept
 *   stop_after steps after which the run is stopped, 0: never; seconds of the later ones
 */
typedef struct cli_watch {
    const sqz_trainer *trainer;
    const sqz_dataset *dev;
    const char *prompts[2]; /* of embeddings */
    uint32_t metric, n_batches, batch;
    bool each_epoch;
    sqz_task_options task;
    double *losses;
    uint64_t n_losses, stop_after;
    double began, step_seconds;
    double epoch_loss; /* sum since the last measurement or resume, of epoch_steps steps */
    uint32_t epoch_steps;
    sqz_predictions *predictions; /* the last ones */
} cli_watch;

/* For sqz_train_run; user is a cli_watch. */
int cli_watch_step(void *user, const sqz_train_progress *progress);
sqz_status cli_watch_evaluate(void *user, const sqz_model *model, uint64_t step, double *score,
                              sqz_error *error);
void cli_watch_note(void *user, const char *text);

/* Measure a model on the examples of watch->dev. */
sqz_status cli_watch_measure(cli_watch *watch, const sqz_model *model, bool intervals,
                             sqz_measures *measures, sqz_error *error);

/* Options of embedders: what is trained are the vectors of `embed`, on texts that belong together
 * or pairs with a score. */
typedef struct cli_embedder_options {
    uint32_t loss; /* an sqz_train_loss */
    const char *range;
    double scale;
    bool symmetric;
} cli_embedder_options;
extern cli_embedder_options cli_embedder;
extern const cli_option cli_embedder_table[];

/* ---- finetune_log.c: JSON Lines, one a step and one a measurement ---- */

/* path NULL: there is no log. go_on: one that is there already is kept; dies where its lines are
 * no log's. */
void cli_log_open(const char *path, bool go_on);
/* losses: those of a distillation, each apart; NULL: there is one. */
void cli_log_step(const sqz_train_progress *progress, const sqz_distil_recipe *losses);
/* values [n] by their names; NaN is null. */
void cli_log_figures(uint64_t step, const char *const *names, const double *values, uint32_t n);
void cli_log_close(void);

/* The options of the verb. Reals are NAN where they were not given. */
typedef struct cli_tuning_options {
    const char *output_path, *task_name, *data_path, *dev_path, *split, *source;
    const char *freeze, *class_weights, *metric, *checkpoint, *log_path, *losses_path, *replay;
    uint32_t epochs, batch, seed, precision, max_length, max_steps, schedule, accumulate, pooling;
    uint32_t fake_quantise, patience, checkpoint_steps, problem;
    double lr, dropout, warmup, weight_decay, clip, head_lr, label_smoothing, holdout;
    double checkpoint_minutes;
    bool resume, dry_run, recompute;
} cli_tuning_options;
extern cli_tuning_options cli_tuning;
/* Those that distill has as well. */
extern const cli_option cli_training_data_options[], cli_training_recipe[], cli_training_run[];
/* Where checkpoints go: --checkpoint, or beside -o; NULL without both. */
const char *cli_training_folder(void);
/* Dies where the model, its checkpoints or the log cannot be written. */
void cli_try_training_places(void);

/* Everything of a run.
 *
 *   task        -1: data of one's own
 *   part        with a hold-out: what of `all` is trained on, part_dev what is not
 *   train       all or part
 */
typedef struct cli_job {
    int task;
    const sqz_model *named; /* whose classes a task's rows have; NULL: the task's own */
    const sqz_dataset *texts; /* learned beside the rows, without labels; NULL: none */
    uint64_t most_pieces;     /* of these */
    sqz_label_kind kind;
    sqz_dataset *all, *part, *dev, *part_dev;
    sqz_dataset *train;
    sqz_batches *batches;
    sqz_trainer *trainer;
    float *weights;
    char *prompts[2]; /* before the first text, and before the others */
    cli_watch watch;
    sqz_train_result result;
} cli_job;

/* ---- finetune_data.c ---- */

/* Dies where the paths cannot be what they are given for: a folder without --task, a file with it,
 * one file to train and to measure on. */
void cli_check_data_paths(const cli_job *job);
/* Open what is trained on and measured on, and read it as pieces by the base's tokenizer. */
void cli_job_open_data(cli_job *job, const char *base);
/* The batches, after the data; the recipe and weights, after the batches. */
void cli_job_open_batches(cli_job *job);
void cli_check_parts(void); /* of a batch */
/* Sets job->task; dies with CLI_USAGE where there is none of that name, where a task, which has its
 * own, is given other data, or where --dev, --holdout and --source do not go together. */
void cli_check_training_data(cli_job *job);
sqz_train_recipe cli_job_recipe(cli_job *job);

/* ---- finetune_report.c ---- */

/* The file and its figures, as text or JSON. measures NULL: nothing was measured; report: of the
 * task, empty where there is none. */
void cli_job_report(const cli_job *job, const sqz_measures *measures,
                    const sqz_eval_report *report);

/* ---- finetune_embed.c ---- */

/* After the options of the verb were checked: those of embedders, and what does not go with
 * them. */
void cli_check_embedder(const cli_job *job);
sqz_label_kind cli_embedder_kind(void);
/* Scores to 0..1, where a range was given or the task has one. */
void cli_embedder_scale(const cli_job *job, sqz_dataset *dataset);
/* Each text read by itself, with the prompts of the base or the options; *length as
 * sqz_dataset_tokenize_for has it. */
void cli_embedder_tokenize(cli_job *job, const char *base, uint32_t *length);
/* Says on stderr where texts that repeat make batches small, or leave examples out. */
void cli_embedder_say_batches(const cli_job *job);

#endif
