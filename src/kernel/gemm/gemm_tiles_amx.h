/* SPDX-License-Identifier: Apache-2.0 */
/* The gemm on AMX tiles. A tile of rows is 16 rows x 64 bytes, a tile of weights 64 bytes of k x 16
 * columns, a tile of sums 16 x 16; a block of C is four tiles of sums, 32 rows x 32 columns, or 16
 * x 64 where m allows no more rows. While a block's products run, the vector units finish the block
 * before it, a few rows after every step over k.
 *
 * Include after vector_avx512.h and these: K_MULTIPLE, the k of a tile; TILE_PRODUCT, the
 * instruction; sum, the type of a sum; factors_of_row(args, i, panel), scales_of_columns(panel, k,
 * j) and product(sums, row's, j, columns'), 16 sums as floats; SUMS_ARE_PRODUCTS, whether that
 * changes
 * nothing; BEGIN_TILE(tile, args, panel, j) where the sums of the panel's columns from j on may not
 * begin at 0; panel_bytes(k), panel_weight_bytes(k), pack, prepare; GEMM_NAME, GEMM_TEXT,
 * GEMM_TYPE. Panels lie as [k][32 columns] in words of four bytes.
 *
 * Instructions are written in assembly: the macros of gcc 12 do not tell the compiler which memory
 * they read.
 */
#include "base/cpu.h"
#include "kernel/gemm/bf16_store_amx.h"
#include "kernel/gemm/tile_epilogue.h"

#if !defined(__AMX_TILE__) && !defined(__AMXTILE__) /* gcc's name, clang's */
#error "compile this file with AMX"
#endif

enum {
    TILE_ROWS = 16,
    TILE_COLUMNS = 16,
    ROW_BYTES = 64,
    WEIGHT_STRIDE = NR * 4,
    STEP_BYTES = 2 * TILE_ROWS * ROW_BYTES,
    ROWS_AT_ONCE = 4,
    LINE = 64
};
/* Weights that all rows are multiplied by, 32 rows after the other, before the next: they stay in
 * the second-level cache, the 32 rows in the first. */
enum { GROUP_BYTES = 64 << 10 };

/* Tiles 0 to 3 hold sums, 4 and 5 rows, 6 and 7 weights. */
#define LOAD_TILE(tile, from, stride)                                                              \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(from), "r"(stride))
/* The same, of what is not soon used again: it shall not drive out of the first-level cache what
 * is. */
#define LOAD_TILE_ONCE(tile, from, stride)                                                         \
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm" #tile : : "r"(from), "r"(stride))
#define STORE_TILE(tile, to, stride)                                                               \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     :                                                                             \
                     : "r"(to), "r"((size_t)(stride))                                              \
                     : "memory")
#define ZERO_TILE(tile) __asm__ volatile("tilezero %tmm" #tile)
#ifndef BEGIN_TILE
#define BEGIN_TILE(tile, args, panel, j) ZERO_TILE(tile)
#endif
#define MULTIPLY_TILES(sums, rows, weights)                                                        \
    __asm__ volatile(TILE_PRODUCT " %tmm" #weights ", %tmm" #rows ", %tmm" #sums)

/* What ldtilecfg reads: palette 1, then bytes of a row and rows of each tile. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* The tiles of this thread; the upper two of a block have `upper` rows, the lower two `lower`. */
static void configure(size_t upper, size_t lower)
{
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = ROW_BYTES;
        config.rows[i] = (uint8_t)(i >= 6 ? TILE_ROWS : i == 2 || i == 3 || i == 5 ? lower : upper);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

/* Up to 16 rows x 32 columns of C: rows first .. rows-1 are to be finished. */
typedef struct half {
    size_t row, first, rows, column, n;
    const signed char *panel;
} half;

typedef struct block {
    half halves[2];
    uintptr_t ahead; /* weights to fetch while its products run */
} block;

/* The sums of one block between their tiles and C. */
typedef struct buffer {
    sum halves[2][2][TILE_ROWS][TILE_COLUMNS] __attribute__((aligned(64)));
} buffer;

/* -0.0, which changes nothing where it is added. */
static const float nothing[NR] = {
#define FOUR -0.0f, -0.0f, -0.0f, -0.0f
    FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR,
#undef FOUR
};

typedef enum finish { AS_IT_IS, BIASED, ADDED, GELU, BIASED_BF16, GELU_BF16, ANY } finish;

static finish finish_of(const sqzk_gemm_args *args)
{
    /* attention's */
    if (SUMS_ARE_PRODUCTS && !args->epilogue && !args->beta && !args->c_bf16 &&
        args->n % TILE_COLUMNS == 0)
        return AS_IT_IS;
    const sqzk_activation activation = args->epilogue ? args->epilogue->activation : SQZK_IDENTITY;
    const bool added = args->epilogue && args->epilogue->residual;
    if (args->beta || (added && (args->c_bf16 || activation != SQZK_IDENTITY))) return ANY;
    if (activation == SQZK_IDENTITY) return added ? ADDED : args->c_bf16 ? BIASED_BF16 : BIASED;
    return activation != SQZK_GELU ? ANY : args->c_bf16 ? GELU_BF16 : GELU;
}

/* Where number (row, column) of C goes, and the bytes from there to the next row's. */
static inline unsigned char *place_in_c(const sqzk_gemm_args *args, size_t row, size_t column,
                                        size_t *step)
{
    const size_t bytes = args->c_bf16 ? sizeof *args->c_bf16 : sizeof *args->c;
    *step = args->ldc * bytes;
    return (args->c_bf16 ? (unsigned char *)args->c_bf16 : (unsigned char *)args->c) + row * *step +
           column * bytes;
}

/* The next rows of a half, up to `end`: vectors of 16 columns, masked past n. `how` is a constant.
 *
 * Of what runs here the CPU holds some hundred instructions before the first is done, and as long
 * as they wait for sums it reaches no further product: so few rows at a time, without a branch
 * between them, and everything that rows share in registers - copied, as a store of C might change
 * *shared. */
static inline __attribute__((always_inline)) void finish_rows_as(finish how,
                                                                 const sqzk_gemm_args *shared,
                                                                 half *h, const sum *sums,
                                                                 size_t end)
{
    const sqzk_gemm_args own = *shared, *args = &own;
    const sqzk_epilogue epilogue = args->epilogue ? *args->epilogue
                                                  : (sqzk_epilogue){.activation = SQZK_IDENTITY};
    const bool added = (how == ADDED || how == ANY) && epilogue.residual;
    const bool to_bf16 = how == BIASED_BF16 || how == GELU_BF16 || (how == ANY && args->c_bf16);
    const size_t ldr = added ? epilogue.ldr : 0, columns = h->n,
                 n[2] = {columns < V_WIDTH ? columns : V_WIDTH,
                         columns < V_WIDTH ? 0 : columns - V_WIDTH};
    const float *bias = epilogue.bias ? epilogue.bias + h->column : nothing;
    const signed char *const panel = h->panel;
    const vec scales[2] = {scales_of_columns(panel, args->k, 0),
                           scales_of_columns(panel, args->k, V_WIDTH)};
    const vec biases[2] = {v_load_part(bias, n[0]), v_load_part(bias + V_WIDTH, n[1])};
    size_t row = h->row + h->first, left = end - h->first, step;
    const float *residual = added ? epilogue.residual + row * ldr + h->column : nothing;
    unsigned char *c = place_in_c(args, row, h->column, &step);
    sums += h->first * TILE_COLUMNS;
    h->first = end;
#define TO(i, j) ((float *)(void *)(c + (i) * step) + (j) * V_WIDTH)
#define FINISH(y, i, j)                                                                            \
    vec y = product(sums + ((j)*TILE_ROWS + (i)) * TILE_COLUMNS, factors, (j)*V_WIDTH, scales[j]); \
    if (how == ANY && args->beta) y = v_add(v_load_part(TO(i, j), n[j]), y);                       \
    y = v_add(y, biases[j]);                                                                       \
    if (how == GELU) y = TILE_GELU(y);                                                             \
    if (how == GELU_BF16) y = v_gelu_near(y);                                                      \
    if (how == ANY) y = tile_activate(epilogue.activation, y);                                     \
    if (how == ADDED || how == ANY)                                                                \
        y = v_add(y, v_load_part(residual + (i)*ldr + (j)*V_WIDTH, n[j]));                         \
    if (!to_bf16) v_store_part(TO(i, j), y, n[j]);
#define FINISH_ROWS(rows)                                                   \
    for (size_t i = 0; i < (rows); i++) {                                   \
        const row_factors factors = factors_of_row(args, row + i, panel);   \
        FINISH(y0, i, 0)                                                    \
        FINISH(y1, i, 1)                                                    \
        if (to_bf16) store_bf16(c + i * step, y0, y1, columns);             \
    }                                                                       \
    row += (rows);                                                          \
    left -= (rows);                                                         \
    sums += (rows) * TILE_COLUMNS;                                          \
    residual += (rows) * ldr;                                               \
    c += (rows) * step;
    /* an activation is long enough, and large */
    const size_t at_once = how == BIASED || how == ADDED || how == BIASED_BF16 ? ROWS_AT_ONCE : 1;
    while (left >= at_once) {
#pragma GCC unroll 4
        FINISH_ROWS(at_once)
    }
    while (left) {
        FINISH_ROWS(1)
    }
}

/* The next rows of a block, at most `rows`, of one half. */
static void finish_rows(finish how, const sqzk_gemm_args *args, block *b, const buffer *sums,
                        size_t rows)
{
    const size_t i = b->halves[0].first == b->halves[0].rows;
    half *h = &b->halves[i];
    const size_t left = h->rows - h->first, end = h->first + (left < rows ? left : rows);
    const sum *from = sums->halves[i][0][0];
    switch (how) {
    case AS_IT_IS: break;
    case BIASED: finish_rows_as(BIASED, args, h, from, end); break;
    case ADDED: finish_rows_as(ADDED, args, h, from, end); break;
    case GELU: finish_rows_as(GELU, args, h, from, end); break;
    case BIASED_BF16: finish_rows_as(BIASED_BF16, args, h, from, end); break;
    case GELU_BF16: finish_rows_as(GELU_BF16, args, h, from, end); break;
    case ANY: finish_rows_as(ANY, args, h, from, end); break;
    }
}

static size_t rows_left(const block *b)
{
    return b->halves[0].rows - b->halves[0].first + b->halves[1].rows - b->halves[1].first;
}

static void finish_block(finish how, const sqzk_gemm_args *args, block *b, const buffer *sums)
{
    while (rows_left(b)) finish_rows(how, args, b, sums, TILE_ROWS);
}

typedef enum form { NARROW /* 16 x 32 */, TALL /* 32 x 32 */, WIDE /* 16 x 64 */ } form;

/* How m is cut: `rows` a block, `upper` of them in its first half; the last block begins early and
 * computes again what its neighbour has. n is cut into groups of `columns`. And what is done after
 * each of the `steps` over k: from step `wait` on, whose predecessors gave the sums time to arrive
 * in the buffer, so many rows of the block before are finished; `ahead` lines of the next group's
 * weights are fetched; the lines of C, if `fetch_c`. */
typedef struct cut {
    size_t rows, upper, columns, steps, wait, finished, ahead;
    bool fetch_c;
    form shape;
} cut;

static cut cut_of(const sqzk_gemm_args *args, finish how)
{
    const size_t blocks = (args->m + 2 * TILE_ROWS - 1) / (2 * TILE_ROWS),
                 rows = (args->m + blocks - 1) / blocks, pair_bytes = 2 * panel_bytes(args->k);
    cut c = {.rows = rows,
             .upper = rows,
             .shape = WIDE,
             .steps = panel_weight_bytes(args->k) / STEP_BYTES};
    if (rows > TILE_ROWS) {
        c.shape = TALL;
        c.upper = (rows + 1) / 2;
    }
    c.columns = (GROUP_BYTES + pair_bytes - 1) / pair_bytes * 2 * NR;
    c.finished = c.steps >= 4 ? 8 : 16;
    /* an activation is long: evenly */
    if (how == GELU || how == GELU_BF16 || how == ANY)
        c.finished = (2 * TILE_ROWS + c.steps - 1) / c.steps;
    else if (c.steps > 5) c.wait = 2;
    /* One block alone goes through its weights once, as fast as they come, and loses by fetches:
     * but for an activation, which leaves time. */
    if (blocks > 1 || (c.shape == TALL && (how == GELU || how == GELU_BF16)))
        c.ahead = (STEP_BYTES / LINE + blocks - 1) / blocks;
    /* else a column of them is in one set of the cache and drives itself out */
    c.fetch_c = c.steps < 4 && args->ldc * sizeof *args->c % 4096 != 0;
    return c;
}

/* The sums of half i of *b from its two tiles to the buffer, or to C itself. */
#define STORE_HALF(b, i, left_tile, right_tile)                                                    \
    if (how == AS_IT_IS) {                                                                         \
        half *const done = &(b)->halves[i];                                                        \
        sqzi_real *to = args->c + done->row * args->ldc + done->column;                            \
        if (done->rows) STORE_TILE(left_tile, to, args->ldc * sizeof *to);                         \
        if (done->rows && done->n > TILE_COLUMNS)                                                  \
            STORE_TILE(right_tile, to + TILE_COLUMNS, args->ldc * sizeof *to);                     \
        done->first = done->rows;                                                                  \
    } else {                                                                                       \
        STORE_TILE(left_tile, sums->halves[i][0], ROW_BYTES);                                      \
        STORE_TILE(right_tile, sums->halves[i][1], ROW_BYTES);                                     \
    }

/* The lines of C that half of a block will be written to. */
static inline void fetch_half(const sqzk_gemm_args *args, const half *h)
{
    size_t step;
    const unsigned char *c = place_in_c(args, h->row, h->column, &step);
    for (size_t i = 0; i < h->rows; i++, c += step) {
        __builtin_prefetch(c, 1, 3);
        /* a fetch never faults, so the block may be narrower */
        if (!args->c_bf16) __builtin_prefetch(c + LINE, 1, 3);
    }
}

/* The sums of a block, and meanwhile the end of the block before. Of either the second half leaves
 * its tiles only after two products of the next block: storing tiles right after the last products
 * would leave the unit without work until those are complete. `shape` is a constant. */
static inline __attribute__((always_inline)) void sum_block(form shape, const sqzk_gemm_args *args,
                                                            const cut *c, block *b, buffer *sums,
                                                            finish how, block *before)
{
    half *first = &b->halves[0], *second = &b->halves[1];
    const size_t lda = args->lda, ldw = WEIGHT_STRIDE;
    const unsigned char *upper = (const unsigned char *)args->a + first->row * lda,
                        *lower = (const unsigned char *)args->a + second->row * lda;
    const signed char *left = first->panel, *right = second->panel;
    BEGIN_TILE(0, args, left, 0);
    BEGIN_TILE(1, args, left, TILE_COLUMNS);
    for (size_t s = 0; s < c->steps; s++) {
        LOAD_TILE(4, upper + s * ROW_BYTES, lda);
        LOAD_TILE_ONCE(6, left + s * STEP_BYTES, ldw);
        MULTIPLY_TILES(0, 4, 6);
        LOAD_TILE_ONCE(7, left + s * STEP_BYTES + ROW_BYTES, ldw);
        MULTIPLY_TILES(1, 4, 7);
        if (s == 0) {
            STORE_HALF(before, 1, 2, 3)
            BEGIN_TILE(2, args, right, 0);
            BEGIN_TILE(3, args, right, TILE_COLUMNS);
        }
        if (shape == TALL) {
            LOAD_TILE(5, lower + s * ROW_BYTES, lda);
            MULTIPLY_TILES(2, 5, 6);
            MULTIPLY_TILES(3, 5, 7);
        }
        if (shape == WIDE) {
            LOAD_TILE_ONCE(6, right + s * STEP_BYTES, ldw);
            MULTIPLY_TILES(2, 4, 6);
            LOAD_TILE_ONCE(7, right + s * STEP_BYTES + ROW_BYTES, ldw);
            MULTIPLY_TILES(3, 4, 7);
        }
        if (c->fetch_c && s < 2) fetch_half(args, &b->halves[s]);
        for (size_t i = 0; i < c->ahead; i++)
            __builtin_prefetch((const void *)(b->ahead + (s * c->ahead + i) * LINE), 0, 2);
        if (s >= c->wait && rows_left(before)) finish_rows(how, args, before, sums, c->finished);
    }
    finish_block(how, args, before, sums);
    STORE_HALF(b, 0, 0, 1)
}

/* The block at (row, column) of C, whose first `done` rows another one finishes. */
static void place_block(block *b, const sqzk_gemm_args *args, const cut *c, form shape, size_t row,
                        size_t done, size_t column, const signed char *panel)
{
    const size_t left = args->n - column, below = done < c->upper ? 0 : done - c->upper;
    half *first = &b->halves[0], *second = &b->halves[1];
    first->row = second->row = row;
    first->first = done - below;
    first->rows = c->upper;
    first->column = second->column = column;
    first->n = second->n = left < NR ? left : NR;
    first->panel = second->panel = panel;
    second->first = second->rows = 0;
    if (shape == TALL) {
        second->row = row + c->upper;
        second->first = below;
        second->rows = c->rows - c->upper;
    } else if (shape == WIDE) {
        second->rows = c->rows;
        second->column = column + NR;
        second->n = left - NR < NR ? left - NR : NR;
        second->panel = panel + panel_bytes(args->k);
    }
}

static void sum_block_of(form shape, const sqzk_gemm_args *args, const cut *c, block *b,
                         buffer *sums, finish how, block *before)
{
    switch (shape) {
    case NARROW: sum_block(NARROW, args, c, b, sums, how, before); break;
    case TALL: sum_block(TALL, args, c, b, sums, how, before); break;
    case WIDE: sum_block(WIDE, args, c, b, sums, how, before); break;
    }
}

/* The blocks of one group of columns, `begin` to `end`: a strip of rows through all of its panels,
 * then the next strip. Returns the last one, which is to be finished; it stands in `pair`, as
 * `before` does. A block is not copied: that would wait for all stores before it, tiles of sums
 * among them. */
static block *run_group(const sqzk_gemm_args *args, const cut *c, finish how, size_t begin,
                        size_t end, buffer *sums, block pair[2], block *before)
{
    const signed char *panels = args->b;
    uintptr_t ahead = (uintptr_t)panels + (end + NR - 1) / NR * panel_bytes(args->k);
    for (size_t row = 0; row < args->m; row += c->rows) {
        const size_t done = row + c->rows > args->m ? row + c->rows - args->m : 0;
        for (size_t column = begin, columns; column < end; column += columns) {
            const form shape = c->shape == WIDE && args->n - column <= NR ? NARROW : c->shape;
            block *const b = &pair[before == pair];
            columns = shape == WIDE ? 2 * NR : NR;
            b->ahead = ahead;
            place_block(b, args, c, shape, row - done, done, column,
                        panels + column / NR * panel_bytes(args->k));
            sum_block_of(shape, args, c, b, sums, how, before);
            before = b;
            ahead += c->steps * c->ahead * LINE;
        }
    }
    return before;
}

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    buffer memory, *const sums = &memory;
    block pair[2] = {{.halves = {{.rows = 0}, {.rows = 0}}}}, *before = pair;
    const finish how = finish_of(args);
    const cut c = cut_of(args, how);
    configure(c.upper, c.shape == TALL ? c.rows - c.upper : c.upper);
    for (size_t begin = 0; begin < args->n; begin += c.columns)
        before = run_group(args, &c, how, begin,
                           args->n - begin < c.columns ? args->n : begin + c.columns, sums, pair,
                           before);
    STORE_HALF(before, 1, 2, 3)
    __asm__ volatile("tilerelease");
    finish_block(how, args, before, sums);
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = "amx",
    .feature = SQZI_CPU_AMX,
    .type = GEMM_TYPE,
    .mr = 2 * TILE_ROWS,
    .nr = NR,
    .kr = K_MULTIPLE,
    .writes_bf16 = true,
    .fast = true,
    .run = KERNEL(run),
    .pack = KERNEL(pack),
    .prepare = KERNEL(prepare),
};
