/* SPDX-License-Identifier: Apache-2.0 */
/* Where the numbers of a finished tile go from their registers: to c with bias and residual, or to
 * a buffer where more has to be done to them. Shared by the gemm templates, with the macros that
 * name a tile's sums. Included after vector_<isa>.h, with TILE_VECTORS (2 or 4) and NR defined, and
 * TILE_ROWS where it is 12 and not 6, TILE_STEPS where it is 4 and not 1. */
#ifndef SQZK_TILE_TARGET_H
#define SQZK_TILE_TARGET_H

#include "kernel/gemm/tile_epilogue.h"

#ifndef TILE_ROWS
#define TILE_ROWS 6
#endif

/* X(i, j) for every sum of a tile: named variables, as gcc 12 keeps an array of them in memory. */
#if TILE_VECTORS == 4
#define COLUMNS_3_4(X, i) X(i, 2) X(i, 3)
#else
#define COLUMNS_3_4(X, i)
#endif
#define COLUMNS(X, i) X(i, 0) X(i, 1) COLUMNS_3_4(X, i)
#define SUMS_1_6(X)                                                                                \
    COLUMNS(X, 0) COLUMNS(X, 1) COLUMNS(X, 2) COLUMNS(X, 3) COLUMNS(X, 4) COLUMNS(X, 5)
#define ROWS_1_6(X) X(0) X(1) X(2) X(3) X(4) X(5)
#if TILE_ROWS == 12
#define TILE_SUMS(X)                                                                               \
    SUMS_1_6(X)                                                                                    \
    COLUMNS(X, 6) COLUMNS(X, 7) COLUMNS(X, 8) COLUMNS(X, 9) COLUMNS(X, 10) COLUMNS(X, 11)
#define EACH_ROW(X) ROWS_1_6(X) X(6) X(7) X(8) X(9) X(10) X(11)
#else
#define TILE_SUMS(X) SUMS_1_6(X)
#define EACH_ROW(X) ROWS_1_6(X)
#endif

/* Row i of a tile lies i % 3 rows past a0, a3, a6 or a9: twelve pointers would spill. v_own_pointer
 * keeps gcc from computing the twelve after all. */
#ifndef v_own_pointer
#define v_own_pointer(p) (p)
#endif
#define ROW_OF(i) ((i) < 3 ? a0 : (i) < 6 ? a3 : (i) < 9 ? a6 : a9)
#define ROWS_FROM(a, i, lda) v_own_pointer((i) < rows ? (a) + (i) * (lda) : (a))

/* A turn of a tile's loop is one step of k or four: what a loop costs besides its products is paid
 * once a turn. */
#ifndef TILE_STEPS
#define TILE_STEPS 1
#endif
#if TILE_STEPS == 4
#define EACH_STEP(X) X(0) X(1) X(2) X(3)
#else
#define EACH_STEP(X) X(0)
#endif

/* Where turns are four steps, a template may have a second loop for tiles of ROWS_OF_FEW rows and
 * more, with one fetch of the panel a turn: with FETCH_PANEL(s) its own. */
#ifdef FETCH_PANEL
#define HAS_FEW 1
#else
#define HAS_FEW 0
#define FETCH_PANEL(s) fetch_panel(&fetched, s);
#endif

/* Step s of a turn, in a function that has `fetched` and defines WEIGHTS(i, j) and ROW(i), which
 * find s in `step`. */
#define TILE_STEP(s)              \
    {                             \
        FETCH_PANEL(s)            \
        enum { step = s };        \
        COLUMNS(WEIGHTS, 0)       \
        EACH_ROW(ROW)             \
    }

/* What a tile fetches while it computes: its share of the panel that follows, into the second-level
 * cache, from two places, each `step` bytes further on
 * every time, or from the first alone; and in its last turns a row of C and A each: of the C that
 * the next tile will write into the second-level cache - a tile of k = 192 is over before a line
 * comes from further away -, and the beginning of a row of A that it reads. */
typedef struct ahead {
    uintptr_t first, second, c, a;
    size_t step, c_step, a_step;
    bool few;
} ahead;

/* Of the panel: both places every step, or, where a turn is four steps, one after the other. */
enum { FETCHES = TILE_STEPS == 4 ? 2 : 1 };

static inline void fetch_from(uintptr_t *place, size_t step)
{
    __builtin_prefetch((const void *)*place, 0, 2);
    *place += step;
}

static inline void fetch_panel(ahead *a, int step)
{
    if (FETCHES == 1 || step % 2 == 0) fetch_from(&a->first, a->step);
    if (FETCHES == 1 || step % 2 == 1) fetch_from(&a->second, a->step);
}

static inline void fetch_rows(ahead *a)
{
    for (size_t j = 0; j < NR; j += 16) __builtin_prefetch((const void *)(a->c + 4 * j), 1, 2);
    for (size_t i = 0; i < 2; i++) __builtin_prefetch((const void *)(a->a + 64 * i), 0, 3);
    a->c += a->c_step;
    a->a += a->a_step;
}

/* The first of the turns, of `all`, that fetch rows. */
static inline size_t first_turn_of_rows(size_t all, size_t rows)
{
    return all > rows ? all - rows : 0;
}

/* Rows that are multiplied by one panel after another before the next rows are - as many as stay in
 * the second-level cache, about as many in every strip - and how they are cut: tiles of `rows` or
 * one row more, each fetching its share of the panel that follows: where they are many, a few lines
 * each. */
typedef struct strip {
    size_t begin, end, rows, longer, share, step;
    bool few;
} strip;

enum { STRIP_BYTES = 1 << 20, TILES_OF_FEW = 5, ROWS_OF_FEW = 10 };

static inline strip strip_at(const sqzk_gemm_args *args, size_t begin, size_t row_bytes,
                             size_t panel_bytes, size_t steps)
{
    const size_t fit = STRIP_BYTES / row_bytes / TILE_ROWS * TILE_ROWS,
                 most = fit ? fit : TILE_ROWS, left = args->m - begin;
    const size_t strips = (left + most - 1) / most, even = (left + strips - 1) / strips,
                 m = strips > 1 ? (even + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS : left;
    const size_t tiles = (m + TILE_ROWS - 1) / TILE_ROWS, half = panel_bytes / tiles / 2;
    const bool few = HAS_FEW && tiles >= TILES_OF_FEW && m / tiles >= ROWS_OF_FEW;
    const size_t turns = (steps + TILE_STEPS - 1) / TILE_STEPS,
                 step = few ? (2 * half + turns - 1) / turns
                            : (half + turns * FETCHES - 1) / (turns * FETCHES);
    return (strip){begin, begin + m, m / tiles, m % tiles, 2 * half, step, few};
}

#ifndef HEIGHT_STEP
#define HEIGHT_STEP 1
#endif

static inline size_t rows_of_tile(const strip *s, size_t t)
{
    return s->rows + (t < s->longer ? HEIGHT_STEP : 0);
}

/* The fetches of tile t, which multiplies by b. What follows the last panel of a call is often
 * another group's or layer's, and a fetch never faults. */
static inline ahead ahead_of(const sqzk_gemm_args *args, const strip *s, size_t t, size_t row,
                             size_t column, const void *b, size_t panel_bytes)
{
    const size_t rows = rows_of_tile(s, t), c_step = args->ldc * sizeof *args->c;
    const bool last = row + rows >= s->end;
    const size_t next_row = last ? s->begin : row + rows, next_column = last ? column + NR : column;
    const uintptr_t first = (uintptr_t)b + panel_bytes + t * s->share,
                    c = (uintptr_t)args->c + next_row * c_step + next_column * sizeof *args->c;
    return (ahead){first,     first + s->share / 2,
                   c,         (uintptr_t)args->a + next_row * args->lda,
                   s->step,   c_step,
                   args->lda, s->few};
}

/* What is added on the way is -0.0, which changes nothing, where there is no bias or residual. */
typedef struct target {
    float *out;
    const float *bias, *residual;
    size_t ldo, ldr;
} target;

static const float nothing[64] = { /* NR is at most that */
#define FOUR -0.0f, -0.0f, -0.0f, -0.0f
    FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR,
#undef FOUR
};

/* The finished sums of a tile, FINISHED(i, j) of each, to their target, row after row; in a
 * function that has rows. */
#define PUT_SUM(i, j)                                                                              \
    v_store(out + j * V_WIDTH, v_add(v_add(FINISHED(i, j), v_load(bias + j * V_WIDTH)),            \
                                     v_load(residual + j * V_WIDTH)));
#define PUT_ROW(i)                                \
    if (i < rows) {                               \
        COLUMNS(PUT_SUM, i)                       \
        out = (float *)v_own_pointer(out + ldo);  \
        residual = v_own_pointer(residual + ldr); \
    }
#define PUT_TILE(to)                                                \
    {                                                               \
        float *out = (to)->out;                                     \
        const float *bias = (to)->bias, *residual = (to)->residual; \
        const size_t ldo = (to)->ldo, ldr = (to)->ldr;              \
        EACH_ROW(PUT_ROW)                                           \
    }

/* True: the tile at (row, column) may go to c itself, and *to says how. False, with beta, an
 * activation or columns past n: it goes to the buffer. */
static inline bool direct_target(const sqzk_gemm_args *args, size_t row, size_t column, size_t n,
                                 float *buffer, target *to)
{
    const sqzk_epilogue *epilogue = args->epilogue;
    if (args->beta || n < NR || (epilogue && epilogue->activation != SQZK_IDENTITY)) {
        *to = (target){buffer, nothing, nothing, NR, 0};
        return false;
    }
    *to = (target){args->c + row * args->ldc + column, nothing, nothing, args->ldc, 0};
    if (epilogue && epilogue->bias) to->bias = epilogue->bias + column;
    if (epilogue && epilogue->residual) {
        to->residual = epilogue->residual + row * epilogue->ldr + column;
        to->ldr = epilogue->ldr;
    }
    return true;
}

/* The buffer's numbers to c: beta, bias, activation, residual. */
static inline void finish_buffer(const sqzk_gemm_args *args, float *buffer, size_t row, size_t rows,
                                 size_t column, size_t n)
{
    float *c = args->c + row * args->ldc + column;
    for (size_t i = 0; args->beta && i < rows; i++)
        for (size_t j = 0; j < n; j++) buffer[i * NR + j] += c[i * args->ldc + j];
    finish_tile(buffer, NR, rows, n, args->epilogue, row, column, c, args->ldc);
}

#endif
