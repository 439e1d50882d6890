/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of weights in memory (weights.h), and what of the model is not among them. */
#ifndef SQZI_WEIGHTS_DESCRIBE_H
#define SQZI_WEIGHTS_DESCRIBE_H

#include "squeeze/weights.h"

/* The model's metadata with the description of these blocks, their permutations, and the features
 * that a reader must know of this file. SQZ_ENOMEM, SQZ_ELIMIT. */
SQZ_NODISCARD sqz_status sqzi_weights_describe(const sqzi_weights *weights,
                                               sqzi_gguf_writer *writer, const sqzi_step *step,
                                               sqz_error *error);

/* Tensor i of the model goes into the new file as it is. */
bool sqzi_weights_carry(const sqzi_weights *weights, uint32_t i);

/* A tensor of that name is carried, but as ones, or zeros. */
bool sqzi_weights_is_new_norm(const sqzi_weights *weights, sqzi_span name);

#endif
