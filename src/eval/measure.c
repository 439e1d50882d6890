/* SPDX-License-Identifier: Apache-2.0 */
/* Figures with their intervals, of one model and of the difference of two: resamples of the
 * examples, the same ones for both. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/permutation.h"
#include "eval/predictions.h"

/* One or two models' figures over all resamples. */
typedef struct bootstrap {
    const sqz_allocator *allocator;
    sqzi_tally *tally[2]; /* base, or NULL; the one that is measured */
    uint32_t n;
    sqzi_resamples resamples;
    uint32_t *weight; /* [n] */
    double *values;   /* [SQZI_FIGURES, resamples] those that are there */
    uint32_t n_values[SQZI_FIGURES];
} bootstrap;

static void lay_out(bootstrap *b, sqzi_arena *arena)
{
    b->weight = sqzi_arena_take(arena, b->n, sizeof *b->weight);
    b->values = sqzi_arena_take(arena, b->resamples.n, SQZI_FIGURES * sizeof *b->values);
}

/* Figures at the weights; with a base the differences from its. */
static void figures_at(bootstrap *b, sqz_metric figures[SQZI_FIGURES])
{
    sqz_metric base[SQZI_FIGURES];
    sqzi_tally_figures(b->tally[1], b->weight, figures);
    if (!b->tally[0]) return;
    sqzi_tally_figures(b->tally[0], b->weight, base);
    for (int f = 0; f < SQZI_FIGURES; f++) {
        if (base[f].reason) figures[f] = base[f];
        else figures[f].value -= base[f].value;
    }
}

static void resample(bootstrap *b)
{
    for (uint32_t r = 0; r < b->resamples.n; r++) {
        sqz_metric figures[SQZI_FIGURES];
        memset(b->weight, 0, b->n * sizeof *b->weight);
        for (uint32_t i = 0; i < b->n; i++)
            b->weight[sqzi_draw(b->resamples.seed, SQZI_CHANCE_RESAMPLES, r, i, b->n)]++;
        figures_at(b, figures);
        for (int f = 0; f < SQZI_FIGURES; f++)
            if (!figures[f].reason)
                b->values[(size_t)f * b->resamples.n + b->n_values[f]++] = figures[f].value;
    }
}

static void put_figures(bootstrap *b, sqz_figure *to)
{
    sqz_metric figures[SQZI_FIGURES];
    for (uint32_t i = 0; i < b->n; i++) b->weight[i] = 1;
    figures_at(b, figures);
    resample(b);
    for (int f = 0; f < SQZI_FIGURES; f++) {
        to[f].metric = figures[f];
        sqzi_put_interval(&b->resamples, b->values + (size_t)f * b->resamples.n, b->n_values[f],
                          &to[f]);
    }
}

static sqz_status run(const sqz_predictions *base, const sqz_predictions *p,
                      const sqz_measure_options *options, sqz_figure *figures, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const char *const *names = sqzi_figure_names(p->dataset->kind);
    bootstrap b = {.allocator = p->allocator, .n = p->n};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    void *block = NULL;
    TRY(sqzi_resamples_of(options, &b.resamples, error));
    FAIL_IF(!p->dataset->labelled, SQZ_EINVAL, 0, "%s: has no labels to compare with",
            p->dataset->name);
    if (base) TRY(sqzi_tally_open(base, &b.tally[0], error));
    TRY(sqzi_tally_open(p, &b.tally[1], error));
    lay_out(&b, &arena);
    block = sqzi_allocate(b.allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for %u resamples", b.resamples.n);
    arena = sqzi_arena_over(block, arena.used);
    lay_out(&b, &arena);
    for (int f = 0; f < SQZI_FIGURES; f++) figures[f] = (sqz_figure){.name = names[f]};
    put_figures(&b, figures);
fail:
    if (block) sqzi_release(b.allocator, block, arena.used);
    sqzi_tally_close(b.tally[0]);
    sqzi_tally_close(b.tally[1]);
    return status;
}

const char *sqz_figure_name(sqz_label_kind kind, uint32_t k)
{
    return (unsigned)kind <= SQZ_LABELS_NONE && k < SQZI_FIGURES ? sqzi_figure_names(kind)[k]
                                                                 : NULL;
}

int sqz_figure_less_is_better(sqz_label_kind kind, uint32_t k)
{
    static const char *const errors[] = {"ece", "mae", "mse", "loss"};
    const char *name = sqz_figure_name(kind, k);
    for (size_t i = 0; name && i < sizeof errors / sizeof *errors; i++)
        if (strcmp(name, errors[i]) == 0) return 1;
    return 0;
}

/* ---- each class ---- */

static sqz_metric ratio(uint64_t part, uint64_t whole, const char *reason)
{
    return whole ? (sqz_metric){(double)part / (double)whole, NULL} : (sqz_metric){0, reason};
}

static sqz_status count_classes(sqz_predictions *p, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n_classes = p->n_classes;
    p->kinds.used = 0;
    for (uint32_t k = 0; k < n_classes; k++) {
        const sqz_class_figures figures = {.name = sqz_dataset_class(p->dataset, k)};
        TRY(sqzi_buffer_append(&p->kinds, &figures, sizeof figures, error));
    }
    sqz_class_figures *classes = (void *)p->kinds.data;
    for (uint32_t i = 0; i < p->n; i++) {
        const sqz_answer_of a = sqz_predictions_answer(p, i);
        const sqz_example *e = &p->examples[i];
        const bool one = p->dataset->kind == SQZ_LABELS_ONE;
        const uint32_t *there = one ? &e->label : e->labels, n_there = one ? 1 : e->n_labels;
        const uint32_t *said = one ? &a.label : a.labels, n_said = one ? 1 : a.n_labels;
        for (uint32_t k = 0; k < n_there; k++) classes[there[k]].support++;
        for (uint32_t k = 0, l = 0; k < n_said; k++) {
            classes[said[k]].predicted++;
            while (l < n_there && there[l] < said[k]) l++;
            classes[said[k]].right += l < n_there && there[l] == said[k];
        }
    }
fail:
    return status;
}

static sqz_status count_confusion(sqz_predictions *p, sqz_error *error)
{
    size_t cells = (size_t)p->n_classes * p->n_classes, bytes = cells * sizeof(uint64_t);
    p->confusion.used = 0;
    const sqz_status status = sqzi_buffer_reserve(&p->confusion, bytes, error);
    if (status != SQZ_OK) return status;
    uint64_t *counts = (void *)p->confusion.data;
    memset(counts, 0, bytes);
    p->confusion.used = bytes;
    for (uint32_t i = 0; i < p->n; i++)
        counts[(size_t)p->examples[i].label * p->n_classes + p->labels[i]]++;
    return SQZ_OK;
}

sqz_status sqz_measure(sqz_predictions *p, const sqz_measure_options *options,
                       sqz_measures *measures, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!p || !measures) return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_measure: an argument is NULL");
    *measures = (sqz_measures){.n = p->n, .n_figures = sqzi_count_figures(p->dataset->kind)};
    TRY(run(NULL, p, options, measures->figures, error));
    if (p->dataset->kind <= SQZ_LABELS_MANY) TRY(count_classes(p, error));
    if (p->dataset->kind == SQZ_LABELS_ONE) {
        TRY(count_confusion(p, error));
        measures->confusion = (const void *)p->confusion.data;
    }
    for (size_t i = 0; i < p->n; i++) {
        measures->n_answered += !p->is_refused[i];
        measures->n_answered_right += !p->is_refused[i] && sqz_predictions_answer(p, i).right;
    }
    sqz_class_figures *classes = (void *)p->kinds.data;
    measures->n_classes = (uint32_t)(p->kinds.used / sizeof *classes);
    for (uint32_t k = 0; k < measures->n_classes; k++) {
        sqz_class_figures *c = &classes[k];
        c->precision = ratio(c->right, c->predicted, "never predicted");
        c->recall = ratio(c->right, c->support, "does not occur");
        c->f1 = ratio(2 * c->right, c->support + c->predicted, "neither occurs nor is predicted");
    }
    measures->classes = classes;
fail:
    return status;
}

/* ---- two models ---- */

/* Twice the odds of at most `fewer` heads in n throws, at most 1. Terms relative to the largest one
 * that is summed, from it down. */
static double mcnemar(uint64_t fewer, uint64_t more)
{
    const double n = (double)(fewer + more);
    if (fewer == more) return 1;
    double term = 1, sum = 1;
    for (uint64_t k = fewer; k > 0 && term > 1e-20 * sum; k--) {
        term *= (double)k / (n - (double)k + 1);
        sum += term;
    }
    const double first = lgamma(n + 1) - lgamma((double)fewer + 1) - lgamma((double)more + 1) -
                         n * log(2.0);
    return fmin(1.0, 2 * sum * exp(first));
}

sqz_status sqz_compare_predictions(const sqz_predictions *base, const sqz_predictions *other,
                                   const sqz_measure_options *options, sqz_comparison *comparison,
                                   sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!base || !other || !comparison)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_compare_predictions: an argument is NULL");
    *comparison = (sqz_comparison){.n = base->n,
                                   .n_figures = sqzi_count_figures(base->dataset->kind),
                                   .p = 1};
    FAIL_IF(base->dataset != other->dataset, SQZ_EINVAL, 0,
            "predictions of two data sets cannot be compared");
    TRY(run(base, other, options, comparison->figures, error));
    comparison->no_pairs = base->dataset->kind == SQZ_LABELS_VALUE;
    for (uint32_t i = 0; i < base->n; i++) {
        const int a = sqz_predictions_answer(base, i).right;
        const int b = sqz_predictions_answer(other, i).right;
        comparison->only_base += a && !b;
        comparison->only_other += b && !a;
    }
    const bool fewer = comparison->only_base < comparison->only_other;
    if (!comparison->no_pairs)
        comparison->p = mcnemar(fewer ? comparison->only_base : comparison->only_other,
                                fewer ? comparison->only_other : comparison->only_base);
fail:
    return status;
}
