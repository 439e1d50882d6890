/* SPDX-License-Identifier: Apache-2.0 */
/* The gemm on AMX tiles. A tile of rows is 16 rows x 64 bytes, a tile of weights 64 bytes of k x 16 columns, a tile of sums 16 x 16; a block of C is
 * four tiles of sums, 32 rows x 32 columns, or 16 x 64 where m allows no more rows. While a block's products run, the vector units finish the block
 * before it.
 *
 * Include after vector_avx512.h and these: K_MULTIPLE, the k of a tile; TILE_PRODUCT, the instruction; sum, the type of a sum; scale_of_row(args, i),
 * scales_of_columns(panel, k, j) and product(sums, row's, columns'), 16 sums as floats; SUMS_ARE_PRODUCTS, whether that changes nothing; panel_bytes(k), panel_weight_bytes(k), pack, prepare; GEMM_NAME,
 * GEMM_TEXT, GEMM_TYPE. Panels lie as [k][32 columns] in words of four bytes.
 *
 * Instructions are written in assembly: the macros of gcc 12 do not tell the compiler which memory they read.
 */
#include "base/cpu.h"
#include "kernel/gemm/tile_epilogue.h"

#if !defined(__AMX_TILE__) && !defined(__AMXTILE__) /* gcc's name, clang's */
#error "compile this file with AMX"
#endif

enum { TILE_ROWS = 16, TILE_COLUMNS = 16, ROW_BYTES = 64, WEIGHT_STRIDE = NR * 4, STEP_BYTES = 2 * TILE_ROWS * ROW_BYTES };

/* Tiles 0 to 3 hold sums, 4 and 5 rows, 6 and 7 weights. */
#define LOAD_TILE(tile, from, stride) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(from), "r"(stride))
#define STORE_TILE(tile, to, stride) __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(to), "r"((size_t)(stride)) : "memory")
#define ZERO_TILE(tile) __asm__ volatile("tilezero %tmm" #tile)
#define MULTIPLY_TILES(sums, rows, weights) __asm__ volatile(TILE_PRODUCT " %tmm" #weights ", %tmm" #rows ", %tmm" #sums)

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

/* Up to 16 rows x 32 columns of C in a buffer of two tiles of sums: rows first .. rows-1 are to be finished. */
typedef struct half {
    size_t row, first, rows, column, n;
    const signed char *panel;
    sum sums[2][TILE_ROWS][TILE_COLUMNS] __attribute__((aligned(64)));
} half;

typedef struct block {
    half halves[2];
} block;

/* -0.0, which changes nothing where it is added. */
static const float nothing[NR] = {
#define FOUR -0.0f, -0.0f, -0.0f, -0.0f
    FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR,
#undef FOUR
};

typedef enum finish { AS_IT_IS, ADDED, GELU, ANY } finish;

static finish finish_of(const sqzk_gemm_args *args)
{
    if (SUMS_ARE_PRODUCTS && !args->epilogue && !args->beta && args->n % TILE_COLUMNS == 0) return AS_IT_IS; /* attention's */
    const sqzk_activation activation = args->epilogue ? args->epilogue->activation : SQZK_IDENTITY;
    return args->beta ? ANY : activation == SQZK_IDENTITY ? ADDED : activation == SQZK_GELU ? GELU : ANY;
}

/* The next rows of a half, up to `end`, to C: vectors of 16 columns, masked past n. `how` is a constant. */
static inline __attribute__((always_inline)) void finish_rows_as(finish how, const sqzk_gemm_args *args, half *h, size_t end)
{
    const sqzk_epilogue *epilogue = args->epilogue;
    const bool biased = epilogue && epilogue->bias, added = epilogue && epilogue->residual;
    const size_t ldr = added ? epilogue->ldr : 0, n[2] = {h->n < V_WIDTH ? h->n : V_WIDTH, h->n < V_WIDTH ? 0 : h->n - V_WIDTH};
    const float *bias = biased ? epilogue->bias + h->column : nothing, *residual = added ? epilogue->residual + h->row * ldr + h->column : nothing;
    const vec scales[2] = {scales_of_columns(h->panel, args->k, 0), scales_of_columns(h->panel, args->k, V_WIDTH)};
    const vec biases[2] = {v_load_part(bias, n[0]), v_load_part(bias + V_WIDTH, n[1])};
    float *c = args->c + h->row * args->ldc + h->column;
    for (size_t i = h->first; i < end; i++) { /* a whole row: rows lie in pages of their own */
        const vec row = scale_of_row(args, h->row + i);
#pragma GCC unroll 2
        for (size_t j = 0; j < 2; j++) {
            float *to = c + i * args->ldc + j * V_WIDTH;
            vec y = product(h->sums[j][i], row, scales[j]);
            if (how == ANY && args->beta) y = v_add(v_load_part(to, n[j]), y);
            y = v_add(y, biases[j]);
            if (how == GELU) y = TILE_GELU(y);
            if (how == ANY && epilogue) y = tile_activate(epilogue->activation, y);
            v_store_part(to, v_add(y, v_load_part(residual + i * ldr + j * V_WIDTH, n[j])), n[j]);
        }
    }
    h->first = end;
}

static void finish_rows(finish how, const sqzk_gemm_args *args, block *b, size_t rows)
{
    for (half *h = b->halves; h < b->halves + 2 && rows; h++) {
        const size_t left = h->rows - h->first, part = left < rows ? left : rows, end = h->first + part;
        rows -= part;
        if (part == 0) continue;
        switch (how) {
        case AS_IT_IS: break;
        case ADDED: finish_rows_as(ADDED, args, h, end); break;
        case GELU: finish_rows_as(GELU, args, h, end); break;
        case ANY: finish_rows_as(ANY, args, h, end); break;
        }
    }
}

static size_t rows_left(const block *b)
{
    return b->halves[0].rows - b->halves[0].first + b->halves[1].rows - b->halves[1].first;
}

typedef enum form { NARROW /* 16 x 32 */, TALL /* 32 x 32 */, WIDE /* 16 x 64 */ } form;

/* The sums of a half from its two tiles to its buffer, or to C itself. */
#define STORE_HALF(h, left_tile, right_tile)                                                     \
    if (how == AS_IT_IS) {                                                                       \
        sqzi_real *c = args->c + (h)->row * args->ldc + (h)->column;                             \
        STORE_TILE(left_tile, c, args->ldc * sizeof *c);                                         \
        if ((h)->n > TILE_COLUMNS) STORE_TILE(right_tile, c + TILE_COLUMNS, args->ldc * sizeof *c); \
        (h)->first = (h)->rows;                                                                  \
    } else {                                                                                     \
        STORE_TILE(left_tile, (h)->sums[0], ROW_BYTES);                                          \
        STORE_TILE(right_tile, (h)->sums[1], ROW_BYTES);                                         \
    }

/* The sums of a block, and meanwhile the rows left of the block before. `shape` is a constant. */
static inline __attribute__((always_inline)) void sum_block(form shape, const sqzk_gemm_args *args, block *b, finish how, block *before)
{
    half *first = &b->halves[0], *second = &b->halves[1];
    const size_t steps = panel_weight_bytes(args->k) / STEP_BYTES, share = (rows_left(before) + steps - 1) / steps, lda = args->lda, ldw = WEIGHT_STRIDE;
    const unsigned char *upper = (const unsigned char *)args->a + first->row * lda, *lower = (const unsigned char *)args->a + second->row * lda;
    const signed char *left = first->panel, *right = second->panel;
    ZERO_TILE(0); ZERO_TILE(1); ZERO_TILE(2); ZERO_TILE(3);
    for (size_t s = 0; s < steps; s++) {
        LOAD_TILE(4, upper + s * ROW_BYTES, lda);
        LOAD_TILE(6, left + s * STEP_BYTES, ldw);
        MULTIPLY_TILES(0, 4, 6);
        LOAD_TILE(7, left + s * STEP_BYTES + ROW_BYTES, ldw);
        MULTIPLY_TILES(1, 4, 7);
        if (shape == TALL) {
            LOAD_TILE(5, lower + s * ROW_BYTES, lda);
            MULTIPLY_TILES(2, 5, 6);
            MULTIPLY_TILES(3, 5, 7);
        }
        if (shape == WIDE) {
            LOAD_TILE(6, right + s * STEP_BYTES, ldw);
            MULTIPLY_TILES(2, 4, 6);
            LOAD_TILE(7, right + s * STEP_BYTES + ROW_BYTES, ldw);
            MULTIPLY_TILES(3, 4, 7);
        }
        finish_rows(how, args, before, share);
    }
    STORE_HALF(first, 0, 1)
    if (shape == NARROW) return;
    STORE_HALF(second, 2, 3)
}

/* How m is cut: `rows` a block, `upper` of them in its first half; the last block begins early and computes again what its neighbour has. */
typedef struct cut {
    size_t rows, upper;
    form shape;
} cut;

static cut cut_rows(size_t m)
{
    const size_t blocks = (m + 2 * TILE_ROWS - 1) / (2 * TILE_ROWS), rows = (m + blocks - 1) / blocks;
    return rows > TILE_ROWS ? (cut){rows, (rows + 1) / 2, TALL} : (cut){rows, rows, WIDE};
}

/* Lines of C that a half will write, so that they are there when it is finished. */
static void fetch_c(const sqzk_gemm_args *args, const half *h)
{
    for (size_t i = h->first; i < h->rows; i++) {
        const float *c = args->c + (h->row + i) * args->ldc + h->column;
        __builtin_prefetch(c, 1, 3);
        __builtin_prefetch(c + 16, 1, 3);
    }
}

/* The block at (row, column) of C, whose first `done` rows another one finishes. */
static void place(block *b, const sqzk_gemm_args *args, const cut *c, form shape, size_t row, size_t done, size_t column, const signed char *panel)
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
    fetch_c(args, first);
    fetch_c(args, second);
}

static void sum_block_of(form shape, const sqzk_gemm_args *args, block *b, finish how, block *before)
{
    switch (shape) {
    case NARROW: sum_block(NARROW, args, b, how, before); break;
    case TALL: sum_block(TALL, args, b, how, before); break;
    case WIDE: sum_block(WIDE, args, b, how, before); break;
    }
}

static void run(const sqzk_gemm_args *args)
{
    block blocks[2], *now = &blocks[0], *before = &blocks[1];
    const cut c = cut_rows(args->m);
    const finish how = finish_of(args);
    const signed char *panel = args->b;
    for (int i = 0; i < 2; i++) before->halves[i].first = before->halves[i].rows = 0;
    configure(c.upper, c.shape == TALL ? c.rows - c.upper : c.upper);
    for (size_t column = 0, columns; column < args->n; column += columns) {
        const form shape = c.shape == WIDE && args->n - column <= NR ? NARROW : c.shape;
        for (size_t row = 0; row < args->m; row += c.rows) {
            const size_t done = row + c.rows > args->m ? row + c.rows - args->m : 0;
            place(now, args, &c, shape, row - done, done, column, panel);
            sum_block_of(shape, args, now, how, before);
            block *const full = now;
            now = before;
            before = full;
        }
        columns = shape == WIDE ? 2 * NR : NR;
        panel += columns / NR * panel_bytes(args->k);
    }
    __asm__ volatile("tilerelease");
    finish_rows(how, args, before, 2 * TILE_ROWS);
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
    .run = run,
    .pack = pack,
    .prepare = prepare,
};
