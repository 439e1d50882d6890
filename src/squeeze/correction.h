/* SPDX-License-Identifier: Apache-2.0 */
/* Biases that take up what rounding the weights does to a layer's mean input.
 *
 *   b' = b + s (W - W') m      m = mean of the layer's inputs, s = |m|^2 / mean |x|^2, in [0, 1]
 *
 * The inputs are those of the float model over sequences of random ids. s is how much of an input its mean makes up: near 1 where every token holds
 * nearly the same vector, whose rounding error no other token averages away, and small where the tokens of other texts will have another mean. */
#ifndef SQZI_CORRECTION_H
#define SQZI_CORRECTION_H

#include "squeeze/quantize_plan.h"

enum { SQZI_CALIBRATION_SEQUENCES = 32, SQZI_CALIBRATION_LENGTH = 64 };

typedef struct sqzi_correction {
    const sqzi_linear *linear;
    char bias_name[64];
    const sqzi_gguf_tensor *bias;       /* the source's, or NULL: the new file gets one */
    sqzi_quantized *weight, *a, *b;     /* NULL where the linear has none */
    double *sum;                        /* [n_in] of the inputs seen */
    double squares;                     /* of the inputs seen */
    uint64_t rows;
    float *corrected;                   /* [n_out] b' */
} sqzi_correction;

typedef struct sqzi_corrections {
    const sqz_model *model;
    sqzi_correction *list; /* [n]: the linears that hold a tensor which becomes int8 */
    uint32_t n;
    double *work;          /* mean, middles, outputs of any of them */
    void *block;
    size_t bytes;
} sqzi_corrections;

/* Find the linears. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_corrections_make(sqzi_quantize_plan *plan, sqzi_corrections *corrections, sqz_error *error);
void sqzi_corrections_discard(sqzi_corrections *corrections);

/* The correction whose bias has this name, or NULL. */
const sqzi_correction *sqzi_corrections_find(const sqzi_corrections *corrections, const char *bias_name);

/* Run the float model on random ids (the same every time) and find every b'. The plan has been measured. SQZ_ENUMERIC, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_corrections_calibrate(sqzi_corrections *corrections, sqz_error *error);

/* The last step alone, for tests: b' of one linear from its sums. */
SQZ_NODISCARD sqz_status sqzi_correction_solve(sqzi_correction *correction, double *work, sqz_error *error);

#endif
