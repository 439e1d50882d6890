/* SPDX-License-Identifier: Apache-2.0 */
/* Settings under a budget, against every combination there is and against greedy choices. */
#include "squeeze/budget.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "support/random.h"
#include "support/test.h"

enum { ITEMS = 24, SETTINGS = 40 };

/* Settings as levers have them: errors fall where bytes rise, more or less; at times equal. */
typedef struct problem {
    sqzi_budget_setting settings[ITEMS][SETTINGS];
    sqzi_budget_item items[ITEMS];
    uint32_t n;
} problem;

static void invent(problem *p, uint64_t seed, uint32_t n, uint32_t n_settings, uint64_t step)
{
    sqzt_random random = sqzt_random_of(seed);
    p->n = n;
    for (uint32_t i = 0; i < n; i++) {
        p->items[i] = (sqzi_budget_item){p->settings[i],
                                         1 + (uint32_t)sqzt_below(&random, n_settings)};
        const double weight = exp(2 * sqzt_normal(&random));
        for (uint32_t s = 0; s < p->items[i].n; s++) {
            const uint64_t steps = sqzt_below(&random, 50);
            p->settings[i][s] = (sqzi_budget_setting){
                weight * exp(-0.1 * (double)steps + 0.3 * sqzt_normal(&random)), steps * step, 0};
            if (s && sqzt_below(&random, 6) == 0) p->settings[i][s] = p->settings[i][s - 1];
        }
    }
}

static sqzi_choice choose(const sqzi_frontier *frontier, const problem *p, uint64_t budget,
                          bool *met)
{
    uint32_t chosen[ITEMS];
    sqzi_choice choice;
    double error = 0;
    uint64_t bytes = 0;
    *met = sqzi_frontier_choose(frontier, budget, chosen, &choice);
    for (uint32_t i = 0; i < p->n; i++) {
        assert_in_range(chosen[i], 0, p->items[i].n - 1);
        error += p->settings[i][chosen[i]].error;
        bytes += p->settings[i][chosen[i]].bytes;
    }
    if (error != choice.error) fail_msg("the sum of errors is %g, not %g", error, choice.error);
    assert_int_equal(bytes, choice.bytes);
    assert_true(!*met || bytes <= budget);
    return choice;
}

/* Of every combination within the budget the least error, INFINITY where there is none. */
static double least_of_all(const problem *p, uint32_t i, double error, uint64_t bytes,
                           uint64_t budget)
{
    if (bytes > budget) return INFINITY;
    if (i == p->n) return error;
    double least = INFINITY;
    for (uint32_t s = 0; s < p->items[i].n; s++)
        least = fmin(least, least_of_all(p, i + 1, error + p->settings[i][s].error,
                                         bytes + p->settings[i][s].bytes, budget));
    return least;
}

static void small_cases_are_as_good_as_the_best_of_all_combinations(void **state)
{
    (void)state;
    static problem p;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        sqzi_frontier frontier;
        sqz_error error = {0};
        invent(&p, seed, 1 + (uint32_t)(seed % 5), 6, seed % 3 ? 1000 + seed : 1);
        sqzt_assert_ok(sqzi_frontier_make(&sqzi_default_allocator, p.items, p.n, &frontier, &error),
                       &error);
        for (uint64_t part = 0; part <= 20; part++) {
            const uint64_t budget = part * 10 * p.n * (seed % 3 ? 1000 + seed : 1) / 4;
            bool met;
            const sqzi_choice choice = choose(&frontier, &p, budget, &met);
            const double best = least_of_all(&p, 0, 0, 0, budget);
            assert_int_equal(met, best < INFINITY);
            if (met && choice.error != best)
                fail_msg("seed %d, budget %d: %g, %g is possible", (int)seed, (int)budget,
                         choice.error, best);
        }
        sqzi_frontier_discard(&frontier);
    }
}

/* From the least bytes on, the step that saves most error a byte, as long as one fits. */
static double greedy(const problem *p, uint64_t budget)
{
    uint32_t at[ITEMS] = {0};
    uint64_t bytes = 0;
    double error = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        for (uint32_t s = 1; s < p->items[i].n; s++)
            if (p->settings[i][s].bytes < p->settings[i][at[i]].bytes) at[i] = s;
        bytes += p->settings[i][at[i]].bytes;
        error += p->settings[i][at[i]].error;
    }
    for (;;) {
        double best = 0;
        uint32_t item = 0, setting = 0;
        for (uint32_t i = 0; i < p->n; i++)
            for (uint32_t s = 0; s < p->items[i].n; s++) {
                const sqzi_budget_setting *from = &p->settings[i][at[i]], *to = &p->settings[i][s];
                if (to->bytes < from->bytes || to->bytes - from->bytes > budget - bytes) continue;
                const double rate = (from->error - to->error) /
                                    ((double)(to->bytes - from->bytes) + 1e-9);
                if (rate > best) best = rate, item = i, setting = s;
            }
        if (best <= 0) return error;
        bytes += p->settings[item][setting].bytes - p->settings[item][at[item]].bytes;
        error += p->settings[item][setting].error - p->settings[item][at[item]].error;
        at[item] = setting;
    }
}

/* Sizes of a real model, whose frontier is thinned: greedy may spend the last range of each item
 * that thinning may cost, and no more. */
static void large_cases_are_never_worse_than_greedy_and_never_rise_with_the_budget(void **state)
{
    (void)state;
    static problem p;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        sqzi_frontier frontier;
        sqz_error error = {0};
        invent(&p, seed, ITEMS, SETTINGS, 12347);
        sqzt_assert_ok(sqzi_frontier_make(&sqzi_default_allocator, p.items, p.n, &frontier, &error),
                       &error);
        const uint64_t all = ITEMS * 50 * 12347, slack = ITEMS * (all / SQZI_FRONTIER_POINTS + 1);
        double before = INFINITY;
        for (uint64_t part = 1; part <= 400; part++) {
            const uint64_t budget = all / 400 * part;
            bool met;
            const sqzi_choice choice = choose(&frontier, &p, budget, &met);
            if (!met) continue;
            assert_true(choice.error <= before);
            before = choice.error;
            if (choose(&frontier, &p, budget - slack, &met).bytes <= budget - slack)
                assert_true(choice.error <= greedy(&p, budget - slack) * (1 + 1e-12));
        }
        sqzi_frontier_discard(&frontier);
    }
}

static void the_bytes_of_a_choice_and_of_the_next_one_are_budgets_that_give_them(void **state)
{
    (void)state;
    static problem p;
    sqzi_frontier frontier;
    sqz_error error = {0};
    bool met;
    invent(&p, 7, ITEMS, SETTINGS, 977);
    sqzt_assert_ok(sqzi_frontier_make(&sqzi_default_allocator, p.items, p.n, &frontier, &error),
                   &error);
    sqzi_choice now = choose(&frontier, &p, 0, &met);
    uint32_t steps = 0;
    for (; now.next_bytes; steps++) {
        const sqzi_choice next = choose(&frontier, &p, now.next_bytes, &met);
        assert_true(met);
        assert_int_equal(next.bytes, now.next_bytes);
        assert_int_equal(choose(&frontier, &p, now.next_bytes - 1, &met).bytes, now.bytes);
        assert_true(next.error < now.error);
        now = next;
    }
    assert_true(steps > 100);
    assert_int_equal(choose(&frontier, &p, UINT64_MAX, &met).bytes, now.bytes);
    sqzi_frontier_discard(&frontier);
}

static void a_budget_below_the_least_gives_the_least(void **state)
{
    (void)state;
    const sqzi_budget_setting first[] = {{1, 10, 0}, {0, 20, 0}, {5, 10, 0}},
                              second[] = {{3, 7, 0}};
    const sqzi_budget_item items[] = {{first, 3}, {second, 1}};
    sqzi_frontier frontier;
    sqz_error error = {0};
    uint32_t chosen[2];
    sqzi_choice choice;
    sqzt_assert_ok(sqzi_frontier_make(&sqzi_default_allocator, items, 2, &frontier, &error),
                   &error);
    assert_false(sqzi_frontier_choose(&frontier, 16, chosen, &choice));
    assert_int_equal(choice.bytes, 17);
    assert_int_equal(choice.next_bytes, 27);
    assert_int_equal(chosen[0], 0);
    assert_true(sqzi_frontier_choose(&frontier, 17, chosen, &choice));
    assert_true(sqzi_frontier_choose(&frontier, 27, chosen, &choice));
    assert_int_equal(chosen[0], 1);
    assert_int_equal(choice.next_bytes, 0);
    sqzi_frontier_discard(&frontier);
}

static void huge_numbers_are_added_or_refused(void **state)
{
    (void)state;
    const uint64_t half = UINT64_C(1) << 63;
    const sqzi_budget_setting large[] = {{1e300, half - 1, 0}, {2e300, 3, 0}},
                              over[] = {{0, half + 1, 0}}, infinite[] = {{INFINITY, 1, 0}};
    const sqzi_budget_item fits[] = {{large, 2}, {large, 2}}, not [] = {{large, 2}, {over, 1}},
                           bad[] = {{infinite, 1}}, none[] = {{large, 0}};
    sqzi_frontier frontier;
    sqz_error error = {0};
    uint32_t chosen[2];
    sqzi_choice choice;
    sqzt_assert_ok(sqzi_frontier_make(&sqzi_default_allocator, fits, 2, &frontier, &error), &error);
    assert_true(sqzi_frontier_choose(&frontier, half + 5, chosen, &choice));
    assert_int_equal(choice.bytes, half + 2);
    assert_int_equal(choice.next_bytes, UINT64_MAX - 1);
    sqzi_frontier_discard(&frontier);
    sqzt_assert_fails(sqzi_frontier_make(&sqzi_default_allocator, not, 2, &frontier, &error),
                      SQZ_ELIMIT, &error, "2^64");
    sqzi_frontier_discard(&frontier);
    sqzt_assert_fails(sqzi_frontier_make(&sqzi_default_allocator, bad, 1, &frontier, &error),
                      SQZ_ENUMERIC, &error, "not finite");
    sqzi_frontier_discard(&frontier);
    sqzt_assert_fails(sqzi_frontier_make(&sqzi_default_allocator, none, 1, &frontier, &error),
                      SQZ_EINVAL, &error, "no settings");
    sqzi_frontier_discard(&frontier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases_are_as_good_as_the_best_of_all_combinations),
        cmocka_unit_test(large_cases_are_never_worse_than_greedy_and_never_rise_with_the_budget),
        cmocka_unit_test(the_bytes_of_a_choice_and_of_the_next_one_are_budgets_that_give_them),
        cmocka_unit_test(a_budget_below_the_least_gives_the_least),
        cmocka_unit_test(huge_numbers_are_added_or_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
