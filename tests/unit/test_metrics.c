/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics against scikit-learn's and SciPy's figures, and what is said where there is no figure. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <squeezebert/eval.h>

#include "model/context.h"
#include "unit/metric_vectors.h"

#define TOLERANCE 1e-12

static sqz_context context;

static int open_context(void **state)
{
    (void)state;
    context.allocator = sqzi_default_allocator;
    return 0;
}

static void assert_metric(sqz_metric metric, double expected)
{
    assert_null(metric.reason);
    if (fabs(metric.value - expected) > TOLERANCE)
        fail_msg("%.17g, expected %.17g", metric.value, expected);
}

static void classes_agree_with_scikit_learn(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof class_cases / sizeof *class_cases; i++) {
        const class_case *c = &class_cases[i];
        assert_metric(sqz_accuracy(c->predicted, c->truth, c->n), c->accuracy);
        assert_metric(sqz_f1(c->predicted, c->truth, c->n, 1), c->f1);
        assert_metric(sqz_matthews(c->predicted, c->truth, c->n, c->n_classes), c->matthews);
    }
}

static void correlations_agree_with_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof number_cases / sizeof *number_cases; i++) {
        const number_case *c = &number_cases[i];
        sqz_metric spearman;
        assert_metric(sqz_pearson(c->x, c->y, c->n), c->pearson);
        assert_int_equal(sqz_spearman(&context, c->x, c->y, c->n, &spearman, NULL), SQZ_OK);
        assert_metric(spearman, c->spearman);
    }
}

static void ties_share_their_average_rank(void **state)
{
    (void)state;
    const double x[] = {1, 2, 2, 3}, ranks[] = {1, 2.5, 2.5, 4}, y[] = {3, 1, 4, 2};
    sqz_metric spearman;
    assert_int_equal(sqz_spearman(&context, x, y, 4, &spearman, NULL), SQZ_OK);
    assert_metric(spearman, sqz_pearson(ranks, y, 4).value);
}

static void what_has_no_figure_has_a_reason(void **state)
{
    (void)state;
    const double rising[] = {1, 2, 3}, constant[] = {4, 4, 4}, broken[] = {1, NAN, 3};
    sqz_metric spearman;
    assert_non_null(sqz_accuracy(NULL, NULL, 0).reason);
    assert_non_null(sqz_f1(NULL, NULL, 0, 1).reason);
    assert_non_null(sqz_matthews(NULL, NULL, 0, 2).reason);
    assert_non_null(sqz_pearson(rising, rising, 1).reason);
    assert_non_null(sqz_pearson(rising, constant, 3).reason);
    assert_non_null(sqz_pearson(constant, rising, 3).reason);
    assert_non_null(sqz_pearson(broken, rising, 3).reason);
    assert_int_equal(sqz_spearman(&context, rising, constant, 3, &spearman, NULL), SQZ_OK);
    assert_non_null(spearman.reason);
    assert_int_equal(sqz_spearman(&context, broken, rising, 3, &spearman, NULL), SQZ_OK);
    assert_non_null(spearman.reason);
}

static void a_correlation_stays_within_one(void **state)
{
    (void)state;
    double x[1000], y[1000];
    for (int i = 0; i < 1000; i++) {
        x[i] = 0.1 * i;
        y[i] = 0.3 * i + 7;
    }
    const sqz_metric r = sqz_pearson(x, y, 1000);
    assert_null(r.reason);
    assert_true(r.value <= 1.0 && r.value > 1.0 - TOLERANCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_agree_with_scikit_learn),
        cmocka_unit_test(correlations_agree_with_scipy),
        cmocka_unit_test(ties_share_their_average_rank),
        cmocka_unit_test(what_has_no_figure_has_a_reason),
        cmocka_unit_test(a_correlation_stays_within_one),
    };
    return cmocka_run_group_tests(tests, open_context, NULL);
}
