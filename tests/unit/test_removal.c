/* SPDX-License-Identifier: Apache-2.0 */
/* Which inputs can go and what is left: against the definition, a set at a time, and against
 * least squares by Householder's QR of the rows themselves. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/removal.h"
#include "support/random.h"
#include "support/test.h"

enum { MOST = 160 };

typedef struct problem {
    uint32_t m, n, rows;
    double *x;       /* [rows, n] */
    double *w;       /* [m, n] */
    double *moments; /* [n, n] centred, with `damping` on the diagonal */
    double *mean;    /* [n] */
} problem;

static double *take(size_t n)
{
    double *memory = calloc(n, sizeof *memory);
    assert_non_null(memory);
    return memory;
}

/* Inputs that lean on each other and on a mean; column `dead` never varies, column `twin` is the
 * one before it. Numbers >= n: none. */
static problem make(uint32_t m, uint32_t n, double damping, uint32_t dead, uint32_t twin)
{
    problem p = {.m = m, .n = n, .rows = 3 * n + 5};
    sqzt_random random = sqzt_random_of(n + 17 * m);
    p.x = take((size_t)p.rows * n);
    p.w = take((size_t)m * n);
    p.moments = take((size_t)n * n);
    p.mean = take(n);
    for (size_t i = 0; i < (size_t)m * n; i++) p.w[i] = sqzt_normal(&random);
    for (size_t r = 0; r < p.rows; r++) {
        const double common = sqzt_normal(&random);
        for (size_t j = 0; j < n; j++)
            p.x[r * n + j] = sqzt_normal(&random) * (1 + (double)(j % 7)) + 1.5 * common +
                             0.3 * (double)j;
        if (dead < n) p.x[r * n + dead] = 0.75;
        if (twin < n) p.x[r * n + twin] = p.x[r * n + twin - 1];
        for (size_t j = 0; j < n; j++) p.mean[j] += p.x[r * n + j] / p.rows;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t r = 0; r < p.rows; r++)
                sum += (p.x[r * n + i] - p.mean[i]) * (p.x[r * n + j] - p.mean[j]);
            p.moments[i * n + j] = sum / p.rows + (i == j ? damping : 0);
        }
    return p;
}

static void discard(problem *p)
{
    free(p->x);
    free(p->w);
    free(p->moments);
    free(p->mean);
}

/* The rows of b [m, n] become those of b A^-1, by elimination with pivots, a symmetric [n, n]. */
static void solve(size_t n, const double *a, size_t m, double *b)
{
    double *lu = take(n * n);
    memcpy(lu, a, n * n * sizeof *lu);
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k; i < n; i++)
            if (fabs(lu[i * n + k]) > fabs(lu[pivot * n + k])) pivot = i;
        for (size_t j = 0; j < n; j++) {
            const double swap = lu[k * n + j];
            lu[k * n + j] = lu[pivot * n + j];
            lu[pivot * n + j] = swap;
        }
        for (size_t r = 0; r < m; r++) {
            const double swap = b[r * n + k];
            b[r * n + k] = b[r * n + pivot];
            b[r * n + pivot] = swap;
        }
        for (size_t i = k + 1; i < n; i++) {
            const double by = lu[i * n + k] / lu[k * n + k];
            for (size_t j = k; j < n; j++) lu[i * n + j] -= by * lu[k * n + j];
            for (size_t r = 0; r < m; r++) b[r * n + i] -= by * b[r * n + k];
        }
    }
    for (size_t r = 0; r < m; r++)
        for (size_t k = n; k-- > 0;) {
            for (size_t j = k + 1; j < n; j++) b[r * n + k] -= lu[k * n + j] * b[r * n + j];
            b[r * n + k] /= lu[k * n + k];
        }
    free(lu);
}

/* min over W' of tr((W - W'P) H (W - W'P)') = tr(W H W') - tr(Z H_SS^-1 Z'), Z = (W H)[:, S]. */
static double error_without(const problem *p, const bool *gone)
{
    const size_t n = p->n;
    size_t kept[MOST], k = 0;
    double all = 0, explained = 0;
    double *z = take(p->m * n), *solved = take(p->m * n), *h = take(n * n);
    for (size_t j = 0; j < n; j++)
        if (!gone[j]) kept[k++] = j;
    for (size_t r = 0; r < p->m; r++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++) sum += p->w[r * n + i] * p->moments[i * n + j];
            all += sum * p->w[r * n + j];
            for (size_t c = 0; c < k; c++)
                if (kept[c] == j) z[r * k + c] = solved[r * k + c] = sum;
        }
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) h[i * k + j] = p->moments[kept[i] * n + kept[j]];
    solve(k, h, p->m, solved);
    for (size_t i = 0; i < p->m * k; i++) explained += z[i] * solved[i];
    free(z);
    free(solved);
    free(h);
    return all - explained;
}

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

/* ---- the refit ---- */

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

/* ---- what is degenerate ---- */

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
    uint32_t order[3];
    double loss[3], result[2];
    problem p = make(1, 3, 0, UINT32_MAX, UINT32_MAX);
    p.moments[1 * 3 + 1] = -1;
    assert_int_equal(order_of(&p, 1, 1, order, loss, &error), SQZ_ENUMERIC);
    const sqzi_refit refit = {.allocator = &sqzi_default_allocator,
                              .m = 1,
                              .n = 3,
                              .n_kept = 2,
                              .weights = p.w,
                              .moments = p.moments,
                              .kept = kept};
    assert_int_equal(sqzi_refit_run(&refit, result, &error), SQZ_ENUMERIC);
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
        cmocka_unit_test(refit_is_the_least_squares_solution),
        cmocka_unit_test(errors_of_a_refit_are_those_of_its_outputs),
        cmocka_unit_test(dead_inputs_and_twins_go_first_and_cost_nothing),
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
