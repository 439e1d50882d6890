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

#include "base/real.h"

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

typedef struct sqzk_grad_table {
    uint32_t features;      /* what the table was made for */
    const char *rows_level; /* of the functions below: "portable", "avx2", ... */
    void (*transpose)(const sqzk_transpose_args *args);
} sqzk_grad_table;

/* Fill the table for a set of features (sqzi_cpu_detect, masked). */
void sqzk_grad_table_init(sqzk_grad_table *table, uint32_t features);

#endif
