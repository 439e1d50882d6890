/* SPDX-License-Identifier: Apache-2.0 */
/* A model on a GLUE task: predictions in portions, then the task's metrics. */
#include <squeezebert/eval.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "eval/glue_tasks.h"
#include "eval/predictions.h"
#include "model/context.h"

enum { PORTION = 512 };

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
    uint32_t order[SQZI_GLUE_CLASSES]; /* the task's class of each logit */
    double *predicted_score, *true_score;
    uint32_t *predicted, *truth;
    sqz_input *inputs; /* [PORTION] */
    sqz_classification *classified;
    sqz_similarity *similar;
} evaluation;

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
        return sqzi_fail(error, outcome->status, row, "%s: line %llu: %s", sqz_glue_path(e->glue),
                         (unsigned long long)e->rows[row].line, outcome->text);
    e->report->n_truncated += outcome->cut > 0;
    return SQZ_OK;
}

/* Hand an answer out, its logits in the order of the task's classes. */
static void tell(const evaluation *e, size_t row, uint32_t i)
{
    float logits[SQZI_GLUE_CLASSES];
    const uint32_t n = e->task == SQZ_GLUE_STSB ? !e->options->cosine
                                                : sqz_model_get_info(e->model)->n_labels;
    for (uint32_t k = 0; k < n; k++)
        logits[e->task == SQZ_GLUE_STSB ? k : e->order[k]] = e->classified[i].logits[k];
    const sqz_prediction told = {.row = &e->rows[row],
                                 .index = row,
                                 .label = e->task == SQZ_GLUE_STSB ? 0 : e->predicted[row],
                                 .logits = logits,
                                 .n_logits = n,
                                 .score = e->predicted_score[row],
                                 .truncated = e->options->cosine
                                                  ? e->similar[i].outcome.cut > 0
                                                  : e->classified[i].outcome.cut > 0};
    e->options->prediction(e->options->user, &told);
}

static sqz_status run_portion(evaluation *e, size_t begin, uint32_t n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_embed_text_options embed = {.prompt = e->options->prompt,
                                          .second_prompt = e->options->second_prompt};
    for (uint32_t i = 0; i < n; i++) e->inputs[i] = e->rows[begin + i].input;
    if (e->options->cosine) TRY(sqz_compare(e->reader, e->inputs, n, &embed, e->similar, error));
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
        if (e->options->prediction) tell(e, row, i);
    }
fail:
    return status;
}

static void put(sqz_eval_report *report, const char *name, sqz_metric metric)
{
    report->metrics[report->n_metrics++] = (sqz_named_metric){name, metric};
}

sqz_status sqzi_glue_figures(const sqz_context *context, sqz_glue_task task, const void *predicted,
                             const void *truth, size_t n, sqz_eval_report *report, sqz_error *error)
{
    sqz_metric spearman;
    sqz_status status = SQZ_OK;
    switch (task) {
    case SQZ_GLUE_STSB:
        TRY(sqz_spearman(context, predicted, truth, n, &spearman, error));
        put(report, "pearson", sqz_pearson(predicted, truth, n));
        put(report, "spearman", spearman);
        break;
    case SQZ_GLUE_COLA: put(report, "matthews", sqz_matthews(predicted, truth, n, 2)); break;
    case SQZ_GLUE_AX: put(report, "rk", sqz_matthews(predicted, truth, n, 3)); break;
    case SQZ_GLUE_MRPC:
    case SQZ_GLUE_QQP:
        put(report, "accuracy", sqz_accuracy(predicted, truth, n));
        put(report, "f1", sqz_f1(predicted, truth, n, 1));
        break;
    default: put(report, "accuracy", sqz_accuracy(predicted, truth, n)); break;
    }
fail:
    return status;
}

static sqz_status measure(evaluation *e, sqz_error *error)
{
    const bool scores = e->task == SQZ_GLUE_STSB;
    return sqzi_glue_figures(e->context, e->task,
                             scores ? (const void *)e->predicted_score : e->predicted,
                             scores ? (const void *)e->true_score : e->truth, e->n, e->report,
                             error);
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
    TRY(SQZI_RESERVED(options, "sqz_eval_options", error));
    TRY(sqzi_glue_fit(model, task, e.options, e.order, error));
    TRY(sqz_glue_open(e.context, task, folder,
                      e.options->split        ? e.options->split
                      : task == SQZ_GLUE_MNLI ? "dev_matched"
                                              : "dev",
                      &e.options->glue, &e.glue, error));
    e.rows = sqz_glue_rows(e.glue, &e.n);
    FAIL_IF(!e.n, SQZ_EFORMAT, 0, "%s: holds no example", sqz_glue_path(e.glue));
    FAIL_IF(!e.options->unlabelled && !sqz_glue_labelled(e.glue), SQZ_EINVAL, 0,
            "%s: has no labels to compare with, as test files have none: choose another split",
            sqz_glue_path(e.glue));
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
    report->n_blank = sqz_glue_blank(e.glue);
    report->n_ill_formed = sqz_glue_ill_formed(e.glue);
    if (!e.options->unlabelled) TRY(measure(&e, error));
fail:
    if (block) sqzi_release(&e.context->allocator, block, bytes);
    sqz_task_close(e.reader);
    sqz_glue_close(e.glue);
    return status;
}
