/* SPDX-License-Identifier: Apache-2.0 */
/* The tiles of the gemms whose sums are integers: up to TILE_ROWS rows times TILE_VECTORS vectors
 * of columns, sums in registers over the whole of k, then products with the scales of row and
 * column. k counts bytes. Included after tile_target.h with what gemm_s8_template.h asks for,
 * panel_bytes,
 * panel_scale, TILE_GELU, first_sum(row, panel, k, j), where the sums of V_WIDTH columns from j on
 * begin, and last_sums(s8_rows, rows, panel, sums), which adds to a tile's sums [rows][NR] what is
 * still missing. Defines run_tiles. */
#ifndef SQZK_INTEGER_TILES_H
#define SQZK_INTEGER_TILES_H

#ifndef OPERAND
#define OPERAND ivec
#endif
#ifndef HAS_EPILOGUE /* 0: a call's epilogue is not looked at, and no code for it is made */
#define HAS_EPILOGUE 1
#endif

/* The sums of a tile, as integers, to sums [TILE_ROWS][NR]: from the column's offset and what
 * the row's outlier adds, over all of k. rows is a constant of each instantiation: what it excludes
 * is not compiled. */
static inline __attribute__((always_inline)) void tile(size_t rows, const sqzk_gemm_args *args,
                                                       size_t row, const signed char *b,
                                                       int32_t *sums, const ahead *next)
{
    ahead fetched = *next;
    const sqzk_s8_row *s8_row = args->s8_rows + row;
    const size_t lda = args->lda, steps = (args->k + KR - 1) / KR;
    const unsigned char *a = (const unsigned char *)args->a + row * lda;
    const signed char *const turns = b + steps / TILE_STEPS * TILE_STEPS * NR * KR, *const end =
                                                                                        b + steps *
                                                                                                NR *
                                                                                                KR;
    const signed char *const late = b + first_turn_of_rows(steps / TILE_STEPS, rows) * TILE_STEPS *
                                            NR * KR;
    const unsigned char *a0 = a, *a3 = ROWS_FROM(a, 3, lda), *a6 = ROWS_FROM(a, 6, lda),
                        *a9 = ROWS_FROM(a, 9, lda);
#define BEGIN(i, j)                                                                                \
    ivec c##i##j = i < rows ? first_sum(s8_row + i, b, args->k, j * V_WIDTH) : i_zero();
    TILE_SUMS(BEGIN)
#undef BEGIN
#define MULTIPLY(i, j) c##i##j = multiply_add(c##i##j, x, b##j);
#define ROW(i)                                                            \
    if (i < rows) {                                                       \
        const OPERAND x = load_rows(ROW_OF(i) + i % 3 * lda + step * KR); \
        COLUMNS(MULTIPLY, i)                                              \
    }
#define WEIGHTS(i, j) const OPERAND b##j = load_weights(b + (step * NR + j * V_WIDTH) * KR);
#define ADVANCE(n)    b += (n)*NR * KR, a0 += (n)*KR, a3 += (n)*KR, a6 += (n)*KR, a9 += (n)*KR
    for (; b < turns; ADVANCE(TILE_STEPS)) {
        if (b >= late) fetch_rows(&fetched);
        EACH_STEP(TILE_STEP)
    }
    for (; TILE_STEPS > 1 && b < end; ADVANCE(1)) TILE_STEP(0)
#undef ADVANCE
#undef WEIGHTS
#undef ROW
#undef MULTIPLY
#define PUT(i, j) \
    if (i < rows) i_store(sums + i * NR + j * V_WIDTH, c##i##j);
    TILE_SUMS(PUT)
#undef PUT
}

/* Heights of a tile: even ones, and one row. Each is a loop of its own, so half of them is half of
 * the code. */
#if TILE_ROWS == 12
#define EACH_HEIGHT(X) X(1) X(2) X(4) X(6) X(8) X(10) X(12)
#else
#define EACH_HEIGHT(X) X(1) X(2) X(4) X(6)
#endif

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, const sqzk_gemm_args *args, size_t row, const signed char *b,
                    int32_t *sums, const ahead *next)
{
    switch (rows) {
#define CASE(r) \
    case r: tile(r, args, row, b, sums, next); break;
        EACH_HEIGHT(CASE)
#undef CASE
    }
    last_sums(args->s8_rows + row, rows, b, sums);
}

/* A tile's sums, and where they go. */
typedef struct finish_args {
    const int32_t *sums;
    const sqzk_s8_row *s8_rows;
    size_t rows;
    const float *scale, *bias; /* of the panel's columns */
    const float *residual;     /* NULL for none */
    size_t ldr;
    float *out;
    size_t ldo;
} finish_args;

static inline vec product(const int32_t *sums, vec row_scale, vec column_scale)
{
    return v_mul(i_to_float(i_load(sums)), v_mul(row_scale, column_scale));
}

/* out = activation(product + bias) + residual, whole vectors. gelu and residual are constants of
 * each instantiation. */
static inline __attribute__((always_inline)) void finish_rows(const finish_args *f, bool gelu,
                                                              bool residual)
{
#define OF_COLUMNS(i, j)                                                                           \
    const vec scale##j = v_load(f->scale + j * V_WIDTH), bias##j = v_load(f->bias + j * V_WIDTH);
    COLUMNS(OF_COLUMNS, 0)
#undef OF_COLUMNS
    const int32_t *sums = f->sums;
    const float *r = f->residual;
    float *out = f->out;
    for (size_t i = 0; i < f->rows; i++, sums += NR, out += f->ldo) {
        const vec row_scale = v_set(f->s8_rows[i].scale);
#define PUT(i, j)                                                                       \
    {                                                                                   \
        vec y = v_add(product(sums + j * V_WIDTH, row_scale, scale##j), bias##j);       \
        if (gelu) y = TILE_GELU(y);                                                     \
        if (residual) y = v_add(y, v_load(r + j * V_WIDTH));                            \
        v_store(out + j * V_WIDTH, y);                                                  \
    }
        COLUMNS(PUT, 0)
#undef PUT
        if (residual) r += f->ldr;
    }
}

/* What is seldom: beta, other activations, columns past n. */
static void finish_slowly(const sqzk_gemm_args *args, finish_args f, size_t row, size_t column,
                          size_t n)
{
    float buffer[TILE_ROWS * NR] __attribute__((aligned(64)));
    f.bias = nothing;
    f.out = buffer;
    f.ldo = NR;
    finish_rows(&f, false, false);
    sqzk_gemm_args own = *args;
    if (!HAS_EPILOGUE) own.epilogue = NULL;
    finish_buffer(&own, buffer, row, f.rows, column, n);
}

static void finish(const sqzk_gemm_args *args, const int32_t *sums, size_t row, size_t rows,
                   size_t column, size_t n, const signed char *panel)
{
    static const sqzk_epilogue none;
    const sqzk_epilogue *epilogue = HAS_EPILOGUE && args->epilogue ? args->epilogue : &none;
    const bool gelu = epilogue->activation == SQZK_GELU, residual = epilogue->residual != NULL;
    finish_args f = {.sums = sums,
                     .s8_rows = args->s8_rows + row,
                     .rows = rows,
                     .scale = panel_scale(panel, args->k),
                     .bias = epilogue->bias ? epilogue->bias + column : nothing,
                     .residual = residual ? epilogue->residual + row * epilogue->ldr + column
                                          : NULL,
                     .ldr = epilogue->ldr,
                     .out = args->c + row * args->ldc + column,
                     .ldo = args->ldc};
    if (args->beta || n < NR || (epilogue->activation != SQZK_IDENTITY && (!gelu || residual)))
        finish_slowly(args, f, row, column, n);
    else if (gelu) finish_rows(&f, true, false);
    else if (residual) finish_rows(&f, false, true);
    else finish_rows(&f, false, false);
}

/* The last tile of an odd number of rows begins one row early, and that row is finished once. */
static void run_panel(const sqzk_gemm_args *args, const strip *s, size_t column,
                      const signed char *b)
{
    int32_t sums[TILE_ROWS * NR] __attribute__((aligned(64)));
    const size_t n = args->n - column < NR ? args->n - column : NR;
    for (size_t t = 0, row = s->begin, rows; row < s->end; row += rows, t++) {
        rows = rows_of_tile(s, t);
        const size_t early = row + rows > s->end;
        const ahead next = ahead_of(args, s, t, row, column, b, panel_bytes(args->k));
        tile_of(rows, args, row - early, b, sums, &next);
        finish(args, sums + early * NR, row, rows - early, column, n, b);
    }
}

/* Cut into tiles of even heights that differ by two rows at most; an odd number of rows, but for
 * one, into two tiles at least. */
static void even_heights(strip *s)
{
    const size_t m = s->end - s->begin, pairs = (m + 1) / 2,
                 fit = (pairs + TILE_ROWS / 2 - 1) / (TILE_ROWS / 2),
                 tiles = fit == 1 && m % 2 ? 2 : fit;
    if (m == 1) return;
    s->rows = pairs / tiles * 2;
    s->longer = pairs % tiles;
}

/* What a row of a strip counts for: itself and its C; where k is short a 72th of all, so that a
 * strip's rows and the C under way stay in the first-level cache. */
static size_t strip_row_bytes(const sqzk_gemm_args *args)
{
    enum { SHORT = 256, SHORT_ROWS = 72 };
    const size_t bytes = args->k + args->n * sizeof *args->c;
    return args->k <= SHORT && bytes < STRIP_BYTES / SHORT_ROWS ? STRIP_BYTES / SHORT_ROWS : bytes;
}

static void run_tiles(const sqzk_gemm_args *args)
{
    const size_t panel = panel_bytes(args->k);
    for (size_t begin = 0; begin < args->m;) {
        strip s = strip_at(args, begin, strip_row_bytes(args), panel, (args->k + KR - 1) / KR);
        even_heights(&s);
        const signed char *b = args->b;
        for (size_t column = 0; column < args->n; column += NR, b += panel)
            run_panel(args, &s, column, b);
        begin = s.end;
    }
}

#endif
