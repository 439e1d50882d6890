/* SPDX-License-Identifier: Apache-2.0 */
/* A linear of the weights as B (A x) (low_rank.h). Of a block diagonal linear each group gets
 * factors of its own, and ranks are those of a group, [m/G, n/G].
 *
 * `plain`: singular values alone, what is known of the inputs unused and the bias as it was: the
 * baseline. Else by the covariance, with the bias that keeps the mean output (layer_target.h).
 */
#ifndef SQZI_RANK_LEVER_H
#define SQZI_RANK_LEVER_H

#include "squeeze/layer_target.h"

/* The error at every rank, as one decomposition tells it: sums over the groups, without a basis.
 * sqzi_low_rank_error(spectrum, r) / target->total is the share that sqzi_fit_rank will report, but
 * for f32's rounding. Discard in any case. As sqzi_low_rank_spectrum_make. */
SQZ_NODISCARD sqz_status sqzi_rank_errors(const sqzi_layer_target *target,
                                          sqzi_low_rank_spectrum *spectrum, sqz_error *error);

/* The linear becomes one term of this rank. *share: the error that is left, of E |W (x - mean)|^2
 * (layer_target.h). SQZ_EINVAL: rank 0, or above min(m/G, n/G), with that number. SQZ_ENOMEM. On an
 * error the linear is as it was. */
SQZ_NODISCARD sqz_status sqzi_fit_rank(const sqzi_weights *weights, const sqzi_layer_target *target,
                                       uint32_t rank, bool plain, sqzi_weight_linear *linear,
                                       double *share, sqz_error *error);

#endif
