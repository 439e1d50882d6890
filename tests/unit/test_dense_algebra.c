/* SPDX-License-Identifier: Apache-2.0 */
/* Dense matrices in double against loops, and against Jacobi's rotations. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "squeeze/dense_algebra.h"
#include "support/counting_memory.h"
#include "support/jacobi.h"
#include "support/random.h"
#include "support/test.h"

enum { MOST = 48 };
static const double u = 0x1p-53;

/* A symmetric matrix: 0 random, 1 of rank 3, 2 zero, 3 one value n times over, 4 values 1e-30
 * .. 1e30 on the diagonal. */
enum { KINDS = 5 };
static void fill(size_t n, int kind, double *a)
{
    sqzt_random random = sqzt_random_of(n * KINDS + (size_t)kind);
    double x[MOST * MOST];
    for (size_t i = 0; i < n * n; i++) x[i] = sqzt_normal(&random);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t k = 0; k < (kind == 1 ? 3 : n) && k < n; k++)
                sum += x[i * n + k] * x[j * n + k];
            if (kind == 2) sum = 0;
            if (kind == 3) sum = i == j ? 2.5 : 0;
            if (kind == 4) sum = i == j ? pow(10, 60.0 * (double)i / (double)n - 30) : 0;
            a[i * n + j] = sum;
        }
}

static const size_t sizes[] = {1, 2, 3, 17, MOST};

static void eigenvectors_diagonalise_the_matrix(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < KINDS; kind++) {
            const size_t n = sizes[s];
            double a[MOST * MOST], v[MOST * MOST], values[MOST], by_jacobi[MOST];
            sqz_error error = {0};
            fill(n, kind, a);
            memcpy(v, a, sizeof v);
            sqzt_assert_ok(sqzi_dense_eigen(&sqzi_default_allocator, (uint32_t)n, v, values, true,
                                            &error),
                           &error);
            const double within = 20 * (double)n * u * fabs(values[0]);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++) {
                    double image = 0, product = 0;
                    for (size_t k = 0; k < n; k++) {
                        image += a[j * n + k] * v[i * n + k];
                        product += v[i * n + k] * v[j * n + k];
                    }
                    assert_true(fabs(image - values[i] * v[i * n + j]) <= within);
                    assert_true(fabs(product - (i == j)) <= 20 * (double)n * u);
                }
            memcpy(v, a, sizeof v);
            sqzt_jacobi(n, v, by_jacobi);
            for (size_t i = 0; i < n; i++) assert_true(fabs(values[i] - by_jacobi[i]) <= within);
            sqzt_assert_ok(sqzi_dense_eigen(&sqzi_default_allocator, (uint32_t)n, a, by_jacobi,
                                            false, &error),
                           &error);
            for (size_t i = 0; i < n; i++) assert_true(fabs(values[i] - by_jacobi[i]) <= within);
        }
}

/* The last two of the rows depend on the first two. */
static void rows_become_orthonormal_and_span_what_they_did(void **state)
{
    (void)state;
    enum { N = 6, M = 33 };
    double rows[N * M], q[N * M];
    sqz_error error = {0};
    sqzt_random random = sqzt_random_of(5);
    for (size_t i = 0; i < N * M; i++)
        rows[i] = i < (N - 2) * M ? sqzt_normal(&random) : rows[i - (N - 2) * M] * 3;
    memcpy(q, rows, sizeof q);
    sqzt_assert_ok(sqzi_dense_orthonormal(&sqzi_default_allocator, N, M, q, &error), &error);
    for (size_t i = 0; i < N; i++) {
        double left[M];
        memcpy(left, rows + i * M, sizeof left);
        for (size_t j = 0; j < N; j++) {
            double product = 0, share = 0;
            for (size_t k = 0; k < M; k++) {
                product += q[i * M + k] * q[j * M + k];
                share += rows[i * M + k] * q[j * M + k];
            }
            assert_true(fabs(product - (i == j)) <= 100 * u);
            for (size_t k = 0; j <= i && k < M; k++) left[k] -= share * q[j * M + k];
        }
        for (size_t k = 0; k < M; k++) assert_true(fabs(left[k]) <= 1000 * u);
    }
}

static void a_factor_solves_and_inverts(void **state)
{
    (void)state;
    enum { N = 17, LD = 20, M = 3 };
    double a[MOST * MOST], factor[N * LD], b[M * LD];
    sqz_error error = {0};
    fill(N, 0, a);
    for (size_t i = 0; i < N; i++) a[i * N + i] += 1;
    for (size_t i = 0; i < N * N; i++) factor[i / N * LD + i % N] = a[i];
    for (size_t i = 0; i < M * LD; i++) b[i] = sin((double)i);
    sqzt_assert_ok(sqzi_dense_cholesky(N, factor, LD, &error), &error);
    sqzt_assert_ok(sqzi_dense_solve(N, factor, LD, M, b, LD, &error), &error);
    for (size_t r = 0; r < M; r++)
        for (size_t i = 0; i < N; i++) {
            double image = 0;
            for (size_t k = 0; k < N; k++) image += a[i * N + k] * b[r * LD + k];
            assert_true(fabs(image - sin((double)(r * LD + i))) <= 1e-12);
        }
    sqzt_assert_ok(sqzi_dense_invert(N, factor, LD, &error), &error);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            double product = 0;
            for (size_t k = 0; k < N; k++) product += factor[i * LD + k] * a[k * N + j];
            assert_true(fabs(product - (i == j)) <= 1e-12);
        }
}

static void products_read_either_side_transposed(void **state)
{
    (void)state;
    enum { M = 3, N = 5, K = 4, LD = 7 };
    double a[LD * LD], b[LD * LD], c[LD * LD];
    sqz_error error = {0};
    for (size_t i = 0; i < LD * LD; i++) a[i] = cos((double)i), b[i] = sin(3.0 * (double)i);
    for (int form = 0; form < 4; form++) {
        const bool ta = form & 1, tb = form & 2;
        const sqzi_dense_product product = {.m = M,
                                            .n = N,
                                            .k = K,
                                            .a = a,
                                            .lda = LD,
                                            .transpose_a = ta,
                                            .b = b,
                                            .ldb = LD,
                                            .transpose_b = tb,
                                            .c = c,
                                            .ldc = LD,
                                            .scale = -2,
                                            .keep = 0.5};
        for (size_t i = 0; i < LD * LD; i++) c[i] = (double)i;
        sqzt_assert_ok(sqzi_dense_multiply(&product, &error), &error);
        for (size_t i = 0; i < LD; i++)
            for (size_t j = 0; j < LD; j++) {
                double wanted = (double)(i * LD + j);
                if (i < M && j < N) {
                    wanted *= 0.5;
                    for (size_t k = 0; k < K; k++)
                        wanted -= 2 * a[ta ? k * LD + i : i * LD + k] *
                                  b[tb ? j * LD + k : k * LD + j];
                }
                assert_true(fabs(c[i * LD + j] - wanted) <= 1e-13);
            }
    }
}

static void what_cannot_be_factorised_is_an_error(void **state)
{
    (void)state;
    double a[4] = {1, 2, 2, 1}, values[2];
    sqz_error error = {0};
    assert_int_equal(sqzi_dense_cholesky(2, a, 2, &error), SQZ_ENUMERIC);
    assert_int_equal(error.offset, 1);
    for (int i = 0; i < 2; i++) {
        const double bad = i == 0 ? (double)NAN : (double)INFINITY;
        double b[4] = {1, bad, bad, 1};
        assert_int_equal(sqzi_dense_eigen(&sqzi_default_allocator, 2, b, values, true, &error),
                         SQZ_ENUMERIC);
        assert_int_equal(sqzi_dense_orthonormal(&sqzi_default_allocator, 2, 2, b, &error),
                         SQZ_ENUMERIC);
        assert_int_equal(sqzi_dense_cholesky(2, b, 2, &error), SQZ_ENUMERIC);
    }
}

static void without_memory_nothing_is_held(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= 2; at++) {
        sqzt_memory memory = {.fail_at = at};
        const sqz_allocator allocator = sqzt_allocator(&memory);
        double a[MOST * MOST], values[MOST];
        fill(MOST, 0, a);
        assert_int_equal(sqzi_dense_eigen(&allocator, MOST, a, values, true, NULL), SQZ_ENOMEM);
        assert_int_equal(memory.held_bytes, 0);
    }
    sqzt_memory memory = {.fail_at = 1};
    const sqz_allocator allocator = sqzt_allocator(&memory);
    double a[4] = {1, 2, 3, 4};
    assert_int_equal(sqzi_dense_orthonormal(&allocator, 2, 2, a, NULL), SQZ_ENOMEM);
    assert_int_equal(memory.held_bytes, 0);
}

int main(void)
{
    if (!sqzi_dense_algebra_built()) {
        puts("skipped: built without LAPACK");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eigenvectors_diagonalise_the_matrix),
        cmocka_unit_test(rows_become_orthonormal_and_span_what_they_did),
        cmocka_unit_test(a_factor_solves_and_inverts),
        cmocka_unit_test(products_read_either_side_transposed),
        cmocka_unit_test(what_cannot_be_factorised_is_an_error),
        cmocka_unit_test(without_memory_nothing_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
