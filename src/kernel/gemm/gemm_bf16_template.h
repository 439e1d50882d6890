/* SPDX-License-Identifier: Apache-2.0 */
/* The bf16 gemm on vectors: tiles of 6 rows times up to TILE_VECTORS vectors of columns, sums in f32 registers over the whole of k.
 *
 * Include after a vector_<isa>.h and its bf16_vector_<isa>.h, with TILE_VECTORS (2 or 4), GEMM_NAME, GEMM_TEXT, GEMM_LEVEL, GEMM_FEATURE defined, and
 * either DOT_PAIRS, and dot(sum, pairs, pairs) that multiplies pairs of bf16, or nothing: then pairs are widened and go through v_fma, odd k first.
 * Accumulators are variables with names: gcc 12 keeps an array of them in memory.
 */
#include "base/cpu.h"

enum { MR = 6, NR = TILE_VECTORS * V_WIDTH };

#include "kernel/gemm/bf16_rows.h"
#include "kernel/gemm/gemm_bf16_panel.h"
#include "kernel/gemm/tile_target.h"

#if TILE_VECTORS == 4
#define COLUMNS_3_4(X, i) X(i, 2) X(i, 3)
#else
#define COLUMNS_3_4(X, i)
#endif
#define COLUMNS(X, i) X(i, 0) X(i, 1) COLUMNS_3_4(X, i)
#define ROWS(X) COLUMNS(X, 0) COLUMNS(X, 1) COLUMNS(X, 2) COLUMNS(X, 3) COLUMNS(X, 4) COLUMNS(X, 5)

/* One step of every chain: weights from load(b), the row's number from spread(a). */
#define MULTIPLY(i, j) \
    if (j < vectors) c##i##j = STEP(c##i##j, x, b##j);
#define ROW(i, spread)                       \
    if (i < rows) {                          \
        const operand x = spread(a + i * lda); \
        COLUMNS(MULTIPLY, i)                 \
    }
#if TILE_VECTORS == 4
#define WEIGHTS_3_4(load)                                                \
    const operand b2 = vectors > 2 ? load(b + 2 * 2 * V_WIDTH) : b0; \
    const operand b3 = vectors > 3 ? load(b + 3 * 2 * V_WIDTH) : b0;
#else
#define WEIGHTS_3_4(load)
#endif
#define CHAINS(load, spread)                                       \
    {                                                              \
        const operand b0 = load(b);                                \
        const operand b1 = vectors > 1 ? load(b + 2 * V_WIDTH) : b0; \
        WEIGHTS_3_4(load)                                          \
        ROW(0, spread) ROW(1, spread) ROW(2, spread) ROW(3, spread) ROW(4, spread) ROW(5, spread) \
    }

/* rows and vectors are constants of each instantiation: what they exclude is not compiled. */
static inline __attribute__((always_inline)) void tile(size_t rows, size_t vectors, const sqzk_gemm_args *args, size_t row, const uint16_t *b, const target *to)
{
    const size_t lda = args->lda / sizeof(uint16_t);
    const uint16_t *a = (const uint16_t *)args->a + row * lda, *const end = a + args->k;
#define DECLARE(i, j) vec c##i##j = v_set(0.0f);
    ROWS(DECLARE)
#undef DECLARE
    for (; a < end; a += 2, b += 2 * NR) {
#ifdef DOT_PAIRS
#define STEP dot
        CHAINS(load_pairs, spread_pairs)
#else
#define STEP(sum, x, y) v_fma(x, y, sum)
        CHAINS(load_odd, spread_odd)
        CHAINS(load_even, spread_even)
#endif
    }
    float *out = to->out;
    const float *bias = to->bias, *residual = to->residual;
    const size_t ldo = to->ldo, ldr = to->ldr;
#define END(i, j)                                                                                                                      \
    if (i < rows && j < vectors)                                                                                                       \
        v_store(out + i * ldo + j * V_WIDTH, v_add(v_add(c##i##j, v_load(bias + j * V_WIDTH)), v_load(residual + i * ldr + j * V_WIDTH)));
    ROWS(END)
#undef END
}

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, size_t vectors, const sqzk_gemm_args *args, size_t row, const uint16_t *b, const target *to)
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

static void run(const sqzk_gemm_args *args)
{
    float buffer[MR * NR] __attribute__((aligned(64)));
    const uint16_t *b = args->b;
    for (size_t column = 0; column < args->n; column += NR, b += panel_numbers(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0, rows; row < args->m; row += rows) {
            rows = tile_rows(args->m, row, MR);
            target to;
            const bool direct = direct_target(args, row, column, n, buffer, &to);
            tile_of(rows, (n + V_WIDTH - 1) / V_WIDTH, args, row, b, &to);
            if (!direct) finish_buffer(args, buffer, row, rows, column, n);
        }
    }
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = SQZI_BF16,
    .mr = MR,
    .nr = NR,
    .kr = KR,
    .run = run,
    .pack = pack,
    .prepare = prepare,
};
