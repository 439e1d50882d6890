/* SPDX-License-Identifier: Apache-2.0 */
/* The s8 gemm on vectors: tiles of 6 rows times up to TILE_VECTORS vectors of columns, sums in registers over the whole of k.
 *
 * Include after a vector_<isa>.h, its s8_vector_<isa>.h and these: TILE_VECTORS (2 or 4); KR and FLIP (gemm_s8_panel.h); load_rows(p), the KR bytes of
 * a row spread to all columns; load_weights(p), V_WIDTH columns of KR bytes; multiply_add(sum, rows, weights), exact; OPERAND, the type of rows and
 * weights, where it is not ivec; GEMM_NAME, GEMM_TEXT, GEMM_LEVEL, GEMM_FEATURE.
 * Accumulators are variables with names: gcc 12 keeps an array of them in memory.
 */
#include "base/cpu.h"

#ifndef OPERAND
#define OPERAND ivec
#endif

enum { MR = 6, NR = TILE_VECTORS * V_WIDTH };

#include "kernel/gemm/gemm_s8_panel.h"
#include "kernel/gemm/s8_rows.h"
#include "kernel/gemm/tile_target.h"

#if TILE_VECTORS == 4
#define COLUMNS_3_4(X, i) X(i, 2) X(i, 3)
#else
#define COLUMNS_3_4(X, i)
#endif
#define COLUMNS(X, i) X(i, 0) X(i, 1) COLUMNS_3_4(X, i)
#define ROWS(X) COLUMNS(X, 0) COLUMNS(X, 1) COLUMNS(X, 2) COLUMNS(X, 3) COLUMNS(X, 4) COLUMNS(X, 5)

/* rows and vectors are constants of each instantiation: what they exclude is not compiled. Sums begin at the column's compensation. */
static inline __attribute__((always_inline)) void tile(size_t rows, size_t vectors, const sqzk_gemm_args *args, size_t row, const signed char *b, const target *to)
{
    const float *row_scale = args->row_scale + row * args->row_scale_stride;
    const float *scale = panel_scale(b, args->k);
    const int32_t *compensation = panel_compensation(b, args->k);
    const size_t lda = args->lda, stride = args->row_scale_stride;
    const unsigned char *a = (const unsigned char *)args->a + row * lda, *const end = a + args->k;
#define DECLARE(i, j) ivec c##i##j = i < rows && j < vectors ? i_load(compensation + j * V_WIDTH) : i_zero();
    ROWS(DECLARE)
#undef DECLARE
    for (; a < end; a += KR, b += NR * KR) {
        const OPERAND b0 = load_weights(b);
        const OPERAND b1 = vectors > 1 ? load_weights(b + V_WIDTH * KR) : b0;
#if TILE_VECTORS == 4
        const OPERAND b2 = vectors > 2 ? load_weights(b + 2 * V_WIDTH * KR) : b0;
        const OPERAND b3 = vectors > 3 ? load_weights(b + 3 * V_WIDTH * KR) : b0;
#endif
#define MULTIPLY(i, j) \
    if (j < vectors) c##i##j = multiply_add(c##i##j, x, b##j);
#define ROW(i)                                  \
    if (i < rows) {                             \
        const OPERAND x = load_rows(a + i * lda); \
        COLUMNS(MULTIPLY, i)                    \
    }
        ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5)
#undef ROW
#undef MULTIPLY
    }
    float *out = to->out;
    const float *bias = to->bias, *residual = to->residual;
    const size_t ldo = to->ldo, ldr = to->ldr;
#define SCALED(i, j) v_mul(i_to_float(c##i##j), v_mul(v_set(row_scale[i * stride]), v_load(scale + j * V_WIDTH)))
#define END(i, j)                                                                                                                        \
    if (i < rows && j < vectors)                                                                                                         \
        v_store(out + i * ldo + j * V_WIDTH, v_add(v_add(SCALED(i, j), v_load(bias + j * V_WIDTH)), v_load(residual + i * ldr + j * V_WIDTH)));
    ROWS(END)
#undef END
#undef SCALED
}

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, size_t vectors, const sqzk_gemm_args *args, size_t row, const signed char *b, const target *to)
{
    switch (rows * 4 + vectors - 1) {
#define CASE(r, v) \
    case (r) * 4 + (v) - 1: tile(r, v, args, row, b, to); break;
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

static void run_tile(const sqzk_gemm_args *args, size_t row, size_t rows, size_t column, size_t n, const signed char *b)
{
    float buffer[MR * NR] __attribute__((aligned(64)));
    target to;
    const bool direct = direct_target(args, row, column, n, buffer, &to);
    tile_of(rows, (n + V_WIDTH - 1) / V_WIDTH, args, row, b, &to);
    if (!direct) finish_buffer(args, buffer, row, rows, column, n);
}

static void run(const sqzk_gemm_args *args)
{
    const signed char *b = args->b;
    for (size_t column = 0; column < args->n; column += NR, b += panel_bytes(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0, rows; row < args->m; row += rows) {
            rows = tile_rows(args->m, row, MR);
            run_tile(args, row, rows, column, n, b);
        }
    }
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = SQZI_S8,
    .mr = MR,
    .nr = NR,
    .kr = KR,
    .run = run,
    .pack = pack,
    .prepare = prepare,
};
