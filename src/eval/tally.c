/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of examples with weights: whole numbers, so that counts are exact. Correlations rank by
 * orders that were sorted once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "eval/predictions.h"

enum { BINS = 15 };

/* Scores of one example that fall into one bin: how many, their sum, and how many were right. */
typedef struct bin_share {
    uint32_t bin, n, right;
    double sum;
} bin_share;

struct sqzi_tally {
    const sqz_predictions *p;
    size_t bytes;
    uint64_t *support, *predicted, *right; /* [K] */
    bin_share *shares;                     /* those of example i from first_share[i] on */
    size_t *first_share;                   /* [n + 1] */
    double *truth, *rank_x, *rank_y;       /* VALUE [n] */
    uint32_t *by_truth, *by_value;         /* VALUE [n] */
};

const char *const *sqzi_figure_names(sqz_label_kind kind)
{
    static const char *const names[][SQZI_FIGURES] = {
        [SQZ_LABELS_ONE] = {"accuracy", "macro_f1", "mcc", "ece"},
        [SQZ_LABELS_MANY] = {"accuracy", "micro_f1", "macro_f1", "ece"},
        [SQZ_LABELS_VALUE] = {"pearson", "spearman", "mae", "mse"},
        [SQZ_LABELS_WORDS] = {"f1", "precision", "recall", "accuracy"},
        [SQZ_LABELS_NONE] = {"accuracy", "mrr", "loss"}};
    return names[kind];
}

uint32_t sqzi_count_figures(sqz_label_kind kind)
{
    uint32_t n = 0;
    while (n < SQZI_FIGURES && sqzi_figure_names(kind)[n]) n++;
    return n;
}

static void lay_out(sqzi_tally *t, sqzi_arena *arena)
{
    const sqz_predictions *p = t->p;
    const size_t k = p->n_classes, values = p->dataset->kind == SQZ_LABELS_VALUE ? p->n : 0;
    const size_t shares = p->dataset->kind == SQZ_LABELS_ONE    ? 1
                          : p->dataset->kind == SQZ_LABELS_MANY ? (k < BINS ? k : BINS)
                                                                : 0;
    (void)sqzi_arena_take(arena, 1, sizeof *t);
    t->support = sqzi_arena_take(arena, k, sizeof *t->support);
    t->predicted = sqzi_arena_take(arena, k, sizeof *t->predicted);
    t->right = sqzi_arena_take(arena, k, sizeof *t->right);
    t->shares = sqzi_arena_take(arena, p->n, shares * sizeof *t->shares);
    t->first_share = sqzi_arena_take(arena, (size_t)p->n + 1, sizeof *t->first_share);
    t->truth = sqzi_arena_take(arena, values, sizeof *t->truth);
    t->rank_x = sqzi_arena_take(arena, values, sizeof *t->rank_x);
    t->rank_y = sqzi_arena_take(arena, values, sizeof *t->rank_y);
    t->by_truth = sqzi_arena_take(arena, values, sizeof *t->by_truth);
    t->by_value = sqzi_arena_take(arena, values, sizeof *t->by_value);
}

/* ---- once for all resamples ---- */

/* Bins are open below and closed above. */
static uint32_t bin_of(double score)
{
    const double bin = ceil(score * BINS) - 1;
    return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : (uint32_t)bin;
}

static void add_share(bin_share bins[BINS], float score, bool right)
{
    bin_share *bin = &bins[bin_of((double)score)];
    bin->n++;
    bin->right += right;
    bin->sum += (double)score;
}

static void share_bins(sqzi_tally *t)
{
    const sqz_predictions *p = t->p;
    size_t used = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        bin_share bins[BINS] = {0};
        const sqz_example *e = &p->examples[i];
        const float *scores = p->scores + (size_t)i * p->n_classes;
        t->first_share[i] = used;
        if (p->dataset->kind == SQZ_LABELS_ONE)
            add_share(bins, scores[p->labels[i]], p->labels[i] == e->label);
        for (uint32_t k = 0, l = 0; p->dataset->kind == SQZ_LABELS_MANY && k < p->n_classes; k++) {
            const bool is_true = l < e->n_labels && e->labels[l] == k;
            add_share(bins, scores[k], is_true);
            l += is_true;
        }
        for (uint32_t b = 0; b < BINS; b++) {
            bins[b].bin = b;
            if (bins[b].n) t->shares[used++] = bins[b];
        }
    }
    t->first_share[p->n] = used;
}

/* Merge sort of indices by value. */
static void sort_by(const double *x, uint32_t *index, uint32_t *other, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) index[i] = i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            const size_t middle = begin + width < n ? begin + width : n,
                         end = begin + 2 * width < n ? begin + 2 * width : n;
            for (size_t to = begin, a = begin, b = middle; to < end; to++)
                other[to] = b >= end || (a < middle && x[index[a]] <= x[index[b]]) ? index[a++]
                                                                                   : index[b++];
        }
        memcpy(index, other, n * sizeof *index);
    }
}

static void sort_values(sqzi_tally *t)
{
    const sqz_predictions *p = t->p;
    uint32_t *other = (uint32_t *)t->rank_x; /* not yet in use */
    for (uint32_t i = 0; i < p->n; i++) t->truth[i] = p->examples[i].value;
    sort_by(t->truth, t->by_truth, other, p->n);
    sort_by(p->values, t->by_value, other, p->n);
}

sqz_status sqzi_tally_open(const sqz_predictions *p, sqzi_tally **out, sqz_error *error)
{
    sqzi_tally sizes = {.p = p};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&sizes, &arena);
    sizes.bytes = arena.used;
    *out = sqzi_allocate(p->allocator, sizes.bytes);
    if (!*out)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the figures of %u examples", p->n);
    arena = sqzi_arena_over(*out, sizes.bytes);
    lay_out(&sizes, &arena);
    **out = sizes;
    if (p->dataset->kind <= SQZ_LABELS_MANY) share_bins(*out);
    if (p->dataset->kind == SQZ_LABELS_VALUE) sort_values(*out);
    return SQZ_OK;
}

void sqzi_tally_close(sqzi_tally *tally)
{
    if (tally) sqzi_release(tally->p->allocator, tally, tally->bytes);
}

/* ---- classes ---- */

static sqz_metric ratio(double part, double whole, const char *reason)
{
    return whole > 0 ? (sqz_metric){part / whole, NULL} : (sqz_metric){0, reason};
}

static sqz_metric calibration_error(const sqzi_tally *t, const uint32_t *weight)
{
    double n[BINS] = {0}, right[BINS] = {0}, sum[BINS] = {0}, all = 0, error = 0;
    for (uint32_t i = 0; i < t->p->n; i++)
        for (size_t s = t->first_share[i]; weight[i] && s < t->first_share[i + 1]; s++) {
            const bin_share *share = &t->shares[s];
            n[share->bin] += (double)share->n * weight[i];
            right[share->bin] += (double)share->right * weight[i];
            sum[share->bin] += share->sum * weight[i];
        }
    for (int b = 0; b < BINS; b++) {
        all += n[b];
        error += fabs(right[b] - sum[b]);
    }
    return ratio(error, all, "no examples");
}

static sqz_metric macro_f1(const sqzi_tally *t)
{
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t k = 0; k < t->p->n_classes; k++) {
        const uint64_t either = t->support[k] + t->predicted[k];
        if (!either) continue;
        sum += 2.0 * (double)t->right[k] / (double)either;
        n++;
    }
    return ratio(sum, n, "no class occurs or is predicted");
}

/* As sqz_matthews. */
static sqz_metric matthews(const sqzi_tally *t, double n, double right)
{
    double mixed = 0, predicted_squares = 0, true_squares = 0;
    for (uint32_t k = 0; k < t->p->n_classes; k++) {
        const double p = (double)t->predicted[k], s = (double)t->support[k];
        mixed += p * s;
        predicted_squares += p * p;
        true_squares += s * s;
    }
    const double denominator = sqrt(n * n - predicted_squares) * sqrt(n * n - true_squares);
    if (true_squares == n * n) return (sqz_metric){0, "one class alone occurs"};
    if (predicted_squares == n * n) return (sqz_metric){0, "one class alone is predicted"};
    return (sqz_metric){(right * n - mixed) / denominator, NULL};
}

static void figures_of_classes(sqzi_tally *t, const uint32_t *weight, sqz_metric *figures)
{
    const sqz_predictions *p = t->p;
    uint64_t n = 0, right = 0, both = 0, either = 0;
    memset(t->support, 0, p->n_classes * sizeof *t->support);
    memset(t->predicted, 0, p->n_classes * sizeof *t->predicted);
    memset(t->right, 0, p->n_classes * sizeof *t->right);
    for (uint32_t i = 0; i < p->n; i++) {
        if (!weight[i]) continue;
        const sqz_answer_of a = sqz_predictions_answer(p, i);
        const sqz_example *e = &p->examples[i];
        const bool one = p->dataset->kind == SQZ_LABELS_ONE;
        const uint32_t *there = one ? &e->label : e->labels, n_there = one ? 1 : e->n_labels;
        const uint32_t *said = one ? &a.label : a.labels, n_said = one ? 1 : a.n_labels;
        n += weight[i];
        right += a.right ? weight[i] : 0;
        for (uint32_t k = 0; k < n_there; k++) t->support[there[k]] += weight[i];
        for (uint32_t k = 0, l = 0; k < n_said; k++) {
            t->predicted[said[k]] += weight[i];
            while (l < n_there && there[l] < said[k]) l++;
            if (l < n_there && there[l] == said[k]) t->right[said[k]] += weight[i];
        }
    }
    for (uint32_t k = 0; k < p->n_classes; k++) {
        both += t->right[k];
        either += t->support[k] + t->predicted[k];
    }
    figures[0] = ratio((double)right, (double)n, "no examples");
    figures[3] = calibration_error(t, weight);
    if (p->dataset->kind == SQZ_LABELS_ONE) {
        figures[1] = macro_f1(t);
        figures[2] = matthews(t, (double)n, (double)right);
    } else {
        figures[1] = ratio(2.0 * (double)both, (double)either, "no class occurs or is predicted");
        figures[2] = macro_f1(t);
    }
}

/* ---- numbers ---- */

/* Ranks of examples that stand weight[i] times; equal values share the mean of theirs. */
static void rank(const double *x, const uint32_t *order, const uint32_t *weight, uint32_t n,
                 double *ranks)
{
    double before = 0;
    for (uint32_t begin = 0, end; begin < n; begin = end) {
        double group = 0;
        for (end = begin; end < n && x[order[end]] == x[order[begin]]; end++)
            group += weight[order[end]];
        for (uint32_t i = begin; i < end; i++) ranks[order[i]] = before + 0.5 * (group + 1);
        before += group;
    }
}

static double mean(const double *x, const uint32_t *weight, uint32_t n)
{
    double sum = 0, all = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += x[i] * weight[i];
        all += weight[i];
    }
    return sum / all;
}

static sqz_metric correlation(const double *x, const double *y, const uint32_t *weight, uint32_t n)
{
    const double mean_x = mean(x, weight, n), mean_y = mean(y, weight, n);
    double xy = 0, xx = 0, yy = 0, all = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double dx = x[i] - mean_x, dy = y[i] - mean_y;
        xy += dx * dy * weight[i];
        xx += dx * dx * weight[i];
        yy += dy * dy * weight[i];
        all += weight[i];
    }
    const double r = xy / (sqrt(xx) * sqrt(yy));
    if (all < 2) return (sqz_metric){0, "a correlation needs at least two examples"};
    if (!isfinite(r)) return (sqz_metric){0, "a correlation with a constant is undefined"};
    return (sqz_metric){fmax(-1.0, fmin(1.0, r)), NULL};
}

/* Does one value alone stand there? Its differences from a rounded mean would be noise, not 0. */
static bool constant(const double *x, const uint32_t *weight, uint32_t n)
{
    double first = 0;
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!weight[i]) continue;
        if (any && x[i] != first) return false;
        first = x[i];
        any = true;
    }
    return true;
}

static void figures_of_values(sqzi_tally *t, const uint32_t *weight, sqz_metric *figures)
{
    const sqz_predictions *p = t->p;
    double off = 0, squares = 0, all = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const double d = p->values[i] - t->truth[i];
        off += fabs(d) * weight[i];
        squares += d * d * weight[i];
        all += weight[i];
    }
    figures[2] = ratio(off, all, "no examples");
    figures[3] = ratio(squares, all, "no examples");
    if (p->cosines) figures[2] = figures[3] = (sqz_metric){0, "a cosine is no estimate of a score"};
    if (constant(t->truth, weight, p->n) || constant(p->values, weight, p->n)) {
        figures[0] = (sqz_metric){0, "a correlation with a constant is undefined"};
        figures[1] = figures[0];
        return;
    }
    rank(t->truth, t->by_truth, weight, p->n, t->rank_x);
    rank(p->values, t->by_value, weight, p->n, t->rank_y);
    figures[0] = correlation(p->values, t->truth, weight, p->n);
    figures[1] = correlation(t->rank_x, t->rank_y, weight, p->n);
}

/* ---- ranks ---- */

static void figures_of_ranks(const sqzi_tally *t, const uint32_t *weight, sqz_metric *figures)
{
    const sqz_predictions *p = t->p;
    double first = 0, reciprocal = 0, loss = 0, all = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        first += p->values[i] < 2 ? weight[i] : 0;
        reciprocal += weight[i] / p->values[i];
        loss += p->losses[i] * weight[i];
        all += weight[i];
    }
    figures[0] = ratio(first, all, "no examples");
    figures[1] = ratio(reciprocal, all, "no examples");
    figures[2] = ratio(loss, all, "no examples");
    figures[3] = (sqz_metric){0, "there is no such figure"};
}

/* ---- entities ---- */

static void figures_of_words(const sqzi_tally *t, const uint32_t *weight, sqz_metric *figures)
{
    const sqzi_entity_counts *counts = (const void *)t->p->entities.data;
    double support = 0, predicted = 0, right = 0, words = 0, words_right = 0;
    for (uint32_t i = 0; i < t->p->n; i++) {
        support += (double)counts[i].support * weight[i];
        predicted += (double)counts[i].predicted * weight[i];
        right += (double)counts[i].right * weight[i];
        words += (double)t->p->examples[i].n_labels * weight[i];
        words_right += (double)counts[i].words_right * weight[i];
    }
    figures[0] = ratio(2 * right, support + predicted, "no entity is there or predicted");
    figures[1] = ratio(right, predicted, "no entity is predicted");
    figures[2] = ratio(right, support, "no entity is there");
    figures[3] = ratio(words_right, words, "no words");
}

void sqzi_tally_figures(sqzi_tally *t, const uint32_t *weight, sqz_metric figures[SQZI_FIGURES])
{
    switch (t->p->dataset->kind) {
    case SQZ_LABELS_ONE:
    case SQZ_LABELS_MANY: figures_of_classes(t, weight, figures); break;
    case SQZ_LABELS_VALUE: figures_of_values(t, weight, figures); break;
    case SQZ_LABELS_WORDS: figures_of_words(t, weight, figures); break;
    case SQZ_LABELS_NONE: figures_of_ranks(t, weight, figures); break;
    }
}
