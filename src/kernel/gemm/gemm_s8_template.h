/* SPDX-License-Identifier: Apache-2.0 */
/* The s8 gemm on vectors: tiles of up to TILE_ROWS rows times TILE_VECTORS vectors of columns, sums in registers over the whole of k.
 *
 * Include after a vector_<isa>.h, its s8_vector_<isa>.h and these: TILE_VECTORS (2 or 4), TILE_ROWS where it is 12 and not 6, TILE_STEPS where it is 4
 * and not 1; KR, FLIP and EXCESS_BITS (gemm_s8_panel.h); load_rows(p), the KR bytes of a row spread to all columns; load_weights(p), V_WIDTH columns of
 * KR bytes; multiply_add(sum, rows, weights), exact; add_excess (s8_excess.h); OPERAND, the type of rows and weights, where it is not ivec; GEMM_NAME,
 * GEMM_TEXT, GEMM_LEVEL, GEMM_FEATURE.
 */
#include "base/cpu.h"

#ifndef OPERAND
#define OPERAND ivec
#endif

enum { NR = TILE_VECTORS * V_WIDTH };

#include "kernel/gemm/gemm_s8_panel.h"
#include "kernel/gemm/s8_excess.h"
#include "kernel/gemm/s8_rows.h"
#include "kernel/gemm/tile_target.h"

/* Where the sums of a tile begin: at the column's compensation and what the row's excess adds. Apart from the tile, whose code stands there once for each
 * of its heights. */
static void begin_sums(const sqzk_gemm_args *args, size_t row, size_t rows, const signed char *panel, int32_t *sums)
{
    const int32_t *compensation = panel_compensation(panel, args->k);
    for (size_t i = 0; i < rows; i++) {
        const s8_excess excess = excess_of_row(&args->s8_rows[row + i], panel);
        for (size_t j = 0; j < NR; j += V_WIDTH) i_store(sums + i * NR + j, with_excess(i_load(compensation + j), excess, j));
    }
}

/* rows is a constant of each instantiation: what it excludes is not compiled. */
static inline __attribute__((always_inline)) void tile(size_t rows, const sqzk_gemm_args *args, size_t row, const signed char *b, const int32_t *sums, const target *to, const ahead *next)
{
    ahead fetched = *next;
    const sqzk_s8_row *s8_row = args->s8_rows + row;
    const float *scale = panel_scale(b, args->k);
    const size_t lda = args->lda, steps = (args->k + KR - 1) / KR;
    const unsigned char *a = (const unsigned char *)args->a + row * lda;
    const signed char *const turns = b + steps / TILE_STEPS * TILE_STEPS * NR * KR, *const end = b + steps * NR * KR;
    const signed char *const late = b + first_turn_of_rows(steps / TILE_STEPS, rows) * TILE_STEPS * NR * KR;
    const unsigned char *a0 = a, *a3 = ROWS_FROM(a, 3, lda), *a6 = ROWS_FROM(a, 6, lda), *a9 = ROWS_FROM(a, 9, lda);
#define DECLARE(i, j) ivec c##i##j = i < rows ? i_load(sums + i * NR + j * V_WIDTH) : i_zero();
    TILE_SUMS(DECLARE)
#undef DECLARE
#define MULTIPLY(i, j) c##i##j = multiply_add(c##i##j, x, b##j);
#define ROW(i)                                                            \
    if (i < rows) {                                                       \
        const OPERAND x = load_rows(ROW_OF(i) + i % 3 * lda + step * KR); \
        COLUMNS(MULTIPLY, i)                                              \
    }
#define WEIGHTS(i, j) const OPERAND b##j = load_weights(b + (step * NR + j * V_WIDTH) * KR);
#define ADVANCE(n) b += (n) * NR * KR, a0 += (n) * KR, a3 += (n) * KR, a6 += (n) * KR, a9 += (n) * KR
    for (; b < turns; ADVANCE(TILE_STEPS)) {
        if (b >= late) fetch_rows(&fetched);
        EACH_STEP(TILE_STEP)
    }
    for (; TILE_STEPS > 1 && b < end; ADVANCE(1)) TILE_STEP(0)
#undef ADVANCE
#undef WEIGHTS
#undef ROW
#undef MULTIPLY
#define FINISHED(i, j) v_mul(i_to_float(c##i##j), v_mul(v_set(s8_row[i].scale), v_load(scale + j * V_WIDTH)))
    PUT_TILE(to)
#undef FINISHED
}

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, const sqzk_gemm_args *args, size_t row, const signed char *b, const target *to, const ahead *next)
{
    int32_t sums[TILE_ROWS * NR] __attribute__((aligned(64)));
    begin_sums(args, row, rows, b, sums);
    switch (rows) {
#define CASE(r) \
    case r + 1: tile(r + 1, args, row, b, sums, to, next); break;
        EACH_ROW(CASE)
#undef CASE
    }
}

static void run_tile(const sqzk_gemm_args *args, size_t row, size_t rows, size_t column, size_t n, const signed char *b, const ahead *next)
{
    float buffer[TILE_ROWS * NR] __attribute__((aligned(64)));
    target to;
    const bool direct = direct_target(args, row, column, n, buffer, &to);
    tile_of(rows, args, row, b, &to, next);
    if (!direct) finish_buffer(args, buffer, row, rows, column, n);
}

static void run_panel(const sqzk_gemm_args *args, const strip *s, size_t column, const signed char *b)
{
    const size_t n = args->n - column < NR ? args->n - column : NR;
    for (size_t t = 0, row = s->begin; row < s->end; row += rows_of_tile(s, t++)) {
        const ahead next = ahead_of(args, s, t, row, column, b, panel_bytes(args->k));
        run_tile(args, row, rows_of_tile(s, t), column, n, b, &next);
    }
}

static void run(const sqzk_gemm_args *args)
{
    const size_t panel = panel_bytes(args->k);
    for (size_t begin = 0; begin < args->m;) {
        const strip s = strip_at(args, begin, args->k, panel, (args->k + KR - 1) / KR);
        const signed char *b = args->b;
        for (size_t column = 0; column < args->n; column += NR, b += panel) run_panel(args, &s, column, b);
        begin = s.end;
    }
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = SQZI_S8,
    .mr = TILE_ROWS,
    .nr = NR,
    .kr = KR,
    .run = run,
    .pack = pack,
    .prepare = prepare,
};
