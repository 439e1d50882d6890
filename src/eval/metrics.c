/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics. Sums that cancel are made in two passes (means first, then products of
 * differences) and by Kahan's method, so that they agree with libraries that sum pairwise. */
#include <math.h>
#include <squeezebert/eval.h>

#include "base/error.h"
#include "model/context.h"

static const sqz_metric no_examples = {0, "no examples"};

sqz_metric sqz_accuracy(const uint32_t *predicted, const uint32_t *truth, size_t n)
{
    size_t right = 0;
    if (!n) return no_examples;
    for (size_t i = 0; i < n; i++) right += predicted[i] == truth[i];
    return (sqz_metric){(double)right / (double)n, NULL};
}

sqz_metric sqz_f1(const uint32_t *predicted, const uint32_t *truth, size_t n, uint32_t positive)
{
    size_t both = 0, either = 0; /* either counts an example twice where both say yes */
    if (!n) return no_examples;
    for (size_t i = 0; i < n; i++) {
        both += predicted[i] == positive && truth[i] == positive;
        either += (size_t)(predicted[i] == positive) + (truth[i] == positive);
    }
    return (sqz_metric){either ? 2.0 * (double)both / (double)either : 0.0, NULL};
}

sqz_metric sqz_matthews(const uint32_t *predicted, const uint32_t *truth, size_t n,
                        uint32_t n_classes)
{
    size_t right = 0;
    double mixed = 0, predicted_squares = 0, true_squares = 0;
    if (!n) return no_examples;
    for (size_t i = 0; i < n; i++) right += predicted[i] == truth[i];
    for (uint32_t k = 0; k < n_classes; k++) {
        size_t p = 0, t = 0;
        for (size_t i = 0; i < n; i++) {
            p += predicted[i] == k;
            t += truth[i] == k;
        }
        mixed += (double)p * (double)t;
        predicted_squares += (double)p * (double)p;
        true_squares += (double)t * (double)t;
    }
    const double all = (double)n * (double)n;
    const double denominator = sqrt(all - predicted_squares) * sqrt(all - true_squares);
    return (sqz_metric){denominator > 0 ? ((double)right * (double)n - mixed) / denominator : 0.0,
                        NULL};
}

/* Neumaier's sum. */
typedef struct sum {
    double value, rest;
} sum;

static void add(sum *s, double x)
{
    const double total = s->value + x;
    s->rest += fabs(s->value) >= fabs(x) ? (s->value - total) + x : (x - total) + s->value;
    s->value = total;
}

static double mean(const double *x, size_t n)
{
    sum s = {0, 0};
    for (size_t i = 0; i < n; i++) add(&s, x[i]);
    return (s.value + s.rest) / (double)n;
}

static int constant(const double *x, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (x[i] != x[0]) return 0;
    return 1;
}

static int finite(const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return 0;
    return 1;
}

sqz_metric sqz_pearson(const double *x, const double *y, size_t n)
{
    if (n < 2) return (sqz_metric){0, "a correlation needs at least two examples"};
    if (!finite(x, n) || !finite(y, n)) return (sqz_metric){0, "a number is NaN or infinite"};
    if (constant(x, n) || constant(y, n))
        return (sqz_metric){0, "a correlation with a constant is undefined"};
    const double mean_x = mean(x, n), mean_y = mean(y, n);
    sum xy = {0, 0}, xx = {0, 0}, yy = {0, 0};
    for (size_t i = 0; i < n; i++) {
        const double dx = x[i] - mean_x, dy = y[i] - mean_y;
        add(&xy, dx * dy);
        add(&xx, dx * dx);
        add(&yy, dy * dy);
    }
    const double r = (xy.value + xy.rest) / (sqrt(xx.value + xx.rest) * sqrt(yy.value + yy.rest));
    if (!isfinite(r))
        return (sqz_metric){0, "the numbers are too large or too small for a correlation"};
    return (sqz_metric){fmax(-1.0, fmin(1.0, r)), NULL};
}

/* Merge sort of indices by value: no worst case, no memory but the caller's. */
static void sort_indices(const double *x, size_t *index, size_t *other, size_t n)
{
    for (size_t i = 0; i < n; i++) index[i] = i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            const size_t middle = begin + width < n ? begin + width : n,
                         end = begin + 2 * width < n ? begin + 2 * width : n;
            for (size_t to = begin, a = begin, b = middle; to < end; to++)
                other[to] = b >= end || (a < middle && x[index[a]] <= x[index[b]]) ? index[a++]
                                                                                   : index[b++];
        }
        for (size_t i = 0; i < n; i++) index[i] = other[i];
    }
}

static void rank_of(const double *x, size_t *index, size_t *other, size_t n, double *rank)
{
    sort_indices(x, index, other, n);
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && x[index[end]] == x[index[begin]];) end++;
        /* the average of begin+1 .. end */
        for (size_t i = begin; i < end; i++) rank[index[i]] = 0.5 * (double)(begin + end + 1);
    }
}

sqz_status sqz_spearman(const sqz_context *context, const double *x, const double *y, size_t n,
                        sqz_metric *metric, sqz_error *error)
{
    if (!context || !metric || (n && (!x || !y)))
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_spearman: an argument is NULL");
    if (n < 2 || !finite(x, n) || !finite(y, n)) {
        *metric = sqz_pearson(x, y, n);
        return SQZ_OK;
    }
    const size_t item_bytes = 2 * sizeof(double) + 2 * sizeof(size_t);
    double *ranks = sqzi_allocate_zeroed(&context->allocator, n, item_bytes);
    if (!ranks)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the ranks of %zu examples", n);
    size_t *index = (size_t *)(ranks + 2 * n);
    rank_of(x, index, index + n, n, ranks);
    rank_of(y, index, index + n, n, ranks + n);
    *metric = sqz_pearson(ranks, ranks + n, n);
    sqzi_release(&context->allocator, ranks, n * item_bytes);
    return SQZ_OK;
}
