/* SPDX-License-Identifier: Apache-2.0 */
/* `finetune` of embedders: options, columns, prompts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "embedding_data.h"
#include "finetune.h"

cli_embedder_options cli_embedder = {.scale = NAN};

const cli_option cli_embedder_table[] = {
    {"loss", 0, CLI_CHOICE, &cli_embedder.loss, "head|cosine|cosent|ranking",
     "head: the labels' own. Of embeddings, of texts in --text and --text2: cosine or cosent, with "
     "a score as label; ranking: they belong together, and those of other rows do not"},
    {"label-range", 0, CLI_TEXT, &cli_embedder.range, "LOW,HIGH",
     "cosine, cosent: what scores lie between; they become 0 to 1 (stsb: 0,5)"},
    {"symmetric", 0, CLI_FLAG, &cli_embedder.symmetric, NULL,
     "ranking: find the first text for the second as well"},
    {"scale", 0, CLI_REAL, &cli_embedder.scale, "FACTOR", "of cosines (default: 20)"},
    {0},
};

enum { COSINE = SQZ_LOSS_COSINE, COSENT = SQZ_LOSS_COSENT, RANKING = SQZ_LOSS_RANKING };

static void refuse_without_loss(void)
{
    const cli_embedder_options *e = &cli_embedder;
    const char *given = e->range           ? "--label-range"
                        : e->symmetric     ? "--symmetric"
                        : !isnan(e->scale) ? "--scale"
                                           : cli_embedding_given();
    if (given) cli_die(CLI_USAGE, "%s is for embedders: --loss cosine, cosent or ranking", given);
}

static void refuse_of_heads(void)
{
    const char *given = cli_tuning.problem                   ? "--problem"
                        : !isnan(cli_tuning.head_lr)         ? "--head-lr"
                        : cli_tuning.class_weights           ? "--class-weights"
                        : !isnan(cli_tuning.label_smoothing) ? "--label-smoothing"
                        : cli_tuning.split                   ? "--split"
                                                             : NULL;
    if (given) cli_die(CLI_USAGE, "%s is of a head: it does not go with --loss", given);
}

void cli_check_embedder(const cli_job *j)
{
    const cli_embedder_options *e = &cli_embedder;
    if (!e->loss) {
        refuse_without_loss();
        return;
    }
    refuse_of_heads();
    if (e->loss == RANKING && cli_columns.label)
        cli_die(CLI_USAGE,
                "--label: texts of --loss ranking have none, each row's belong together");
    if (e->loss == RANKING && e->range) cli_die(CLI_USAGE, "--label-range: ranking has no scores");
    if (e->loss != RANKING && (cli_has_negatives() || e->symmetric))
        cli_die(CLI_USAGE, "--negative and --symmetric are for --loss ranking");
    if (e->loss == COSINE && !isnan(e->scale))
        cli_die(CLI_USAGE, "--scale is for --loss cosent and ranking");
    if (!isnan(e->scale) && !(e->scale > 0)) cli_die(CLI_USAGE, "--scale is above 0");
    if (j->task >= 0 && (j->task != SQZ_GLUE_STSB || e->loss == RANKING))
        cli_die(CLI_USAGE, "--loss of embeddings takes pairs with scores of --task stsb (cosine, "
                           "cosent), or --data FILE");
    if (j->task >= 0 && e->range)
        cli_die(CLI_USAGE, "--label-range does not go with --task, whose scores are known");
}

sqz_label_kind cli_embedder_kind(void)
{
    return cli_embedder.loss == RANKING ? SQZ_LABELS_NONE : SQZ_LABELS_VALUE;
}

void cli_embedder_scale(const cli_job *j, sqz_dataset *dataset)
{
    sqz_error error = {0};
    double low = 0, high = 5;
    char *end = NULL;
    if (!cli_embedder.loss || (j->task < 0 && !cli_embedder.range)) return;
    if (cli_embedder.range) {
        low = strtod(cli_embedder.range, &end);
        const bool comma = end != cli_embedder.range && *end == ',';
        const char *second = comma ? end + 1 : "";
        high = strtod(second, &end);
        if (!comma || end == second || *end || !(low < high) || !isfinite(high - low))
            cli_die(CLI_USAGE, "--label-range is LOW,HIGH, two numbers that rise, not %s",
                    cli_embedder.range);
    }
    cli_check(sqz_dataset_scale(dataset, low, high, &error), &error);
}

/* ---- prompts ---- */

static char *copy_of(const char *text)
{
    char *copy = cli_allocate(NULL, strlen(text) + 1);
    return strcpy(copy, text);
}

void cli_embedder_tokenize(cli_job *j, const sqz_model *model, uint32_t length)
{
    sqz_error error = {0};
    for (int i = 0; i < 2; i++) {
        j->prompts[i] = copy_of(
            cli_embedding_prompt(model, i ? SQZ_ROLE_PASSAGE : SQZ_ROLE_QUERY, j->kind));
        j->watch.prompts[i] = j->prompts[i];
    }
    cli_check(sqz_dataset_tokenize_texts(j->train, model, j->prompts[0], j->prompts[1], length,
                                         &error),
              &error);
}

void cli_embedder_say_batches(const cli_job *j)
{
    const sqz_train_data *data = sqz_batches_data(j->batches);
    const uint32_t usual = data->n_examples / cli_tuning.batch +
                           (data->n_examples % cli_tuning.batch > 0);
    if (cli_embedder.loss != RANKING || sqz_batches_replayed(j->batches)) return;
    if (data->n_batches > usual)
        cli_say("one text stands in %u examples, and never twice in a batch: batches have about %u "
                "examples, not %u",
                data->n_batches, data->n_examples / data->n_batches, cli_tuning.batch);
    const uint32_t left_out = sqz_batches_left_out(j->batches, 0);
    if (left_out)
        cli_say(
            "%u example%s left out of the first epoch: no batch with room was without its texts",
            left_out, left_out == 1 ? " is" : "s are");
}
