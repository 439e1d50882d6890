/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel table: every compute kernel the encoder calls, chosen once for the CPU's features and
 * const from then on.
 *
 * Portable C fills every slot first, then each instruction set of the machine overlays the slots it
 * does better, in ascending order. A gemm is a descriptor: its packed layout, block sizes and the
 * way it wants its rows prepared belong to it and go wherever it goes. doc/kernels.md has the
 * duties of a kernel writer.
 *
 * The law all of them keep: the bits of an output row depend on that row's inputs and the weights
 * alone, never on m, on the neighbouring rows, on how a caller cuts m or n, or on alignment. So
 * every output element is a sum of chains of multiply-adds over ascending k (for f32 and bf16
 * fused), cut where K and the level fix it, and there is no other code path for few rows.
 */
#ifndef SQZK_KERNEL_H
#define SQZK_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

/* X(NAME, "word of a model file"). gelu is by erf. */
#define SQZK_ACTIVATION_LIST(X)                                                                    \
    X(IDENTITY, "identity")                                                                        \
    X(GELU, "gelu") X(GELU_TANH, "gelu_tanh") X(RELU, "relu") X(TANH, "tanh")

typedef enum sqzk_activation {
#define SQZK_ACTIVATION(NAME, word) SQZK_##NAME,
    SQZK_ACTIVATION_LIST(SQZK_ACTIVATION)
#undef SQZK_ACTIVATION
} sqzk_activation;

#define SQZK_ACTIVATION(NAME, word) +1
enum { SQZK_ACTIVATIONS = 0 SQZK_ACTIVATION_LIST(SQZK_ACTIVATION) };
#undef SQZK_ACTIVATION

/* What happens to a finished tile while it is in registers:
 *
 *   y = activation(beta * c + product + bias) + residual
 *
 * The product of an s8 gemm is scale_row * scale_column * integer sum, computed as (float)sum *
 * (scale_row * scale_column): multiply, then add, no fma.
 */
typedef struct sqzk_epilogue {
    const sqzi_real *bias;     /* [n] or NULL */
    const sqzi_real *residual; /* [m, n], row stride ldr, or NULL; may be c itself */
    size_t ldr;
    sqzk_activation activation;
} sqzk_epilogue;

/* What an s8 row is besides its bytes (gemm_s8_portable.c has the definition): its largest number
 * may exceed a byte, and what is left of it is kept here, for the gemm that prepared the row. */
typedef struct sqzk_s8_row {
    float scale;
    uint32_t at;     /* byte of a panel where the weights that it multiplies begin */
    uint32_t excess; /* shifted to its place among the numbers that are multiplied at once */
    /* the rest of it, where it is over 255 and has a byte there; multiplies the same */
    uint32_t more;
} sqzk_s8_row;

/* C[m, n] = epilogue(beta * C + A[m, k] * B[k, n]).
 *
 *   a          prepared rows, row stride lda in BYTES (f32: the caller's own floats; lda a multiple
 *              of 4)
 *   s8_rows    [m] (s8, s16); NULL otherwise
 *   unsigned_rows   (s8) as the rows were prepared, and the panels packed
 *   b          panels as packed by the same descriptor, beginning at the panel that holds column 0
 *   c          f32, row stride ldc elements
 *   beta       0 or 1; with 0 c is not read
 *   epilogue   NULL for none
 *   c_bf16     NULL, or where the outputs go instead, as prepare of this level's bf16 gemm rounds
 *              them; row stride ldc elements, beta 0. Of gemms with writes_bf16 alone
 *
 * m >= 1, n >= 1, k >= 1, any size; of s8, k <= 66,000 (gemm_s8_panel.h). Writes exactly m x n
 * numbers; reads of a nothing past each row's prepared bytes.
 */
typedef struct sqzk_gemm_args {
    size_t m, n, k;
    const void *a;
    size_t lda;
    const sqzk_s8_row *s8_rows;
    bool unsigned_rows;
    const void *b;
    sqzi_real *c;
    size_t ldc;
    uint32_t beta;
    const sqzk_epilogue *epilogue;
    uint16_t *c_bf16;
} sqzk_gemm_args;

/* Where pack reads B[k, n] from: element (i of k, j of n) is source[i * k_stride + j * n_stride]. A
 * weight W [out, in] is n = out, k = in, n_stride = in, k_stride = 1; a matrix of activations [k,
 * n] is k_stride = ld, n_stride = 1.
 *
 *   type    SQZI_F32, SQZI_F16, SQZI_BF16 for the float gemms; SQZI_S8 for s8; SQZI_F32 for s16,
 *           where n_stride or k_stride is 1
 *   scale   [n] column scales, with SQZI_S8 only
 *   unsigned_rows   with SQZI_S8: the rows it will meet are prepared as unsigned
 *   sums    [n] with SQZI_S8: the sum of each column is written here; NULL where it is not wanted
 */
typedef struct sqzk_pack_args {
    size_t n, k;
    const void *source;
    size_t n_stride, k_stride; /* elements */
    sqzi_type type;
    const float *scale;
    bool unsigned_rows;
    int32_t *sums;
} sqzk_pack_args;

/* Rows of floats to rows the gemm takes.
 *
 *   x       [m, k] f32, row stride ldx
 *   out     row stride ldo bytes >= prepared_bytes(k); padding up to prepared_bytes is written
 *   s8_rows [m] (s8, s16); otherwise not touched
 *   unsigned_rows (s8) x + shift, which no number takes below 0, is what becomes integers, 0 ..
 *       255: twice the steps of signed ones. The product is
 *           that of x + shift. Without, shift is not read
 *
 * Returns false when an s8 row holds a NaN or an infinity (its output is then unspecified), else
 * true.
 */
typedef struct sqzk_prepare_args {
    size_t m, k;
    const sqzi_real *x;
    size_t ldx;
    void *out;
    size_t ldo;
    sqzk_s8_row *s8_rows;
    bool unsigned_rows;
    float shift;
} sqzk_prepare_args;

typedef struct sqzk_gemm {
    const char *name;      /* "gemm_f32_6x64_avx512": type, tile, level */
    const char *level;     /* "portable", "avx2", ... */
    uint32_t feature;      /* the SQZI_CPU_ bit it needs, 0 for portable */
    sqzi_type type;        /* of both inputs */
    /* rows of a tile, columns of a panel, k is padded to a multiple of kr in prepared rows and
     * panels */
    uint32_t mr, nr, kr;
    bool writes_bf16;      /* run knows c_bf16 */
    /* it multiplies faster than weights come from behind the second-level cache: many rows should
     * meet them at once */
    bool fast;
    void (*run)(const sqzk_gemm_args *args);
    void (*pack)(const sqzk_pack_args *args, void *packed);
    bool (*prepare)(const sqzk_prepare_args *args); /* NULL for f32: rows are used as they are */
} sqzk_gemm;

/* Bytes of one panel of nr columns and depth k (a multiple of 64); panel p begins at p *
 * panel_bytes. For s8 and s16 the panel ends with its column scales, for s8 also its
 * compensation. */
size_t sqzk_gemm_panel_bytes(const sqzk_gemm *gemm, size_t k);
/* Bytes of all panels of n columns. */
size_t sqzk_gemm_packed_bytes(const sqzk_gemm *gemm, size_t k, size_t n);
/* Bytes of a prepared row (a multiple of 64). */
size_t sqzk_gemm_prepared_bytes(const sqzk_gemm *gemm, size_t k);

/* out[r][:] = (x[r] - mean) / sqrt(variance + epsilon) * weight + bias over n columns; variance is
 * the population's. out may be x. Mean and variance are accumulated in two passes. */
typedef struct sqzk_layer_norm_args {
    size_t m, n;
    const sqzi_real *x;
    size_t ldx;
    const sqzi_real *weight, *bias;
    sqzi_real epsilon;
    sqzi_real *out;
    size_t ldo;
} sqzk_layer_norm_args;

/* Softmax but for its division, over n columns:
 *
 *   e[r][j] = exp(scale * x[r][j] - max_j),   inverse[r] = 1 / sum_j e[r][j], softmax = e * inverse
 *
 * Attention multiplies by inverse once a number of its context, not once a score. An exponential
 * below e^-88 counts as 0; below 2^-125.5 where it is rounded to bf16, from what lies within 2^-18
 * of itself.
 *
 *   x        [m, n], row stride ldx; scale > 0
 *   halves   NULL: e overwrites x. Else e goes there, rounded to bf16, zeros up to a multiple of 64
 *            bytes, and inverse is that of the rounded numbers' sum; row stride ldh elements, a
 *            multiple of 32
 */
typedef struct sqzk_softmax_args {
    size_t m, n;
    sqzi_real *x;
    size_t ldx;
    sqzi_real scale;
    sqzi_real *inverse;
    uint16_t *halves;
    size_t ldh;
} sqzk_softmax_args;

/* x[r][:] *= factor[r] over n columns. */
typedef struct sqzk_scale_rows_args {
    size_t m, n;
    sqzi_real *x;
    size_t ldx;
    const sqzi_real *factor;
} sqzk_scale_rows_args;

/* out[r][j] = x[r][index[j]] + residual[r][j] over n columns. index[j] < 2^31.
 *
 *   residual   [m, n], row stride ldr, may be out; NULL for none. out overlaps nothing else
 */
typedef struct sqzk_gather_args {
    size_t m, n;
    const sqzi_real *x;
    size_t ldx;
    const uint32_t *index; /* [n] */
    const sqzi_real *residual;
    size_t ldr;
    sqzi_real *out;
    size_t ldo;
} sqzk_gather_args;

/* out[j] = (beta ? out[j] : 0) + source[j] over n columns; each sum and product rounds once.
 *
 *   source   [n] of type: f32, f16, bf16, all exact, or s8 times scale
 */
typedef struct sqzk_convert_args {
    size_t n;
    const void *source;
    sqzi_type type;
    float scale;
    uint32_t beta;
    sqzi_real *out;
} sqzk_convert_args;

typedef struct sqzk_table {
    uint32_t features;                /* what the table was made for */
    const sqzk_gemm *gemm_f32;        /* never NULL */
    const sqzk_gemm *gemm_bf16;
    const sqzk_gemm *gemm_s8;
    /* attention of bf16 models: gemm_bf16 where the CPU multiplies bf16, else gemm_f32 */
    const sqzk_gemm *attention_bf16;
    /* of s8 models: gemm_bf16 where the CPU multiplies bf16 faster than f32, else in 16 bits where
     * it has that, else gemm_f32 */
    const sqzk_gemm *attention_s8;
    const char *rows_level;           /* of the functions below: "portable", "avx2", ... */
    void (*layer_norm)(const sqzk_layer_norm_args *args);
    void (*softmax)(const sqzk_softmax_args *args);
    void (*scale_rows)(const sqzk_scale_rows_args *args);
    void (*gather)(const sqzk_gather_args *args);   /* portable C but for AVX-512 */
    /* y[j] = activation(x[j]) for j < n; y may be x */
    void (*activate)(sqzk_activation activation, size_t n, const sqzi_real *x, sqzi_real *y);
    void (*convert)(const sqzk_convert_args *args);
} sqzk_table;

/* Fill the table for a set of features (sqzi_cpu_detect, masked). */
void sqzk_table_init(sqzk_table *table, uint32_t features);

/* Every gemm compiled in, for the checks and the bench: the i-th, NULL from the end on. */
const sqzk_gemm *sqzk_gemm_list(uint32_t i);

#endif
