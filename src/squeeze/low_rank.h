/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix W [m, n] as a product of rank r that is nearest to it on what the layer reads.
 *
 *   W' = U (U' W),  U [m, r] with orthonormal columns,  trace((W - W') C (W - W')') the least there
 * is
 *
 * with C the covariance of the inputs x; without C, which then stands for the identity, that is the
 * singular value decomposition cut off. The error is the sum of the eigenvalues of W C W' that are
 * left out, so one decomposition tells it at every rank.
 *
 *   m <= n   U: the eigenvectors of W C W'
 *   m > n    C = S S' by C's eigenvectors; V those of (W S)' (W S); U: QR of W S V
 *
 * Nothing is inverted, so C may have any rank: where it ends, further columns of U are arbitrary
 * and cost nothing (doc/squeezing.md). What W' does to the mean of x belongs into the bias:
 * b' = b + (W - W') mean.
 */
#ifndef SQZI_LOW_RANK_H
#define SQZI_LOW_RANK_H

#include "squeeze/dense_algebra.h"

typedef struct sqzi_low_rank_problem {
    uint32_t m, n;
    const double *w; /* [m, n], rows ldw apart */
    uint32_t ldw;
    const double *covariance; /* [n, n], rows ldc apart, or NULL: the identity */
    uint32_t ldc;
} sqzi_low_rank_problem;

typedef struct sqzi_low_rank_spectrum {
    const sqz_allocator *allocator;
    uint32_t m, n, most; /* rank: min(m, n) */
    double trace;        /* of W C W' */
    double *values;      /* [most] of W C W', descending, none below 0 */
    double *basis;       /* [most, m]: row i is column i of U; NULL where it was not asked for */
    void *block;
    size_t bytes;
} sqzi_low_rank_spectrum;

/* Memory: W's and C's size in double and twice min(m, n)^2 besides. Cost: W C (m n^2 multiply-adds
 * where m <= n), and 9 min(m, n)^3 for the eigenvectors, twice where m > n. Discard in any case.
 * SQZ_ENUMERIC: a number is not finite. SQZ_ENOMEM. SQZ_EUNSUPPORTED: dense_algebra.h. */
SQZ_NODISCARD sqz_status sqzi_low_rank_spectrum_make(const sqz_allocator *allocator,
                                                     const sqzi_low_rank_problem *problem,
                                                     bool basis, sqzi_low_rank_spectrum *spectrum,
                                                     sqz_error *error);
void sqzi_low_rank_spectrum_discard(sqzi_low_rank_spectrum *spectrum);

/* trace((W - W') C (W - W')') at rank r <= most; 0: of no W' at all. */
double sqzi_low_rank_error(const sqzi_low_rank_spectrum *spectrum, uint32_t r);

/* W' = B A, with B [m, r] and A [r, n] of W [m, n]. The middle is scaled: columns of B by the
 * fourth root of their eigenvalue (at least a millionth of the largest), rows of A by its inverse,
 * which shares what int8 loses between the middle's numbers and B's. spectrum has its basis. */
SQZ_NODISCARD sqz_status sqzi_low_rank_factors(const sqzi_low_rank_spectrum *spectrum,
                                               const double *w, uint32_t ldw, uint32_t r, double *a,
                                               double *b, sqz_error *error);

/* The rank whose factors hold the share f in 0..1 of m n parameters: floor(f m n / (m + n)), at
 * least 8, at most min(m, n). */
uint32_t sqzi_rank_of_share(double share, uint32_t m, uint32_t n);

/* *sum = trace(D C D') of a matrix D [m, n] whose rows are ldd apart, C as above. */
SQZ_NODISCARD sqz_status sqzi_output_error(const sqz_allocator *allocator,
                                           const sqzi_low_rank_problem *d, double *sum,
                                           sqz_error *error);

#endif
