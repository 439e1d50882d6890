/* SPDX-License-Identifier: Apache-2.0 */
/* A model on a GLUE task: predictions in portions, then the task's metrics. */
#include <math.h>
#include <squeezebert/eval.h>
#include <string.h>

#include "base/error.h"
#include "model/context.h"

enum { PORTION = 512, MAX_CLASSES = 8 };

/* Everything that an evaluation holds while it runs. */
typedef struct evaluation {
    const sqz_model *model;
    const sqz_context *context;
    sqz_glue_task task;
    const sqz_eval_options *options;
    sqz_eval_report *report;
    sqz_glue *glue;
    sqz_task *reader;
    const sqz_glue_row *rows;
    size_t n;
    uint32_t order[MAX_CLASSES]; /* the task's class of each logit */
    double *predicted_score, *true_score;
    uint32_t *predicted, *truth;
    sqz_input *inputs; /* [PORTION] */
    sqz_classification *classified;
    sqz_similarity *similar;
} evaluation;

static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a | 32) != (*b | 32)) return false;
    return *a == *b;
}

/* The name of logit k: what the caller says, else the model's own; NULL where nobody named it. */
static const char *class_name(const evaluation *e, uint32_t k)
{
    if (e->options->classes) return k < e->options->n_classes ? e->options->classes[k] : NULL;
    return sqz_model_get_info(e->model)->labels_named ? sqz_model_label(e->model, k) : NULL;
}

/* Which class each logit stands for. Classes with words must be named; 0 and 1 stand in their order
 * unless the names are "0" and "1" themselves. */
static sqz_status match_classes(evaluation *e, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(e->model);
    const bool numbers = strcmp(sqz_glue_class(e->task, 0), "0") == 0;
    uint32_t n = 0, seen = 0;
    while (sqz_glue_class(e->task, n)) n++;
    FAIL_IF(info->n_labels != n, SQZ_EINVAL, 0, "%s has %u classes, the model has %u",
            sqz_glue_name(e->task), n, info->n_labels);
    FAIL_IF(e->options->classes && e->options->n_classes != n, SQZ_EINVAL, 0,
            "%u class names were given, %s has %u", e->options->n_classes, sqz_glue_name(e->task),
            n);
    for (uint32_t k = 0; k < n; k++) {
        const char *name = class_name(e, k);
        e->order[k] = UINT32_MAX;
        for (uint32_t c = 0; name && c < n; c++)
            if (same_word(name, sqz_glue_class(e->task, c))) e->order[k] = c;
        if (e->order[k] != UINT32_MAX) seen |= 1u << e->order[k];
    }
    if (seen == (1u << n) - 1) return SQZ_OK;
    FAIL_IF(!numbers || e->options->classes, SQZ_EINVAL, 0,
            "the order of the model's classes is unknown: its names (%s, ...) are not those of %s "
            "(%s, ...); say the order of its logits with those words",
            class_name(e, 0) ? class_name(e, 0) : "none", sqz_glue_name(e->task),
            sqz_glue_class(e->task, 0));
    for (uint32_t k = 0; k < n; k++) e->order[k] = k;
fail:
    return status;
}

static sqz_status check_model(evaluation *e, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(e->model);
    FAIL_IF(e->options->cosine && e->task != SQZ_GLUE_STSB, SQZ_EINVAL, 0,
            "the cosine is a figure for stsb alone, not for %s", sqz_glue_name(e->task));
    if (e->options->cosine) return SQZ_OK;
    FAIL_IF(info->head != SQZ_HEAD_SEQUENCE, SQZ_EINVAL, 0,
            "%s needs a model with a sequence classification head; an embedding model can do stsb "
            "by cosine",
            sqz_glue_name(e->task));
    FAIL_IF(e->task == SQZ_GLUE_STSB && info->n_labels != 1, SQZ_EINVAL, 0,
            "stsb needs a model with one output, this one has %u", info->n_labels);
    if (e->task != SQZ_GLUE_STSB) TRY(match_classes(e, error));
fail:
    return status;
}

/* One allocation for all arrays, laid out twice: counted, then placed. */
static void lay_out(evaluation *e, sqzi_arena *arena)
{
    e->predicted_score = sqzi_arena_take(arena, e->n, sizeof *e->predicted_score);
    e->true_score = sqzi_arena_take(arena, e->n, sizeof *e->true_score);
    e->predicted = sqzi_arena_take(arena, e->n, sizeof *e->predicted);
    e->truth = sqzi_arena_take(arena, e->n, sizeof *e->truth);
    e->inputs = sqzi_arena_take(arena, PORTION, sizeof *e->inputs);
    e->classified = sqzi_arena_take(arena, PORTION, sizeof *e->classified);
    e->similar = sqzi_arena_take(arena, PORTION, sizeof *e->similar);
}

static sqz_status note(evaluation *e, size_t row, const sqz_outcome *outcome, sqz_error *error)
{
    if (outcome->status != SQZ_OK)
        return sqzi_fail(error, outcome->status, row, "row %zu: %s", row, outcome->text);
    e->report->n_truncated += outcome->cut > 0;
    return SQZ_OK;
}

static sqz_status run_portion(evaluation *e, size_t begin, uint32_t n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < n; i++) e->inputs[i] = e->rows[begin + i].input;
    if (e->options->cosine) TRY(sqz_compare(e->reader, e->inputs, n, NULL, e->similar, error));
    else TRY(sqz_classify(e->reader, e->inputs, n, 0, e->classified, error));
    for (uint32_t i = 0; i < n; i++) {
        const size_t row = begin + i;
        TRY(note(e, row, e->options->cosine ? &e->similar[i].outcome : &e->classified[i].outcome,
                 error));
        e->true_score[row] = e->rows[row].score;
        e->truth[row] = e->rows[row].label;
        e->predicted_score[row] = e->options->cosine ? (double)e->similar[i].cosine
                                                     : (double)e->classified[i].logits[0];
        if (e->task != SQZ_GLUE_STSB) e->predicted[row] = e->order[e->classified[i].label];
    }
fail:
    return status;
}

static void put(evaluation *e, const char *name, sqz_metric metric)
{
    e->report->metrics[e->report->n_metrics++] = (sqz_named_metric){name, metric};
}

static sqz_status measure(evaluation *e, sqz_error *error)
{
    sqz_metric spearman;
    sqz_status status = SQZ_OK;
    switch (e->task) {
    case SQZ_GLUE_STSB:
        TRY(sqz_spearman(e->context, e->predicted_score, e->true_score, e->n, &spearman, error));
        put(e, "pearson", sqz_pearson(e->predicted_score, e->true_score, e->n));
        put(e, "spearman", spearman);
        break;
    case SQZ_GLUE_COLA: put(e, "matthews", sqz_matthews(e->predicted, e->truth, e->n, 2)); break;
    case SQZ_GLUE_AX: put(e, "rk", sqz_matthews(e->predicted, e->truth, e->n, 3)); break;
    case SQZ_GLUE_MRPC:
    case SQZ_GLUE_QQP:
        put(e, "accuracy", sqz_accuracy(e->predicted, e->truth, e->n));
        put(e, "f1", sqz_f1(e->predicted, e->truth, e->n, 1));
        break;
    default: put(e, "accuracy", sqz_accuracy(e->predicted, e->truth, e->n)); break;
    }
fail:
    return status;
}

static sqz_status predict(evaluation *e, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (size_t begin = 0; begin < e->n; begin += PORTION) {
        const size_t rest = e->n - begin;
        TRY(run_portion(e, begin, (uint32_t)(rest < PORTION ? rest : PORTION), error));
        FAIL_IF(e->options->progress &&
                    e->options->progress(e->options->user, rest < PORTION ? e->n : begin + PORTION,
                                         e->n) != 0,
                SQZ_ECANCELLED, 0, "stopped after %zu of %zu rows", begin, e->n);
    }
fail:
    return status;
}

sqz_status sqz_evaluate(const sqz_model *model, sqz_glue_task task, const char *folder,
                        const sqz_eval_options *options, sqz_eval_report *report, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    static const sqz_eval_options defaults = {0};
    if (!model || !folder || !report)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_evaluate: an argument is NULL");
    evaluation e = {.model = model,
                    .context = sqz_model_context(model),
                    .task = task,
                    .options = options ? options : &defaults,
                    .report = report};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    void *block = NULL;
    size_t bytes = 0;
    *report = (sqz_eval_report){.task = sqz_glue_name(task)};
    FAIL_IF(!report->task, SQZ_EINVAL, 0, "%d is no GLUE task", (int)task);
    TRY(check_model(&e, error));
    TRY(sqz_glue_open(e.context, task, folder,
                      e.options->split        ? e.options->split
                      : task == SQZ_GLUE_MNLI ? "dev_matched"
                                              : "dev",
                      &e.glue, error));
    FAIL_IF(!sqz_glue_labelled(e.glue), SQZ_EINVAL, 0,
            "the file has no labels to compare with: choose a labelled split");
    e.rows = sqz_glue_rows(e.glue, &e.n);
    TRY(sqz_task_open(model, e.options->task, &e.reader, error));
    lay_out(&e, &arena);
    bytes = arena.used;
    block = sqzi_allocate(&e.context->allocator, bytes);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the predictions of %zu rows", e.n);
    arena = sqzi_arena_over(block, bytes);
    lay_out(&e, &arena);
    TRY(predict(&e, error));
    report->n = e.n;
    report->n_skipped = sqz_glue_skipped(e.glue);
    TRY(measure(&e, error));
fail:
    if (block) sqzi_release(&e.context->allocator, block, bytes);
    sqz_task_close(e.reader);
    sqz_glue_close(e.glue);
    return status;
}
