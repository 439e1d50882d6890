/* SPDX-License-Identifier: Apache-2.0 */
/* What each tensor of a model becomes: chosen by its name and type, measured, and emitted while the
 * new file is written. */
#ifndef SQZI_QUANTIZE_PLAN_H
#define SQZI_QUANTIZE_PLAN_H

#include <squeezebert/squeeze.h>

#include "model/loader.h"
#include "rewrite/rounding.h"

typedef struct sqzi_quantized {
    const sqzi_gguf_tensor *from;
    const char *name;      /* the model's */
    sqzi_type to;
    bool changed, kept;
    uint32_t bits;         /* of SQZI_S8: 8, or of packed rows 4 or 3 */
    float *scale;          /* [rows] of a tensor of integers */
    uint8_t *multipliers;  /* [rows, ceil(columns / 32)] of packed rows, else NULL */
    /* the integers where the tensor's inputs had a say (gptq.h), else NULL: each number to the
     * nearest */
    int8_t *chosen;
    struct sqzi_quantize_plan *plan;
} sqzi_quantized;

typedef struct sqzi_quantize_plan {
    const sqz_model *model;
    sqzi_type *target;       /* [n] what each is to become */
    sqzi_quantized *tensors; /* [n] */
    uint32_t n, n_changed, n_kept;
    uint32_t bits;           /* of the tensors that become integers */
    float *row;              /* a converted row of any tensor */
    double *after;           /* the same as the new file will mean it */
    void *rounded;
    uint8_t *packed;         /* a row of that */
    void *block;
    size_t bytes;
} sqzi_quantize_plan;

/* Choose: every tensor's target, with keep(user, name) asked for those that would change. Lays out
 * memory; discard in any case. */
typedef bool sqzi_quantize_keep(const void *user, const char *name);
SQZ_NODISCARD sqz_status sqzi_quantize_plan_make(const sqz_model *model, sqz_quantize_type type,
                                                 sqzi_quantize_keep *keep, const void *user,
                                                 sqzi_quantize_plan *plan, sqz_error *error);
void sqzi_quantize_plan_discard(sqzi_quantize_plan *plan);

/* Find the scales and the error of tensor i, in one pass. SQZ_ENUMERIC. */
SQZ_NODISCARD sqz_status sqzi_quantize_measure(sqzi_quantize_plan *plan, uint32_t i,
                                               sqz_quantized_tensor *report, sqz_error *error);

/* Row r of a tensor of a measured plan: as it is, and as the new file will mean it; either may be
 * NULL. Valid until the next call. */
SQZ_NODISCARD sqz_status sqzi_quantize_row(sqzi_quantized *t, uint64_t r, const float **before,
                                           const double **after, sqz_error *error);

/* before += T x_before and after += T' x_after, for the matrix T that tensor t of a measured plan
 * stores and the one T' that the new file will: block diagonal, group g of the rows reads group g
 * of the inputs. T' is T where the tensor stays. */
SQZ_NODISCARD sqz_status sqzi_quantize_multiply(sqzi_quantized *t, uint32_t groups,
                                                const double *x_before, const double *x_after,
                                                double *before, double *after, sqz_error *error);

/* How a changed tensor is called in the new file, and its numbers of bytes [rows, columns]. */
void sqzi_quantize_form(const sqzi_quantized *t, char name[SQZI_STORED_NAME], uint64_t shape[2]);

/* sqzi_gguf_emit of a changed tensor; source is its sqzi_quantized, measured. */
sqz_status sqzi_quantize_emit(void *source, sqzi_file_writer *file, sqz_error *error);

#endif
