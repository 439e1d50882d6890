/* SPDX-License-Identifier: Apache-2.0 */
/* Reference vectors: inputs that a model file carries with the results of the portable kernels
 * (doc/format.md "Provenance and proof"). */
#ifndef SQZI_REFERENCE_VECTORS_H
#define SQZI_REFERENCE_VECTORS_H

#include "model/loader.h"

typedef struct sqzi_reference {
    uint32_t length;
    const sqzi_gguf_tensor *ids, *types, *hidden, *logits; /* logits NULL: the file carries none */
} sqzi_reference;

/* How many vectors the file carries; SQZ_ELIMIT above 1024. */
SQZ_NODISCARD sqz_status sqzi_reference_count(const sqz_model *model, uint32_t *count,
                                              sqz_error *error);
/* The j-th of them, its shapes checked against the model. */
SQZ_NODISCARD sqz_status sqzi_reference_find(const sqz_model *model, uint32_t j,
                                             sqzi_reference *reference, sqz_error *error);
/* What results of f32 arithmetic may differ by from level to level: levels differ in the order of
 * their sums, some 2^-24 a layer of the largest number, and a thousand of those leave room for any
 * depth. */
double sqzi_reference_f32_tolerance(double largest);

#endif
