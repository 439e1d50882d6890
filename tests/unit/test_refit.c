/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a linear, against least squares by Householder's QR of the rows themselves. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/removal.h"
#include "support/removal_problem.h"

/* Householder's QR: a [rows, k] and the right sides b [rows, m]; the solutions to x [k, m]. */
static void least_squares(size_t rows, size_t k, double *a, size_t m, double *b, double *x)
{
    for (size_t c = 0; c < k; c++) {
        double length = 0, *v = take(rows), square = 0;
        for (size_t r = c; r < rows; r++) length += a[r * k + c] * a[r * k + c];
        length = a[c * k + c] > 0 ? -sqrt(length) : sqrt(length);
        for (size_t r = c; r < rows; r++) v[r] = a[r * k + c] - (r == c ? length : 0);
        for (size_t r = c; r < rows; r++) square += v[r] * v[r];
        for (size_t j = 0; j < k + m; j++) {
            double *column = j < k ? a + j : b + (j - k), dot = 0;
            const size_t ld = j < k ? k : m;
            for (size_t r = c; r < rows; r++) dot += v[r] * column[r * ld];
            for (size_t r = c; r < rows; r++) column[r * ld] -= 2 * dot / square * v[r];
        }
        free(v);
    }
    for (size_t j = 0; j < m; j++)
        for (size_t c = k; c-- > 0;) {
            x[c * m + j] = b[c * m + j];
            for (size_t i = c + 1; i < k; i++) x[c * m + j] -= a[c * k + i] * x[i * m + j];
            x[c * m + j] /= a[c * k + c];
        }
}

static void refit_is_the_least_squares_solution(void **state)
{
    (void)state;
    static const uint32_t kept[] = {0, 3, 4, 7, 8, 9, 15, 16, 22, 30, 31, 38};
    enum { KEPT = sizeof kept / sizeof *kept, M = 7, N = 40 };
    sqz_error error = {0};
    problem p = make(M, N, 0, UINT32_MAX, UINT32_MAX);
    double result[M * KEPT], x[(KEPT + 1) * M], largest = 0;
    double *a = take(p.rows * (KEPT + 1)), *b = take(p.rows * M);
    for (size_t r = 0; r < p.rows; r++) {
        for (size_t i = 0; i < KEPT; i++) a[r * (KEPT + 1) + i] = p.x[r * N + kept[i]];
        a[r * (KEPT + 1) + KEPT] = 1; /* the bias */
        for (size_t j = 0; j < M; j++)
            for (size_t i = 0; i < N; i++) b[r * M + j] += p.w[j * N + i] * p.x[r * N + i];
    }
    least_squares(p.rows, KEPT + 1, a, M, b, x);
    const sqzi_refit refit = {.allocator = &sqzi_default_allocator,
                              .m = M,
                              .n = N,
                              .n_kept = KEPT,
                              .weights = p.w,
                              .moments = p.moments,
                              .kept = kept};
    sqzt_assert_ok(sqzi_refit_run(&refit, result, &error), &error);
    for (size_t i = 0; i < M * KEPT; i++) largest = fmax(largest, fabs(result[i]));
    for (size_t j = 0; j < M; j++) {
        double bias = 0;
        for (size_t i = 0; i < N; i++) bias += p.w[j * N + i] * p.mean[i];
        for (size_t i = 0; i < KEPT; i++) {
            bias -= result[j * KEPT + i] * p.mean[kept[i]];
            if (!(fabs(result[j * KEPT + i] - x[i * M + j]) <= 1e-8 * largest))
                fail_msg("(%zu, %zu): %.12g, %.12g expected", j, i, result[j * KEPT + i],
                         x[i * M + j]);
        }
        if (!(fabs(bias - x[KEPT * M + j]) <= 1e-8 * fmax(largest, fabs(bias))))
            fail_msg("bias %zu: %.12g, %.12g expected", j, bias, x[KEPT * M + j]);
    }
    free(a);
    free(b);
    discard(&p);
}

static void errors_of_a_refit_are_those_of_its_outputs(void **state)
{
    (void)state;
    static const uint32_t kept[] = {1, 2, 5};
    sqz_error error = {0};
    problem p = make(3, 8, 0, UINT32_MAX, UINT32_MAX);
    double result[9], lost, whole, wanted_lost = 0, wanted_whole = 0;
    const sqzi_refit refit = {.allocator = &sqzi_default_allocator,
                              .m = 3,
                              .n = 8,
                              .n_kept = 3,
                              .weights = p.w,
                              .moments = p.moments,
                              .kept = kept};
    for (size_t i = 0; i < 9; i++) result[i] = 0.25 * (double)i - 1;
    sqzt_assert_ok(sqzi_refit_error(&refit, result, &lost, &whole, &error), &error);
    for (size_t r = 0; r < p.rows; r++)
        for (size_t j = 0; j < 3; j++) {
            double y = 0, left = 0;
            for (size_t i = 0; i < 8; i++) y += p.w[j * 8 + i] * (p.x[r * 8 + i] - p.mean[i]);
            for (size_t i = 0; i < 3; i++)
                left += result[j * 3 + i] * (p.x[r * 8 + kept[i]] - p.mean[kept[i]]);
            wanted_lost += (y - left) * (y - left) / p.rows;
            wanted_whole += y * y / p.rows;
        }
    assert_true(fabs(lost - wanted_lost) <= 1e-10 * wanted_whole);
    assert_true(fabs(whole - wanted_whole) <= 1e-10 * wanted_whole);
    discard(&p);
}

static void a_twin_takes_up_the_other_ones_weight(void **state)
{
    (void)state;
    enum { N = 12, TWIN = 4, M = 3 };
    sqz_error error = {0};
    uint32_t kept[N - 1];
    double result[M * (N - 1)];
    problem p = make(M, N, 1e-9, UINT32_MAX, TWIN);
    for (uint32_t i = 0, to = 0; i < N; i++)
        if (i != TWIN) kept[to++] = i;
    const sqzi_refit refit = {.allocator = &sqzi_default_allocator,
                              .m = M,
                              .n = N,
                              .n_kept = N - 1,
                              .weights = p.w,
                              .moments = p.moments,
                              .kept = kept};
    sqzt_assert_ok(sqzi_refit_run(&refit, result, &error), &error);
    for (size_t j = 0; j < M; j++)
        for (size_t i = 0; i < N - 1; i++) {
            const double own = p.w[j * N + kept[i]],
                         wanted = kept[i] == TWIN - 1 ? own + p.w[j * N + TWIN] : own;
            assert_true(fabs(result[j * (N - 1) + i] - wanted) < 1e-6);
        }
    discard(&p);
}

static void keeping_all_changes_no_bit_and_one_input_can_stay_alone(void **state)
{
    (void)state;
    enum { N = 9, M = 4 };
    sqz_error error = {0};
    uint32_t kept[N];
    double result[M * N], lost, whole;
    problem p = make(M, N, 1e-3, 2, 7);
    for (uint32_t i = 0; i < N; i++) kept[i] = i;
    sqzi_refit refit = {.allocator = &sqzi_default_allocator,
                        .m = M,
                        .n = N,
                        .n_kept = N,
                        .weights = p.w,
                        .moments = p.moments,
                        .kept = kept};
    sqzt_assert_ok(sqzi_refit_run(&refit, result, &error), &error);
    assert_memory_equal(result, p.w, sizeof result);
    kept[0] = 8;
    refit.n_kept = 1;
    sqzt_assert_ok(sqzi_refit_run(&refit, result, &error), &error);
    sqzt_assert_ok(sqzi_refit_error(&refit, result, &lost, &whole, &error), &error);
    bool gone[MOST] = {true, true, true, true, true, true, true, true, false};
    assert_true(fabs(lost - error_without(&p, gone)) <= 1e-10 * whole);
    discard(&p);
}

static void moments_that_are_not_positive_definite_are_refused(void **state)
{
    (void)state;
    static const uint32_t kept[] = {0, 1};
    sqz_error error = {0};
    double result[2];
    problem p = make(1, 3, 0, UINT32_MAX, UINT32_MAX);
    p.moments[1 * 3 + 1] = -1;
    const sqzi_refit refit = {.allocator = &sqzi_default_allocator,
                              .m = 1,
                              .n = 3,
                              .n_kept = 2,
                              .weights = p.w,
                              .moments = p.moments,
                              .kept = kept};
    assert_int_equal(sqzi_refit_run(&refit, result, &error), SQZ_ENUMERIC);
    discard(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refit_is_the_least_squares_solution),
        cmocka_unit_test(errors_of_a_refit_are_those_of_its_outputs),
        cmocka_unit_test(a_twin_takes_up_the_other_ones_weight),
        cmocka_unit_test(keeping_all_changes_no_bit_and_one_input_can_stay_alone),
        cmocka_unit_test(moments_that_are_not_positive_definite_are_refused),
    };
    if (!sqzi_dense_algebra_built()) {
        puts("skipped: built without LAPACK");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
