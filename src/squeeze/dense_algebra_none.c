/* SPDX-License-Identifier: Apache-2.0 */
/* A build without LAPACK: what needs it says so. */
#include "squeeze/dense_algebra.h"

#include "base/error.h"

static sqz_status refuse(sqz_error *error)
{
    return sqzi_fail(error, SQZ_EUNSUPPORTED, 0,
                     "this build has no LAPACK, which this step of squeezing needs: install "
                     "liblapacke-dev and libopenblas-dev, and build with -DSQZ_LAPACK=ON");
}

bool sqzi_dense_algebra_built(void)
{
    return false;
}

sqz_status sqzi_dense_multiply(const sqzi_dense_product *product, sqz_error *error)
{
    (void)product;
    return refuse(error);
}

sqz_status sqzi_dense_eigen(const sqz_allocator *allocator, uint32_t n, double *a, double *values,
                            bool vectors, sqz_error *error)
{
    (void)allocator, (void)n, (void)a, (void)values, (void)vectors;
    return refuse(error);
}

sqz_status sqzi_dense_orthonormal(const sqz_allocator *allocator, uint32_t n, uint32_t m,
                                  double *rows, sqz_error *error)
{
    (void)allocator, (void)n, (void)m, (void)rows;
    return refuse(error);
}

sqz_status sqzi_dense_cholesky(uint32_t n, double *a, uint32_t lda, sqz_error *error)
{
    (void)n, (void)a, (void)lda;
    return refuse(error);
}

sqz_status sqzi_dense_solve(uint32_t n, const double *factor, uint32_t lda, uint32_t m, double *b,
                            uint32_t ldb, sqz_error *error)
{
    (void)n, (void)factor, (void)lda, (void)m, (void)b, (void)ldb;
    return refuse(error);
}

sqz_status sqzi_dense_invert(uint32_t n, double *factor, uint32_t lda, sqz_error *error)
{
    (void)n, (void)factor, (void)lda;
    return refuse(error);
}
