/* SPDX-License-Identifier: Apache-2.0 */
/* What the integers of a row are multiples of: one scale a row for int8, a scale and a multiplier
 * for each group of 32 for packed rows (io/packed_rows.h).
 *
 *     w_i = about scale * q_i,   q_i = m(i / 32) * level,   level one of 16, 8 or 4
 *
 * Of each group the step scale * m is chosen that makes the sum of v_i (w_i - scale q_i)^2 least,
 * q the nearest and v_i the variance of input i (1 where it is not known): a step too large rounds
 * too coarsely, one too small cuts the largest weights off. The groups' best steps share a scale,
 * of which each must be a multiple of 1 .. the largest multiplier: some scales are tried and the
 * best is kept.
 */
#ifndef SQZI_GROUP_SCALES_H
#define SQZI_GROUP_SCALES_H

#include "squeeze/rounding.h"

/* bits 8: max |w| / 127, and no multipliers; 4, 3, 2: multipliers [ceil(n / 32)] are written.
 * variance [n], or NULL. A row of zeros has scale 0 and multipliers 1. */
float sqzi_group_scales(uint32_t bits, const float *weights, const float *variance, size_t n,
                        uint8_t *multipliers);

/* The nearest integer to x = w / scale in a group of multiplier m: m times a level, or for bits 8
 * within [-127, 127], half to even. */
int sqzi_nearest_integer(uint32_t bits, double x, uint32_t m);

/* A whole row to nearest; adds to *error. multipliers NULL: bits 8. */
void sqzi_integer_row(uint32_t bits, const float *weights, size_t n, float scale,
                      const uint8_t *multipliers, int8_t *integers, sqzi_rounding_error *error);

#endif
