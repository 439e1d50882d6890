/* SPDX-License-Identifier: Apache-2.0 */
/* Dense matrices in double, by LAPACKE and OpenBLAS: eigenvectors, orthogonal bases, Cholesky
 * factors, products. The only file that knows these libraries; a build without them
 * (-DSQZ_LAPACK=OFF) has dense_algebra_none.c instead, whose functions all return SQZ_EUNSUPPORTED.
 * The first call loads both libraries; SQZ_EUNSUPPORTED where one cannot be loaded, each time, with
 * its name, the reason and what to install.
 *
 * Matrices lie row by row, [rows, columns], ld numbers from row to row (no ld: columns). Working
 * memory comes from the allocator; OpenBLAS keeps some megabytes of its own. While a function runs,
 * OpenBLAS computes with one thread, so that sums do not depend on how many there are; any number
 * of threads may call. Its kernels are those of the CPU: on another one last bits may differ.
 */
#ifndef SQZI_DENSE_ALGEBRA_H
#define SQZI_DENSE_ALGEBRA_H

#include "base/memory.h"

/* The functions below are in this build. */
bool sqzi_dense_algebra_built(void);

/* C [m, n] = scale * A B + keep * C, with A [m, k] and B [k, n], or A [k, m] and B [n, k] where
 * they are read transposed. keep 0: C is not read. */
typedef struct sqzi_dense_product {
    uint32_t m, n, k;
    const double *a, *b;
    uint32_t lda, ldb, ldc;
    bool transpose_a, transpose_b;
    double *c;
    double scale, keep;
} sqzi_dense_product;
SQZ_NODISCARD sqz_status sqzi_dense_multiply(const sqzi_dense_product *product, sqz_error *error);

/* A [n, n] symmetric: values [n] descending, and where `vectors`, row i of A becomes the
 * eigenvector of value i, orthonormal; else A is used up. Values are off by some ulps of the
 * largest. Cost: about 9 n^3 multiply-adds, 1.3 n^3 without vectors; memory 2 n^2 numbers with
 * them. SQZ_ENUMERIC: a number is not finite. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dense_eigen(const sqz_allocator *allocator, uint32_t n, double *a,
                                          double *values, bool vectors, sqz_error *error);

/* Rows [n, m], n <= m, become orthonormal: the first i of them span what the first i spanned,
 * whatever stands in place of a row that depends on those before it (Householder's QR of the
 * transpose). SQZ_ENUMERIC, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_dense_orthonormal(const sqz_allocator *allocator, uint32_t n,
                                                uint32_t m, double *rows, sqz_error *error);

/* A [n, n] symmetric positive definite = L L': L in place of A's lower half, the other half
 * stays. SQZ_ENUMERIC where A is not positive definite: error->offset is the row. */
SQZ_NODISCARD sqz_status sqzi_dense_cholesky(uint32_t n, double *a, uint32_t lda, sqz_error *error);

/* Each of m rows b [n] becomes A^-1 b, for the factor of A. */
SQZ_NODISCARD sqz_status sqzi_dense_solve(uint32_t n, const double *factor, uint32_t lda,
                                          uint32_t m, double *b, uint32_t ldb, sqz_error *error);

/* A factor of A becomes A^-1, whole. */
SQZ_NODISCARD sqz_status sqzi_dense_invert(uint32_t n, double *factor, uint32_t lda,
                                           sqz_error *error);

#endif
