/* SPDX-License-Identifier: Apache-2.0 */
/* LAPACKE and OpenBLAS behind our own names: rows instead of columns, memory from our allocator,
 * statuses, one thread. A matrix by rows is its transpose by columns, so LAPACK is handed symmetric
 * matrices as they lie, lower halves as upper ones. Both libraries are loaded by the first call:
 * 40 MB that start slower than most of the program's commands run. */
#include "squeeze/dense_algebra.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <pthread.h>

#include "base/error.h"
#include "squeeze/load_library.h"

/* clang-format off */
#define OF_LAPACKE(X) \
    X(LAPACKE_dsyevd_work) X(LAPACKE_dgeqrf_work) X(LAPACKE_dorgqr_work) \
    X(LAPACKE_dpotrf_work) X(LAPACKE_dpotrs_work) X(LAPACKE_dpotri_work)
#define OF_OPENBLAS(X) \
    X(cblas_dgemm) X(openblas_get_num_threads) X(openblas_set_num_threads)
/* clang-format on */

/* Written once, under the lock, before anybody gets past enter(). */
static struct {
#define POINTER(function) __typeof__(function) *function;
    OF_LAPACKE(POINTER)
    OF_OPENBLAS(POINTER)
    bool loaded;
} blas;

/* SQZ_LAPACKE and SQZ_OPENBLAS: the sonames of what the build found beside the headers. */
static sqz_status load(sqz_error *error)
{
#define FUNCTION(function) {#function, &blas.function},
    static const sqzi_loaded_function of_lapacke[] = {OF_LAPACKE(FUNCTION)};
    static const sqzi_loaded_function of_openblas[] = {OF_OPENBLAS(FUNCTION)};
    sqz_status status = SQZ_OK;
    if (blas.loaded) return SQZ_OK;
    TRY(sqzi_load_library(SQZ_LAPACKE, "LAPACKE (Debian: liblapacke)", of_lapacke,
                          sizeof of_lapacke / sizeof *of_lapacke, error));
    TRY(sqzi_load_library(SQZ_OPENBLAS, "OpenBLAS (Debian: libopenblas0)", of_openblas,
                          sizeof of_openblas / sizeof *of_openblas, error));
    blas.loaded = true;
fail:
    return status;
}

/* OpenBLAS has one number of threads for the whole process: the first of us to come in takes it
 * down to one, the last to leave puts it back. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned inside;
static int threads_outside;

static sqz_status enter(sqz_error *error)
{
    pthread_mutex_lock(&lock);
    const sqz_status status = load(error);
    if (status == SQZ_OK && inside++ == 0) {
        threads_outside = blas.openblas_get_num_threads();
        blas.openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static void leave(void)
{
    pthread_mutex_lock(&lock);
    if (--inside == 0) blas.openblas_set_num_threads(threads_outside);
    pthread_mutex_unlock(&lock);
}

bool sqzi_dense_algebra_built(void)
{
    return true;
}

/* LAPACK's loops need not end on a NaN. */
static sqz_status check_finite(size_t n, const double *a, sqz_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(a[i]))
            return sqzi_fail(error, SQZ_ENUMERIC, i, "a matrix to be factorised is not finite");
    return SQZ_OK;
}

static sqz_status done(const char *routine, lapack_int info, sqz_error *error)
{
    if (info == 0) return SQZ_OK;
    return sqzi_fail(error, SQZ_ENUMERIC, 0, "LAPACK's %s gave up: info %d", routine, (int)info);
}

sqz_status sqzi_dense_multiply(const sqzi_dense_product *p, sqz_error *error)
{
    if (p->m == 0 || p->n == 0) return SQZ_OK;
    if (enter(error)) return SQZ_EUNSUPPORTED;
    blas.cblas_dgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
                     p->transpose_b ? CblasTrans : CblasNoTrans, (blasint)p->m, (blasint)p->n,
                     (blasint)p->k, p->scale, p->a, (blasint)p->lda, p->b, (blasint)p->ldb, p->keep,
                     p->c, (blasint)p->ldc);
    leave();
    return SQZ_OK;
}

/* dsyevd's values ascend. */
static void reverse(uint32_t n, double *a, double *values, bool vectors)
{
    for (size_t i = 0, j = n - 1; i < j; i++, j--) {
        const double value = values[i];
        values[i] = values[j];
        values[j] = value;
        for (size_t c = 0; vectors && c < n; c++) {
            const double number = a[i * n + c];
            a[i * n + c] = a[j * n + c];
            a[j * n + c] = number;
        }
    }
}

sqz_status sqzi_dense_eigen(const sqz_allocator *allocator, uint32_t n, double *a, double *values,
                            bool vectors, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t n_work = vectors ? 1 + 6 * (size_t)n + 2 * (size_t)n * n : 1 + 34 * (size_t)n,
                 n_integers = 3 + 5 * (size_t)n;
    double *work = NULL;
    lapack_int *integers = NULL;
    if (n == 0) return SQZ_OK;
    TRY(check_finite((size_t)n * n, a, error));
    work = sqzi_allocate(allocator, n_work * sizeof *work);
    integers = sqzi_allocate(allocator, n_integers * sizeof *integers);
    FAIL_IF(!work || !integers || n_work > INT32_MAX, SQZ_ENOMEM, 0,
            "no memory for the eigenvectors of %u x %u", n, n);
    TRY(enter(error));
    const lapack_int info = blas.LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, vectors ? 'V' : 'N', 'U',
                                                     (lapack_int)n, a, (lapack_int)n, values, work,
                                                     (lapack_int)n_work, integers,
                                                     (lapack_int)n_integers);
    leave();
    TRY(done("dsyevd", info, error));
    reverse(n, a, values, vectors);
fail:
    sqzi_release(allocator, work, n_work * sizeof *work);
    sqzi_release(allocator, integers, n_integers * sizeof *integers);
    return status;
}

sqz_status sqzi_dense_orthonormal(const sqz_allocator *allocator, uint32_t n, uint32_t m,
                                  double *rows, sqz_error *error)
{
    enum { BLOCK = 32 };
    sqz_status status = SQZ_OK;
    const size_t n_work = (size_t)n * BLOCK;
    double *work = NULL;
    if (n == 0) return SQZ_OK;
    TRY(check_finite((size_t)n * m, rows, error));
    work = sqzi_allocate(allocator, (n + n_work) * sizeof *work);
    FAIL_IF(!work, SQZ_ENOMEM, 0, "no memory for the QR of %u x %u", m, n);
    TRY(enter(error));
    lapack_int info = blas.LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, (lapack_int)m, (lapack_int)n, rows,
                                               (lapack_int)m, work, work + n, (lapack_int)n_work);
    if (info == 0)
        info = blas.LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, (lapack_int)m, (lapack_int)n,
                                        (lapack_int)n, rows, (lapack_int)m, work, work + n,
                                        (lapack_int)n_work);
    leave();
    TRY(done("dgeqrf", info, error));
fail:
    sqzi_release(allocator, work, (n + n_work) * sizeof *work);
    return status;
}

sqz_status sqzi_dense_cholesky(uint32_t n, double *a, uint32_t lda, sqz_error *error)
{
    if (n == 0) return SQZ_OK;
    for (size_t i = 0; i < n; i++)
        if (check_finite(i + 1, a + i * lda, error)) return SQZ_ENUMERIC;
    if (enter(error)) return SQZ_EUNSUPPORTED;
    const lapack_int info = blas.LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, a,
                                                     (lapack_int)lda);
    leave();
    if (info > 0)
        return sqzi_fail(error, SQZ_ENUMERIC, (uint64_t)(info - 1),
                         "a matrix of %u rows is not positive definite from row %d on", n,
                         (int)info - 1);
    return done("dpotrf", info, error);
}

sqz_status sqzi_dense_solve(uint32_t n, const double *factor, uint32_t lda, uint32_t m, double *b,
                            uint32_t ldb, sqz_error *error)
{
    if (n == 0 || m == 0) return SQZ_OK;
    if (enter(error)) return SQZ_EUNSUPPORTED;
    const lapack_int info = blas.LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n,
                                                     (lapack_int)m, factor, (lapack_int)lda, b,
                                                     (lapack_int)ldb);
    leave();
    return done("dpotrs", info, error);
}

sqz_status sqzi_dense_invert(uint32_t n, double *factor, uint32_t lda, sqz_error *error)
{
    if (n == 0) return SQZ_OK;
    if (enter(error)) return SQZ_EUNSUPPORTED;
    const lapack_int info = blas.LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, factor,
                                                     (lapack_int)lda);
    leave();
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) factor[j * lda + i] = factor[i * lda + j];
    return done("dpotri", info, error);
}
