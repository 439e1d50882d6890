/* SPDX-License-Identifier: Apache-2.0 */
/* Biases that take up what rounding the weights does to a layer's mean input, and the rounding
 * itself where its inputs have a say.
 *
 *   b' = b + s (W - W') m      m = mean of the layer's inputs, s = 1 over real texts, |m|^2 / mean
 *                              |x|^2 over random ids, in [0, 1]
 *
 * The inputs are those of the float model (observe.h). s is how much of an input its mean makes
 * up: near 1 where every token holds nearly the same vector, whose rounding error no other token
 * averages away, and small where the tokens of texts will have another mean than random ids
 * have. */
#ifndef SQZI_BIAS_CORRECTION_H
#define SQZI_BIAS_CORRECTION_H

#include "squeeze/gptq.h"
#include "squeeze/quantize_plan.h"

typedef struct sqzi_bias_correction {
    const sqzi_linear *linear;
    char bias_name[80];
    const sqzi_gguf_tensor *bias;       /* the source's, or NULL: the new file gets one */
    sqzi_quantized *weight, *a, *b;     /* NULL where the linear has none */
    double *sum;                        /* [n_in] of the inputs seen */
    double squares;                     /* of the inputs seen */
    uint64_t rows;
    uint32_t stage;                     /* when it runs: 0 with the embedding, 1 + i in block i */
    /* of its inputs, in the groups of weight and of a; squares NULL but while its stage runs over
     * texts */
    sqzi_moments of_weight, of_a;
    float *corrected;                   /* [n_out] b' */
} sqzi_bias_correction;

typedef struct sqzi_bias_corrections {
    const sqz_model *model;
    sqzi_bias_correction *list; /* [n]: the linears that hold a tensor which becomes int8 */
    uint32_t n;
    double *work;          /* mean, middles, outputs of any of them */
    void *block;
    size_t bytes;
} sqzi_bias_corrections;

/* Find the linears. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_bias_corrections_make(sqzi_quantize_plan *plan,
                                                    sqzi_bias_corrections *corrections,
                                                    sqz_error *error);
void sqzi_bias_corrections_discard(sqzi_bias_corrections *corrections);

/* The correction whose bias has this name, or NULL. */
const sqzi_bias_correction *sqzi_bias_corrections_find(const sqzi_bias_corrections *corrections,
                                                       const char *bias_name);

/* m more rows of its inputs: their sum and squares. */
void sqzi_bias_correction_see(sqzi_bias_correction *correction, size_t m, const sqzi_real *x,
                              size_t ldx);

/* Memory for the moments that choosing its integers takes (NULL base: counts). The caller zeroes
 * it, and adds to them. */
void sqzi_bias_correction_lay_out_moments(sqzi_bias_correction *correction, sqzi_arena *arena);

/* Once all rows are seen, the moments too: choose the integers of its tensors. The plan has been
 * measured. */
SQZ_NODISCARD sqz_status sqzi_bias_correction_gptq(sqzi_bias_correction *correction,
                                                   const sqzk_gemm *gemm, double *work,
                                                   sqz_error *error);

/* Find b' for the integers as they are chosen; in_full: s = 1. SQZ_ENUMERIC. */
SQZ_NODISCARD sqz_status sqzi_bias_correction_solve(sqzi_bias_correction *correction, bool in_full,
                                                    double *work, sqz_error *error);

#endif
