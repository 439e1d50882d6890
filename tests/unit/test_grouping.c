/* SPDX-License-Identifier: Apache-2.0 */
/* Groups: the blocks against the conditions of least squares, the permutations against a matrix
 * whose groups are known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "squeeze/balanced_groups.h"
#include "squeeze/grouping.h"
#include "support/counting_memory.h"
#include "support/random.h"
#include "support/test.h"

enum { M = 24, N = 36 };

typedef struct problem {
    double w[M * N], c[N * N];
    sqzi_low_rank_problem p;
} problem;

static void fill(uint64_t seed, problem *x)
{
    sqzt_random random = sqzt_random_of(seed);
    double rows[N * N];
    for (size_t i = 0; i < N * N; i++) rows[i] = sqzt_normal(&random);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            x->c[i * N + j] = 0;
            for (size_t k = 0; k < N; k++) x->c[i * N + j] += rows[i * N + k] * rows[j * N + k];
        }
    for (size_t i = 0; i < M * N; i++) x->w[i] = sqzt_normal(&random);
    x->p =
        (sqzi_low_rank_problem){.m = M, .n = N, .w = x->w, .ldw = N, .covariance = x->c, .ldc = N};
}

/* d [M, N] = W minus the blocks. */
static void subtract(const problem *x, uint32_t groups, const uint32_t *in, const uint32_t *out,
                     const double *blocks, double *d)
{
    const size_t each = N / groups;
    memcpy(d, x->w, sizeof x->w);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < each; j++)
            d[out[i] * N + in[i / (M / groups) * each + j]] -= blocks[i * each + j];
}

static double error_of(const problem *x, uint32_t groups, const uint32_t *in, const uint32_t *out)
{
    double blocks[M * N], d[M * N], sum;
    sqz_error error = {0};
    sqzi_low_rank_problem left = x->p;
    sqzt_assert_ok(
        sqzi_refit_groups(&sqzi_default_allocator, &x->p, groups, in, out, blocks, &error), &error);
    subtract(x, groups, in, out, blocks, d);
    left.w = d;
    sqzt_assert_ok(sqzi_output_error(&sqzi_default_allocator, &left, &sum, &error), &error);
    return sum;
}

static void check_permutation(uint32_t n, const uint32_t *order)
{
    bool seen[N] = {false};
    for (size_t i = 0; i < n; i++) {
        assert_true(order[i] < n && !seen[order[i]]);
        seen[order[i]] = true;
    }
}

/* Least squares: what is left is uncorrelated with the inputs of the group, but for the damping, a
 * millionth. */
static void what_blocks_leave_is_uncorrelated_with_their_inputs(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 4, 12};
    problem x;
    fill(1, &x);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        const uint32_t groups = counts[c];
        uint32_t in[N], out[M];
        double blocks[M * N], d[M * N];
        sqz_error error = {0};
        sqzi_shuffle(N, 3, in);
        sqzi_shuffle(M, 4, out);
        sqzt_assert_ok(sqzi_refit_groups(&sqzi_default_allocator, &x.p, groups, in, out, blocks,
                                         &error),
                       &error);
        subtract(&x, groups, in, out, blocks, d);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N / groups; j++) {
                const size_t column = in[i / (M / groups) * (N / groups) + j];
                double sum = 0, size = 0;
                for (size_t k = 0; k < N; k++) {
                    sum += d[out[i] * N + k] * x.c[k * N + column];
                    size += fabs(x.w[out[i] * N + k] * x.c[k * N + column]);
                }
                if (!(fabs(sum) <= 1e-4 * size)) fail_msg("%u groups: %g of %g", groups, sum, size);
            }
    }
}

/* W is two blocks under two permutations, C the identity or random within the groups. */
static void hidden_groups_are_found(void **state)
{
    (void)state;
    static const uint32_t counts[] = {2, 3};
    for (size_t c = 0; c < 2; c++)
        for (int identity = 0; identity < 2; identity++) {
            const uint32_t groups = counts[c];
            problem x;
            uint32_t in[N], out[M], of_in[N], of_out[M];
            double total;
            sqz_error error = {0};
            fill(10 + c, &x);
            sqzi_shuffle(N, 100, in);
            sqzi_shuffle(M, 101, out);
            for (size_t j = 0; j < N; j++) of_in[in[j]] = (uint32_t)j / (N / groups);
            for (size_t i = 0; i < M; i++) of_out[out[i]] = (uint32_t)i / (M / groups);
            for (size_t i = 0; i < M; i++)
                for (size_t j = 0; j < N; j++)
                    if (of_out[i] != of_in[j]) x.w[i * N + j] *= 1e-3;
            for (size_t i = 0; i < N; i++)
                for (size_t j = 0; j < N; j++)
                    if (of_in[i] != of_in[j]) x.c[i * N + j] = 0;
            if (identity) x.p.covariance = NULL;
            sqzt_assert_ok(sqzi_output_error(&sqzi_default_allocator, &x.p, &total, &error),
                           &error);
            sqzt_assert_ok(
                sqzi_gather_groups(&sqzi_default_allocator, &x.p, groups, in, out, &error), &error);
            check_permutation(N, in);
            check_permutation(M, out);
            const double left = error_of(&x, groups, in, out);
            if (!(left <= 1e-4 * total))
                fail_msg("%u groups%s: %g of %g is left", groups,
                         identity ? ", C the identity" : "", left, total);
        }
}

/* By a tenth at least, of matrices without any groups in them; and the same groups every time. */
static void gathered_groups_leave_less_than_others(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 24; seed++) {
        problem x;
        uint32_t in[N], out[M], again_in[N], again_out[M];
        sqz_error error = {0};
        fill(seed, &x);
        sqzt_assert_ok(sqzi_gather_groups(&sqzi_default_allocator, &x.p, 3, in, out, &error),
                       &error);
        const double found = error_of(&x, 3, in, out);
        for (uint32_t i = 0; i < 50; i++) {
            sqzi_shuffle(N, 1000 + i, again_in);
            sqzi_shuffle(M, 2000 + i, again_out);
            const double other = error_of(&x, 3, again_in, again_out);
            if (!(found < 0.9 * other)) fail_msg("%g is left, %g by chance", found, other);
        }
        sqzt_assert_ok(sqzi_gather_groups(&sqzi_default_allocator, &x.p, 3, again_in, again_out,
                                          &error),
                       &error);
        assert_memory_equal(in, again_in, sizeof in);
        assert_memory_equal(out, again_out, sizeof out);
    }
}

/* No input varies, none but three do, W is zero, one group, as many groups as outputs. */
static void degenerate_problems_have_groups(void **state)
{
    (void)state;
    problem x;
    sqz_error error = {0};
    for (int kind = 0; kind < 3; kind++)
        for (uint32_t groups = 1; groups <= 12; groups += 11) {
            uint32_t in[N], out[M];
            double blocks[M * N];
            fill(30, &x);
            for (size_t i = 0; i < N * N; i++)
                if (kind == 0 || (kind == 1 && (i / N > 2 || i % N > 2))) x.c[i] = 0;
            if (kind == 2) memset(x.w, 0, sizeof x.w);
            sqzt_assert_ok(
                sqzi_gather_groups(&sqzi_default_allocator, &x.p, groups, in, out, &error), &error);
            check_permutation(N, in);
            check_permutation(M, out);
            sqzt_assert_ok(sqzi_refit_groups(&sqzi_default_allocator, &x.p, groups, in, out, blocks,
                                             &error),
                           &error);
            for (size_t i = 0; i < M * (N / groups); i++) assert_true(isfinite(blocks[i]));
            /* where nothing is known, weights stay what they are */
            for (size_t i = 0; kind == 0 && i < M * (N / groups); i++) {
                const size_t row = i / (N / groups), column = i % (N / groups);
                const double wanted =
                    x.w[out[row] * N + in[row / (M / groups) * (N / groups) + column]];
                assert_true(fabs(blocks[i] - wanted) <= 1e-12 * fabs(wanted));
            }
        }
}

static void groups_that_do_not_divide_are_refused_and_without_memory_nothing_is_held(void **state)
{
    (void)state;
    problem x;
    uint32_t in[N], out[M];
    sqz_error error = {0};
    fill(40, &x);
    sqzt_assert_fails(sqzi_gather_groups(&sqzi_default_allocator, &x.p, 9, in, out, &error),
                      SQZ_EINVAL, &error, "24 x 36 has no 9 groups");
    sqzt_assert_fails(sqzi_gather_groups(&sqzi_default_allocator, &x.p, 0, in, out, &error),
                      SQZ_EINVAL, &error, "no 0 groups");
    for (uint64_t at = 1;; at++) {
        sqzt_memory memory = {.fail_at = at};
        const sqz_allocator allocator = sqzt_allocator(&memory);
        const sqz_status status = sqzi_gather_groups(&allocator, &x.p, 2, in, out, NULL);
        assert_int_equal(memory.held_bytes, 0);
        if (status == SQZ_OK) break;
        assert_int_equal(status, SQZ_ENOMEM);
    }
}

/* Two groups against all ways of dealing out eight items. */
static void two_groups_are_dealt_out_best(void **state)
{
    (void)state;
    enum { ITEMS = 8 };
    for (uint64_t seed = 0; seed < 50; seed++) {
        sqzt_random random = sqzt_random_of(seed);
        double score[ITEMS * 2], best = -1e9;
        uint32_t order[ITEMS];
        sqzi_scored_item room[ITEMS];
        for (size_t i = 0; i < ITEMS * 2; i++) score[i] = sqzt_normal(&random);
        sqzi_shuffle(ITEMS, (uint32_t)seed, order);
        sqzi_balance_groups(ITEMS, 2, score, order, room);
        for (unsigned set = 0; set < 1u << ITEMS; set++) {
            double sum = 0;
            unsigned size = 0;
            for (size_t i = 0; i < ITEMS; i++) {
                sum += score[i * 2 + (set >> i & 1)];
                size += set >> i & 1;
            }
            if (size == ITEMS / 2 && sum > best) best = sum;
        }
        assert_true(fabs(sqzi_score_of_groups(ITEMS, 2, score, order) - best) <= 1e-12);
    }
}

int main(void)
{
    if (!sqzi_dense_algebra_built()) {
        puts("skipped: built without LAPACK");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_blocks_leave_is_uncorrelated_with_their_inputs),
        cmocka_unit_test(hidden_groups_are_found),
        cmocka_unit_test(gathered_groups_leave_less_than_others),
        cmocka_unit_test(degenerate_problems_have_groups),
        cmocka_unit_test(groups_that_do_not_divide_are_refused_and_without_memory_nothing_is_held),
        cmocka_unit_test(two_groups_are_dealt_out_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
