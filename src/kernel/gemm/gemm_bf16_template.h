/* SPDX-License-Identifier: Apache-2.0 */
/* The bf16 gemm on vectors: tiles of up to TILE_ROWS rows times TILE_VECTORS vectors of columns,
 * sums in f32 registers over the whole of k.
 *
 * Include after a vector_<isa>.h and its bf16_vector_<isa>.h, with TILE_VECTORS (2 or 4), TILE_ROWS
 * where it is 12 and not 6, GEMM_NAME, GEMM_TEXT, GEMM_LEVEL, GEMM_FEATURE defined, and either
 * DOT_PAIRS, and dot(sum, pairs, pairs) that multiplies pairs of bf16, or nothing: then pairs are
 * converted and go through v_fma, odd k first.
 */
#include "base/cpu.h"

enum { NR = TILE_VECTORS * V_WIDTH };

#include "kernel/gemm/bf16_rows.h"
#include "kernel/gemm/gemm_bf16_panel.h"
#include "kernel/gemm/tile_target.h"

/* One step of every chain: weights from load(b), the row's number from spread(a). */
#define MULTIPLY(i, j) \
    c##i##j = STEP(c##i##j, x, b##j);
#define ROW(i, spread)                                  \
    if (i < rows) {                                     \
        const operand x = spread(ROW_OF(i) + i % 3 * lda); \
        COLUMNS(MULTIPLY, i)                            \
    }
#define ROW_spread_pairs(i) ROW(i, spread_pairs)
#define ROW_spread_odd(i) ROW(i, spread_odd)
#define ROW_spread_even(i) ROW(i, spread_even)
#if TILE_VECTORS == 4
#define WEIGHTS_3_4(load)                                                \
    const operand b2 = load(b + 2 * 2 * V_WIDTH); \
    const operand b3 = load(b + 3 * 2 * V_WIDTH);
#else
#define WEIGHTS_3_4(load)
#endif
#define CHAINS(load, spread)                                       \
    {                                                              \
        const operand b0 = load(b);                                \
        const operand b1 = load(b + 2 * V_WIDTH); \
        WEIGHTS_3_4(load)                                          \
        EACH_ROW(ROW_##spread)                                       \
    }

/* rows is a constant of each instantiation: what it excludes is not compiled. */
static inline __attribute__((always_inline)) void tile(size_t rows, const sqzk_gemm_args *args,
                                                       size_t row, const uint16_t *b,
                                                       const target *to, const ahead *next)
{
    ahead fetched = *next;
    const size_t lda = args->lda / sizeof(uint16_t);
    const uint16_t *a = (const uint16_t *)args->a + row * lda, *const end = a + args->k,
                   *const late = a + 2 * first_turn_of_rows(args->k / 2, rows);
    const uint16_t *a0 = a, *a3 = ROWS_FROM(a, 3, lda), *a6 = ROWS_FROM(a, 6, lda),
                   *a9 = ROWS_FROM(a, 9, lda);
#define DECLARE(i, j) vec c##i##j = v_set(0.0f);
    TILE_SUMS(DECLARE)
#undef DECLARE
    for (; a0 < end; a0 += 2, a3 += 2, a6 += 2, a9 += 2, b += 2 * NR) {
        if (a0 >= late) fetch_rows(&fetched);
        fetch_panel(&fetched, 0);
#ifdef DOT_PAIRS
#define STEP dot
        CHAINS(load_pairs, spread_pairs)
#else
#define STEP(sum, x, y) v_fma(x, y, sum)
        CHAINS(load_odd, spread_odd)
        CHAINS(load_even, spread_even)
#endif
    }
#define FINISHED(i, j) c##i##j
    PUT_TILE(to)
#undef FINISHED
}

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, const sqzk_gemm_args *args, size_t row, const uint16_t *b,
                    const target *to, const ahead *next)
{
    switch (rows) {
#define CASE(r) \
    case r + 1: tile(r + 1, args, row, b, to, next); break;
        EACH_ROW(CASE)
#undef CASE
    }
}

static void run_panel(const sqzk_gemm_args *args, const strip *s, size_t column, const uint16_t *b)
{
    float buffer[TILE_ROWS * NR] __attribute__((aligned(64)));
    const size_t n = args->n - column < NR ? args->n - column : NR;
    for (size_t t = 0, row = s->begin; row < s->end; row += rows_of_tile(s, t++)) {
        const size_t rows = rows_of_tile(s, t);
        target to;
        const bool direct = direct_target(args, row, column, n, buffer, &to);
        const ahead next = ahead_of(args, s, t, row, column, b, panel_numbers(args->k) * sizeof *b);
        tile_of(rows, args, row, b, &to, &next);
        if (!direct) finish_buffer(args, buffer, row, rows, column, n);
    }
}

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    const size_t panel = panel_numbers(args->k);
    for (size_t begin = 0; begin < args->m;) {
        const strip s = strip_at(args, begin, args->k * sizeof(uint16_t), panel * sizeof(uint16_t),
                                 (args->k + 1) / 2);
        const uint16_t *b = args->b;
        for (size_t column = 0; column < args->n; column += NR, b += panel)
            run_panel(args, &s, column, b);
        begin = s.end;
    }
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = SQZI_BF16,
    .mr = TILE_ROWS,
    .nr = NR,
    .kr = KR,
    .run = KERNEL(run),
    .pack = KERNEL(pack),
    .prepare = KERNEL(prepare),
};
