/* SPDX-License-Identifier: Apache-2.0 */
/* The f32 gemm on vectors: up to 6 rows times up to TILE_VECTORS vectors of columns held in registers over the whole of k.
 *
 * Include after a vector_<isa>.h with TILE_VECTORS (2 or 4), GEMM_NAME and GEMM_LEVEL, GEMM_FEATURE defined. Accumulators are variables with names:
 * gcc 12 keeps an array of them in memory. Each output is the sum of its blocks of k, in order, and each block one chain of fused multiply-adds over ascending k,
 * whatever the tile: a chain over all of k would lose two bits at k = 3072.
 *
 * Packed: panel p holds columns p*NR .. p*NR + NR-1, k after k: float [k][NR], columns past n are 0.
 */
#include "base/cpu.h"
#include "base/half.h"
#include "kernel/gemm/gemm_f32_block.h"

#include <string.h>

enum { MR = 6, NR = TILE_VECTORS * V_WIDTH };

#include "kernel/gemm/tile_target.h"

#if TILE_VECTORS == 4
#define COLUMNS_3_4(X, i) X(i, 2) X(i, 3)
#else
#define COLUMNS_3_4(X, i)
#endif
#define COLUMNS(X, i) X(i, 0) X(i, 1) COLUMNS_3_4(X, i)
#define ROWS(X) COLUMNS(X, 0) COLUMNS(X, 1) COLUMNS(X, 2) COLUMNS(X, 3) COLUMNS(X, 4) COLUMNS(X, 5)

/* One block of k: to = (sums +) product + bias + residual, where sums [MR][NR] are those of the blocks before, if any.
 * rows and vectors are constants of each instantiation: what they exclude is not compiled. */
static inline __attribute__((always_inline)) void tile(size_t rows, size_t vectors, size_t k, const float *a, size_t lda, const float *b, const float *sums, const target *to)
{
#define DECLARE(i, j) vec c##i##j = v_set(0.0f);
    ROWS(DECLARE)
#undef DECLARE
    for (size_t p = 0; p < k; p++, b += NR) {
        const vec b0 = v_load(b);
        const vec b1 = vectors > 1 ? v_load(b + V_WIDTH) : b0;
#if TILE_VECTORS == 4
        const vec b2 = vectors > 2 ? v_load(b + 2 * V_WIDTH) : b0;
        const vec b3 = vectors > 3 ? v_load(b + 3 * V_WIDTH) : b0;
#endif
#define MULTIPLY(i, j) \
    if (j < vectors) c##i##j = v_fma(x, b##j, c##i##j);
#define ROW(i)                             \
    if (i < rows) {                        \
        const vec x = v_set(a[i * lda + p]); \
        COLUMNS(MULTIPLY, i)               \
    }
        ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5)
#undef ROW
#undef MULTIPLY
    }
#define ADD(i, j) \
    if (i < rows && j < vectors) c##i##j = v_add(v_load(sums + i * NR + j * V_WIDTH), c##i##j);
    if (sums) {
        ROWS(ADD)
    }
#undef ADD
    float *out = to->out;
    const float *bias = to->bias, *residual = to->residual;
    const size_t ldo = to->ldo, ldr = to->ldr;
#define END(i, j)                \
    if (i < rows && j < vectors) \
        v_store(out + i * ldo + j * V_WIDTH, v_add(v_add(c##i##j, v_load(bias + j * V_WIDTH)), v_load(residual + i * ldr + j * V_WIDTH)));
    ROWS(END)
#undef END
}

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, size_t vectors, size_t k, const float *a, size_t lda, const float *b, const float *sums, const target *to)
{
    switch (rows * 4 + vectors - 1) {
#define CASE(r, v) \
    case (r) * 4 + (v) - 1: tile(r, v, k, a, lda, b, sums, to); break;
#if TILE_VECTORS == 4
#define CASES(r) CASE(r, 1) CASE(r, 2) CASE(r, 3) CASE(r, 4)
#else
#define CASES(r) CASE(r, 1) CASE(r, 2)
#endif
        CASES(1) CASES(2) CASES(3) CASES(4) CASES(5) CASES(6)
#undef CASES
#undef CASE
    }
}

/* One tile of rows x n, block by block: the sums between stay in a buffer, as the residual may be c. */
static void run_tile(const sqzk_gemm_args *args, size_t row, size_t rows, size_t column, size_t n, const float *b)
{
    float buffer[MR * NR] __attribute__((aligned(64)));
    const size_t lda = args->lda / sizeof(float), vectors = (n + V_WIDTH - 1) / V_WIDTH;
    const float *a = (const float *)args->a + row * lda, *sums = NULL;
    const target between = {buffer, nothing, nothing, NR, 0};
    target to;
    const bool direct = direct_target(args, row, column, n, buffer, &to);
    for (size_t begin = 0; begin < args->k; begin += GEMM_F32_BLOCK, sums = buffer) {
        const size_t left = args->k - begin, part = left < GEMM_F32_BLOCK ? left : GEMM_F32_BLOCK;
        tile_of(rows, vectors, part, a + begin, lda, b + begin * NR, sums, part == left ? &to : &between);
    }
    if (!direct) finish_buffer(args, buffer, row, rows, column, n);
}

static void run(const sqzk_gemm_args *args)
{
    const float *b = args->b;
    const size_t panel = (args->k * NR * sizeof(float) + 63) / 64 * 64 / sizeof(float);
    for (size_t column = 0; column < args->n; column += NR, b += panel) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0, rows; row < args->m; row += rows) {
            rows = tile_rows(args->m, row, MR);
            run_tile(args, row, rows, column, n, b);
        }
    }
}

/* V_WIDTH columns of b, each contiguous over k: transposed block by block. */
static void pack_transposed(const float *source, size_t n_stride, size_t k, float *out)
{
    size_t p = 0;
    for (; p + V_WIDTH <= k; p += V_WIDTH) v_transpose(source + p, n_stride, out + p * NR, NR);
    for (; p < k; p++)
        for (size_t j = 0; j < V_WIDTH; j++) out[p * NR + j] = source[j * n_stride + p];
}

static inline vec load_typed(const void *source, size_t i, sqzi_type type)
{
    if (type == SQZI_F16) return v_from_f16((const uint16_t *)source + i);
    if (type == SQZI_BF16) return v_from_bf16((const uint16_t *)source + i);
    return v_load((const float *)source + i);
}

/* n <= NR columns from `column` on, any type and strides, V_WIDTH columns at a time where they can be moved as vectors. */
static void pack_panel(const sqzk_pack_args *args, size_t column, size_t n, float *out)
{
    for (size_t j = 0; j < NR; j += V_WIDTH) {
        const size_t part = j >= n ? 0 : n - j < V_WIDTH ? n - j : V_WIDTH;
        const size_t first = (column + j) * args->n_stride;
        if (part == 0) { /* short sequences pack panels that are mostly this */
            for (size_t p = 0; p < args->k; p++) v_store(out + p * NR + j, v_set(0.0f));
        } else if (part == V_WIDTH && args->k_stride == 1 && args->type == SQZI_F32) {
            pack_transposed((const float *)args->source + first, args->n_stride, args->k, out + j);
        } else if (part == V_WIDTH && args->n_stride == 1) {
            for (size_t p = 0; p < args->k; p++) v_store(out + p * NR + j, load_typed(args->source, first + p * args->k_stride, args->type));
        } else {
            for (size_t p = 0; p < args->k; p++)
                for (size_t i = 0; i < V_WIDTH; i++)
                    out[p * NR + j + i] = i < part ? sqzi_load_real(args->source, first + i * args->n_stride + p * args->k_stride, args->type) : 0.0f;
        }
    }
}

static void pack(const sqzk_pack_args *args, void *packed)
{
    const size_t panel = (args->k * NR * sizeof(float) + 63) / 64 * 64 / sizeof(float);
    float *out = packed;
    for (size_t column = 0; column < args->n; column += NR, out += panel)
        pack_panel(args, column, args->n - column < NR ? args->n - column : NR, out);
}

static bool prepare(const sqzk_prepare_args *args)
{
    for (size_t i = 0; i < args->m; i++) {
        const float *x = args->x + i * args->ldx;
        float *out = (float *)((unsigned char *)args->out + i * args->ldo);
        if (!args->gather) memcpy(out, x, args->k * sizeof *out);
        else
            for (size_t j = 0; j < args->k; j++) out[j] = x[args->gather[j]];
    }
    return true;
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = SQZI_F32,
    .mr = MR,
    .nr = NR,
    .kr = 1,
    .run = run,
    .pack = pack,
    .prepare = prepare,
};
