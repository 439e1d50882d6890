/* SPDX-License-Identifier: Apache-2.0 */
/* What neurons or heads are removed from, found and checked: the linear that reads them, those that
 * make them, and the numbers of one group in double. */
#ifndef SQZI_REMOVAL_TARGET_H
#define SQZI_REMOVAL_TARGET_H

#include "squeeze/neurons.h"

enum { SQZI_MOST_MAKERS = 3 };

typedef struct sqzi_removal_target {
    const sqzi_weights *weights;
    const sqz_allocator *allocator;
    sqzi_weight_block *block;
    const char *units; /* "neurons" */
    sqzi_weight_linear *reader, *makers[SQZI_MOST_MAKERS];
    uint32_t n_makers, n_units, unit, multiple;
    uint32_t groups, rows, columns; /* of the reader; of one of its groups */
    const sqzi_input_statistics *input;
    double damping; /* what is added to the diagonal */
} sqzi_removal_target;

/* Without statistics: everything but input and damping. SQZ_EUNSUPPORTED. */
SQZ_NODISCARD sqz_status sqzi_removal_shape(const sqzi_weights *weights, uint32_t block,
                                            sqzi_removed what, sqzi_removal_target *target,
                                            sqz_error *error);
/* SQZ_EUNSUPPORTED, SQZ_EINVAL (statistics of another shape). */
SQZ_NODISCARD sqz_status sqzi_removal_find(const sqzi_weights *weights, uint32_t block,
                                           sqzi_removed what, const sqzi_input_statistics *input,
                                           sqzi_removal_target *target, sqz_error *error);

/* Of group g of the reader: [columns, columns] the covariance of its inputs, with something on its
 * diagonal; [rows, columns] its weights. */
void sqzi_removal_moments(const sqzi_removal_target *target, uint32_t g, double damping,
                          double *moments);
void sqzi_removal_weights(const sqzi_removal_target *target, uint32_t g, double *weights);

/* sqzi_removal_make, once the target is found. */
SQZ_NODISCARD sqz_status sqzi_removal_of(const sqzi_removal_target *target, bool plain,
                                         sqzi_removal *removal, sqz_error *error);

#endif
