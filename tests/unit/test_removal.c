/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which inputs go, against the definition, a set at a time. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/removal.h"
#include "support/removal_problem.h"

/* W'W; the removal destroys a copy of both. */
static sqz_status order_of(const problem *p, uint32_t unit, uint32_t groups, uint32_t *order,
                           double *loss, sqz_error *error)
{
    const size_t n = p->n;
    double *moments = take(n * n), *products = take(n * n);
    memcpy(moments, p->moments, n * n * sizeof *moments);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            for (size_t r = 0; r < p->m; r++)
                products[i * n + j] += p->w[r * n + i] * p->w[r * n + j];
    const sqz_status status =
        sqzi_removal_order(&(sqzi_removal_problem){.allocator = &sqzi_default_allocator,
                                                   .n = p->n,
                                                   .unit = unit,
                                                   .groups = groups,
                                                   .moments = moments,
                                                   .products = products},
                           order, loss, error);
    free(moments);
    free(products);
    return status;
}

/* Every step takes the unit whose absence costs least, found by trying each; ties apart. */
static void follow_definition(const problem *p, uint32_t unit, uint32_t groups)
{
    sqz_error error = {0};
    uint32_t order[MOST];
    double loss[MOST];
    bool gone[MOST] = {false};
    const uint32_t units = p->n / unit;
    sqzt_assert_ok(order_of(p, unit, groups, order, loss, &error), &error);
    const double whole = error_without(p, (bool[MOST]){false});
    for (uint32_t step = 0; step < units; step++) {
        double least = INFINITY, taken = NAN;
        for (uint32_t b = 0; b < units; b++) {
            uint32_t others = 0;
            for (uint32_t s = 0; s < step; s++)
                others += order[s] / (units / groups) == b / (units / groups);
            if (gone[b * unit] || others > step / groups) continue;
            for (uint32_t i = 0; i < unit; i++) gone[b * unit + i] = true;
            const double found = error_without(p, gone);
            for (uint32_t i = 0; i < unit; i++) gone[b * unit + i] = false;
            if (found < least) least = found;
            if (b == order[step]) taken = found;
        }
        const double bound = 1e-9 * (loss[units - 1] + fabs(whole));
        if (!(taken <= least + bound) || !(fabs(loss[step] - taken) <= bound))
            fail_msg("n %u, unit %u, step %u: unit %u costs %.12g (told %.12g), the least is "
                     "%.12g",
                     p->n, unit, step, order[step], taken, loss[step], least);
        for (uint32_t i = 0; i < unit; i++) gone[order[step] * unit + i] = true;
    }
}

static void inputs_go_in_the_order_of_the_definition(void **state)
{
    (void)state;
    problem p = make(10, 26, 1e-3, UINT32_MAX, UINT32_MAX);
    follow_definition(&p, 1, 1);
    follow_definition(&p, 1, 2);
    discard(&p);
}

static void units_of_several_inputs_do_too(void **state)
{
    (void)state;
    problem p = make(9, 32, 1e-3, UINT32_MAX, UINT32_MAX);
    follow_definition(&p, 4, 1);
    follow_definition(&p, 4, 4);
    follow_definition(&p, 32, 1);
    discard(&p);
}

/* More inputs than a chunk has rows, and units that fill chunks unevenly: errors at each count are
 * those of the sets themselves. */
static void errors_of_many_chunks_are_those_of_the_sets(void **state)
{
    (void)state;
    static const struct {
        uint32_t n, unit;
    } sizes[] = {{150, 1}, {150, 25}, {144, 72}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        sqz_error error = {0};
        uint32_t order[MOST];
        double loss[MOST];
        bool gone[MOST] = {false};
        const uint32_t unit = sizes[s].unit, units = sizes[s].n / unit;
        problem p = make(12, sizes[s].n, 1e-3, 5, 9);
        sqzt_assert_ok(order_of(&p, unit, 1, order, loss, &error), &error);
        for (uint32_t step = 0; step < units; step++) {
            for (uint32_t i = 0; i < unit; i++) gone[order[step] * unit + i] = true;
            const double wanted = error_without(&p, gone);
            if (!(fabs(loss[step] - wanted) <= 1e-8 * loss[units - 1]))
                fail_msg("%u by %u, %u gone: %.12g, %.12g expected", sizes[s].n, unit, step + 1,
                         loss[step], wanted);
        }
        discard(&p);
    }
}

static void dead_inputs_and_twins_go_first_and_cost_nothing(void **state)
{
    (void)state;
    enum { DEAD = 6, TWIN = 11 };
    sqz_error error = {0};
    uint32_t order[MOST];
    double loss[MOST];
    problem p = make(5, 20, 1e-6, DEAD, TWIN);
    sqzt_assert_ok(order_of(&p, 1, 1, order, loss, &error), &error);
    assert_int_equal(order[0] == DEAD ? order[0] : order[1], DEAD);
    const uint32_t twin = order[0] == DEAD ? order[1] : order[0];
    assert_true(twin == TWIN || twin == TWIN - 1);
    assert_true(loss[1] < 1e-6 * loss[19]);
    assert_true(loss[2] > 1e-4 * loss[19]);
    discard(&p);
}

static void moments_that_are_not_positive_definite_are_refused(void **state)
{
    (void)state;
    sqz_error error = {0};
    uint32_t order[3];
    double loss[3];
    problem p = make(1, 3, 0, UINT32_MAX, UINT32_MAX);
    p.moments[1 * 3 + 1] = -1;
    assert_int_equal(order_of(&p, 1, 1, order, loss, &error), SQZ_ENUMERIC);
    p.moments[1 * 3 + 1] = NAN;
    assert_int_equal(order_of(&p, 1, 1, order, loss, &error), SQZ_ENUMERIC);
    discard(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_go_in_the_order_of_the_definition),
        cmocka_unit_test(units_of_several_inputs_do_too),
        cmocka_unit_test(errors_of_many_chunks_are_those_of_the_sets),
        cmocka_unit_test(dead_inputs_and_twins_go_first_and_cost_nothing),
        cmocka_unit_test(moments_that_are_not_positive_definite_are_refused),
    };
    if (!sqzi_dense_algebra_built()) {
        puts("skipped: built without LAPACK");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
