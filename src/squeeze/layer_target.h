/* SPDX-License-Identifier: Apache-2.0 */
/* What a squeezed linear is to come near to: matrix and bias of the linear as it was, and mean and
 * covariance of what it reads, in double. A layer may be fitted to the same target any number of
 * times.
 *
 * All in the order of the linear's terms: row i makes y[out[i]], column j reads x[in[j]].
 */
#ifndef SQZI_LAYER_TARGET_H
#define SQZI_LAYER_TARGET_H

#include "squeeze/low_rank.h"
#include "squeeze/statistics.h"
#include "squeeze/weights.h"

typedef struct sqzi_layer_target {
    const sqz_allocator *allocator;
    uint32_t m, n;
    uint32_t groups;    /* of a linear that is one whole block diagonal term, else 1 */
    double *w;          /* [m, n], zeros between the groups */
    double *bias;       /* [m], zeros where the linear has none */
    bool biased;        /* it has one */
    double *covariance; /* [n, n], or NULL: nothing is known of the inputs */
    float *squares;     /* [n, n] the same, of which errors are computed */
    double *mean;       /* [n], or NULL */
    double total;       /* trace(W C W'), C the identity where nothing is known */
    uint32_t *in, *out; /* [n], [m], or NULL */
    void *block;
    size_t bytes;
} sqzi_layer_target;

/* Of a linear as it stands, its integers where it is rounded. inputs NULL: nothing is known, else
 * inputs->n is the linear's n_in. Discard in any case. SQZ_ENOMEM; SQZ_EUNSUPPORTED:
 * dense_algebra.h. */
SQZ_NODISCARD sqz_status sqzi_layer_target_make(const sqzi_weights *weights,
                                                const sqzi_weight_linear *linear,
                                                const sqzi_input_statistics *inputs,
                                                sqzi_layer_target *target, sqz_error *error);
void sqzi_layer_target_discard(sqzi_layer_target *target);

/* w [n_out, n_in]: the sum of the linear's terms, in their order. */
SQZ_NODISCARD sqz_status sqzi_linear_as_matrix(const sqz_allocator *allocator,
                                               const sqzi_weight_linear *linear, double *w,
                                               sqz_error *error);

/* The bias of `linear`, whose terms stand in the order of `in` [n] and `out` [m] counted in the
 * target's (NULL: the target's own), and what is left of the target:
 *
 *   b' = b + (W - W') mean           where the mean is known and `correct`, else b
 *   *share = E |W x + b - W' x - b'|^2 / total, 0 where both are
 *
 * SQZ_ENOMEM; on an error the bias is as it was. */
SQZ_NODISCARD sqz_status sqzi_layer_correct(const sqzi_weights *weights,
                                            const sqzi_layer_target *target, const uint32_t *in,
                                            const uint32_t *out, bool correct,
                                            sqzi_weight_linear *linear, double *share,
                                            sqz_error *error);

/* The same of `made`, which then takes the place of `linear` with the target's permutations before
 * its own. made is used up; on an error linear is as it was. */
SQZ_NODISCARD sqz_status sqzi_layer_settle(const sqzi_weights *weights,
                                           const sqzi_layer_target *target, const uint32_t *in,
                                           const uint32_t *out, bool correct,
                                           sqzi_weight_linear *made, sqzi_weight_linear *linear,
                                           double *share, sqz_error *error);

#endif
