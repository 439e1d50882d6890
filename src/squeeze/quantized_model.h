/* SPDX-License-Identifier: Apache-2.0 */
/* A model file, opened in another type. */
#ifndef SQZI_QUANTIZED_MODEL_H
#define SQZI_QUANTIZED_MODEL_H

#include <stdbool.h>

#include <squeezebert/squeeze.h>

/* True when a tensor of the model holds integers. */
bool sqzi_has_integers(const sqz_model *model);

/* As sqz_quantize without options, then sqz_model_open. The file is a temporary one beside `place`,
 * which need not be there; it is gone when this returns: the model keeps what it mapped. As these
 * two; SQZ_EOUTPUT: no file can be written there. */
SQZ_NODISCARD sqz_status sqzi_quantized_open(sqz_context *context, const char *path,
                                             sqz_quantize_type type, const char *place,
                                             sqz_model **model, sqz_error *error);

/* A model's weights as f32, whatever they are stored as: the numbers that a run of it has of them,
 * bit for bit. As sqzi_weights_of and sqzi_weights_write. */
SQZ_NODISCARD sqz_status sqzi_floats_write(const sqz_model *from, const char *out,
                                           sqz_error *error);
/* The same, opened as sqzi_quantized_open has it. */
SQZ_NODISCARD sqz_status sqzi_floats_open(const sqz_model *from, const char *place,
                                          sqz_model **model, sqz_error *error);

#endif
