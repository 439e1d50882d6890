/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels that gradients need beside those of kernel.h: a table of its own, in an archive of
 * its own, so that what only runs a model links none of them.
 *
 * The duties are those of kernel.h: portable C fills every slot, each instruction set of the
 * machine overlays what it does better, and the bits of an output depend on its own inputs alone.
 */
#ifndef SQZK_GRAD_TABLE_H
#define SQZK_GRAD_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/philox.h"
#include "kernel/kernel.h"

/* out[j][i] = x[i][j] for i < m, j < n, and out[j][i] = 0 for m <= i < filled.
 *
 *   type     SQZI_F32 (sqzi_real) or SQZI_BF16, of both; numbers are copied, NaNs with their bits
 *   x        [m, n], row stride ldx elements >= n
 *   out      [n, filled], row stride ldo elements >= filled; overlaps nothing of x
 *   filled   >= m. The rows of a bf16 gemm end at its prepared bytes, those of f32 at m
 *
 * A gradient of weights is a gemm over tokens, dW = dy' x: this turns dy [N, out] into its rows
 * [out, N]. m >= 1, n >= 1, any size. Reads and writes nothing but those numbers. Squares of a
 * vector: about one shuffle and one half of a load and store a vector, where both matrices stay in
 * the second-level cache.
 */
typedef struct sqzk_transpose_args {
    size_t m, n;
    sqzi_type type;
    const void *x;
    size_t ldx;
    void *out;
    size_t ldo;
    size_t filled;
} sqzk_transpose_args;

/* The backward of layer_norm (kernel.h), with its mean, its scale 1 / sqrt(variance + epsilon),
 * n = (x - mean) * scale and g = dy * weight, means over the n columns of a row:
 *
 *   dx[r] = scale * (g - mean of g - n * mean of g n)
 *   d_weight[j] = sum over rows of dy n,   d_bias[j] = sum over rows of dy
 *
 *   x          [m, n] what layer_norm read
 *   dx         may be dy
 *   d_weight, d_bias   [n], overwritten: the sums of these rows in order; both NULL: not wanted
 */
typedef struct sqzk_layer_norm_grad_args {
    size_t m, n;
    const sqzi_real *x;
    size_t ldx;
    const sqzi_real *weight;
    sqzi_real epsilon;
    const sqzi_real *dy;
    size_t lddy;
    sqzi_real *dx;
    size_t lddx;
    sqzi_real *d_weight, *d_bias;
} sqzk_layer_norm_grad_args;

/* The backward of a softmax p of scale * x, in the place of dp; over n columns, with q = dropped,
 * or p where that is NULL:
 *
 *   dp[r][j] = scale * (q[r][j] * dp[r][j] - p[r][j] * sum over i of q[r][i] dp[r][i] + add[r][j])
 *
 *   p         [m, n], a row sums to 1: the exponentials of softmax (kernel.h) times inverse
 *   dropped   [m, n] p behind its dropout, which dp is the gradient of; so dp needs no mask. Rows
 * as far apart as p's; NULL: none add       [m, n] a gradient of its inputs from elsewhere, or NULL
 */
typedef struct sqzk_softmax_grad_args {
    size_t m, n;
    const sqzi_real *p, *dropped;
    size_t ldp;
    sqzi_real *dp;
    size_t lddp;
    sqzi_real scale;
    const sqzi_real *add;
    size_t ldadd;
} sqzk_softmax_grad_args;

/* dx[j] = dy[j] * activation'(x[j]) for j < n; dx may be dy. ReLU has 0 at 0.
 *
 *   of_outputs   x[j] is activation's result, not its input; of IDENTITY, RELU and TANH alone
 */
typedef struct sqzk_activate_grad_args {
    sqzk_activation activation;
    bool of_outputs;
    size_t n;
    const sqzi_real *x, *dy;
    sqzi_real *dx;
} sqzk_activate_grad_args;

/* out[j] = (beta ? out[j] : 0) + the sum over m rows of x[r][j]: the rows' sums by `chain` of them,
 * each from its first row on, then these in order. So whoever adds whole chains one behind the
 * other gets the same bits. n columns. */
typedef struct sqzk_sum_rows_args {
    size_t m, n;
    const sqzi_real *x;
    size_t ldx;
    size_t chain; /* >= 1 */
    bool beta;
    sqzi_real *out;
} sqzk_sum_rows_args;

/* Dropout, forward and backward alike: a number is kept or 0, by its place, with no memory of it.
 *
 *   out[r][j] = (kept ? x[r][j] * scale : 0) + residual[r][j],   scale = 65536 / (65536 - share)
 *
 * Number j of row r has the place (row + r) * (n rounded up to 8) + j; it is kept where half-word
 * place % 8 (the lower one of a word first) of Philox4x32-10 (base/philox.h) with key seed and
 * counter {place / 8, example, epoch, stream} is >= share.
 *
 *   share      of 65536 numbers are dropped, < 65536: round(p * 65536)
 *   row        of the example: a token, or head * T + query; (row + m) * n/8 < 2^32
 *   stream     layer * 2^16 + site * 2^8 + view
 *   residual   [m, n], may be out; NULL for none
 *   out        may be x
 */
typedef struct sqzk_dropout_args {
    size_t m, n;
    const sqzi_real *x;
    size_t ldx;
    const sqzi_real *residual;
    size_t ldr;
    sqzi_real *out;
    size_t ldo;
    sqzi_philox_key seed;
    uint32_t share, row, example, epoch, stream;
} sqzk_dropout_args;

typedef struct sqzk_grad_table {
    uint32_t features;      /* what the table was made for */
    const char *rows_level; /* of the functions below: "portable", "avx2", ... */
    void (*transpose)(const sqzk_transpose_args *args);
    void (*layer_norm_grad)(const sqzk_layer_norm_grad_args *args);
    void (*softmax_grad)(const sqzk_softmax_grad_args *args);
    void (*activate_grad)(const sqzk_activate_grad_args *args);
    void (*sum_rows)(const sqzk_sum_rows_args *args);
    void (*dropout)(const sqzk_dropout_args *args);
} sqzk_grad_table;

/* Fill the table for a set of features (sqzi_cpu_detect, masked). */
void sqzk_grad_table_init(sqzk_grad_table *table, uint32_t features);

#endif
