/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding a matrix to integers so that its errors cancel on the inputs it will see, instead of
 * number by number.
 *
 * Of each row w with its scale s, integers q are chosen in turn to make (w - s q)' C (w - s q)
 * small, C the covariance of the row's inputs (their mean is the bias's, bias_correction.h). With C
 * = R'R, R upper triangular, that is the sum over i of (R_ii (w_i - s q_i) + sum over j > i of R_ij
 * (w_j - s q_j))^2. So from the last input to the first,
 *
 *   q_i = round((w_i + sum over j > i of R_ij / R_ii (w_j - s q_j)) / s) within [-127, 127]
 *
 * (of packed rows: to the nearest level times the multiplier of the group that input i is in)
 * makes each square the least that is left to it (Babai's nearest plane; the same integers as
 * GPTQ's, Frantar et al. 2022, in the same order, without the inverse of C). Inputs are taken by
 * descending variance: what is rounded early is made up for by all that follow.
 *
 * C is damped: its diagonal grows by a hundredth of itself, and by a millionth of its mean, so that
 * an input that never varied asks for nothing.
 */
#ifndef SQZI_GPTQ_H
#define SQZI_GPTQ_H

#include "squeeze/quantize_plan.h"

/* Sums of a matrix's inputs x over the rows seen: of x_i x_j, for i and j of one group. */
typedef struct sqzi_moments {
    uint32_t groups, n; /* inputs of a group */
    sqzi_real *squares; /* [groups, n, n]; only j >= i until sqzi_moments_centre */
} sqzi_moments;

size_t sqzi_moments_items(const sqzi_moments *moments);

/* += over m <= SQZI_MOMENT_ROWS inputs, whose columns lie in x [groups * n, SQZI_MOMENT_ROWS];
 * packed: sqzi_moments_packed_bytes of working memory. */
enum { SQZI_MOMENT_ROWS = 128 };
void sqzi_moments_add(const sqzk_gemm *gemm, sqzi_moments *moments, const sqzi_real *x, size_t m,
                      void *packed);
size_t sqzi_moments_packed_bytes(const sqzk_gemm *gemm, const sqzi_moments *moments);

/* Sums to covariances, whole: / rows, minus mean mean'. */
void sqzi_moments_centre(sqzi_moments *moments, const double *mean, uint64_t rows);

/* inner's covariances of y = A x for x with outer's: A is what tensor a of a measured plan stores,
 * after rounding. inner->squares [groups, R, R] is written. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_moments_through(const sqzk_gemm *gemm, const sqzi_moments *outer,
                                              sqzi_quantized *a, sqzi_moments *inner,
                                              sqz_error *error);

/* The covariance [rank, rank] of y = A x, A [rank, n], for x with the covariance outer [n, n].
 * SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_covariance_through(const sqzk_gemm *gemm,
                                                 const sqz_allocator *allocator, size_t n,
                                                 size_t rank, const sqzi_real *outer,
                                                 const sqzi_real *factor, sqzi_real *inner,
                                                 sqz_error *error);

/* A matrix of one group, [rows, n], whose scales are chosen, and what it reads. */
typedef struct sqzi_rounding_task {
    const char *name; /* in texts of errors */
    size_t rows, n;
    const float *weights;        /* [rows, n] */
    const sqzi_real *covariance; /* of inputs i and j: covariance[order[i] * ld + order[j]] ... */
    size_t ld;
    const uint32_t *order;      /* ... or [i * ld + j] where NULL */
    uint32_t bits;              /* 8; 4, 3 and 2: packed rows */
    const float *scale;         /* [rows] */
    const uint8_t *multipliers; /* [rows, ceil(n / 32)]; of 8 bits NULL */
    int8_t *integers;           /* [rows, n] are written */
} sqzi_rounding_task;

/* SQZ_ENOMEM; SQZ_ENUMERIC where the covariance is not finite. Memory: about twice the weights and
 * the covariance. */
SQZ_NODISCARD sqz_status sqzi_gptq_round(const sqzk_gemm *gemm, const sqz_allocator *allocator,
                                         const sqzi_rounding_task *task, sqz_error *error);

/* The same for an integer tensor of a measured plan, into t->chosen. */
SQZ_NODISCARD sqz_status sqzi_gptq(const sqzk_gemm *gemm, const sqzi_moments *covariance,
                                   sqzi_quantized *t, sqz_error *error);

#endif
