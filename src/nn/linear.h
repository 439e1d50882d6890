/* SPDX-License-Identifier: Apache-2.0 */
/* A linear layer y = W x + b, where W is a sum of terms, each block diagonal and whole or of low
 * rank; inputs and outputs may be permuted.
 *
 *   term, whole:      group g:  y_g = W_g x_g                    W_g [out/G, in/G]
 *   term, low rank:   group g:  y_g = B_g (A_g x_g)              A_g [R, in/G], B_g [out/G, R]
 *   y[out[j]] = activation(sum of terms + b)[j] + residual[out[j]],   x_j read as x[in[j]]
 *
 * Each matrix carries its gemm, so types may differ between layers and terms. Where the gemm's rows
 * are not plain floats, they are prepared once and may serve several linears (Q, K and V) or both
 * terms. The middle of a low-rank pair is prepared again, row by row.
 *
 * A permutation that keeps every number in its group, as all do where there is one group, costs
 * nothing: the weights are packed in its order, `out` moves their rows and `in` the k of every row,
 * so a chain over k runs as if the file had held them in that order. Any other is a gather: of x
 * into rows of its own before a matrix that needs it, of a row's outputs to their places at its
 * end, with the residual. Neither changes a bit.
 */
#ifndef SQZI_LINEAR_H
#define SQZI_LINEAR_H

#include "base/memory.h"
#include "base/threads.h"
#include "kernel/kernel.h"

/* How the numbers of a matrix became its panels, and do again (nn/pack.h). */
typedef struct sqzi_packing {
    /* NULL, or permutations that keep their groups: column i of the numbers as a file stores them
     * reads input in[i], their row j makes output out[j] */
    const uint32_t *in, *out;
    bool transposed; /* the numbers lie [n_in, n_out], of a group each */
} sqzi_packing;

/* A block-diagonal matrix in packed form: group g is [n_out/groups, n_in/groups]. */
typedef struct sqzi_matrix {
    uint32_t n_in, n_out, groups;
    const sqzk_gemm *gemm;
    const unsigned char *packed; /* group g at g * group_bytes */
    size_t group_bytes;
    const uint32_t *gather;      /* [n_in] or NULL: the j-th input is x[gather[j]] */
    /* s8: what it multiplies is x + zero_point, and the linear's bias takes that off again */
    bool unsigned_rows;
    float zero_point;
    sqzi_packing packing;
    /* of floats, for gradients where `gemm` is of s8; NULL: `gemm` */
    const sqzk_gemm *grad_gemm;
} sqzi_matrix;

static inline const sqzk_gemm *sqzi_grad_gemm(const sqzi_matrix *matrix)
{
    return matrix->grad_gemm ? matrix->grad_gemm : matrix->gemm;
}

typedef struct sqzi_term {
    sqzi_matrix a; /* first factor; a.packed NULL: the term is whole and b alone */
    sqzi_matrix b;
} sqzi_term;

enum { SQZI_MAX_TERMS = 2 };

typedef struct sqzi_linear {
    uint32_t n_in, n_out, n_terms;
    sqzi_term terms[SQZI_MAX_TERMS];
    const sqzi_real *bias;   /* [n_out] or NULL, in the order of the packed weights */
    bool bias_is_zero_point; /* the model has none: it takes off what a zero point adds, and no more
                              */
    /* [n_in] or NULL: what the layer means; how it runs stands in the matrices and in `from` */
    const uint32_t *in;
    const uint32_t *out;     /* [n_out] or NULL: the same */
    /* whose gather moves what is not packed in its place; may be NULL where nothing is moved */
    const sqzk_table *kernels;
    /* [n_out] or NULL where outputs are packed in their places: y[o] is the packed weights' output
     * from[o] */
    const uint32_t *from;
} sqzi_linear;

/* Working memory of one team member for linears of at most `rows` rows, laid out by
 * sqzi_linear_scratch for the largest of them. */
typedef struct sqzi_linear_scratch {
    unsigned char *prepared;     /* rows for the gemm */
    sqzk_s8_row *s8_rows;
    sqzi_real *middle;           /* output of the first factor */
    unsigned char *prepared_middle;
    sqzk_s8_row *middle_s8_rows;
    sqzi_real *gathered;         /* permuted inputs */
    sqzi_real *permuted;         /* outputs before they go to their places */
    size_t prepared_bytes, s8_row_n, middle_n, prepared_middle_bytes, middle_s8_row_n, gathered_n,
        permuted_n;
} sqzi_linear_scratch;

/* Bytes of its packed weights. */
size_t sqzi_linear_bytes(const sqzi_linear *linear);

/* Raise the sizes in *scratch to what the linear needs for `rows` rows. */
void sqzi_linear_need(const sqzi_linear *linear, size_t rows, sqzi_linear_scratch *scratch);
void sqzi_linear_scratch_layout(sqzi_linear_scratch *scratch, sqzi_arena *arena);

/* Where y goes and what is done on the way. */
typedef struct sqzi_linear_args {
    size_t m;
    const sqzi_real *x;
    size_t ldx;
    sqzi_real *y;
    size_t ldy;
    sqzk_activation activation;
    const sqzi_real *residual; /* [m, n_out], may be y, or NULL */
    size_t ldr;
    /* the scratch holds these rows already, prepared by a linear with sqzi_linear_same_input */
    bool prepared;
    const uint16_t *x_bf16;    /* not NULL: what is read instead of x; row stride ldx */
    uint16_t *y_bf16;          /* not NULL: what is written instead of y; row stride ldy */
} sqzi_linear_args;

/* x_bf16 may be set: the linear rounds its rows to bf16 in any case, to rows that are nothing but
 * their numbers. */
bool sqzi_linear_reads_bf16(const sqzi_linear *linear);

/* y_bf16 may be set: the outputs are those that a linear which reads bf16 would make of y. */
bool sqzi_linear_writes_bf16(const sqzi_linear *linear);

/* All columns of m rows. False when an int8 layer met a NaN or an infinity. */
bool sqzi_linear_run(const sqzi_linear *linear, const sqzi_linear_args *args,
                     sqzi_linear_scratch *scratch);

/* Some columns of the same, cut where sqzi_linear_can_cut says so. `prepared` only after a call
 * with the same columns. */
bool sqzi_linear_run_columns(const sqzi_linear *linear, const sqzi_linear_args *args,
                             sqzi_linear_scratch *scratch, sqzi_range columns);
bool sqzi_linear_can_cut(const sqzi_linear *linear, size_t column);

/* Part `part` of `parts` of the same: whole panels of columns where the linear has one term and its
 * outputs lie in their places, else rows. */
bool sqzi_linear_run_part(const sqzi_linear *linear, const sqzi_linear_args *args,
                          sqzi_linear_scratch *scratch, size_t part, size_t parts);

/* Each group of the second reads nothing but the same group of the first, and neither moves numbers
 * between: they may run group by group. */
bool sqzi_linear_in_groups(const sqzi_linear *first, const sqzi_linear *second);

/* Group g alone, of a linear that is one whole term without permutations: args->x, y and residual
 * begin at its own inputs and outputs. */
bool sqzi_linear_run_group(const sqzi_linear *linear, uint32_t g, const sqzi_linear_args *args,
                           sqzi_linear_scratch *scratch);

/* Both prepare their rows alike, so that `prepared` may be set for the second. */
bool sqzi_linear_same_input(const sqzi_linear *first, const sqzi_linear *second);

#endif
