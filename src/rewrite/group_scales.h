/* SPDX-License-Identifier: Apache-2.0 */
/* What the integers of a row are multiples of: one scale a row for int8, a scale and a multiplier
 * for each group of 32 for packed rows (io/packed_rows.h).
 *
 *     w_i = about scale * q_i,   q_i = m(i / 32) * level,   level one of 16, 8 or 4
 *
 * Of each group the step scale * m is found that makes the sum of (w_i - step level_i)^2 least,
 * level_i the nearest, from the step that cuts no weight off down to half of it. The scale is 1.25
 * times the widest of these over the largest multiplier, and each group gets the multiplier that is
 * best with it.
 *
 * Measured on MiniLM-L6 with GPTQ (int3 throughout, 800 texts of books that were not calibrated
 * on): mean cosine to the float model's vectors 0.942, of ten nearest neighbours 0.725 kept; with
 * steps that cut nothing off 0.912 and 0.662. The best of four scales instead of one changes
 * nothing (0.940, 0.718), nor do errors weighted by the inputs' variances (0.942, 0.724).
 */
#ifndef SQZI_GROUP_SCALES_H
#define SQZI_GROUP_SCALES_H

#include "rewrite/rounding.h"

/* bits 8: max |w| / 127, and no multipliers; 4, 3, 2: of a row of n <= 65,536 multipliers
 * [ceil(n / 32)] are written. A row of zeros has scale 0 and multipliers 1. features: of the CPU,
 * for the kernel (kernel/optim/optim_table.h), whose bits do not depend on them. */
float sqzi_group_scales(uint32_t features, uint32_t bits, const float *weights, size_t n,
                        uint8_t *multipliers);

/* The nearest integer to x = w / scale in a group of multiplier m: m times a level, or for bits 8
 * within [-127, 127], half to even. */
int sqzi_nearest_integer(uint32_t bits, double x, uint32_t m);

/* A whole row to nearest; adds to *error. multipliers NULL: bits 8. */
void sqzi_integer_row(uint32_t bits, const float *weights, size_t n, float scale,
                      const uint8_t *multipliers, int8_t *integers, sqzi_rounding_error *error);

#endif
