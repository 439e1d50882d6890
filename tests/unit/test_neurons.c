/* SPDX-License-Identifier: Apache-2.0 */
/* Neurons and heads removed from a block: outputs over rows of inputs, before and after, in double;
 * what the makers lose; what is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/neurons.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { MOST = 96, ROWS = 400 };

typedef struct subject {
    sqz_context *context;
    sqz_model *model;
    sqzi_weights weights;
    float x[ROWS][MOST]; /* what the linear reads */
    float mean[MOST], covariance[MOST * MOST];
    sqzi_input_statistics input;
} subject;

/* Rows about a mean, that lean on each other; statistics as f32. */
static void make_rows(subject *s, uint32_t n)
{
    sqzt_random random = sqzt_random_of(n);
    double sums[MOST] = {0};
    for (size_t r = 0; r < ROWS; r++) {
        const double common = sqzt_normal(&random);
        for (size_t j = 0; j < n; j++) {
            s->x[r][j] = (float)(0.2 * (double)j + common +
                                 sqzt_normal(&random) * (1 + (double)(j % 5)));
            sums[j] += (double)s->x[r][j];
        }
    }
    for (size_t i = 0; i < n; i++) s->mean[i] = (float)(sums[i] / ROWS);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t r = 0; r < ROWS; r++)
                sum += ((double)s->x[r][i] - sums[i] / ROWS) *
                       ((double)s->x[r][j] - sums[j] / ROWS);
            s->covariance[i * n + j] = (float)(sum / ROWS);
        }
    s->input =
        (sqzi_input_statistics){.n = n, .rows = ROWS, .mean = s->mean, .covariance = s->covariance};
}

static subject *open_subject(const sqzt_tiny *tiny, uint32_t n_inputs)
{
    sqz_error error = {0};
    subject *s = calloc(1, sizeof *s);
    assert_non_null(s);
    const char *path = sqzt_temporary("model.gguf");
    sqzt_tiny_write(tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &s->context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(s->context, path, &s->model, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(s->model, &s->weights, &error), &error);
    make_rows(s, n_inputs);
    return s;
}

static void close_subject(subject *s)
{
    sqzi_weights_discard(&s->weights);
    sqz_model_close(s->model);
    sqz_context_close(s->context);
    free(s);
}

/* y [ROWS, n_out] of a linear over the inputs `kept` of the rows (NULL: all). */
static double *outputs(const subject *s, const sqzi_weight_linear *linear, const uint32_t *kept)
{
    const sqzi_weight_matrix *b = &linear->terms[0].b;
    const size_t rows_of_group = b->rows / b->groups;
    double *y = calloc((size_t)ROWS * linear->n_out, sizeof *y);
    assert_non_null(y);
    assert_int_equal(b->rows, linear->n_out);
    assert_int_equal(b->columns * b->groups, linear->n_in);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t o = 0; o < linear->n_out; o++) {
            double sum = linear->bias ? (double)linear->bias[o] : 0;
            for (size_t i = 0; i < b->columns; i++) {
                const size_t input = o / rows_of_group * b->columns + i;
                sum += (double)b->values[o * b->columns + i] *
                       (double)s->x[r][kept ? kept[input] : input];
            }
            y[r * linear->n_out + o] = sum;
        }
    return y;
}

typedef struct difference {
    double relative;     /* squared, over the centred output */
    double largest_mean; /* of one output's mean over the rows, over the largest output */
} difference;

static difference compare(const double *before, const double *after, size_t n)
{
    difference d = {0, 0};
    double whole = 0, largest = 0;
    for (size_t o = 0; o < n; o++) {
        double mean = 0, moved = 0;
        for (size_t r = 0; r < ROWS; r++) {
            mean += before[r * n + o] / ROWS;
            moved += (after[r * n + o] - before[r * n + o]) / ROWS;
            largest = fmax(largest, fabs(before[r * n + o]));
        }
        d.largest_mean = fmax(d.largest_mean, fabs(moved));
        for (size_t r = 0; r < ROWS; r++) {
            d.relative += pow(after[r * n + o] - before[r * n + o], 2);
            whole += pow(before[r * n + o] - mean, 2);
        }
    }
    d.relative /= whole;
    d.largest_mean /= largest;
    return d;
}

typedef struct lever {
    sqz_status (*squeeze)(sqzi_weights *weights, uint32_t block, const sqzi_input_statistics *input,
                          const sqzi_remove_options *options, uint32_t *kept, double *lost,
                          sqz_error *error);
    uint32_t reader, makers[3], n_makers;
} lever;
static const lever neurons = {sqzi_squeeze_neurons, SQZI_FFN_DOWN, {SQZI_FFN_UP}, 1},
                   heads = {sqzi_squeeze_heads,
                            SQZI_ATTN_OUTPUT,
                            {SQZI_ATTN_Q, SQZI_ATTN_K, SQZI_ATTN_V},
                            3};

/* Squeeze block 1 and look at everything that must follow; the error, relative. */
static double check(const sqzt_tiny *tiny, const lever *l, uint32_t n_inputs, uint32_t keep,
                    uint32_t unit, bool plain)
{
    sqz_error error = {0};
    subject *s = open_subject(tiny, n_inputs), *untouched = open_subject(tiny, n_inputs);
    const sqzi_weight_linear *linears = s->weights.blocks[1].linears,
                             *were = untouched->weights.blocks[1].linears;
    uint32_t kept[MOST];
    double lost = NAN;
    double *before = outputs(s, &linears[l->reader], NULL);
    sqzt_assert_ok(l->squeeze(&s->weights, 1, &s->input,
                              &(sqzi_remove_options){.keep = keep, .plain = plain}, kept, &lost,
                              &error),
                   &error);
    assert_int_equal(linears[l->reader].n_in, keep * unit);
    for (uint32_t i = 1; i < keep * unit; i++) assert_true(kept[i] > kept[i - 1]);
    for (uint32_t i = 0; i < keep * unit; i++) assert_int_equal(kept[i] % unit, i % unit);
    double *after = outputs(s, &linears[l->reader], kept);
    const difference d = compare(before, after, linears[l->reader].n_out);
    if (!(fabs(d.relative - lost) <= 1e-4 * d.relative + 1e-9))
        fail_msg("lost %g, told %g", d.relative, lost);
    if (!plain) assert_true(d.largest_mean < 1e-5);
    for (uint32_t m = 0; m < l->n_makers; m++) {
        const sqzi_weight_linear *now = &linears[l->makers[m]], *was = &were[l->makers[m]];
        const size_t columns = now->terms[0].b.columns;
        assert_int_equal(now->n_out, keep * unit);
        assert_int_equal(now->terms[0].b.groups, was->terms[0].b.groups);
        for (size_t i = 0; i < keep * unit; i++) {
            assert_memory_equal(now->terms[0].b.values + i * columns,
                                was->terms[0].b.values + kept[i] * columns,
                                columns * sizeof(float));
            assert_true(now->bias[i] == was->bias[kept[i]]);
            assert_int_equal(kept[i] / (was->n_out / was->terms[0].b.groups),
                             i / (now->n_out / was->terms[0].b.groups));
        }
    }
    free(before);
    free(after);
    close_subject(s);
    close_subject(untouched);
    return lost;
}

static sqzt_tiny grouped_tiny(void)
{
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    const uint32_t groups[] = {2, 4, 1, 2, 4, 2};
    tiny.heads = 8;
    tiny.head_width = 3;
    memcpy(tiny.groups, groups, sizeof groups);
    return tiny;
}

static void neurons_are_removed_and_the_rest_refitted(void **state)
{
    (void)state;
    double last = 0;
    for (uint32_t keep = 39; keep >= 1; keep = keep > 19 ? keep - 10 : keep - 1) {
        const double lost = check(&sqzt_tiny_forms[0].tiny, &neurons, 40, keep, 1, false),
                     plain = check(&sqzt_tiny_forms[0].tiny, &neurons, 40, keep, 1, true);
        assert_true(lost >= last && lost <= plain);
        last = lost;
    }
}

static void heads_are_removed_and_the_rest_refitted(void **state)
{
    (void)state;
    for (uint32_t keep = 1; keep < 3; keep++) {
        const double lost = check(&sqzt_tiny_forms[0].tiny, &heads, 24, keep, 8, false),
                     plain = check(&sqzt_tiny_forms[0].tiny, &heads, 24, keep, 8, true);
        assert_true(lost > 0 && lost < plain);
    }
}

/* ffn_up has 4 groups and ffn_down 2; attention 2, 4, 1 and 2. */
static void groups_lose_equally_many(void **state)
{
    (void)state;
    const sqzt_tiny tiny = grouped_tiny();
    for (uint32_t keep = 4; keep < 40; keep += 12) {
        check(&tiny, &neurons, 40, keep, 1, false);
        check(&tiny, &neurons, 40, keep, 1, true);
    }
    check(&tiny, &heads, 24, 4, 3, false);
    check(&tiny, &heads, 24, 4, 3, true);
}

static void the_order_tells_the_error_of_every_count(void **state)
{
    (void)state;
    sqz_error error = {0};
    const sqzt_tiny tinies[] = {sqzt_tiny_forms[0].tiny, grouped_tiny()};
    for (size_t t = 0; t < 2; t++) {
        sqzi_removal removal;
        subject *s = open_subject(&tinies[t], 40);
        sqzt_assert_ok(sqzi_removal_make(&s->weights, 1, SQZI_REMOVE_NEURONS, false, &s->input,
                                         &removal, &error),
                       &error);
        assert_int_equal(removal.multiple, t ? 4 : 1);
        assert_true(sqzi_removal_error(&removal, 40) == 0);
        for (uint32_t keep = 4; keep < 40; keep += 4) {
            const double lost = check(&tinies[t], &neurons, 40, keep, 1, false);
            /* its damping is the difference */
            assert_true(fabs(sqzi_removal_error(&removal, keep) - lost) < 2e-3);
        }
        sqzi_removal_discard(&removal);
        close_subject(s);
    }
}

static void keeping_all_changes_nothing(void **state)
{
    (void)state;
    sqz_error error = {0};
    subject *s = open_subject(&sqzt_tiny_forms[0].tiny, 40);
    const sqzi_weight_linear down = s->weights.blocks[0].linears[SQZI_FFN_DOWN];
    uint32_t kept[MOST];
    double lost = NAN;
    sqzt_assert_ok(sqzi_squeeze_neurons(&s->weights, 0, &s->input,
                                        &(sqzi_remove_options){.keep = 40}, kept, &lost, &error),
                   &error);
    assert_ptr_equal(s->weights.blocks[0].linears[SQZI_FFN_DOWN].terms[0].b.values,
                     down.terms[0].b.values);
    assert_true(lost == 0 && kept[39] == 39);
    close_subject(s);
}

static void inputs_that_never_vary_go_into_the_bias(void **state)
{
    (void)state;
    sqz_error error = {0};
    double lost = NAN;
    subject *s = open_subject(&sqzt_tiny_forms[0].tiny, 40);
    memset(s->covariance, 0, sizeof s->covariance);
    for (size_t r = 0; r < ROWS; r++) memcpy(s->x[r], s->mean, sizeof s->mean);
    double *before = outputs(s, &s->weights.blocks[0].linears[SQZI_FFN_DOWN], NULL);
    uint32_t kept[MOST];
    sqzt_assert_ok(sqzi_squeeze_neurons(&s->weights, 0, &s->input,
                                        &(sqzi_remove_options){.keep = 1}, kept, &lost, &error),
                   &error);
    double *after = outputs(s, &s->weights.blocks[0].linears[SQZI_FFN_DOWN], kept);
    for (size_t o = 0; o < 24; o++) assert_true(fabs(after[o] - before[o]) < 1e-5);
    assert_true(lost == 0);
    free(before);
    free(after);
    close_subject(s);
}

static void statistics_follow_what_is_kept(void **state)
{
    (void)state;
    static const uint32_t kept[] = {1, 2, 17, 39};
    subject *s = open_subject(&sqzt_tiny_forms[0].tiny, 40);
    sqzi_input_statistics left;
    sqz_error error = {0};
    sqzt_assert_ok(sqzi_input_statistics_kept(&sqzi_default_allocator, &s->input, kept, 4, &left,
                                              &error),
                   &error);
    assert_int_equal(left.n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(left.mean[i] == s->mean[kept[i]]);
        for (size_t j = 0; j < 4; j++)
            assert_true(left.covariance[i * 4 + j] == s->covariance[kept[i] * 40 + kept[j]]);
    }
    sqzi_input_statistics_discard(&sqzi_default_allocator, &left);
    close_subject(s);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_tiny grouped = grouped_tiny(), permuted = sqzt_tiny_forms[0].tiny,
              ranked = sqzt_tiny_forms[0].tiny, uneven = sqzt_tiny_forms[1].tiny;
    subject *s = open_subject(&grouped, 40);
    sqzi_remove_options options = {.keep = 0};
    sqzt_assert_fails(sqzi_squeeze_neurons(&s->weights, 0, &s->input, &options, NULL, NULL, &error),
                      SQZ_EINVAL, &error, "0 neurons cannot be kept of 40: 4 to 40 can");
    options.keep = 41;
    sqzt_assert_fails(sqzi_squeeze_neurons(&s->weights, 0, &s->input, &options, NULL, NULL, &error),
                      SQZ_EINVAL, &error, "4 to 40 can");
    options.keep = 21;
    sqzt_assert_fails(sqzi_squeeze_neurons(&s->weights, 0, &s->input, &options, NULL, NULL, &error),
                      SQZ_EINVAL, &error, "keep 20 or 24");
    sqzt_assert_fails(sqzi_squeeze_heads(&s->weights, 1, &s->input, &options, NULL, NULL, &error),
                      SQZ_EINVAL, &error, "block 1: statistics of 40 inputs, attn_output reads 24");
    close_subject(s);
    s = open_subject(&uneven, 32);
    options.keep = 1;
    sqzt_assert_fails(sqzi_squeeze_heads(&s->weights, 0, &s->input, &options, NULL, NULL, &error),
                      SQZ_EUNSUPPORTED, &error, "2 heads do not share evenly among 4 groups");
    close_subject(s);
    permuted.permuted = true;
    s = open_subject(&permuted, 40);
    sqzt_assert_fails(sqzi_squeeze_neurons(&s->weights, 0, &s->input, &options, NULL, NULL, &error),
                      SQZ_EUNSUPPORTED, &error,
                      "block 0: ffn_down reads or writes in another order");
    close_subject(s);
    ranked.rank = 3;
    s = open_subject(&ranked, 40);
    sqzt_assert_fails(sqzi_squeeze_neurons(&s->weights, 1, &s->input, &options, NULL, NULL, &error),
                      SQZ_EUNSUPPORTED, &error, "block 1: ffn_down is a product of two matrices");
    close_subject(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neurons_are_removed_and_the_rest_refitted),
        cmocka_unit_test(heads_are_removed_and_the_rest_refitted),
        cmocka_unit_test(groups_lose_equally_many),
        cmocka_unit_test(the_order_tells_the_error_of_every_count),
        cmocka_unit_test(keeping_all_changes_nothing),
        cmocka_unit_test(inputs_that_never_vary_go_into_the_bias),
        cmocka_unit_test(statistics_follow_what_is_kept),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name),
    };
    if (!sqzi_dense_algebra_built()) {
        puts("skipped: built without LAPACK");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
