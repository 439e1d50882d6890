/* SPDX-License-Identifier: Apache-2.0 */
/* Logistic regression on fixed rows, against scikit-learn's numbers; bits of teams; L-BFGS on a
 * function whose minimum is known. */
#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/test.h"
#include "train/fit_head.h"

typedef struct fit_case {
    uint32_t n, width, classes;
    double c;
    const double *coef, *intercept;
} fit_case;
#include "unit/fit_vectors.h"

enum { CASES = sizeof fit_cases / sizeof *fit_cases };

static const sqzk_gemm *gemm(void)
{
    static sqzk_table table;
    sqzk_table_init(&table, sqzi_cpu_detect());
    return table.gemm_f32;
}

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* As make_fit_vectors.py makes them. */
static void make_problem(uint32_t number, sqzi_real *x, uint32_t *labels)
{
    const fit_case *c = &fit_cases[number];
    uint32_t state = number + 1;
    int32_t *centres = calloc((size_t)c->classes * c->width, sizeof *centres);
    for (size_t i = 0; i < (size_t)c->classes * c->width; i++)
        centres[i] = (int32_t)(draw(&state) % 129) - 64;
    for (uint32_t i = 0; i < c->n; i++) labels[i] = i < c->classes ? i : draw(&state) % c->classes;
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j < c->width; j++) {
            const int32_t away = (int32_t)(draw(&state) % 257) - 128;
            x[i * c->width + j] = (sqzi_real)(centres[labels[i] * c->width + j] + away) /
                                  (sqzi_real)64;
        }
    free(centres);
}

/* w [classes, width + 1] of a case, fitted by a team of so many. */
static double *fit(uint32_t number, uint32_t threads, bool exact, double tolerance,
                   sqzi_lbfgs_result *result)
{
    sqz_error error = {0};
    sqzi_thread_pool *pool;
    sqzi_fit f;
    const fit_case *c = &fit_cases[number];
    sqzi_real *x = calloc((size_t)c->n * c->width, sizeof *x);
    uint32_t *labels = calloc(c->n, sizeof *labels);
    double *w = calloc((size_t)c->classes * (c->width + 1), sizeof *w);
    make_problem(number, x, labels);
    const sqzi_fit_data data = {x, c->width, labels, c->n, c->width, c->classes};
    const sqzi_fit_settings s = {
        .penalty = c->c, .tolerance = tolerance, .max_steps = 1000, .exact = exact};
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, threads, &pool, &error), &error);
    sqzt_assert_ok(sqzi_fit_open(&sqzi_default_allocator, &data, gemm(), pool, &f, &error), &error);
    *result = sqzi_fit_run(&f, &s, w);
    sqzi_fit_close(&f);
    sqzi_thread_pool_close(pool);
    free(labels);
    free(x);
    return w;
}

static void expect_near(size_t at, const char *what, size_t i, double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-6))
        fail_msg("case %zu, %s %zu: %.12g instead of %.12g", at, what, i, found, wanted);
}

/* Of two classes it has one vector: the difference of ours. */
static void weights_are_those_of_scikit_learn(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < CASES; at++) {
        const fit_case *c = &fit_cases[at];
        const size_t row = c->width + 1, two = c->classes == 2;
        sqzi_lbfgs_result r;
        double *w = fit(at, 1, true, 1e-10, &r);
        assert_int_equal(r.end, SQZI_LBFGS_CONVERGED);
        for (size_t k = 0; k < (two ? 1 : c->classes); k++) {
            const double *ours = w + (k + two) * row;
            for (size_t i = 0; i < c->width; i++)
                expect_near(at, "weight", k * c->width + i, ours[i] - (two ? w[i] : 0),
                            c->coef[k * c->width + i]);
            expect_near(at, "bias", k, ours[c->width] - (two ? w[c->width] : 0), c->intercept[k]);
        }
        free(w);
    }
}

/* The loss is flat at its minimum: 1e-4 of gradient is far less of it. */
static void a_loose_fit_in_reals_is_near(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < CASES; at++) {
        sqzi_lbfgs_result loose, exact;
        free(fit(at, 1, false, 1e-4, &loose));
        free(fit(at, 1, true, 1e-10, &exact));
        assert_true(loose.gradient <= 1e-4 && loose.steps < exact.steps);
        assert_true(loose.value - exact.value < 1e-4);
    }
}

static void every_team_gives_the_same_bits(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < CASES; at++) {
        const fit_case *c = &fit_cases[at];
        sqzi_lbfgs_result r;
        double *one = fit(at, 1, true, 1e-9, &r);
        for (uint32_t threads = 2; threads <= 3; threads++) {
            double *more = fit(at, threads, true, 1e-9, &r);
            assert_memory_equal(one, more, c->classes * (c->width + 1) * sizeof *one);
            free(more);
        }
        free(one);
    }
}

/* ---- the minimiser alone ---- */

enum { N = 30 };

/* sum of a_i (w_i - i)^2, a_i from 1 to 1e4. */
static double bowl(void *user, const double *w, double *gradient)
{
    double sum = 0;
    (void)user;
    for (size_t i = 0; i < N; i++) {
        const double a = pow(10, 4.0 * (double)i / (N - 1)), away = w[i] - (double)i;
        sum += a * away * away;
        gradient[i] = 2 * a * away;
    }
    return sum;
}

static bool stop_at_three(void *user, const sqzi_lbfgs_result *reached)
{
    (void)user;
    return reached->steps < 3;
}

static sqzi_lbfgs_result minimise(sqzi_objective objective, double *w)
{
    sqz_error error = {0};
    sqzi_lbfgs l;
    sqzt_assert_ok(sqzi_lbfgs_open(&sqzi_default_allocator, N, &l, &error), &error);
    for (size_t i = 0; i < N; i++) w[i] = 0;
    const sqzi_lbfgs_result r = sqzi_lbfgs_run(&l, &objective, w);
    sqzi_lbfgs_close(&l);
    return r;
}

static void the_minimum_of_a_long_bowl_is_found(void **state)
{
    (void)state;
    double w[N];
    const sqzi_objective o = {.value = bowl, .noise = 0x1p-50, .tolerance = 1e-9, .max_steps = 500};
    const sqzi_lbfgs_result r = minimise(o, w);
    assert_int_equal(r.end, SQZI_LBFGS_CONVERGED);
    for (size_t i = 0; i < N; i++) assert_true(fabs(w[i] - (double)i) < 1e-9);
}

static void it_ends_where_it_is_told_to(void **state)
{
    (void)state;
    double w[N];
    sqzi_objective o = {.value = bowl, .noise = 0x1p-50, .tolerance = 1e-9, .max_steps = 5};
    sqzi_lbfgs_result r = minimise(o, w);
    assert_true(r.end == SQZI_LBFGS_STEPS && r.steps == 5);
    o.go_on = stop_at_three;
    r = minimise(o, w);
    assert_true(r.end == SQZI_LBFGS_STOPPED && r.steps == 3);
}

static double nowhere(void *user, const double *w, double *gradient)
{
    (void)user;
    for (size_t i = 0; i < N; i++) gradient[i] = 1;
    return w[0] == 0 ? 1 : (double)NAN;
}

static void where_nothing_goes_down_it_says_so(void **state)
{
    (void)state;
    double w[N];
    const sqzi_objective o = {.value = nowhere, .tolerance = 1e-9, .max_steps = 5};
    const sqzi_lbfgs_result r = minimise(o, w);
    assert_true(r.end == SQZI_LBFGS_STUCK && r.steps == 0);
    for (size_t i = 0; i < N; i++) assert_true(w[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_scikit_learn),
        cmocka_unit_test(a_loose_fit_in_reals_is_near),
        cmocka_unit_test(every_team_gives_the_same_bits),
        cmocka_unit_test(the_minimum_of_a_long_bowl_is_found),
        cmocka_unit_test(it_ends_where_it_is_told_to),
        cmocka_unit_test(where_nothing_goes_down_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
