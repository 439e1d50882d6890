/* SPDX-License-Identifier: Apache-2.0 */
/* distill: a student learns what its teacher makes of texts. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"
#include "output.h"
#include "task_figures.h"
#include "verbs.h"

enum { COMPARISONS = 10, /* of a run */ CHECKPOINT_MINUTES = 10, DRY_STEPS = 3 };

static const cli_option what_options[] = {
    {"output", 'o', CLI_TEXT, &cli_tuning.output_path, "FILE", "the model file to write"},
    {"teacher", 0, CLI_MODEL, &cli_teaching.teacher_path, "MODEL",
     "what is learned of: any model file; with another vocabulary than the student's, logits and "
     "vectors alone"},
    {"teacher-type", 0, CLI_CHOICE, &cli_teaching.teacher_type, "file|f32|bf16|s8",
     "in what the teacher is computed: bf16 and s8 round its floats in a temporary file beside "
     "-o, and are faster (default: as its file is)"},
    {"teacher-cache", 0, CLI_TEXT, &cli_teaching.teacher_cache, "BYTES",
     "keep so much of the teacher's logits and embeddings over epochs, and in -o's name with "
     ".teacher behind it, where no other loss asks for more than these; 0: none (default: 256MB)"},
    {"student", 0, CLI_MODEL, &cli_teaching.student_path, "MODEL",
     "a model file: what `squeeze` made; one of integers with --fake-quantise"},
    {"loss", 0, CLI_TEXT, &cli_teaching.losses, "NAME:WEIGHT,...",
     "what is learned (default: hidden:1,pooled:5 of texts, labels,logits,hidden of labelled "
     "rows, without hidden where vocabularies differ): "
     "labels; logits, soft, logits_mse of the head; hidden "
     "states; attention; queries, keys, values or relations, which are all three; pooled, "
     "pooled_mse, similarities of embeddings"},
    {"temperature", 0, CLI_REAL, &cli_teaching.temperature, "T", "of logits and soft (default: 1)"},
    {"map", 0, CLI_TEXT, &cli_teaching.map, "uniform|last|LIST",
     "which layer of the teacher each block of the student learns: 2,3,5,6 (default: uniform)"},
    {"relation-heads", 0, CLI_COUNT, &cli_teaching.relation_heads, "N",
     "that queries, keys and values are cut into (default: the teacher's heads)"},
    {"relation-layer", 0, CLI_COUNT, &cli_teaching.relation_layer, "N",
     "of the teacher, from 1 (default: the last)"},
    {"data", 0, CLI_TEXT, &cli_tuning.data_path, "PATH",
     "labelled rows: the task's folder, or a file as `finetune` takes it; --texts beside them are "
     "learned with every loss but that of labels"},
    {"problem", 0, CLI_CHOICE, &cli_tuning.problem,
     "auto|single_label|multi_label|regression|tokens",
     "what a label is (auto: tokens in conll, else single_label)"},
    {"texts", 0, CLI_TEXT, &cli_teaching.texts_path, "FILE",
     "texts without labels, one a line, FILE.gz too: cut into sentences"},
    {"whole-texts", 0, CLI_FLAG, &cli_teaching.whole_texts, NULL, "do not cut them into sentences"},
    {"windows", 0, CLI_FLAG, &cli_teaching.windows, NULL,
     "cut them where --max-length pieces are full, in place of sentences: no piece is left out"},
    {"max-pieces", 0, CLI_COUNT, &cli_teaching.max_pieces, "N",
     "take sentences by chance until they have so many pieces (default: all)"},
    {0},
};

static const cli_option recipe_options[] = {
    {"epochs", 0, CLI_COUNT, &cli_tuning.epochs, "N",
     "times that all is learned (default: 1 of texts, 3 of labelled rows)"},
    {"lr", 0, CLI_REAL, &cli_tuning.lr, "RATE",
     "learning rate after the warm-up (default: 5e-4 on texts, 3e-4 on labelled rows)"},
    {"seed", 0, CLI_NUMBER, &cli_tuning.seed, "N", "of order, choice and dropout (default: 1)"},
    {"precision", 0, CLI_CHOICE, &cli_tuning.precision, "f32|bf16",
     "of the student's products (default: f32)"},
    {"recompute", 0, CLI_FLAG, &cli_tuning.recompute, NULL,
     "run each block once more instead of keeping its rows: less memory, equal bits"},
    {"dropout", 0, CLI_REAL, &cli_tuning.dropout, "SHARE", "of the student (default: 0)"},
    {"minutes", 0, CLI_REAL, &cli_teaching.minutes, "M",
     "as many steps as that takes, by the time of two at the start; says them as --max-steps"},
    {"warmup", 0, CLI_REAL, &cli_tuning.warmup, "SHARE",
     "of the steps, rising from 0 (default: 0.05)"},
    {"freeze", 0, CLI_TEXT, &cli_tuning.freeze, "embeddings|N",
     "leave the embeddings as they are, or these and the first N blocks"},
    {0},
};

static const cli_option run_options[] = {
    {"holdout", 0, CLI_REAL, &cli_tuning.holdout, "SHARE",
     "compare on so much, which is not learned (default: of texts 500, a tenth at most)"},
    {"keep", 0, CLI_TEXT, &cli_teaching.keep, "last|best",
     "the step whose weights are written: the last, or the nearest to the teacher on what is held "
     "out (default: last)"},
    {"measure-steps", 0, CLI_COUNT, &cli_teaching.measure_steps, "N",
     "compare each N steps (default: a tenth of them)"},
    {"patience", 0, CLI_COUNT, &cli_tuning.patience, "N",
     "with --keep best: stop after so many comparisons that were not the best"},
    {"log", 0, CLI_TEXT, &cli_tuning.log_path, "FILE",
     "a JSON line for each step and measurement; with --resume what it has of steps that are taken "
     "again is cut off"},
    {0},
};

/* ---- the command line ---- */

/* What goes with plain texts, and with labelled rows, alone. */
static void check_texts(void)
{
    if (cli_tuning.task_name || cli_tuning.dev_path || cli_tuning.source || cli_tuning.split ||
        cli_tuning.problem)
        cli_die(CLI_USAGE, "--task, --dev, --source, --split and --problem go with --data");
    cli_refuse_columns("--texts, which have no columns");
    if (cli.quotes) cli_die(CLI_USAGE, "--quotes does not go with --texts, which have no columns");
}

static void check_labelled(cli_distill_job *j)
{
    cli_check_training_data(&j->base);
    if (!cli_tuning.task_name && !cli_tuning.dev_path && isnan(cli_tuning.holdout))
        cli_die(CLI_USAGE, "teacher and student are compared on --dev FILE or --holdout SHARE: one "
                           "is needed");
    if (!cli_teaching.texts_path &&
        (cli_teaching.max_pieces || cli_teaching.whole_texts || cli_teaching.windows))
        cli_die(CLI_USAGE, "--max-pieces, --whole-texts and --windows go with --texts");
}

static void check_usage(cli_distill_job *j)
{
    if (!cli_teaching.teacher_path)
        cli_die(CLI_USAGE, "--teacher MODEL is needed: what is learned of");
    if (!cli_teaching.student_path) cli_die(CLI_USAGE, "--student MODEL is needed: what learns");
    if (!cli_teaching.texts_path && !cli_tuning.data_path)
        cli_die(CLI_USAGE, "what is learned on is --texts FILE, --data PATH or both");
    if (cli_teaching.whole_texts && cli_teaching.windows)
        cli_die(CLI_USAGE, "--whole-texts and --windows: texts are cut by one of them");
    if (cli_tuning.data_path) check_labelled(j);
    else check_texts();
    if (!cli_tuning.output_path && !cli_tuning.dry_run)
        cli_die(CLI_USAGE, "-o FILE is needed: the model to write");
    if (cli_teaching.keep && strcmp(cli_teaching.keep, "last") != 0 &&
        strcmp(cli_teaching.keep, "best") != 0)
        cli_die(CLI_USAGE, "--keep is last or best, not %s", cli_teaching.keep);
    if (cli_tuning.patience && (!cli_teaching.keep || strcmp(cli_teaching.keep, "best") != 0))
        cli_die(CLI_USAGE, "--patience goes with --keep best");
    if (!isnan(cli_teaching.minutes) && !(cli_teaching.minutes > 0))
        cli_die(CLI_USAGE, "--minutes is above 0");
    if (!isnan(cli_teaching.minutes) && (cli_tuning.max_steps || cli_tuning.resume))
        cli_die(CLI_USAGE,
                "--minutes becomes --max-steps, by times that differ from run to run: "
                "%s",
                cli_tuning.resume ? "to go on, give the --max-steps that it said"
                                  : "give one of them");
    if (!isnan(cli_tuning.lr) && !(cli_tuning.lr > 0)) cli_die(CLI_USAGE, "--lr is above 0");
    if (!isnan(cli_teaching.temperature) && !(cli_teaching.temperature > 0))
        cli_die(CLI_USAGE, "--temperature is above 0");
    if (!isnan(cli_tuning.holdout) && !(cli_tuning.holdout > 0 && cli_tuning.holdout < 1))
        cli_die(CLI_USAGE, "--holdout is above 0 and below 1, not %g", cli_tuning.holdout);
    cli_check_parts();
    const char *const outputs[] = {cli_tuning.output_path, cli_tuning.log_path};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        if (i)
            cli_not_over(outputs[i],
                         cli_teaching.student_path); /* the model may replace its base */
        cli_not_over(outputs[i], cli_teaching.teacher_path);
        if (j->labelled) cli_not_over_task(outputs[i], cli_tuning.data_path, NULL);
        if (cli_teaching.texts_path) cli_not_over(outputs[i], cli_teaching.texts_path);
        if (cli_tuning.dev_path) cli_not_over(outputs[i], cli_tuning.dev_path);
    }
    const char *const written[] = {outputs[0], outputs[1], cli_training_folder()};
    cli_not_twice(written, sizeof written / sizeof *written);
    if (!cli_tuning.dry_run) cli_try_training_places();
}

/* ---- the run ---- */

/* Before anything is read: a word that is none is not to be told after minutes. */
static void read_teaching(cli_distill_job *j)
{
    j->recipe.teacher = cli_teaching.teacher_path;
    j->recipe.teacher_type = (sqz_teacher_type)cli_teaching.teacher_type;
    j->recipe.scratch = cli_tuning.output_path ? cli_tuning.output_path : cli_teaching.student_path;
    j->recipe.temperature = isnan(cli_teaching.temperature) ? 0 : cli_teaching.temperature;
    j->recipe.relation_heads = cli_teaching.relation_heads;
    j->recipe.relation_layer = cli_teaching.relation_layer;
    cli_read_losses(cli_teaching.losses ? cli_teaching.losses
                    : j->labelled       ? "labels,logits,hidden"
                                        : "hidden:1,pooled:5",
                    &j->recipe);
    j->layers = cli_read_map(cli_teaching.map, &j->recipe);
    cli_check_distillation(&j->recipe, j->labelled);
}

static sqz_train_recipe recipe_of(cli_distill_job *j)
{
    sqz_train_recipe r = cli_job_recipe(&j->base);
    r.distil = &j->recipe;
    if (!r.epochs) r.epochs = j->labelled ? 3 : 1;
    if (isnan(cli_tuning.lr)) r.lr = j->labelled ? 3e-4 : 5e-4;
    if (isnan(cli_tuning.warmup)) r.warmup = 0.05;
    if (isnan(cli_tuning.dropout)) r.dropout = -1;
    j->cache = cli_keep_outputs(&j->recipe);
    return r;
}

static sqz_train_run run_of(cli_distill_job *j)
{
    const double minutes = cli_tuning.checkpoint_minutes;
    const uint64_t steps = sqz_trainer_steps(j->base.trainer),
                   every = cli_teaching.measure_steps ? cli_teaching.measure_steps
                                                      : (steps + COMPARISONS - 1) / COMPARISONS;
    sqz_train_run run = {.progress = cli_distilling_step,
                         .note = cli_watch_note,
                         .user = &j->watch};
    j->watch.trainer = j->base.trainer;
    j->watch.recipe = &j->recipe;
    j->watch.stop_after = cli_tuning.dry_run ? DRY_STEPS : 0;
    if (cli_tuning.dry_run) return run;
    if (cli_teaching.keep && strcmp(cli_teaching.keep, "best") == 0) {
        run.evaluate = cli_distilling_evaluate;
        run.evaluate_steps = every;
        run.patience = cli_tuning.patience;
    } else j->watch.every = every;
    run.checkpoint = cli_training_folder();
    run.checkpoint_steps = cli_tuning.checkpoint_steps;
    run.checkpoint_minutes = isnan(minutes) ? CHECKPOINT_MINUTES : minutes;
    run.resume = cli_tuning.resume;
    return run;
}

static void train(cli_distill_job *j)
{
    sqz_error error = {0};
    sqz_train_recipe recipe = recipe_of(j);
    if (!isnan(cli_teaching.minutes)) {
        cli_bound_minutes(j, &recipe);
        recipe.max_steps = cli_tuning.max_steps;
    }
    cli_check(sqz_trainer_open(cli_context(), cli_teaching.student_path, &recipe,
                               sqz_batches_data(j->base.batches), &j->base.trainer, &error),
              &error);
    const sqz_train_run run = run_of(j);
    const sqz_status status = sqz_trainer_run(j->base.trainer, &run, &j->base.result, &error);
    if (!(cli_tuning.dry_run && status == SQZ_ECANCELLED)) cli_check(status, &error);
}

static void close_job(cli_distill_job *j)
{
    sqz_trainer_close(j->base.trainer);
    sqz_batches_close(j->base.batches);
    sqz_predictions_close(j->base.watch.predictions);
    sqz_dataset_close(j->texts);
    sqz_dataset_close(j->base.part);
    sqz_dataset_close(j->base.part_dev);
    sqz_dataset_close(j->base.dev);
    sqz_dataset_close(j->base.all);
    sqz_model_close(j->student);
    sqz_model_close(j->teacher);
    cli_log_close();
    free(j->watch.texts);
    free(j->rows);
    free(j->layers);
    free(j->cache);
}

static int run(char **arguments, uint32_t n)
{
    sqz_error error = {0};
    cli_distill_job j = {.labelled = cli_tuning.task_name || cli_tuning.data_path};
    (void)arguments;
    (void)n;
    check_usage(&j);
    read_teaching(&j);
    cli_check(sqz_model_open(cli_context(), cli_teaching.teacher_path, &j.teacher, &error), &error);
    cli_check(sqz_model_open(cli_context(), cli_teaching.student_path, &j.student, &error), &error);
    j.apart = !sqz_same_vocabulary(j.student, j.teacher);
    if (j.apart) cli_choose_losses_apart(&j.recipe, j.labelled);
    cli_distill_open_data(&j);
    if (!cli_tuning.dry_run) cli_log_open(cli_tuning.log_path, cli_tuning.resume);
    if (!cli_tuning.dry_run) cli_distill_show_before(&j);
    train(&j);
    if (cli_tuning.dry_run) cli_distill_show_plan(&j);
    else {
        cli_check(sqz_trainer_write(j.base.trainer, cli_tuning.output_path, &error), &error);
        cli_distill_show_result(&j);
    }
    close_job(&j);
    return CLI_DONE;
}

static const cli_option *const tables[] = {
    what_options,     cli_training_data_options, cli_labelled_options,
    recipe_options,   cli_training_recipe,       run_options,
    cli_training_run, cli_model_options,         NULL};
const cli_verb cli_verb_distill = {
    "distill",
    "teach a smaller model what a larger one makes of texts",
    "",
    "The student, a float model file such as `squeeze` makes of its teacher, learns the teacher's "
    "hidden states, attention and vectors on texts without labels, or its logits on labelled rows; "
    "everything else is as in finetune: AdamW, f32, checkpoints, bits that depend on neither "
    "threads nor stops. Prints how near the student is on what was held out.",
    "squeezebert squeeze minilm.gguf -o student.gguf --layers 0,2,3,5\n"
    "squeezebert distill --teacher minilm.gguf --student student.gguf -o healed.gguf "
    "--texts texts.txt\n"
    "squeezebert distill --teacher sst2.gguf --student student.gguf -o small-sst2.gguf "
    "--task sst2 --data glue/SST-2 --loss labels,logits:1,hidden:1 --temperature 2",
    0,
    0,
    tables,
    run};
