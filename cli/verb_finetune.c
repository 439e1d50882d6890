/* SPDX-License-Identifier: Apache-2.0 */
/* finetune: a base model and labelled texts to a model that classifies them. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <squeezebert/output.h>

#include "embedding_data.h"
#include "finetune.h"
#include "output.h"
#include "stream.h"
#include "task_figures.h"
#include "verbs.h"

enum { DRY_STEPS = 3, CHECKPOINT_MINUTES = 10 };

static const cli_option data_options[] = {
    {"output", 'o', CLI_TEXT, &cli_tuning.output_path, "FILE", "the model file to write"},
    {"data", 0, CLI_TEXT, &cli_tuning.data_path, "PATH",
     "what to train on: the task's folder, or a file"},
    {"holdout", 0, CLI_REAL, &cli_tuning.holdout, "SHARE",
     "measure on so much of --data, drawn by --seed and not trained on: whole sources, rows that "
     "share a text together"},
    {"problem", 0, CLI_CHOICE, &cli_tuning.problem,
     "auto|single_label|multi_label|regression|tokens",
     "what a label is: a class, several, a number, a class of each word (auto: tokens in conll, "
     "else single_label)"},
    {0},
};

static const cli_option recipe_options[] = {
    {"epochs", 0, CLI_COUNT, &cli_tuning.epochs, "N", "times that all is trained on (default: 5)"},
    {"lr", 0, CLI_REAL, &cli_tuning.lr, "RATE", "learning rate after the warm-up (default: 5e-5)"},
    {"head-lr", 0, CLI_REAL, &cli_tuning.head_lr, "RATE", "of the head (default: as --lr)"},
    {"seed", 0, CLI_NUMBER, &cli_tuning.seed, "N",
     "of order, dropout, a new head and what --holdout draws (default: 1)"},
    {"precision", 0, CLI_CHOICE, &cli_tuning.precision, "f32|bf16",
     "of the matrix products (default: f32)"},
    {"recompute", 0, CLI_FLAG, &cli_tuning.recompute, NULL,
     "keep less of each block and run it again when its gradient is due: less memory, more time, "
     "the same bits"},
    {"dropout", 0, CLI_REAL, &cli_tuning.dropout, "SHARE", "default: 0.1"},
    {"warmup", 0, CLI_REAL, &cli_tuning.warmup, "SHARE",
     "of the steps, rising from 0 (default: 0.1)"},
    {"freeze", 0, CLI_TEXT, &cli_tuning.freeze, "embeddings|encoder|N",
     "leave the embeddings as they are, all but the head, or embeddings and the first N blocks"},
    {"class-weights", 0, CLI_TEXT, &cli_tuning.class_weights, "balanced|NAME=W,...",
     "factors of the classes' losses; balanced: by how seldom they are"},
    {"label-smoothing", 0, CLI_REAL, &cli_tuning.label_smoothing, "SHARE", "default: 0"},
    {"pool", 0, CLI_CHOICE, &cli_tuning.pooling, "auto|pooler|cls|mean",
     "what the head reads (auto: the pooler where the base has one, else the mean), or what "
     "embeddings are (auto: as the base says)"},
    {"replay", 0, CLI_TEXT, &cli_tuning.replay, "ORDER.json",
     "batches as lists of row numbers, from 0"},
    {0},
};

static const cli_option run_options[] = {
    {"metric", 0, CLI_TEXT, &cli_tuning.metric, "NAME",
     "keep the step that is best by it on what is held out (default: keep the last step): "
     "accuracy, macro_f1, micro_f1, mcc, pearson, spearman, f1 of entities, mrr"},
    {"patience", 0, CLI_COUNT, &cli_tuning.patience, "N",
     "with --metric: stop after so many epochs that were not the best"},
    {"log", 0, CLI_TEXT, &cli_tuning.log_path, "FILE",
     "a JSON line for each step and measurement; with --resume what it has of steps that are taken "
     "again is cut off"},
    {"losses", 0, CLI_TEXT, &cli_tuning.losses_path, "FILE",
     "write the loss of each step, a JSON array"},
    {0},
};

/* ---- the command line ---- */

static void check_real(const char *name, double value, double most)
{
    if (!isnan(value) && !(value >= 0 && value < most))
        cli_die(CLI_USAGE, "--%s is 0 or more and below %g, not %g", name, most, value);
}

static void check_usage(cli_job *j)
{
    if (!cli_tuning.data_path) cli_die(CLI_USAGE, "--data PATH is needed: what to train on");
    if (!cli_tuning.output_path && !cli_tuning.dry_run)
        cli_die(CLI_USAGE, "-o FILE is needed: the model to write");
    cli_check_training_data(j);
    if (cli_tuning.replay && !isnan(cli_tuning.holdout))
        cli_die(CLI_USAGE, "--replay names rows of the whole data: it does not go with --holdout");
    if (cli_tuning.metric && !cli_tuning.task_name && !cli_tuning.dev_path &&
        isnan(cli_tuning.holdout))
        cli_die(CLI_USAGE, "--metric needs something to measure on: --dev FILE or --holdout SHARE");
    if (cli_tuning.patience && !cli_tuning.metric)
        cli_die(CLI_USAGE, "--patience needs a --metric to wait for");
    if (cli_tuning.losses_path && cli_tuning.resume)
        cli_die(CLI_USAGE, "--losses are those from the first step on: not with --resume");
    cli_check_embedder(j);
    if (!isnan(cli_tuning.lr) && !(cli_tuning.lr > 0)) cli_die(CLI_USAGE, "--lr is above 0");
    if (!isnan(cli_tuning.head_lr) && !(cli_tuning.head_lr > 0))
        cli_die(CLI_USAGE, "--head-lr is above 0");
    check_real("dropout", cli_tuning.dropout, 1);
    check_real("warmup", cli_tuning.warmup, 1);
    check_real("weight-decay", cli_tuning.weight_decay, 1000);
    check_real("label-smoothing", cli_tuning.label_smoothing, 1);
    check_real("checkpoint-minutes", cli_tuning.checkpoint_minutes, 1e6);
    check_real("clip", cli_tuning.clip, HUGE_VAL);
    cli_check_parts();
}

static void set_metric(cli_job *j)
{
    const char *name;
    char names[120] = "";
    if (!cli_tuning.metric) return;
    for (uint32_t k = 0; (name = sqz_figure_name(j->kind, k)) != NULL; k++) {
        if (sqz_figure_less_is_better(j->kind, k)) continue;
        j->watch.metric = k;
        if (strcmp(name, cli_tuning.metric) == 0) return;
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
    }
    cli_die(CLI_USAGE, "--metric %s: of these labels it is one of %s", cli_tuning.metric, names);
}

static void check_outputs(const char *base)
{
    const char *const outputs[] = {cli_tuning.output_path, cli_tuning.log_path,
                                   cli_tuning.losses_path};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        if (i) cli_not_over(outputs[i], base); /* the model may replace its base */
        cli_not_over_task(outputs[i], cli_tuning.data_path, NULL);
        if (cli_tuning.dev_path) cli_not_over(outputs[i], cli_tuning.dev_path);
        if (cli_tuning.replay) cli_not_over(outputs[i], cli_tuning.replay);
    }
    const char *const written[] = {outputs[0], outputs[1], outputs[2], cli_training_folder()};
    cli_not_twice(written, sizeof written / sizeof *written);
    if (cli_tuning.dry_run) return;
    cli_try_training_places();
    if (cli_tuning.losses_path) cli_try_output(cli_tuning.losses_path, false);
}

/* ---- the run ---- */

/* A step's loss, or null where the run went on from a later one. */
static void write_losses(const cli_job *j)
{
    if (!cli_tuning.losses_path || cli_tuning.dry_run) return;
    cli_output *output = cli_open_output(cli_tuning.losses_path);
    cli_write_to(output);
    cli_json_open('[');
    for (uint64_t i = 0; i < j->result.step; i++) cli_json_double(j->watch.losses[i]);
    cli_json_close(']');
    cli_commit_output(output);
}

static void train(cli_job *j, const char *base)
{
    sqz_error error = {0};
    const sqz_train_recipe recipe = cli_job_recipe(j);
    const sqz_train_data *data = sqz_batches_data(j->batches);
    char score[160];
    cli_check(sqz_trainer_open(cli_context(), base, &recipe, data, &j->trainer, &error), &error);
    j->watch.trainer = j->trainer;
    j->watch.each_epoch = j->watch.dev && !cli_tuning.metric && !cli_tuning.dry_run;
    j->watch.stop_after = cli_tuning.dry_run ? DRY_STEPS : 0;
    j->watch.n_losses = cli_tuning.losses_path ? sqz_trainer_steps(j->trainer) : 0;
    if (cli_tuning.losses_path)
        j->watch.losses = cli_allocate(NULL, j->watch.n_losses * sizeof *j->watch.losses);
    sqz_train_run run = {.progress = cli_watch_step, .note = cli_watch_note, .user = &j->watch};
    if (!cli_tuning.dry_run) {
        if (cli_tuning.metric)
            snprintf(score, sizeof score, "%s of data %s", cli_tuning.metric,
                     sqz_dataset_sha256(j->watch.dev));
        const double minutes = cli_tuning.checkpoint_minutes;
        run.evaluate = cli_tuning.metric ? cli_watch_evaluate : NULL;
        run.score = cli_tuning.metric ? score : NULL;
        run.patience = cli_tuning.patience;
        run.checkpoint = cli_training_folder();
        run.checkpoint_steps = cli_tuning.checkpoint_steps;
        run.checkpoint_minutes = isnan(minutes) ? CHECKPOINT_MINUTES : minutes;
        run.resume = cli_tuning.resume;
    }
    const sqz_status status = sqz_trainer_run(j->trainer, &run, &j->result, &error);
    if (!(cli_tuning.dry_run && status == SQZ_ECANCELLED)) cli_check(status, &error);
}

static void show_plan(const cli_job *j)
{
    struct rusage usage;
    const sqz_model_info *info = sqz_model_get_info(sqz_trainer_model(j->trainer));
    const uint64_t steps = sqz_trainer_steps(j->trainer);
    const double minutes = j->watch.step_seconds * (double)steps / 60;
    getrusage(RUSAGE_SELF, &usage);
    if (cli.json) {
        cli_json_open('{');
        cli_json_key_number("parameters", info->n_parameters);
        cli_json_key_number("examples", sqz_batches_data(j->batches)->n_examples);
        cli_json_key_number("steps", steps);
        cli_json_key_double("step_seconds", j->watch.step_seconds);
        cli_json_key_double("minutes", minutes);
        cli_json_key_number("memory_bytes", sqz_trainer_memory(j->trainer));
        cli_json_key_number("peak_bytes", (uint64_t)usage.ru_maxrss * 1024);
        cli_json_close('}');
        return;
    }
    printf("%llu parameters, %u examples, %llu steps of %u\n",
           (unsigned long long)info->n_parameters, sqz_batches_data(j->batches)->n_examples,
           (unsigned long long)steps, cli_tuning.batch);
    printf("%.3f s a step, %.1f minutes in all, without measuring and checkpoints\n",
           j->watch.step_seconds, minutes);
    printf("%.0f MB of memory for the training, %.0f MB the process at its peak\n",
           (double)sqz_trainer_memory(j->trainer) / 1e6, (double)usage.ru_maxrss * 1.024e-3);
}

/* The task's own figures, as `eval --task` gives them. */
static sqz_eval_report official(const cli_job *j, const sqz_model *model)
{
    sqz_eval_report report = {0};
    const sqz_eval_options o = {.task = &j->watch.task,
                                .cosine = cli_embedder.loss != 0,
                                .prompt = j->prompts[0],
                                .second_prompt = j->prompts[1],
                                .glue = {.quotes = (sqz_quotes)cli.quotes}};
    if (j->task >= 0)
        cli_evaluate_task(model, (sqz_glue_task)j->task, cli_tuning.data_path, &o, &report);
    return report;
}

static void finish(cli_job *j, const char *base)
{
    sqz_error error = {0};
    sqz_measures measures;
    sqz_model *written = NULL;
    cli_check(sqz_trainer_write(j->trainer, cli_tuning.output_path, &error), &error);
    write_losses(j);
    if (cli_tuning.precision) { /* figures are those of the file, which computes in f32 */
        sqz_trainer_close(j->trainer);
        j->trainer = NULL;
        cli_check(sqz_model_open(cli_context(), cli_tuning.output_path, &written, &error), &error);
    }
    const sqz_model *model = written ? written : sqz_trainer_model(j->trainer);
    const sqz_eval_report report = official(j, model);
    if (j->watch.dev)
        cli_check(cli_watch_measure(&j->watch, model, true, &measures, &error), &error);
    sqz_model_close(written);
    cli_job_report(j, j->watch.dev ? &measures : NULL, &report);
    if (j->result.scores_dropped) cli_say_scores_dropped(base, cli_tuning.output_path);
}

static void close_job(cli_job *j)
{
    sqz_predictions_close(j->watch.predictions);
    sqz_trainer_close(j->trainer);
    sqz_batches_close(j->batches);
    sqz_dataset_close(j->part);
    sqz_dataset_close(j->part_dev);
    sqz_dataset_close(j->dev);
    sqz_dataset_close(j->all);
    cli_log_close();
    free(j->watch.losses);
    free(j->weights);
    free(j->prompts[0]);
    free(j->prompts[1]);
}

static int run(char **arguments, uint32_t n)
{
    cli_job j = {0};
    (void)n;
    check_usage(&j);
    cli_check_data_paths(&j);
    cli_refuse_folder(arguments[0]);
    check_outputs(arguments[0]);
    cli_job_open_data(&j, arguments[0]);
    set_metric(&j);
    cli_job_open_batches(&j);
    if (!cli_tuning.dry_run) cli_log_open(cli_tuning.log_path, cli_tuning.resume);
    train(&j, arguments[0]);
    if (cli_tuning.dry_run) show_plan(&j);
    else finish(&j, arguments[0]);
    close_job(&j);
    return CLI_DONE;
}

static const cli_option *const tables[] = {data_options,
                                           cli_training_data_options,
                                           cli_labelled_options,
                                           cli_embedder_table,
                                           cli_embedding_options,
                                           recipe_options,
                                           cli_training_recipe,
                                           run_options,
                                           cli_training_run,
                                           cli_model_options,
                                           NULL};
const cli_verb cli_verb_finetune = {
    "finetune",
    "train a model on labelled texts",
    "BASE",
    "Trains every weight of BASE, a float model file, on labelled examples and writes a model that "
    "classifies, or with --loss one that embeds, in f32: AdamW, a warm-up and a falling rate, the "
    "last step kept. Bits depend on the data, the options and --cpu, not on threads, nor on how "
    "often a run was resumed. Of an int8 base a head alone can be trained, with --freeze encoder, "
    "which stays as it is; else train, then quantize.",
    "squeezebert finetune minilm.gguf -o mrpc.gguf --task mrpc --data glue/MRPC\n"
    "squeezebert finetune minilm.gguf -o tickets.gguf --data tickets.csv --text body --label team "
    "--holdout 0.1\n"
    "squeezebert finetune minilm.gguf -o search.gguf --data asked.csv --loss ranking --text "
    "question --text2 answer",
    1,
    1,
    tables,
    run};
