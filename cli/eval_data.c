/* SPDX-License-Identifier: Apache-2.0 */
/* A model, or two, on labelled data: figures, classes, confusions, what changed. */
#include "eval_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "embedding_data.h"
#include "eval_report.h"
#include "output.h"
#include "stream.h"

/* What labels are, as the model has been trained for; of embeddings scores, where a column of them
 * is named, else texts that belong together. */
static sqz_label_kind kind_of(const sqz_model *model, const char *path)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    if (info->head == SQZ_HEAD_TOKEN) return SQZ_LABELS_WORDS;
    if (info->head == SQZ_HEAD_NONE) return cli_columns.label ? SQZ_LABELS_VALUE : SQZ_LABELS_NONE;
    if (info->head != SQZ_HEAD_SEQUENCE)
        cli_die(CLI_USAGE, "%s: its head is %s: those of sequences and tokens can be evaluated",
                path, sqz_head_name(info->head) ? sqz_head_name(info->head) : "none");
    return info->problem == SQZ_MULTI_LABEL  ? SQZ_LABELS_MANY
           : info->problem == SQZ_REGRESSION ? SQZ_LABELS_VALUE
                                             : SQZ_LABELS_ONE;
}

/* Did somebody name the classes? LABEL_0, LABEL_1, ... is what stands in where nobody did. */
static bool has_names(const sqz_model *model)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    for (uint32_t k = 0; k < info->n_labels; k++) {
        char stand_in[24];
        snprintf(stand_in, sizeof stand_in, "LABEL_%u", k);
        if (strcmp(sqz_model_label(model, k), stand_in) != 0) return info->labels_named;
    }
    return false;
}

/* The model's classes; numbers where nobody named them. */
static const char **classes_of(const sqz_model *model)
{
    enum { NUMBER_BYTES = 12 };
    const size_t n = sqz_model_get_info(model)->n_labels;
    const bool named = has_names(model);
    const char **classes = cli_allocate(NULL, n * (sizeof *classes + NUMBER_BYTES));
    char *numbers = (char *)(classes + n);
    for (uint32_t k = 0; k < n; k++) {
        char *number = numbers + (size_t)k * NUMBER_BYTES;
        snprintf(number, NUMBER_BYTES, "%u", k);
        classes[k] = named ? sqz_model_label(model, k) : number;
    }
    return classes;
}

sqz_dataset *cli_open_model_data(const sqz_model *model, const char *path, const cli_data *of)
{
    const char **classes = classes_of(model);
    cli_data data = *of;
    data.kind = kind_of(model, path);
    const bool embeds = sqz_model_get_info(model)->head == SQZ_HEAD_NONE;
    if (embeds && !cli_columns.text2)
        cli_say("its head is none: measured as a model of embeddings, on pairs of texts (--text2)");
    if (embeds) cli_embedding_columns(&data);
    else if (cli_embedding_given())
        cli_die(CLI_USAGE, "%s is for models of embeddings, %s has a head", cli_embedding_given(),
                path);
    if (!embeds && data.kind != SQZ_LABELS_VALUE) {
        data.classes = classes;
        data.n_classes = sqz_model_get_info(model)->n_labels;
    }
    if (!data.split && cli_is_clinc(data.path)) data.split = "val";
    sqz_dataset *dataset = cli_open_data(&data);
    free(classes);
    return dataset;
}

static sqz_predictions *predict(const sqz_model *model, const sqz_dataset *dataset)
{
    sqz_error error = {0};
    sqz_predictions *predictions;
    const sqz_task_options task = cli_task_options();
    sqz_predict_options o = {.task = &task, .progress = cli_show_share, .user = "examples"};
    if (sqz_model_get_info(model)->head == SQZ_HEAD_NONE) {
        o.prompt = cli_embedding_prompt(model, SQZ_ROLE_QUERY, sqz_dataset_kind(dataset));
        o.second_prompt = cli_embedding_prompt(model, SQZ_ROLE_PASSAGE, sqz_dataset_kind(dataset));
    }
    cli_check(sqz_predict(model, dataset, &o, &predictions, &error), &error);
    return predictions;
}

/* Both models have the same classes in the same order, or there is nothing to compare. */
static void check_same(const sqz_model *a, const sqz_model *b, const char *path)
{
    const sqz_model_info *left = sqz_model_get_info(a), *right = sqz_model_get_info(b);
    bool same = left->head == right->head && left->problem == right->problem &&
                left->n_labels == right->n_labels;
    const bool named = left->labels_named && right->labels_named && left->problem != SQZ_REGRESSION;
    for (uint32_t k = 0; same && named && k < left->n_labels; k++)
        same = strcmp(sqz_model_label(a, k), sqz_model_label(b, k)) == 0;
    if (!same) cli_die(CLI_USAGE, "--against %s: its head or its classes are other ones", path);
}

/* The other model's answers; it is closed again. */
static sqz_predictions *predict_other(const cli_eval_request *r, const sqz_dataset *dataset)
{
    sqz_error error = {0};
    sqz_model *other;
    cli_check(sqz_model_open(cli_context(), r->against, &other, &error), &error);
    check_same(cli_model(r->model), other, r->against);
    sqz_predictions *predictions = predict(other, dataset);
    sqz_model_close(other);
    return predictions;
}

int cli_check_accuracy(const sqz_metric *accuracy, double least)
{
    if (isnan(least)) return CLI_DONE;
    if (!accuracy) cli_die(CLI_USAGE, "--min-accuracy: these labels have no accuracy");
    if (!accuracy->reason && accuracy->value >= least) return CLI_DONE;
    if (accuracy->reason) cli_say("there is no accuracy: %s", accuracy->reason);
    else cli_say("the accuracy %.6f is below --min-accuracy %g", accuracy->value, least);
    return CLI_FAILED;
}

static const sqz_metric *accuracy_of(const sqz_measures *m)
{
    for (uint32_t f = 0; f < m->n_figures; f++)
        if (strcmp(m->figures[f].name, "accuracy") == 0) return &m->figures[f].metric;
    return NULL;
}

static void check_outputs(const cli_eval_request *r)
{
    if (!r->predictions) return;
    cli_not_over(r->predictions, r->model);
    if (r->data) cli_not_over(r->predictions, r->data);
    if (r->against) cli_not_over(r->predictions, r->against);
}

int cli_eval_data(const cli_eval_request *r)
{
    sqz_error error = {0};
    sqz_measures measures;
    sqz_comparison comparison;
    cli_evaluated e = {.model = r->model, .against = r->against, .measures = &measures};
    check_outputs(r);
    if (kind_of(cli_model(r->model), r->model) == SQZ_LABELS_VALUE && !isnan(r->min_accuracy))
        (void)cli_check_accuracy(NULL, r->min_accuracy);
    e.dataset = cli_open_model_data(cli_model(r->model), r->model,
                                    &(cli_data){.path = r->data, .split = r->split});
    cli_output *answers = r->predictions ? cli_open_output(r->predictions) : NULL;
    e.predictions = predict(cli_model(r->model), e.dataset);
    if (r->against) e.base = predict_other(r, e.dataset);
    cli_check(sqz_measure(e.predictions, NULL, &measures, &error), &error);
    if (e.base)
        cli_check(sqz_compare_predictions(e.base, e.predictions, NULL, &comparison, &error),
                  &error);
    e.comparison = e.base ? &comparison : NULL;
    if (answers) {
        cli_write_to(answers);
        cli_write_answers(&e, sqz_rows_format_of(r->predictions) == SQZ_ROWS_JSONL);
        cli_commit_output(answers);
    }
    cli_say_cut(sqz_predictions_cut(e.predictions), measures.n, "examples");
    if (cli.json) cli_show_evaluated_json(&e);
    else cli_show_evaluated(&e);
    const int code = cli_check_accuracy(accuracy_of(&measures), r->min_accuracy);
    sqz_predictions_close(e.base);
    sqz_predictions_close(e.predictions);
    sqz_dataset_close(e.dataset);
    return code;
}
