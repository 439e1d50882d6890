/* SPDX-License-Identifier: Apache-2.0 */
/* Data, batches and recipe of `finetune` from its options. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "embedding_data.h"
#include "finetune.h"

/* ---- data ---- */

static sqz_label_kind kind_of_data(void)
{
    if (cli_embedder.loss) return cli_embedder_kind();
    const bool conll = cli_columns.input == SQZ_DATA_CONLL ||
                       (!cli_columns.input &&
                        sqz_data_format_of(cli_tuning.data_path) == SQZ_DATA_CONLL);
    static const sqz_label_kind kinds[] = {SQZ_LABELS_ONE, SQZ_LABELS_ONE, SQZ_LABELS_MANY,
                                           SQZ_LABELS_VALUE, SQZ_LABELS_WORDS};
    return cli_tuning.problem == 0 && conll ? SQZ_LABELS_WORDS : kinds[cli_tuning.problem];
}

static sqz_dataset *open_glue(const cli_job *j, const char *name)
{
    sqz_error error = {0};
    sqz_dataset *dataset;
    const sqz_glue_options o = {.quotes = (sqz_quotes)cli.quotes};
    cli_check(sqz_dataset_open_glue(cli_context(), (sqz_glue_task)j->task, cli_tuning.data_path,
                                    name, &o, &dataset, &error),
              &error);
    if (j->named) cli_check(sqz_dataset_fit_glue(dataset, j->named, &error), &error);
    cli_say_left_out(dataset);
    return dataset;
}

static void hold_out(cli_job *j)
{
    sqz_error error = {0};
    size_t n, n_train;
    (void)sqz_dataset_examples(j->all, &n);
    uint32_t *rows = cli_allocate(NULL, n * sizeof *rows);
    cli_check(sqz_dataset_split(j->all, cli_tuning.holdout, cli_tuning.seed, rows, &n_train,
                                &error),
              &error);
    cli_check(sqz_dataset_part(j->all, rows, n_train, &j->part, &error), &error);
    cli_check(sqz_dataset_part(j->all, rows + n_train, n - n_train, &j->part_dev, &error), &error);
    free(rows);
    j->train = j->part;
}

void cli_check_data_paths(const cli_job *j)
{
    struct stat data, dev;
    const char *path = cli_tuning.data_path;
    const bool there = stat(path, &data) == 0, folder = there && S_ISDIR(data.st_mode);
    if (!isnan(cli_tuning.holdout) && !(cli_tuning.holdout > 0 && cli_tuning.holdout < 1))
        cli_die(CLI_USAGE, "--holdout is above 0 and below 1, 0.2 for a fifth, not %g",
                cli_tuning.holdout);
    if (j->task < 0 && folder)
        cli_die(CLI_USAGE, "--data %s: a folder: with --task NAME one of GLUE's, else name a file",
                path);
    if (j->task >= 0 && there && !folder)
        cli_die(CLI_USAGE, "--data %s: a file: --task reads a folder, for train and dev in it",
                path);
    if (cli_tuning.dev_path && !cli_is_clinc(path) && there &&
        stat(cli_tuning.dev_path, &dev) == 0 && data.st_dev == dev.st_dev &&
        data.st_ino == dev.st_ino && S_ISREG(data.st_mode))
        cli_die(CLI_USAGE, "--dev %s: is what is trained on: --holdout 0.1 keeps a part of it",
                cli_tuning.dev_path);
}

static void open_own_data(cli_job *j)
{
    cli_data data = {.path = cli_tuning.data_path,
                     .source = cli_tuning.source,
                     .split = cli_tuning.split,
                     .kind = j->kind};
    if (cli_embedder.loss) cli_embedding_columns(&data);
    j->all = cli_open_data(&data);
    cli_embedder_scale(j, j->all);
    j->train = j->all;
    if (!isnan(cli_tuning.holdout)) hold_out(j);
    if (!cli_tuning.dev_path) return;
    data.path = cli_tuning.dev_path;
    data.source = NULL;
    data.n_classes = sqz_dataset_n_classes(j->all);
    const char **classes = cli_allocate(NULL, data.n_classes * sizeof *classes);
    for (uint32_t k = 0; k < data.n_classes; k++) classes[k] = sqz_dataset_class(j->all, k);
    data.classes = classes;
    data.split = cli_is_clinc(cli_tuning.dev_path) ? "val" : NULL;
    j->dev = cli_open_data(&data);
    cli_embedder_scale(j, j->dev);
    free(classes);
}

static void open_data(cli_job *j)
{
    if (j->task < 0) {
        j->kind = kind_of_data();
        open_own_data(j);
    } else {
        j->all = open_glue(j, "train");
        j->train = j->all;
        j->dev = open_glue(j, j->task == SQZ_GLUE_MNLI ? "dev_matched" : "dev");
        j->kind = sqz_dataset_kind(j->all);
        cli_embedder_scale(j, j->all);
        cli_embedder_scale(j, j->dev);
    }
    j->watch.dev = j->dev ? j->dev : j->part_dev;
    const bool one = (j->kind == SQZ_LABELS_ONE || j->kind == SQZ_LABELS_WORDS) &&
                     sqz_dataset_n_classes(j->all) == 1;
    if (one)
        cli_die(CLI_BAD_FILE, "%s: every label is '%.60s': two classes or more are needed",
                cli_tuning.data_path, sqz_dataset_class(j->all, 0));
}

/* The base's tokenizer reads the texts; its weights are opened by the trainer. */
static void tokenize(cli_job *j, const char *base)
{
    sqz_error error = {0};
    uint32_t length = cli_tuning.max_length;
    if (cli_embedder.loss) cli_embedder_tokenize(j, base, &length);
    else cli_check(sqz_dataset_tokenize_for(j->train, base, &length, &error), &error);
    j->watch.task = (sqz_task_options){.max_length = length};
    size_t n, cut = 0;
    (void)sqz_dataset_examples(j->train, &n);
    if (cli_embedder.loss) n *= sqz_dataset_texts(j->train);
    for (size_t i = 0; i < n; i++) cut += sqz_dataset_pieces(j->train, i).cut > 0;
    if (cut)
        cli_say("%zu of %zu %s were cut to %u pieces", cut, n,
                cli_embedder.loss ? "texts" : "examples", length);
}

void cli_job_open_data(cli_job *j, const char *base)
{
    open_data(j);
    tokenize(j, base);
}

void cli_job_open_batches(cli_job *j)
{
    sqz_error error = {0};
    const sqz_batches_options o = {.batch = cli_tuning.batch,
                                   .seed = cli_tuning.seed,
                                   .distinct = cli_embedder.loss == SQZ_LOSS_RANKING,
                                   .replay = cli_tuning.replay,
                                   .texts = j->texts,
                                   .most_pieces = j->most_pieces};
    cli_check(sqz_batches_open(j->train, &o, &j->batches, &error), &error);
    j->watch.n_batches = sqz_batches_data(j->batches)->n_batches;
    j->watch.batch = cli_tuning.batch;
    cli_embedder_say_batches(j);
    const uint64_t all = (uint64_t)j->watch.n_batches * (cli_tuning.epochs ? cli_tuning.epochs : 5);
    const uint64_t steps = cli_tuning.max_steps && cli_tuning.max_steps < all ? cli_tuning.max_steps
                                                                              : all;
    const uint64_t there = sqz_batches_replayed(j->batches);
    if (cli_tuning.replay && there < steps)
        cli_die(CLI_USAGE, "%s: holds %llu batches, %llu steps are wanted: say --max-steps %llu",
                cli_tuning.replay, (unsigned long long)there, (unsigned long long)steps,
                (unsigned long long)there);
}

/* ---- the recipe ---- */

/* The library's defaults stand for 0, and what is below 0 for none. */
static double chosen(double given)
{
    return isnan(given) ? 0 : given == 0 ? -1 : given;
}

void cli_check_parts(void)
{
    if (cli_tuning.accumulate > cli_tuning.batch)
        cli_die(CLI_USAGE, "--accumulate %u: a batch of %u examples has at most as many parts",
                cli_tuning.accumulate, cli_tuning.batch);
}

static void set_freeze(sqz_train_recipe *r)
{
    char *end;
    if (!cli_tuning.freeze) return;
    if (strcmp(cli_tuning.freeze, "encoder") == 0) r->freeze_encoder = 1;
    else if (strcmp(cli_tuning.freeze, "embeddings") == 0) r->freeze_embeddings = 1;
    else {
        const bool digit = *cli_tuning.freeze >= '0' && *cli_tuning.freeze <= '9';
        const unsigned long blocks = digit ? strtoul(cli_tuning.freeze, &end, 10) : 0;
        r->freeze_blocks = blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
        if (!blocks || *end)
            cli_die(CLI_USAGE, "--freeze is embeddings, encoder, or a number of blocks, not %s",
                    cli_tuning.freeze);
    }
}

static void balance(const cli_job *j)
{
    const uint64_t *counts = sqz_batches_counts(j->batches);
    const uint32_t n_classes = sqz_dataset_n_classes(j->train);
    size_t n;
    double all = 0;
    (void)sqz_dataset_examples(j->train, &n);
    for (uint32_t k = 0; k < n_classes; k++) all += (double)counts[k];
    for (uint32_t k = 0; k < n_classes; k++) {
        const double count = (double)counts[k], without = (double)n - count;
        j->weights[k] = j->kind == SQZ_LABELS_MANY ? (float)((without > 0 ? without : 1) / count)
                                                   : (float)(all / (n_classes * count));
    }
}

/* NAME=W,...: the others keep 1. */
static void weigh_by_name(const cli_job *j)
{
    const uint32_t n_classes = sqz_dataset_n_classes(j->train);
    uint32_t n_named = 0;
    char *copy = cli_allocate(NULL, strlen(cli_tuning.class_weights) + 1);
    strcpy(copy, cli_tuning.class_weights);
    for (uint32_t k = 0; k < n_classes; k++) j->weights[k] = -1; /* not named */
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        char *end, *sign = strrchr(word, '=');
        const double weight = sign ? strtod(sign + 1, &end) : 0;
        uint32_t k = 0;
        if (!sign || !sign[1] || *end || !((float)weight > 0) || !isfinite((float)weight))
            cli_die(CLI_USAGE, "--class-weights: NAME=W with W above 0 is expected, not %s", word);
        *sign = '\0';
        while (k < n_classes && strcmp(sqz_dataset_class(j->train, k), word) != 0) k++;
        if (k == n_classes) cli_die(CLI_USAGE, "--class-weights: there is no class '%s'", word);
        if (j->weights[k] >= 0) cli_die(CLI_USAGE, "--class-weights names '%s' twice", word);
        j->weights[k] = (float)weight;
        n_named++;
    }
    if (!n_named)
        cli_die(CLI_USAGE, "--class-weights is balanced or NAME=W,..., not '%s'",
                cli_tuning.class_weights);
    for (uint32_t k = 0; k < n_classes; k++)
        if (j->weights[k] < 0) j->weights[k] = 1;
    free(copy);
}

static void set_weights(cli_job *j)
{
    if (!cli_tuning.class_weights) return;
    if (j->kind == SQZ_LABELS_VALUE)
        cli_die(CLI_USAGE, "--class-weights are of classes: there are none in a regression");
    j->weights = cli_allocate(NULL, sqz_dataset_n_classes(j->train) * sizeof *j->weights);
    if (strcmp(cli_tuning.class_weights, "balanced") == 0) balance(j);
    else weigh_by_name(j);
}

sqz_train_recipe cli_job_recipe(cli_job *j)
{
    static const sqz_pooling poolings[] = {SQZ_POOLING_DEFAULT, SQZ_POOLING_POOLER, SQZ_POOLING_CLS,
                                           SQZ_POOLING_MEAN};
    static const sqz_problem problems[] = {SQZ_SINGLE_LABEL, SQZ_MULTI_LABEL, SQZ_REGRESSION,
                                           SQZ_SINGLE_LABEL, SQZ_SINGLE_LABEL};
    set_weights(j);
    sqz_train_recipe r = {.head = j->kind == SQZ_LABELS_WORDS ? SQZ_HEAD_TOKEN : SQZ_HEAD_SEQUENCE,
                          .problem = problems[j->kind],
                          .pooling = poolings[cli_tuning.pooling],
                          .epochs = cli_tuning.epochs,
                          .max_steps = cli_tuning.max_steps,
                          .lr = isnan(cli_tuning.lr) ? 0 : cli_tuning.lr,
                          .head_lr = isnan(cli_tuning.head_lr) ? 0 : cli_tuning.head_lr,
                          .schedule = (sqz_schedule)cli_tuning.schedule,
                          .warmup = chosen(cli_tuning.warmup),
                          .weight_decay = chosen(cli_tuning.weight_decay),
                          .clip = chosen(cli_tuning.clip),
                          .dropout = chosen(cli_tuning.dropout),
                          .label_smoothing = isnan(cli_tuning.label_smoothing)
                                                 ? 0
                                                 : cli_tuning.label_smoothing,
                          .class_weights = j->weights,
                          .accumulate = cli_tuning.accumulate,
                          .seed = cli_tuning.seed,
                          .precision = (sqz_precision)cli_tuning.precision,
                          .fake_quantise = (sqz_fake_quantise)cli_tuning.fake_quantise,
                          .recompute = cli_tuning.recompute};
    if (cli_embedder.loss) {
        r.head = SQZ_HEAD_NONE;
        r.problem = SQZ_SINGLE_LABEL;
        r.loss = (sqz_train_loss)cli_embedder.loss;
        r.scale = isnan(cli_embedder.scale) ? 0 : cli_embedder.scale;
        r.symmetric = cli_embedder.symmetric;
    }
    set_freeze(&r);
    return r;
}
