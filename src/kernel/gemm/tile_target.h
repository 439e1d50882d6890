/* SPDX-License-Identifier: Apache-2.0 */
/* Where the numbers of a finished tile go from their registers: to c with bias and residual, or to a buffer where more has to be done to them. Shared
 * by the gemm templates, with the macros that name a tile's sums. Included after vector_<isa>.h, with TILE_VECTORS (2 or 4) and NR defined, and
 * TILE_ROWS where it is 12 and not 6. */
#ifndef SQZK_TILE_TARGET_H
#define SQZK_TILE_TARGET_H

#include "kernel/gemm/tile_epilogue.h"

#ifndef TILE_ROWS
#define TILE_ROWS 6
#endif

/* X(i, j) for every sum of a tile: named variables, as gcc 12 keeps an array of them in memory. */
#if TILE_VECTORS == 4
#define COLUMNS_3_4(X, i) X(i, 2) X(i, 3)
#define CASES(X, r) X(r, 1) X(r, 2) X(r, 3) X(r, 4)
#else
#define COLUMNS_3_4(X, i)
#define CASES(X, r) X(r, 1) X(r, 2)
#endif
#define COLUMNS(X, i) X(i, 0) X(i, 1) COLUMNS_3_4(X, i)
#define SUMS_1_6(X) COLUMNS(X, 0) COLUMNS(X, 1) COLUMNS(X, 2) COLUMNS(X, 3) COLUMNS(X, 4) COLUMNS(X, 5)
#define ROWS_1_6(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define CASES_1_6(X) CASES(X, 1) CASES(X, 2) CASES(X, 3) CASES(X, 4) CASES(X, 5) CASES(X, 6)
#if TILE_ROWS == 12
#define TILE_SUMS(X) SUMS_1_6(X) COLUMNS(X, 6) COLUMNS(X, 7) COLUMNS(X, 8) COLUMNS(X, 9) COLUMNS(X, 10) COLUMNS(X, 11)
#define EACH_ROW(X) ROWS_1_6(X) X(6) X(7) X(8) X(9) X(10) X(11)
#define TILE_CASES(X) CASES_1_6(X) CASES(X, 7) CASES(X, 8) CASES(X, 9) CASES(X, 10) CASES(X, 11) CASES(X, 12)
#else
#define TILE_SUMS(X) SUMS_1_6(X)
#define EACH_ROW(X) ROWS_1_6(X)
#define TILE_CASES(X) CASES_1_6(X)
#endif

/* Row i of a tile lies i % 3 rows past a0, a3, a6 or a9: twelve pointers would spill. v_own_pointer keeps gcc from computing the twelve after all. */
#ifndef v_own_pointer
#define v_own_pointer(p) (p)
#endif
#define ROW_OF(i) ((i) < 3 ? a0 : (i) < 6 ? a3 : (i) < 9 ? a6 : a9)
#define ROWS_FROM(a, i, lda) v_own_pointer((i) < rows ? (a) + (i) * (lda) : (a))

/* The part of the next panel that a tile fetches into the second-level cache while it computes: two places, each `step` bytes further on every k. */
typedef struct ahead {
    uintptr_t first, second;
    size_t step;
} ahead;

static inline void fetch(ahead *a)
{
    __builtin_prefetch((const void *)a->first, 0, 2);
    __builtin_prefetch((const void *)a->second, 0, 2);
    a->first += a->step;
    a->second += a->step;
}

/* Rows that are multiplied by one panel after another before the next rows are - as many as stay in the second-level cache - and how they are cut:
 * tiles of `rows` or one row more, each fetching its share of the panel that follows. */
typedef struct strip {
    size_t begin, end, rows, longer, share, step;
} strip;

static inline strip strip_at(const sqzk_gemm_args *args, size_t begin, size_t row_bytes, size_t panel_bytes, size_t steps)
{
    enum { STRIP_BYTES = 1 << 20 };
    const size_t fit = STRIP_BYTES / row_bytes / TILE_ROWS * TILE_ROWS, most = fit ? fit : TILE_ROWS, left = args->m - begin, m = left < most ? left : most;
    const size_t tiles = (m + TILE_ROWS - 1) / TILE_ROWS, half = panel_bytes / tiles / 2;
    return (strip){begin, begin + m, m / tiles, m % tiles, 2 * half, (half + steps - 1) / steps};
}

static inline size_t rows_of_tile(const strip *s, size_t t)
{
    return s->rows + (t < s->longer);
}

/* The fetches of tile t, which multiplies by b. What follows the last panel of a call is often another group's or layer's, and a fetch never faults. */
static inline ahead ahead_of(const strip *s, size_t t, const void *b, size_t panel_bytes)
{
    const uintptr_t first = (uintptr_t)b + panel_bytes + t * s->share;
    return (ahead){first, first + s->share / 2, s->step};
}

/* Lines of C, so that they are there when the tile is finished. */
static inline void fetch_c(const sqzk_gemm_args *args, size_t row, size_t rows, size_t column, size_t n)
{
    for (size_t i = row; i < row + rows; i++)
        for (size_t j = column; j < column + n; j += 16) __builtin_prefetch(args->c + i * args->ldc + j, 1, 3);
}

/* What is added on the way is -0.0, which changes nothing, where there is no bias or residual. */
typedef struct target {
    float *out;
    const float *bias, *residual;
    size_t ldo, ldr;
} target;

static const float nothing[NR] = {
#define FOUR -0.0f, -0.0f, -0.0f, -0.0f
    FOUR, FOUR,
#if TILE_VECTORS * V_WIDTH >= 16
    FOUR, FOUR,
#endif
#if TILE_VECTORS * V_WIDTH == 64
    FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR,
#endif
#undef FOUR
};

/* The finished sums of a tile, FINISHED(i, j) of each, to their target; in a function that has rows and vectors. */
#define PUT_SUM(i, j)            \
    if (i < rows && j < vectors) \
        v_store(out + i * ldo + j * V_WIDTH, v_add(v_add(FINISHED(i, j), v_load(bias + j * V_WIDTH)), v_load(residual + i * ldr + j * V_WIDTH)));
#define PUT_TILE(to)                                                \
    {                                                               \
        float *out = (to)->out;                                     \
        const float *bias = (to)->bias, *residual = (to)->residual; \
        const size_t ldo = (to)->ldo, ldr = (to)->ldr;              \
        TILE_SUMS(PUT_SUM)                                          \
    }

/* True: the tile at (row, column) may go to c itself, and *to says how. False, with beta, an activation or a part of a vector: it goes to the buffer. */
static inline bool direct_target(const sqzk_gemm_args *args, size_t row, size_t rows, size_t column, size_t n, float *buffer, target *to)
{
    const sqzk_epilogue *epilogue = args->epilogue;
    fetch_c(args, row, rows, column, n);
    if (args->beta || n % V_WIDTH || (epilogue && epilogue->activation != SQZK_IDENTITY)) {
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
static inline void finish_buffer(const sqzk_gemm_args *args, float *buffer, size_t row, size_t rows, size_t column, size_t n)
{
    float *c = args->c + row * args->ldc + column;
    for (size_t i = 0; args->beta && i < rows; i++)
        for (size_t j = 0; j < n; j++) buffer[i * NR + j] += c[i * args->ldc + j];
    finish_tile(buffer, NR, rows, n, args->epilogue, row, column, c, args->ldc);
}

#endif
