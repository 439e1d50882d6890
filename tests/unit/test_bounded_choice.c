/* SPDX-License-Identifier: Apache-2.0 */
/* Settings within bytes and time, against every combination there is. */
#include "squeeze/bounded_choice.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "support/random.h"
#include "support/test.h"

enum { ITEMS = 12, SETTINGS = 40 };

typedef struct problem {
    sqzi_budget_setting settings[ITEMS][SETTINGS];
    sqzi_budget_item items[ITEMS];
    uint32_t n;
} problem;

/* Less error costs bytes, time or both, more or less; at times nothing differs. */
static void invent(problem *p, uint64_t seed, uint32_t n, uint32_t n_settings)
{
    sqzt_random random = sqzt_random_of(seed);
    p->n = n;
    for (uint32_t i = 0; i < n; i++) {
        p->items[i] = (sqzi_budget_item){p->settings[i],
                                         1 + (uint32_t)sqzt_below(&random, n_settings)};
        const double weight = exp(2 * sqzt_normal(&random)), begins = sqzt_normal(&random);
        for (uint32_t s = 0; s < p->items[i].n; s++) {
            const uint64_t steps = sqzt_below(&random, 30), units = sqzt_below(&random, 8);
            p->settings[i][s] =
                (sqzi_budget_setting){weight * exp(-0.1 * (double)steps - 0.2 * (double)units),
                                      steps * (units + 1) * 10, (double)units + begins};
            if (s && sqzt_below(&random, 6) == 0) p->settings[i][s] = p->settings[i][s - 1];
        }
    }
}

/* Of every combination within both the least error, INFINITY where there is none; and the least
 * time within the bytes. */
typedef struct optimum {
    double error, time;
} optimum;

static void try_all(const problem *p, uint32_t i, sqzi_budget_setting sum,
                    const sqzi_bounds *bounds, optimum *best)
{
    if (sum.bytes > bounds->bytes) return;
    if (i == p->n) {
        best->time = fmin(best->time, sum.time);
        if (sum.time <= bounds->time) best->error = fmin(best->error, sum.error);
        return;
    }
    for (uint32_t s = 0; s < p->items[i].n; s++) {
        const sqzi_budget_setting *one = &p->settings[i][s];
        try_all(p, i + 1,
                (sqzi_budget_setting){sum.error + one->error, sum.bytes + one->bytes,
                                      sum.time + one->time},
                bounds, best);
    }
}

static sqzi_bounded_choice choose(const problem *p, const sqzi_bounds *bounds)
{
    uint32_t chosen[ITEMS];
    sqzi_bounded_choice choice;
    sqz_error error = {0};
    double sum = 0, time = 0;
    uint64_t bytes = 0;
    sqzt_assert_ok(sqzi_choose_bounded(&sqzi_default_allocator, p->items, p->n, bounds, chosen,
                                       &choice, &error),
                   &error);
    for (uint32_t i = 0; i < p->n && choice.outcome != SQZI_BOUNDED_WORSE; i++) {
        assert_in_range(chosen[i], 0, p->items[i].n - 1);
        sum += p->settings[i][chosen[i]].error;
        time += p->settings[i][chosen[i]].time;
        bytes += p->settings[i][chosen[i]].bytes;
    }
    if (choice.outcome == SQZI_BOUNDED_WORSE) return choice;
    assert_true(sum == choice.error && time == choice.time && bytes == choice.bytes);
    if (choice.outcome == SQZI_BOUNDED_FOUND)
        assert_true(bytes <= bounds->bytes && time <= bounds->time + 1e-8);
    return choice;
}

/* Where no combination is within both that is said, with the least time; else the error is that of
 * the best of all combinations, or little above it. */
static void small_cases_are_met_where_any_combination_meets_them_and_nearly_as_well(void **state)
{
    (void)state;
    static problem p;
    uint32_t n_met = 0, n_equal = 0;
    double most = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        invent(&p, seed, 2 + (uint32_t)(seed % 4), 7);
        for (uint32_t part = 0; part < 30; part++) {
            const sqzi_bounds bounds = {.bytes = part % 6 == 5 ? UINT64_MAX : part % 6 * 300 * p.n,
                                        .time = (double)(part / 6) * 1.7 * p.n,
                                        .error = INFINITY};
            optimum of_all = {INFINITY, INFINITY};
            try_all(&p, 0, (sqzi_budget_setting){0}, &bounds, &of_all);
            const sqzi_bounded_choice choice = choose(&p, &bounds);
            if (of_all.time == INFINITY) {
                assert_int_equal(choice.outcome, SQZI_BOUNDED_BYTES);
                continue;
            }
            if (of_all.error == INFINITY) {
                assert_int_equal(choice.outcome, SQZI_BOUNDED_TIME);
                assert_true(fabs(choice.time - of_all.time) < 1e-9);
                continue;
            }
            assert_int_equal(choice.outcome, SQZI_BOUNDED_FOUND);
            assert_true(choice.error >= of_all.error - 1e-9);
            n_met++;
            n_equal += choice.error <= of_all.error * (1 + 1e-9);
            most += choice.error / of_all.error - 1;
        }
    }
    printf("%u met, %u by the best of all; on average %.2f %% above it\n", n_met, n_equal,
           100 * most / n_met);
    assert_true(n_met > 1000 && n_equal * 4 > n_met * 3);
    assert_true(most / n_met < 0.03);
}

/* Without a bound of time, or where it does not bind, the choice is the frontier's to the bit. */
static void time_that_does_not_bind_changes_nothing(void **state)
{
    (void)state;
    static problem p;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sqzi_frontier frontier;
        sqzi_choice wanted;
        uint32_t chosen[ITEMS];
        sqz_error error = {0};
        invent(&p, seed, ITEMS, SETTINGS);
        sqzt_assert_ok(sqzi_frontier_make(&sqzi_default_allocator, p.items, p.n, &frontier, &error),
                       &error);
        for (uint64_t bytes = 500; bytes < 20000; bytes += 700) {
            const bool met = sqzi_frontier_choose(&frontier, bytes, chosen, &wanted);
            const sqzi_bounded_choice choice =
                choose(&p, &(sqzi_bounds){.bytes = bytes, .time = 1e6, .error = INFINITY});
            assert_int_equal(choice.outcome, met ? SQZI_BOUNDED_FOUND : SQZI_BOUNDED_BYTES);
            assert_int_equal(choice.bytes, wanted.bytes);
            assert_true(choice.error == wanted.error);
        }
        sqzi_frontier_discard(&frontier);
    }
}

/* A bound of the error cuts nothing off that is below it. */
static void what_would_not_be_taken_is_not_looked_for(void **state)
{
    (void)state;
    static problem p;
    uint32_t n_cut = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        invent(&p, seed, ITEMS, SETTINGS);
        sqzi_bounds bounds = {.bytes = 6000, .time = 20, .error = INFINITY};
        const sqzi_bounded_choice whole = choose(&p, &bounds);
        if (whole.outcome != SQZI_BOUNDED_FOUND) continue;
        bounds.error = whole.error * 1.001;
        assert_int_equal(choose(&p, &bounds).outcome, SQZI_BOUNDED_FOUND);
        assert_true(choose(&p, &bounds).error == whole.error);
        bounds.error = whole.error * 0.5;
        assert_int_equal(choose(&p, &bounds).outcome, SQZI_BOUNDED_WORSE);
        n_cut++;
    }
    assert_true(n_cut > 5);
}

static void a_time_that_is_not_finite_is_refused(void **state)
{
    (void)state;
    const sqzi_budget_setting bad[] = {{1, 10, NAN}};
    const sqzi_budget_item item = {bad, 1};
    uint32_t chosen;
    sqzi_bounded_choice choice;
    sqz_error error = {0};
    sqzt_assert_fails(sqzi_choose_bounded(&sqzi_default_allocator, &item, 1,
                                          &(sqzi_bounds){.bytes = 10, .time = 1, .error = INFINITY},
                                          &chosen, &choice, &error),
                      SQZ_ENUMERIC, &error, "is not finite");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases_are_met_where_any_combination_meets_them_and_nearly_as_well),
        cmocka_unit_test(time_that_does_not_bind_changes_nothing),
        cmocka_unit_test(what_would_not_be_taken_is_not_looked_for),
        cmocka_unit_test(a_time_that_is_not_finite_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
