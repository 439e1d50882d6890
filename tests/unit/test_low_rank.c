/* SPDX-License-Identifier: Apache-2.0 */
/* Low rank: what the eigenvalues promise against the error taken directly, and against Jacobi's
 * eigenvalues; everything relative to trace(W C W'). */
#include <stdio.h>
#include <string.h>

#include "squeeze/low_rank.h"
#include "support/counting_memory.h"
#include "support/jacobi.h"
#include "support/random.h"
#include "support/test.h"

enum { MOST = 24 };

typedef struct problem {
    double w[MOST * MOST], c[MOST * MOST];
    sqzi_low_rank_problem p;
} problem;

typedef enum { RANDOM, OF_RANK_2, ZERO, REPEATED, HUGE_NUMBERS, TINY_NUMBERS, NONE } kind;
enum { C_KINDS = NONE + 1, W_KINDS = 3 };

static void fill(uint32_t m, uint32_t n, kind c_kind, kind w_kind, problem *out)
{
    sqzt_random random = sqzt_random_of(m * 31 + n * 7 + (uint32_t)c_kind);
    double x[MOST * MOST];
    const size_t terms = c_kind == OF_RANK_2 ? 2 : MOST;
    const double scale = c_kind == HUGE_NUMBERS ? 1e30 : c_kind == TINY_NUMBERS ? 1e-30 : 1;
    for (size_t i = 0; i < MOST * MOST; i++) x[i] = sqzt_normal(&random);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t k = 0; k < terms; k++) sum += x[i * MOST + k] * x[j * MOST + k];
            if (c_kind == ZERO) sum = 0;
            if (c_kind == REPEATED) sum = i == j ? 3 : 0;
            out->c[i * n + j] = sum * scale;
        }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            const double number = sqzt_normal(&random) * scale;
            out->w[i * n + j] = w_kind == ZERO ? 0
                                : w_kind == OF_RANK_2
                                    ? (sin((double)i) + cos((double)i)) * cos((double)j)
                                    : number;
        }
    out->p = (sqzi_low_rank_problem){.m = m,
                                     .n = n,
                                     .w = out->w,
                                     .ldw = n,
                                     .covariance = c_kind == NONE ? NULL : out->c,
                                     .ldc = n};
}

/* trace(D C D') by loops, D = W - B A. */
static double error_of(const sqzi_low_rank_problem *p, const double *a, const double *b, uint32_t r)
{
    double sum = 0;
    for (size_t i = 0; i < p->m; i++) {
        double d[MOST];
        for (size_t j = 0; j < p->n; j++) {
            d[j] = p->w[i * p->ldw + j];
            for (size_t k = 0; k < r; k++) d[j] -= b[i * r + k] * a[k * p->n + j];
        }
        for (size_t j = 0; j < p->n; j++)
            for (size_t k = 0; k < p->n; k++)
                sum += d[j] * d[k] * (p->covariance ? p->covariance[j * p->ldc + k] : j == k);
    }
    return sum;
}

/* Of W C W' by loops and rotations. */
static void jacobi_values(const sqzi_low_rank_problem *p, double *values)
{
    double image[MOST * MOST], square[MOST * MOST];
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            image[i * p->n + j] = p->covariance ? 0 : p->w[i * p->ldw + j];
            for (size_t k = 0; p->covariance && k < p->n; k++)
                image[i * p->n + j] += p->w[i * p->ldw + k] * p->covariance[k * p->ldc + j];
        }
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->m; j++) {
            square[i * p->m + j] = 0;
            for (size_t k = 0; k < p->n; k++)
                square[i * p->m + j] += image[i * p->n + k] * p->w[j * p->ldw + k];
        }
    sqzt_jacobi(p->m, square, values);
}

static const uint32_t shapes[][2] = {{1, 1},  {1, 9},   {9, 1},   {8, 8},   {7, 20},
                                     {20, 7}, {24, 24}, {23, 24}, {24, 23}, {2, 24}};

static void check_every_rank(const sqzi_low_rank_problem *p, const char *what)
{
    sqzi_low_rank_spectrum s;
    sqz_error error = {0};
    double a[MOST * MOST], b[MOST * MOST], values[MOST] = {0}, trace = 0, dropped;
    sqzt_assert_ok(sqzi_low_rank_spectrum_make(&sqzi_default_allocator, p, true, &s, &error),
                   &error);
    jacobi_values(p, values);
    for (size_t i = 0; i < p->m; i++) trace += values[i];
    const double within = 1e-10 * trace;
    assert_true(fabs(s.trace - trace) <= within);
    assert_int_equal(s.most, p->m < p->n ? p->m : p->n);
    for (uint32_t r = 1; r <= s.most; r++) {
        dropped = 0;
        for (size_t i = r; i < p->m; i++) dropped += values[i];
        sqzt_assert_ok(sqzi_low_rank_factors(&s, p->w, p->ldw, r, a, b, &error), &error);
        const double direct = error_of(p, a, b, r), promised = sqzi_low_rank_error(&s, r);
        if (!(fabs(direct - promised) <= within && fabs(promised - dropped) <= within))
            fail_msg("%s, %u x %u, rank %u: error %g, %g promised, %g by Jacobi, trace %g", what,
                     p->m, p->n, r, direct, promised, dropped, trace);
    }
    sqzi_low_rank_spectrum_discard(&s);
}

static void the_error_is_the_sum_of_the_dropped_eigenvalues(void **state)
{
    (void)state;
    static const kind w_kinds[W_KINDS] = {RANDOM, OF_RANK_2, ZERO};
    char what[40];
    problem x;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int c = 0; c < C_KINDS; c++)
            for (int w = 0; w < W_KINDS; w++) {
                fill(shapes[i][0], shapes[i][1], (kind)c, w_kinds[w], &x);
                snprintf(what, sizeof what, "C %d, W %d", c, (int)w_kinds[w]);
                check_every_rank(&x.p, what);
            }
}

/* A group of a larger matrix, C's block of a larger covariance. */
static void blocks_of_larger_matrices_are_read_in_place(void **state)
{
    (void)state;
    problem x;
    fill(24, 24, RANDOM, RANDOM, &x);
    x.p = (sqzi_low_rank_problem){
        .m = 9, .n = 5, .w = x.w + 3 * 24 + 7, .ldw = 24, .covariance = x.c + 7 * 25, .ldc = 24};
    check_every_rank(&x.p, "a block");
    x.p.m = 4, x.p.n = 8;
    check_every_rank(&x.p, "a flat block");
}

static void errors_need_no_basis(void **state)
{
    (void)state;
    problem x;
    sqzi_low_rank_spectrum with, without;
    sqz_error error = {0};
    fill(20, 7, RANDOM, RANDOM, &x);
    sqzt_assert_ok(sqzi_low_rank_spectrum_make(&sqzi_default_allocator, &x.p, true, &with, &error),
                   &error);
    sqzt_assert_ok(sqzi_low_rank_spectrum_make(&sqzi_default_allocator, &x.p, false, &without,
                                               &error),
                   &error);
    assert_null(without.basis);
    for (uint32_t r = 0; r <= 7; r++)
        assert_true(fabs(sqzi_low_rank_error(&with, r) - sqzi_low_rank_error(&without, r)) <=
                    1e-12 * with.trace);
    sqzi_low_rank_spectrum_discard(&with);
    sqzi_low_rank_spectrum_discard(&without);
}

static void the_output_error_is_the_sum_by_loops(void **state)
{
    (void)state;
    problem x;
    sqz_error error = {0};
    for (int c = 0; c < C_KINDS; c++) {
        double sum;
        fill(7, 20, (kind)c, RANDOM, &x);
        sqzt_assert_ok(sqzi_output_error(&sqzi_default_allocator, &x.p, &sum, &error), &error);
        const double wanted = error_of(&x.p, NULL, NULL, 0);
        assert_true(fabs(sum - wanted) <= 1e-12 * wanted);
    }
}

static void a_rank_keeps_a_share_of_the_parameters(void **state)
{
    (void)state;
    assert_int_equal(sqzi_rank_of_share(0.5, 384, 384), 96);
    assert_int_equal(sqzi_rank_of_share(0.5, 1536, 384), 153);
    assert_int_equal(sqzi_rank_of_share(1, 768, 768), 384);
    assert_int_equal(sqzi_rank_of_share(0.01, 384, 384), 8);
    assert_int_equal(sqzi_rank_of_share(0.01, 4, 384), 4);
    assert_int_equal(sqzi_rank_of_share(1, 1, 1), 1);
}

static void what_is_not_finite_is_refused_and_without_memory_nothing_is_held(void **state)
{
    (void)state;
    problem x;
    sqzi_low_rank_spectrum s;
    for (int tall = 0; tall < 2; tall++) {
        fill(tall ? 9 : 5, tall ? 5 : 9, RANDOM, RANDOM, &x);
        x.w[3] = (double)NAN;
        assert_int_equal(sqzi_low_rank_spectrum_make(&sqzi_default_allocator, &x.p, true, &s, NULL),
                         SQZ_ENUMERIC);
        sqzi_low_rank_spectrum_discard(&s);
        x.w[3] = 1;
        for (uint64_t at = 1;; at++) {
            sqzt_memory memory = {.fail_at = at};
            const sqz_allocator allocator = sqzt_allocator(&memory);
            const sqz_status status = sqzi_low_rank_spectrum_make(&allocator, &x.p, true, &s, NULL);
            sqzi_low_rank_spectrum_discard(&s);
            assert_int_equal(memory.held_bytes, 0);
            if (status == SQZ_OK) break;
            assert_int_equal(status, SQZ_ENOMEM);
        }
    }
}

int main(void)
{
    if (!sqzi_dense_algebra_built()) {
        puts("skipped: built without LAPACK");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_is_the_sum_of_the_dropped_eigenvalues),
        cmocka_unit_test(blocks_of_larger_matrices_are_read_in_place),
        cmocka_unit_test(errors_need_no_basis),
        cmocka_unit_test(the_output_error_is_the_sum_by_loops),
        cmocka_unit_test(a_rank_keeps_a_share_of_the_parameters),
        cmocka_unit_test(what_is_not_finite_is_refused_and_without_memory_nothing_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
