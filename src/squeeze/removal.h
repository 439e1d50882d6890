/* SPDX-License-Identifier: Apache-2.0 */
/* Which inputs of a linear y = W x + b can go, and what takes up their work: the optimal brain
 * surgeon for columns (Hassibi, Stork 1993; ZipLM, Kurtic, Frantar, Alistarh 2023), in double.
 *
 * Without the inputs that are not in S, with weights and bias free,
 *
 *   E |W x + b - W' x_S - b'|^2  is least at  W' = (W C)[:, S] C_SS^-1,  b' = b + W m - W' m_S
 *
 * with m the mean of x and C its covariance about the mean: the bias takes up every mean, those of
 * the removed inputs included, so C is what counts, not the second moments. H = C + d I is damped.
 * Of the inputs that are left, the one goes whose loss
 *
 *   |w_j|^2 / [H^-1]_jj,    of a unit B of several   tr(W_B [(H^-1)_BB]^-1 W_B')
 *
 * is least; the others take up what it did (w -= w_B (M_BB)^-1 M_B:, M = H^-1 of what is left).
 * Losses of one run add up to the error of every count. Only W'W is needed for them.
 */
#ifndef SQZI_REMOVAL_H
#define SQZI_REMOVAL_H

#include <squeezebert/context.h>

#include "base/memory.h"

/* What may be removed.
 *
 *   n         inputs; units of `unit` neighbours each, n / unit of them
 *   groups    units of each n / groups neighbours go in turn: after every `groups` of them each
 *             group has lost as many; 1: any order
 *   moments   [n, n] H, symmetric and positive definite; destroyed
 *   products  [n, n] W'W; destroyed
 */
typedef struct sqzi_removal_problem {
    const sqz_allocator *allocator;
    uint32_t n, unit, groups;
    double *moments, *products;
} sqzi_removal_problem;

/* order [n / unit]: the units, the first to go first; loss [n / unit]: after order[0 .. i] are
 * gone, tr((W - W') H (W - W')'), the last one tr(W H W'). On a tie the lower unit goes first.
 *
 * Cost: of units of one input some 2 n^3 multiply-adds in blocked products; of larger ones n^2 for
 * each input removed. Memory beside the problem: some 200 n doubles.
 * SQZ_ENUMERIC: H is not finite, or not positive definite in double. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_removal_order(const sqzi_removal_problem *problem, uint32_t *order,
                                            double *loss, sqz_error *error);

/* The refit: W' [m, n_kept] of W [m, n] for the inputs kept [n_kept], which ascend, and H [n, n].
 * Nothing is destroyed. Cost: m n n_kept + n_kept^3 / 3 + m n_kept^2 multiply-adds.
 * SQZ_ENUMERIC as above, SQZ_ENOMEM. */
typedef struct sqzi_refit {
    const sqz_allocator *allocator;
    uint32_t m, n, n_kept;
    const double *weights, *moments;
    const uint32_t *kept;
} sqzi_refit;
SQZ_NODISCARD sqz_status sqzi_refit_run(const sqzi_refit *refit, double *result, sqz_error *error);

/* tr((W - W') C (W - W')') for any W' and symmetric C [n, n], and tr(W C W') beside it. */
SQZ_NODISCARD sqz_status sqzi_refit_error(const sqzi_refit *refit, const double *result,
                                          double *lost, double *whole, sqz_error *error);

#endif
