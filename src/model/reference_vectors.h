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

/* What a model makes of the inputs of a reference vector. */
typedef struct sqzi_reference_results {
    uint32_t *ids;
    uint8_t *types;
    float *hidden, *logits;
    void *block;
    size_t bytes;
} sqzi_reference_results;

/* How many vectors the file carries; SQZ_ELIMIT above 1024. */
SQZ_NODISCARD sqz_status sqzi_reference_count(const sqz_model *model, uint32_t *count,
                                              sqz_error *error);
/* The j-th of them, its shapes checked against the model. */
SQZ_NODISCARD sqz_status sqzi_reference_find(const sqz_model *model, uint32_t j,
                                             sqzi_reference *reference, sqz_error *error);
/* Run the model, which may be another one of the same sizes, on the reference's inputs. Discard in
 * any case. */
SQZ_NODISCARD sqz_status sqzi_reference_run(const sqz_model *model, const sqzi_reference *reference,
                                            sqzi_reference_results *results, sqz_error *error);
void sqzi_reference_discard(const sqz_model *model, sqzi_reference_results *results);
/* The larger of `most` and the largest absolute difference between results and reference; a NaN
 * stays. */
double sqzi_reference_difference(const sqzi_reference *reference,
                                 const sqzi_reference_results *results, double most);
/* What results of f32 arithmetic may differ by from level to level: levels differ in the order of
 * their sums, some 2^-24 a layer of the largest number, and a thousand of those leave room for any
 * depth. */
double sqzi_reference_f32_tolerance(double largest);

#endif
