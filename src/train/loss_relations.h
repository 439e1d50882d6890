/* SPDX-License-Identifier: Apache-2.0 */
/* Relations of a student and its teacher: the form of loss_distil.h whose units are heads of
 * sequences, with T² numbers each. Scores, softmax and d are sqzi_real, by the kernels of
 * attention; sums of a row are in double.
 *
 *   z = x x' / sqrt(d)   p = softmax(z_t)   q = softmax(z_s)
 *   loss of a row = sum p (z_t - z_s) + log sum e^z_s - log sum e^z_t
 *   G = scale (q - p) / sqrt(d)   d_s += G s + G' s
 */
#ifndef SQZI_LOSS_RELATIONS_H
#define SQZI_LOSS_RELATIONS_H

#include "train/loss_distil.h"

uint32_t sqzi_relations_units(const sqzi_distil_term *term);
/* Doubles. */
size_t sqzi_relations_scratch(const sqzi_distil_term *term);
double sqzi_relations_unit(const sqzi_distil_term *term, uint32_t unit, double *scratch);

#endif
