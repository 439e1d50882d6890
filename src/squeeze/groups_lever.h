/* SPDX-License-Identifier: Apache-2.0 */
/* A dense linear of the weights as groups between permuted inputs and outputs (grouping.h), alone
 * or with what they leave in a second term of low rank.
 *
 * With a rest L, groups and factors are fitted in turn, each to what the other leaves; every step
 * is the best for what stands, so the error only falls.
 */
#ifndef SQZI_GROUPS_LEVER_H
#define SQZI_GROUPS_LEVER_H

#include "squeeze/rank_lever.h"

typedef struct sqzi_groups {
    uint32_t groups;
    uint32_t rest_rank; /* 0: what the groups leave is dropped */
    /* the baseline: nothing is permuted, so group g reads the g-th part of the inputs, blocks are
     * W's own, a rest goes by singular values, the bias stays */
    bool plain;
} sqzi_groups;

/* *share as sqzi_fit_rank. The target is dense. SQZ_EINVAL: the groups do not divide both sides, or
 * the rank is above the smaller one, with the number; SQZ_EUNSUPPORTED: the target has groups
 * already. SQZ_ENOMEM. On an error the linear is as it was. */
SQZ_NODISCARD sqz_status sqzi_fit_groups(const sqzi_weights *weights,
                                         const sqzi_layer_target *target, const sqzi_groups *groups,
                                         sqzi_weight_linear *linear, double *share,
                                         sqz_error *error);

#endif
