/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix W [m, n] as G diagonal blocks between permuted inputs and outputs, fitted to what the
 * layer reads.
 *
 * Group g makes the outputs O_g of the inputs I_g, m/G and n/G of them. With C the covariance of
 * the inputs and A = W C, the block that comes nearest is
 *
 *   W_g = A[O_g, I_g] C[I_g, I_g]^-1
 *
 * which also holds what the group's inputs tell of all others, and the error that is left is
 * trace(W C W') minus, for every output, A[i, I_g] C[I_g, I_g]^-1 A[i, I_g]'. So for given inputs
 * the outputs are dealt out by that sum; an input goes where
 *
 *   sum over i in O_g of (A[i, j] - W_g[i] C[I_g, j])^2 / (C[j, j] - C[j, I_g] C[I_g, I_g]^-1
 * C[I_g, j])
 *
 * which is what the group gains by it, outweighs what its own group loses without it. Both in turn,
 * from the best of several starts in which A[i, j]^2 / C[j, j] is gathered.
 *
 * C is damped by a millionth of its mean diagonal, towards W's own block: inputs that never vary
 * keep their weights.
 */
#ifndef SQZI_GROUPING_H
#define SQZI_GROUPING_H

#include "squeeze/low_rank.h"

/* Choose in [n] and out [m], no exchange of two inputs known to be better, which need not be the
 * best there is: group g reads inputs in[g n/G ..], makes outputs out[g m/G ..]. m and n are
 * multiples of G. Deterministic. Memory: some m n + n^2 (1 + 1/G) numbers. Cost: up to 40 rounds of
 * 2 n^3 / G multiply-adds. SQZ_ENOMEM, SQZ_ENUMERIC. */
SQZ_NODISCARD sqz_status sqzi_gather_groups(const sqz_allocator *allocator,
                                            const sqzi_low_rank_problem *problem, uint32_t groups,
                                            uint32_t *in, uint32_t *out, sqz_error *error);

/* blocks [m, n/G]: row i is output out[i]'s weights of its group's inputs, in their order. The same
 * errors. */
SQZ_NODISCARD sqz_status sqzi_refit_groups(const sqz_allocator *allocator,
                                           const sqzi_low_rank_problem *problem, uint32_t groups,
                                           const uint32_t *in, const uint32_t *out, double *blocks,
                                           sqz_error *error);

#endif
