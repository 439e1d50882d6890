/* SPDX-License-Identifier: Apache-2.0 */
/* By how much a model's output changes for an error in one of its linears or tables.
 *
 *     change (trial.h) = sensitivity * relative error,    of a linear  tr(D C D') / tr(W C W')
 *
 * with D what its weights W are off by and C the covariance of what it reads about its mean (the
 * mean is the bias's). Measured: normal noise of SQZI_SENSITIVITY_NOISE of that, in each row as
 * large as its weights are, is put into one linear at a time (Philox: always the same), and the
 * model runs from its block on. Of errors a few times as large and as small the change is
 * proportional, and that of several is their sum.
 */
#ifndef SQZI_SENSITIVITY_H
#define SQZI_SENSITIVITY_H

#include "squeeze/statistics.h"
#include "squeeze/trial.h"

#define SQZI_SENSITIVITY_NOISE 0.01

typedef struct sqzi_sensitivities {
    const sqz_allocator *allocator;
    uint32_t n_blocks;
    double (*linears)[SQZI_BLOCK_LINEARS]; /* [n_blocks] */
    /* of the word table, for sum_r f_r |d_r|^2 / sum_r f_r |e_r - mean|^2, f_r = 1 + how often a
     * word occurs (embedding_levers.h); of the positions, unweighted, for those that were seen */
    double words, positions;
} sqzi_sensitivities;

/* `weights` are the model's own, as are the statistics; the trial is as it was opened, and after
 * the call again. Cost: the trial's texts run through half the model for every linear.
 * Progress as sqz_quantize_options. SQZ_ENOMEM, SQZ_ECANCELLED. Discard in any case. */
SQZ_NODISCARD sqz_status
sqzi_sensitivities_make(const sqzi_weights *weights, const sqzi_statistics *statistics,
                        sqzi_trial *trial, int (*progress)(void *user, size_t done, size_t total),
                        void *user, sqzi_sensitivities *sensitivities, sqz_error *error);
void sqzi_sensitivities_discard(sqzi_sensitivities *sensitivities);

/* tr(V C V') of a whole matrix V [rows, columns of a group] of a linear with these inputs (`order`
 * as sqzi_weight_linear.in). SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_output_variance(const sqz_model *model,
                                              const sqzi_weight_matrix *shape, const float *values,
                                              const sqzi_input_statistics *input,
                                              const uint32_t *order, double *variance,
                                              sqz_error *error);

#endif
