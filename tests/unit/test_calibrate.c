/* SPDX-License-Identifier: Apache-2.0 */
/* Temperatures and thresholds of logits whose answers are known. */
#include <math.h>
#include <stdlib.h>

#include "build/calibrate.h"
#include "support/test.h"

enum { N = 4000, K = 3 };

static float logits[N * K];
static uint32_t labels[N], rows[N];
static float memory[N];

static double draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return ((double)(*state >> 8) + 0.5) / 16777216;
}

/* Labels drawn from softmax(logits / temperature). */
static sqzi_scored make(double temperature)
{
    uint32_t state = 7;
    for (size_t i = 0; i < N; i++) {
        float *z = logits + i * K;
        double p[K], sum = 0;
        for (size_t k = 0; k < K; k++) {
            z[k] = (float)(8 * draw(&state) - 4);
            sum += p[k] = exp((double)z[k] / temperature);
        }
        double left = draw(&state) * sum;
        labels[i] = 0;
        for (uint32_t k = 0; k + 1 < K && left >= p[k]; k++) {
            left -= p[k];
            labels[i] = k + 1;
        }
        rows[i] = (uint32_t)i;
    }
    return (sqzi_scored){logits, labels, rows, N, K};
}

static void the_temperature_that_drew_the_labels_is_found(void **state)
{
    (void)state;
    const double drawn[] = {0.5, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        const sqzi_scored s = make(drawn[i]);
        const double found = sqzi_find_temperature(&s);
        assert_true(found > 0.9 * drawn[i] && found < 1.1 * drawn[i]);
        /* 1 / N of a row that could be any moves the minimum by less than this */
        assert_true(sqzi_nll(&s, found) < sqzi_nll(&s, found * 1.02));
        assert_true(sqzi_nll(&s, found) < sqzi_nll(&s, found / 1.02));
    }
}

/* Without the row that could be any, T would go to 0 and every score to 1: with n rows right, as
 * sure as (n + 1/2) / (n + 1) is what a pair of logits that are all alike comes to. */
static void a_few_right_answers_are_not_certainty(void **state)
{
    (void)state;
    const float z[] = {1, 0, 1, 0, 0, 1, 1, 0};
    const uint32_t right[] = {0, 0, 1, 0}, all[] = {0, 1, 2, 3};
    const sqzi_scored s = {z, right, all, 4, 2};
    const double score = 1 / (1 + exp(-1 / sqzi_find_temperature(&s)));
    assert_true(fabs(score - 4.5 / 5) < 1e-5);
}

static void logits_that_say_nothing_give_a_temperature_all_the_same(void **state)
{
    (void)state;
    const float z[] = {2, 2, 2, 2}, wrong[] = {9, -9, 9, -9};
    const uint32_t second[] = {1, 1}, both[] = {0, 1};
    assert_true(sqzi_find_temperature(&(sqzi_scored){z, second, both, 2, 2}) == 1);
    assert_true(sqzi_find_temperature(&(sqzi_scored){z, second, both, 0, 2}) == 1);
    const double t = sqzi_find_temperature(&(sqzi_scored){wrong, second, both, 2, 2});
    assert_true(t > 19.99 && t <= 20);
}

static size_t count_below(const sqzi_scored *s, double threshold)
{
    size_t below = 0;
    for (size_t i = 0; i < s->n; i++) {
        const float *z = s->logits + (size_t)s->rows[i] * K;
        double most = (double)z[0];
        for (size_t k = 1; k < K; k++) most = (double)z[k] > most ? (double)z[k] : most;
        below += most < threshold;
    }
    return below;
}

static void a_threshold_is_missed_by_the_share_of_one_row_more(void **state)
{
    (void)state;
    sqzi_scored s = make(1);
    assert_int_equal(count_below(&s, sqzi_find_threshold(&s, 0.05, memory)), 200);
    s.n = 99;
    assert_int_equal(count_below(&s, sqzi_find_threshold(&s, 0.05, memory)), 5);
    s.n = 19;
    assert_int_equal(count_below(&s, sqzi_find_threshold(&s, 0.05, memory)), 1);
    s.n = 18;
    assert_true(isinf(sqzi_find_threshold(&s, 0.05, memory)));
    assert_true(isinf(sqzi_find_threshold(&s, 0, memory)));
}

static void only_the_rows_named_count(void **state)
{
    (void)state;
    const sqzi_scored s = make(1);
    static uint32_t wrong[N];
    size_t n = 0;
    for (uint32_t i = 0; i < N; i++) {
        const float *z = logits + (size_t)i * K;
        const uint32_t best = z[0] >= z[1] && z[0] >= z[2] ? 0 : z[1] >= z[2] ? 1 : 2;
        if (best != labels[i]) wrong[n++] = i;
    }
    const double share = sqzi_accuracy(&s);
    assert_true(fabs(share - (double)(N - n) / N) < 1e-12 && share > 0.5 && share < 1);
    assert_true(sqzi_accuracy(&(sqzi_scored){logits, labels, wrong, n, K}) == 0);
    assert_true(sqzi_nll(&(sqzi_scored){logits, labels, wrong, n, K}, 1) > sqzi_nll(&s, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_temperature_that_drew_the_labels_is_found),
        cmocka_unit_test(a_few_right_answers_are_not_certainty),
        cmocka_unit_test(logits_that_say_nothing_give_a_temperature_all_the_same),
        cmocka_unit_test(a_threshold_is_missed_by_the_share_of_one_row_more),
        cmocka_unit_test(only_the_rows_named_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
