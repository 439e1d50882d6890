/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of answers against scikit-learn, SciPy and seqeval; intervals, classes, confusions and
 * the comparison of two. Answers are made here, without a model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/predictions.h"
#include "model/context.h"
#include "support/bytes_source.h"
#include "support/test.h"
#include "unit/measure_vectors.h"

#define TOLERANCE 1e-12
enum { ROOM = 512 };

static sqz_context context;

static int set_allocator(void **state)
{
    (void)state;
    context.allocator = sqzi_default_allocator;
    return 0;
}

/* A data set and answers to it. */
typedef struct made {
    sqz_dataset *dataset;
    sqz_predictions p;
    uint32_t labels[ROOM];
    size_t first[ROOM + 1];
    double values[ROOM];
    float scores[ROOM];
    unsigned char is_cut[ROOM], is_refused[ROOM];
} made;

static sqz_dataset *open_data(sqz_label_kind kind, const char *data)
{
    sqz_error error = {0};
    sqz_dataset *dataset;
    sqzt_bytes m = {data, strlen(data), 0};
    const sqz_rows_source source = {.name = "rows", .read = sqzt_read_bytes, .user = &m};
    const sqz_dataset_options o = {.kind = kind,
                                   .format = kind == SQZ_LABELS_WORDS ? SQZ_DATA_CONLL
                                                                      : SQZ_DATA_CSV};
    sqzt_assert_ok(sqz_dataset_open_source(&context, &source, &o, &dataset, &error), &error);
    return dataset;
}

static void set_up(made *m, sqz_dataset *dataset)
{
    size_t n;
    *m = (made){.dataset = dataset};
    m->p = (sqz_predictions){.dataset = dataset,
                             .examples = sqz_dataset_examples(dataset, &n),
                             .allocator = &context.allocator,
                             .n_classes = sqz_dataset_n_classes(dataset),
                             .labels = m->labels,
                             .first = m->first,
                             .values = m->values,
                             .scores = m->scores,
                             .is_cut = m->is_cut,
                             .is_refused = m->is_refused};
    m->p.n = (uint32_t)n;
    const sqzi_buffer empty = {.allocator = &context.allocator, .limit = SIZE_MAX};
    m->p.set_labels = m->p.entities = m->p.kinds = m->p.confusion = empty;
}

/* Sets of classes from scores; where words' labels begin; entities. */
static void complete(made *m)
{
    sqz_predictions *p = &m->p;
    for (uint32_t i = 0; i < p->n; i++) {
        const bool words = m->dataset->kind == SQZ_LABELS_WORDS;
        for (uint32_t k = 0; m->dataset->kind == SQZ_LABELS_MANY && k < p->n_classes; k++)
            if (m->scores[i * p->n_classes + k] >= 0.5f)
                assert_int_equal(sqzi_buffer_append(&p->set_labels, &k, sizeof k, NULL), SQZ_OK);
        m->first[i + 1] = words ? m->first[i] + p->examples[i].n_labels
                                : p->set_labels.used / sizeof(uint32_t);
    }
    if (m->dataset->kind == SQZ_LABELS_WORDS)
        assert_int_equal(sqzi_count_entities(p, NULL), SQZ_OK);
}

static void take_down(made *m)
{
    sqzi_buffer_free(&m->p.set_labels);
    sqzi_buffer_free(&m->p.entities);
    sqzi_buffer_free(&m->p.kinds);
    sqzi_buffer_free(&m->p.confusion);
}

static sqz_measures measured(made *m, sqz_measure_options options)
{
    sqz_error error = {0};
    sqz_measures measures;
    sqzt_assert_ok(sqz_measure(&m->p, &options, &measures, &error), &error);
    return measures;
}

static void figures_agree_with_those_of_others(void **state)
{
    (void)state;
    static made m;
    for (size_t i = 0; i < sizeof measure_cases / sizeof *measure_cases; i++) {
        const measure_case *c = &measure_cases[i];
        set_up(&m, open_data(c->kind, c->data));
        assert_int_equal(m.p.n_classes, c->n_classes);
        memcpy(m.labels, c->labels, sizeof c->labels);
        memcpy(m.scores, c->scores, sizeof c->scores);
        memcpy(m.values, c->values, sizeof c->values);
        complete(&m);
        const sqz_measures measures = measured(&m, (sqz_measure_options){.point = 1});
        for (uint32_t f = 0; f < measures.n_figures; f++) {
            const sqz_metric got = measures.figures[f].metric;
            assert_false(measures.figures[f].has_interval);
            if (isnan(c->figures[f]) != (got.reason != NULL) ||
                (!got.reason &&
                 fabs(got.value - c->figures[f]) > TOLERANCE * fmax(1, fabs(c->figures[f]))))
                fail_msg("case %zu, %s: %.17g (%s), expected %.17g", i, measures.figures[f].name,
                         got.value, got.reason ? got.reason : "", c->figures[f]);
        }
        take_down(&m);
        sqz_dataset_close(m.dataset);
    }
}

static void classes_and_confusions_are_counted(void **state)
{
    (void)state;
    static made m;
    const uint32_t said[] = {0, 0, 2, 0, 2};
    set_up(&m, open_data(SQZ_LABELS_ONE, "text,label\na,x\nb,y\nc,z\nd,x\ne,y\n"));
    memcpy(m.labels, said, sizeof said);
    complete(&m);
    const sqz_measures measures = measured(&m, (sqz_measure_options){.point = 1});
    const uint64_t confusion[] = {2, 0, 0, 1, 0, 1, 0, 0, 1};
    assert_memory_equal(measures.confusion, confusion, sizeof confusion);
    assert_int_equal(measures.n_classes, 3);
    assert_string_equal(measures.classes[1].name, "y");
    assert_string_equal(measures.classes[1].precision.reason, "never predicted");
    assert_true(measures.classes[1].recall.value == 0 && !measures.classes[1].recall.reason);
    assert_true(measures.classes[0].precision.value == 2.0 / 3);
    assert_true(measures.classes[0].f1.value == 0.8);
    assert_int_equal(measures.classes[0].support, 2);
    take_down(&m);
    sqz_dataset_close(m.dataset);
}

static void what_has_no_figure_says_why(void **state)
{
    (void)state;
    static made m;
    set_up(&m, open_data(SQZ_LABELS_VALUE, "text,label\na,1\nb,1\n"));
    m.values[1] = 1;
    complete(&m);
    sqz_measures measures = measured(&m, (sqz_measure_options){0});
    assert_non_null(measures.figures[0].metric.reason);
    assert_non_null(measures.figures[1].metric.reason);
    assert_false(measures.figures[0].has_interval);
    assert_true(measures.figures[2].metric.value == 0.5 && measures.figures[2].has_interval);
    take_down(&m);
    sqz_dataset_close(m.dataset);
    set_up(&m, open_data(SQZ_LABELS_WORDS, "a O\nb O\n"));
    complete(&m);
    measures = measured(&m, (sqz_measure_options){0});
    for (int f = 0; f < 3; f++) assert_non_null(measures.figures[f].metric.reason);
    assert_true(measures.figures[3].metric.value == 1);
    take_down(&m);
    sqz_dataset_close(m.dataset);
}

/* ROOM examples of two classes, of which the answers have every `wrong`-th wrong. */
static sqz_dataset *many_examples(void)
{
    static char text[ROOM * 16];
    size_t used = (size_t)snprintf(text, sizeof text, "text,label\n");
    for (int i = 0; i < ROOM / 2; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "t%d,%d\n", i, i % 2);
    return open_data(SQZ_LABELS_ONE, text);
}

static void answer(made *m, sqz_dataset *dataset, uint32_t wrong)
{
    set_up(m, dataset);
    for (uint32_t i = 0; i < m->p.n; i++) {
        m->labels[i] = m->p.examples[i].label ^ (i % wrong == 0);
        m->scores[2 * i + m->labels[i]] = 0.9f;
        m->scores[2 * i + 1 - m->labels[i]] = 0.1f;
    }
    complete(m);
}

/* The interval of a share of n: its percentiles are those of a binomial, known to the noise of 4000
 * resamples, some 5 % of the deviation; a quarter is allowed. */
static void intervals_are_a_binomials(void **state)
{
    (void)state;
    static made m;
    sqz_dataset *d = many_examples();
    answer(&m, d, 4);
    const sqz_measures a = measured(&m, (sqz_measure_options){.resamples = 4000, .seed = 1}),
                       b = measured(&m, (sqz_measure_options){.resamples = 4000, .seed = 1}),
                       c = measured(&m, (sqz_measure_options){.resamples = 4000, .seed = 2}),
                       e = measured(&m, (sqz_measure_options){.confidence = 0.5});
    const double deviation = sqrt(0.75 * 0.25 / m.p.n);
    assert_true(a.figures[0].metric.value == 0.75 && a.figures[0].has_interval);
    assert_true(fabs(a.figures[0].low - (0.75 - 1.96 * deviation)) < 0.25 * deviation);
    assert_true(fabs(a.figures[0].high - (0.75 + 1.96 * deviation)) < 0.25 * deviation);
    assert_true(fabs(e.figures[0].high - (0.75 + 0.674 * deviation)) < 0.25 * deviation);
    assert_true(a.figures[1].low == b.figures[1].low && a.figures[3].high == b.figures[3].high);
    assert_true(a.figures[2].low != c.figures[2].low);
    take_down(&m);
    sqz_dataset_close(d);
}

static void two_models_are_compared_example_by_example(void **state)
{
    (void)state;
    static made base, other;
    sqz_error error = {0};
    sqz_comparison c;
    sqz_dataset *d = many_examples();
    answer(&base, d, 4);
    answer(&other, d, 8); /* right wherever the base is */
    sqzt_assert_ok(sqz_compare_predictions(&base.p, &other.p, NULL, &c, &error), &error);
    assert_true(c.figures[0].metric.value == 0.125);
    assert_true(c.figures[0].low > 0.08 && c.figures[0].high < 0.17);
    assert_int_equal(c.only_base, 0);
    assert_int_equal(c.only_other, ROOM / 2 / 8);
    assert_true(fabs(c.p - ldexp(1, 1 - ROOM / 2 / 8)) < 1e-12 * c.p);
    sqz_measure_options bad = {.confidence = 1};
    sqzt_assert_fails(sqz_compare_predictions(&base.p, &other.p, &bad, &c, &error), SQZ_EINVAL,
                      &error, "confidence");
    take_down(&base);
    take_down(&other);
    sqz_dataset_close(d);
}

static void mcnemar_agrees_with_scipy(void **state)
{
    (void)state;
    static made base, other;
    sqz_error error = {0};
    sqz_comparison c;
    sqz_dataset *d = many_examples();
    for (size_t i = 0; i < sizeof mcnemar_cases / sizeof *mcnemar_cases; i++) {
        const uint32_t n = mcnemar_cases[i].base, all = n + mcnemar_cases[i].other;
        const sqz_measure_options point = {.point = 1};
        answer(&base, d, ROOM);
        answer(&other, d, ROOM);
        for (uint32_t k = 0; k < all; k++) (k < n ? &other : &base)->labels[k + 1] ^= 1;
        sqzt_assert_ok(sqz_compare_predictions(&base.p, &other.p, &point, &c, &error), &error);
        assert_int_equal(c.only_base, n);
        assert_int_equal(c.only_other, mcnemar_cases[i].other);
        if (fabs(c.p - mcnemar_cases[i].p) > 1e-11 * mcnemar_cases[i].p)
            fail_msg("case %zu: p = %.17g, expected %.17g", i, c.p, mcnemar_cases[i].p);
        take_down(&base);
        take_down(&other);
    }
    sqz_dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_agree_with_those_of_others),
        cmocka_unit_test(classes_and_confusions_are_counted),
        cmocka_unit_test(what_has_no_figure_says_why),
        cmocka_unit_test(intervals_are_a_binomials),
        cmocka_unit_test(two_models_are_compared_example_by_example),
        cmocka_unit_test(mcnemar_agrees_with_scipy),
    };
    return cmocka_run_group_tests(tests, set_allocator, NULL);
}
