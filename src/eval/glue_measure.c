/* SPDX-License-Identifier: Apache-2.0 */
/* A part of GLUE: its figures over all rows and over resamples of them; the mean of all parts. */
#include <squeezebert/glue.h>
#include <string.h>

#include "base/error.h"
#include "data/permutation.h"
#include "eval/predictions.h"
#include "model/context.h"

static const sqz_glue_part parts[] = {
    {"AX", SQZ_GLUE_AX, "AX", "AX", 1104},
    {"CoLA", SQZ_GLUE_COLA, "dev", "test", 1063},
    {"MNLI-m", SQZ_GLUE_MNLI, "dev_matched", "test_matched", 9796},
    {"MNLI-mm", SQZ_GLUE_MNLI, "dev_mismatched", "test_mismatched", 9847},
    {"MRPC", SQZ_GLUE_MRPC, "dev", "test", 1725},
    {"QNLI", SQZ_GLUE_QNLI, "dev", "test", 5463},
    {"QQP", SQZ_GLUE_QQP, "dev", "test", 390965},
    {"RTE", SQZ_GLUE_RTE, "dev", "test", 3000},
    {"SST-2", SQZ_GLUE_SST2, "dev", "test", 1821},
    {"STS-B", SQZ_GLUE_STSB, "dev", "test", 1379},
    {"WNLI", SQZ_GLUE_WNLI, "dev", "test", 146},
};
enum { PARTS = sizeof parts / sizeof *parts, TASKS = 9 };

const sqz_glue_part *sqz_glue_part_at(uint32_t i)
{
    return i < PARTS ? &parts[i] : NULL;
}

/* Answers and truths of all rows, as they come. */
typedef struct collected {
    const sqz_eval_options *options;
    bool scores; /* instead of classes */
    sqzi_buffer predicted, truth;
    sqz_status status;
    sqz_error error;
} collected;

static void collect(void *user, const sqz_prediction *p)
{
    collected *c = user;
    const void *const predicted = c->scores ? (const void *)&p->score : &p->label;
    const void *const truth = c->scores ? (const void *)&p->row->score : &p->row->label;
    const size_t bytes = c->scores ? sizeof p->score : sizeof p->label;
    if (c->status == SQZ_OK)
        c->status = sqzi_buffer_append(&c->predicted, predicted, bytes, &c->error);
    if (c->status == SQZ_OK) c->status = sqzi_buffer_append(&c->truth, truth, bytes, &c->error);
    if (c->options->prediction) c->options->prediction(c->options->user, p);
}

static int pass_on(void *user, size_t done, size_t total)
{
    const collected *c = user;
    return c->options->progress(c->options->user, done, total);
}

/* ---- resamples ---- */

/* One resample after the other: rows that are drawn, and the figures of each. */
typedef struct resampling {
    sqzi_resamples r;
    const sqz_context *context;
    sqz_glue_task task;
    size_t n, bytes, item;
    const unsigned char *from[2]; /* predicted, truth */
    unsigned char *drawn[2];
    double *values; /* [SQZ_MAX_METRICS, resamples] those that are there */
    uint32_t n_values[SQZ_MAX_METRICS];
} resampling;

static void lay_out(resampling *s, sqzi_arena *arena)
{
    s->values = sqzi_arena_take(arena, s->r.n, SQZ_MAX_METRICS * sizeof *s->values);
    s->drawn[0] = sqzi_arena_take(arena, s->n, s->item);
    s->drawn[1] = sqzi_arena_take(arena, s->n, s->item);
}

static sqz_status draw(resampling *s, uint32_t r, sqz_error *error)
{
    sqz_eval_report report = {0};
    for (uint32_t i = 0; i < s->n; i++) {
        const size_t at = sqzi_draw(s->r.seed, SQZI_CHANCE_RESAMPLES, r, i, (uint32_t)s->n);
        for (int k = 0; k < 2; k++)
            memcpy(s->drawn[k] + i * s->item, s->from[k] + at * s->item, s->item);
    }
    const sqz_status status = sqzi_glue_figures(s->context, s->task, s->drawn[0], s->drawn[1], s->n,
                                                &report, error);
    for (uint32_t f = 0; f < report.n_metrics; f++)
        if (!report.metrics[f].metric.reason)
            s->values[(size_t)f * s->r.n + s->n_values[f]++] = report.metrics[f].metric.value;
    return status;
}

static sqz_status put_intervals(resampling *s, sqz_glue_result *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(s, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(&s->context->allocator, bytes);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for %u resamples", s->r.n);
    arena = sqzi_arena_over(block, bytes);
    lay_out(s, &arena);
    for (uint32_t r = 0; r < s->r.n; r++) TRY(draw(s, r, error));
    for (uint32_t f = 0; f < result->n_figures; f++)
        sqzi_put_interval(&s->r, s->values + (size_t)f * s->r.n, s->n_values[f],
                          &result->figures[f]);
fail:
    if (block) sqzi_release(&s->context->allocator, block, bytes);
    return status;
}

/* ---- a part ---- */

/* The mean of figures that are all there. */
static sqz_metric mean_of(const sqz_figure *figures, uint32_t n)
{
    double sum = 0;
    for (uint32_t f = 0; f < n; f++) {
        if (figures[f].metric.reason) return figures[f].metric;
        sum += figures[f].metric.value;
    }
    return (sqz_metric){sum / n, NULL};
}

sqz_status sqz_glue_measure(const sqz_model *model, const sqz_glue_part *part, const char *folder,
                            const sqz_eval_options *options, const sqz_measure_options *resamples,
                            sqz_glue_result *result, sqz_error *error)
{
    static const sqz_eval_options defaults = {0};
    sqz_status status = SQZ_OK;
    if (!model || !part || !folder || !result)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_glue_measure: an argument is NULL");
    *result = (sqz_glue_result){.part = part};
    const sqz_context *context = sqz_model_context(model);
    const sqzi_buffer empty = {.allocator = &context->allocator, .limit = SIZE_MAX};
    collected c = {.options = options ? options : &defaults,
                   .scores = part->task == SQZ_GLUE_STSB,
                   .predicted = empty,
                   .truth = empty};
    sqz_eval_options o = *c.options;
    o.split = part->dev;
    o.prediction = collect;
    o.progress = o.progress ? pass_on : NULL;
    o.user = &c;
    resampling s = {.context = context, .task = part->task};
    TRY(sqzi_resamples_of(resamples, &s.r, error));
    FAIL_IF(o.unlabelled, SQZ_EINVAL, 0, "without labels there is nothing to measure");
    TRY(sqz_evaluate(model, part->task, folder, &o, &result->report, error));
    if (c.status != SQZ_OK && error) *error = c.error;
    TRY(c.status);
    s.n = result->report.n;
    s.item = c.scores ? sizeof(double) : sizeof(uint32_t);
    s.from[0] = c.predicted.data;
    s.from[1] = c.truth.data;
    result->n_figures = result->report.n_metrics;
    for (uint32_t f = 0; f < result->n_figures; f++)
        result->figures[f] = (sqz_figure){.name = result->report.metrics[f].name,
                                          .metric = result->report.metrics[f].metric};
    if (s.r.n) TRY(put_intervals(&s, result, error));
    result->score = mean_of(result->figures, result->n_figures);
fail:
    sqzi_buffer_free(&c.predicted);
    sqzi_buffer_free(&c.truth);
    return status;
}

/* ---- all parts ---- */

void sqz_glue_mean(const sqz_glue_result *results, size_t n, sqz_glue_overall *overall)
{
    double sum = 0;
    uint32_t n_mnli = 0;
    *overall = (sqz_glue_overall){0};
    for (int task = 0; task < SQZ_GLUE_AX; task++) {
        double score = 0;
        uint32_t n_parts = 0;
        for (size_t i = 0; i < n; i++) {
            if ((int)results[i].part->task != task || results[i].score.reason) continue;
            score += results[i].score.value;
            n_parts++;
        }
        if (task == SQZ_GLUE_MNLI) n_mnli = n_parts;
        if (!n_parts) continue;
        sum += score / n_parts;
        overall->n_tasks++;
    }
    overall->whole = overall->n_tasks == TASKS && n_mnli == 2;
    overall->mean = overall->n_tasks ? (sqz_metric){sum / overall->n_tasks, NULL}
                                     : (sqz_metric){0, "no task has a score"};
}
