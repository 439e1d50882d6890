/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in memory (weights.h) to integers: what is written is scale * integer, and `values` stay
 * as they are, so that another storage can be tried.
 *
 * To the nearest, or, where what the matrix reads is known, so that errors cancel on it (gptq.h).
 * Multipliers of packed rows are chosen first (group_scales.h).
 */
#ifndef SQZI_ROUND_WEIGHTS_H
#define SQZI_ROUND_WEIGHTS_H

#include "squeeze/statistics.h"
#include "squeeze/weights.h"

/* Round one matrix; SQZI_STORED_F32 takes its integers away.
 *
 *   covariance   NULL: to the nearest; else [n, n] of n = groups * columns inputs: input j of the
 *                matrix is row and column order[j] of it, or j where order is NULL
 *   error        ‖W - W'‖ / ‖W‖, 0 for a matrix of zeros; may be NULL
 *
 * SQZ_ENOMEM; SQZ_ENUMERIC where a covariance is not finite. */
SQZ_NODISCARD sqz_status sqzi_weights_round_matrix(const sqzi_weights *weights,
                                                   sqzi_storage storage, const float *covariance,
                                                   const uint32_t *order,
                                                   sqzi_weight_matrix *matrix, double *error_of,
                                                   sqz_error *error);

/* Round every matrix of a linear by what it reads, B of a term B (A x) by what A, rounded, makes of
 * that, and let the bias take up what this does to the mean: b' = b + (W - W') mean; a bias is
 * added where there is none. statistics NULL, or with n = 0: to the nearest, and the bias stays.
 * A linear is rounded once: of one whose bias took something up, the matrices say no more what that
 * was. Errors as above. */
SQZ_NODISCARD sqz_status sqzi_weights_round_linear(const sqzi_weights *weights,
                                                   sqzi_storage storage,
                                                   const sqzi_input_statistics *statistics,
                                                   sqzi_weight_linear *linear, sqz_error *error);

/* bias += sum over terms (W - W') mean, for a linear whose matrices are rounded: the second half of
 * the above, for whoever rounds matrices himself. mean [n_in] of x before `in`. */
SQZ_NODISCARD sqz_status sqzi_weights_correct_bias(const sqzi_weights *weights, const float *mean,
                                                   sqzi_weight_linear *linear, sqz_error *error);

/* values [rows, columns] as they are written. */
void sqzi_weight_matrix_written(const sqzi_weight_matrix *matrix, float *values);

/* What is written for number i of row r. */
double sqzi_weight_written(const sqzi_weight_matrix *matrix, size_t r, size_t i);

#endif
