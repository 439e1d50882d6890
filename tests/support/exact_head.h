/* SPDX-License-Identifier: Apache-2.0 */
/* A model's head in double, on hidden states that are given: what logits are to be, and how far
 * from that a model with rounded weights may be. */
#ifndef SQZT_EXACT_HEAD_H
#define SQZT_EXACT_HEAD_H

#include <squeezebert/session.h>

#include "model/loader.h"

/* logits [rows, K] of hidden [N, C] by the head of `exact`, an f32 model. bound [rows, K]: the most
 * that the head of `rounded` may be off, whose two-dimensional tensors are those of `exact` rounded
 * to the types that they have there; rows of the same type are rounded before a product. Rows and
 * classes: at most 64,
 * as is every width. */
void sqzt_exact_head(const sqz_model *exact, const sqz_model *rounded, const sqz_batch *batch,
                     const float *hidden, double *logits, double *bound);

#endif
