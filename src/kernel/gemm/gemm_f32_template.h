/* SPDX-License-Identifier: Apache-2.0 */
/* The f32 gemm on vectors: up to TILE_ROWS rows times TILE_VECTORS vectors of columns held in
 * registers over the whole of k.
 *
 * Include after a vector_<isa>.h with TILE_VECTORS (2 or 4), TILE_ROWS where it is 12 and not 6,
 * TILE_STEPS where it is 4 and not 1, GEMM_NAME, GEMM_TEXT, GEMM_LEVEL, GEMM_FEATURE defined. Each
 * output is the sum of its blocks of k, in order, and each block one chain of fused multiply-adds
 * over ascending k, whatever the tile: a chain over all of k would lose two bits at k = 3072.
 *
 * Packed: panel p holds columns p*NR .. p*NR + NR-1, k after k: float [k][NR], columns past n are
 * 0.
 */
#include "base/cpu.h"
#include "base/half.h"
#include "kernel/gemm/gemm_f32_block.h"

#include <string.h>

enum { NR = TILE_VECTORS * V_WIDTH };

#if TILE_STEPS == 4 && TILE_ROWS == 12
#define FETCH_PANEL(s)                      \
    if (!few) fetch_panel(&fetched, s);     \
    else if (s == 0) fetch_from(&fetched.first, fetched.step);
#endif
#include "kernel/gemm/tile_target.h"

#ifndef v_fma_onto
#define v_fma_onto(c, a, b) v_fma(a, b, c)
#endif

/* The sums of a tile to sums [TILE_ROWS][NR]: behind those of the k before, where there are some.
 * rows and few (tile_target.h) are constants of each instantiation: what they exclude is not
 * compiled. */
static inline __attribute__((always_inline)) void tile(size_t rows, bool few, bool some, size_t k,
                                                       const float *a, size_t lda, const float *b,
                                                       float *sums, const ahead *next)
{
    ahead fetched = *next;
    (void)few; /* where no tiles fetch less than others */
#define DECLARE(i, j) vec c##i##j = v_set(0.0f);
#define MULTIPLY(i, j) c##i##j = v_fma_onto(c##i##j, x, b##j);
#define ROW(i)                                              \
    if (i < rows) {                                         \
        const vec x = v_set(ROW_OF(i)[i % 3 * lda + step]); \
        COLUMNS(MULTIPLY, i)                                \
    }
#define WEIGHTS(i, j) const vec b##j = v_load(b + step * NR + j * V_WIDTH);
#define ADVANCE(n) b += (n) * NR, a0 += n, a3 += n, a6 += n, a9 += n
#define ADD(i, j) \
    if (i < rows) c##i##j = v_add(v_load(sums + i * NR + j * V_WIDTH), c##i##j);
#define KEEP(i, j) \
    if (i < rows) v_store(sums + i * NR + j * V_WIDTH, c##i##j);
    const float *a0 = a, *a3 = ROWS_FROM(a, 3, lda), *a6 = ROWS_FROM(a, 6, lda),
                *a9 = ROWS_FROM(a, 9, lda);
    const float *const late = b + first_turn_of_rows(k / TILE_STEPS, rows) * TILE_STEPS * NR;
    for (size_t done = 0, part; done < k; done += part) {
        part = k - done < GEMM_F32_BLOCK ? k - done : GEMM_F32_BLOCK;
        const float *const turns = b + part / TILE_STEPS * TILE_STEPS * NR, *const end = b +
                                                                                         part * NR;
        TILE_SUMS(DECLARE)
        for (; b < turns; ADVANCE(TILE_STEPS)) {
            if (b >= late) fetch_rows(&fetched);
            EACH_STEP(TILE_STEP)
        }
        for (; TILE_STEPS > 1 && b < end; ADVANCE(1)) TILE_STEP(0)
        if (done || some) {
            TILE_SUMS(ADD)
        }
        TILE_SUMS(KEEP)
    }
#undef KEEP
#undef ADD
#undef ADVANCE
#undef WEIGHTS
#undef ROW
#undef MULTIPLY
#undef DECLARE
}

/* The same for numbers known at run time only. */
static void tile_of(size_t rows, bool some, size_t k, const float *a, size_t lda, const float *b,
                    float *sums, const ahead *next)
{
    switch (next->few ? rows + TILE_ROWS : rows) {
#if HAS_FEW
    case TILE_ROWS + 10: tile(10, true, some, k, a, lda, b, sums, next); break;
    case TILE_ROWS + 11: tile(11, true, some, k, a, lda, b, sums, next); break;
    case TILE_ROWS + 12: tile(12, true, some, k, a, lda, b, sums, next); break;
#endif
#define CASE(r) \
    case r + 1: tile(r + 1, false, some, k, a, lda, b, sums, next); break;
        EACH_ROW(CASE)
#undef CASE
    }
}

/* Where the sums of a tile go. */
typedef struct finish_args {
    const float *sums, *bias, *residual; /* bias of the panel's columns; NULL for none */
    size_t rows, lds, ldr, ldo;
    float *out;
} finish_args;

/* out = activation(sums + bias) + residual, whole vectors. The last three are constants of each
 * instantiation. */
static inline __attribute__((always_inline)) void finish_rows(const finish_args *f, bool bias,
                                                              bool gelu, bool residual)
{
    const float *sums = f->sums, *r = f->residual;
    float *out = f->out;
    for (size_t i = 0; i < f->rows; i++, sums += f->lds, out += f->ldo) {
#define PUT(i, j)                                              \
    {                                                          \
        vec y = v_load(sums + j * V_WIDTH);                    \
        if (bias) y = v_add(y, v_load(f->bias + j * V_WIDTH)); \
        if (gelu) y = TILE_GELU(y);                            \
        if (residual) y = v_add(y, v_load(r + j * V_WIDTH));   \
        v_store(out + j * V_WIDTH, y);                         \
    }
        COLUMNS(PUT, 0)
#undef PUT
        if (residual) r += f->ldr;
    }
}

/* What every layer of every model has goes by whole vectors; beta, other activations and columns
 * past n take their time. */
static void finish(const sqzk_gemm_args *args, float *sums, size_t row, size_t rows, size_t column,
                   size_t n)
{
    static const sqzk_epilogue none;
    const sqzk_epilogue *e = args->epilogue ? args->epilogue : &none;
    const finish_args f = {.sums = sums,
                           .bias = e->bias ? e->bias + column : NULL,
                           .residual = e->residual ? e->residual + row * e->ldr + column : NULL,
                           .rows = rows,
                           .lds = NR,
                           .ldr = e->ldr,
                           .ldo = args->ldc,
                           .out = args->c + row * args->ldc + column};
    const bool plain = e->activation == SQZK_IDENTITY,
               gelu = e->activation == SQZK_GELU && f.bias && !f.residual;
    if (args->beta || n < NR || !(plain || gelu) || (f.residual && !f.bias))
        finish_buffer(args, sums, row, rows, column, n);
    else if (gelu) finish_rows(&f, true, true, false);
    else if (f.residual) finish_rows(&f, true, false, true);
    else if (f.bias) finish_rows(&f, true, false, false);
    else finish_rows(&f, false, false, false);
}

static size_t panel_bytes(size_t k)
{
    return (k * NR * sizeof(float) + 63) / 64 * 64;
}

/* k from `begin` to `end` of a strip. Where that is not all of k, c keeps the sums between one
 * slice and the next. */
typedef struct slice {
    size_t begin, end;
    strip rows;
} slice;

static void run_tile(const sqzk_gemm_args *args, const slice *p, size_t row, size_t rows,
                     size_t column, size_t n, const float *b, const ahead *next)
{
    float sums[TILE_ROWS * NR] __attribute__((aligned(64)));
    const size_t lda = args->lda / sizeof(float), k = p->end - p->begin;
    const bool some = p->begin > 0;
    float *c = args->c + row * args->ldc + column;
    if (some)
        finish_rows(
            &(finish_args){.sums = c, .lds = args->ldc, .rows = rows, .out = sums, .ldo = NR},
            false, false, false);
    tile_of(rows, some, k, (const float *)args->a + row * lda + p->begin, lda, b, sums, next);
    if (p->end == args->k) finish(args, sums, row, rows, column, n);
    else
        finish_rows(
            &(finish_args){.sums = sums, .lds = NR, .rows = rows, .out = c, .ldo = args->ldc},
            false, false, false);
}

/* The panels of a slice; what comes after the last one's part is the first one's next part. */
static void run_slice(const sqzk_gemm_args *args, const slice *p)
{
    const float *const first = (const float *)args->b + p->begin * NR, *b = first;
    const size_t panel = panel_bytes(args->k), part = (p->end - p->begin) * NR * sizeof *b;
    for (size_t column = 0; column < args->n; column += NR, b += panel / sizeof *b) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        const size_t next_panel = n + column < args->n || p->end == args->k
                                      ? panel
                                      : (uintptr_t)first + part - (uintptr_t)b;
        for (size_t t = 0, row = p->rows.begin; row < p->rows.end;
             row += rows_of_tile(&p->rows, t++)) {
            const ahead next = ahead_of(args, &p->rows, t, row, column, b, next_panel);
            run_tile(args, p, row, rows_of_tile(&p->rows, t), column, n, b, &next);
        }
    }
}

/* k of a slice: whole blocks, as many in every slice but the last, so that a strip's rows and the
 * panels' parts stay in the second-level cache. All of k where c cannot keep sums: it is added to,
 * is the residual too, or ends within a panel. */
static size_t slice_k(const sqzk_gemm_args *args)
{
    enum { SLICE_K = 8 * GEMM_F32_BLOCK };
    const bool c_is_free = !args->beta && args->n % NR == 0 &&
                           !(args->epilogue && args->epilogue->residual == args->c);
    const size_t slices = (args->k + SLICE_K - 1) / SLICE_K, even = (args->k + slices - 1) / slices;
    return c_is_free ? (even + GEMM_F32_BLOCK - 1) / GEMM_F32_BLOCK * GEMM_F32_BLOCK : args->k;
}

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    const size_t most = slice_k(args);
    for (size_t begin = 0, end = 0; begin < args->m; begin = end)
        for (size_t k = 0; k < args->k; k += most) {
            const size_t part = args->k - k < most ? args->k - k : most;
            const slice p = {k, k + part,
                             strip_at(args, begin, most * sizeof(float), panel_bytes(part), part)};
            run_slice(args, &p);
            end = p.rows.end;
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

/* The same of n < V_WIDTH columns, beside which are zeros. */
static void pack_transposed_part(const float *source, size_t n, size_t n_stride, size_t k,
                                 float *out)
{
    float rows[V_WIDTH * V_WIDTH] = {0};
    size_t p = 0;
    for (; p + V_WIDTH <= k; p += V_WIDTH) {
        for (size_t j = 0; j < n; j++)
            v_store(rows + j * V_WIDTH, v_load(source + j * n_stride + p));
        v_transpose(rows, V_WIDTH, out + p * NR, NR);
    }
    for (; p < k; p++)
        for (size_t j = 0; j < V_WIDTH; j++)
            out[p * NR + j] = j < n ? source[j * n_stride + p] : 0.0f;
}

static inline vec load_typed(const void *source, size_t i, sqzi_type type)
{
    if (type == SQZI_F16) return v_from_f16((const uint16_t *)source + i);
    if (type == SQZI_BF16) return v_from_bf16((const uint16_t *)source + i);
    return v_load((const float *)source + i);
}

/* n <= NR columns from `column` on, any type and strides, V_WIDTH columns at a time where they can
 * be moved as vectors. */
static void pack_panel(const sqzk_pack_args *args, size_t column, size_t n, float *out)
{
    for (size_t j = 0; j < NR; j += V_WIDTH) {
        const size_t part = j >= n ? 0 : n - j < V_WIDTH ? n - j : V_WIDTH;
        const size_t first = (column + j) * args->n_stride;
        if (part == 0) { /* short sequences pack panels that are mostly this */
            for (size_t p = 0; p < args->k; p++) v_store(out + p * NR + j, v_set(0.0f));
        } else if (part == V_WIDTH && args->k_stride == 1 && args->type == SQZI_F32) {
            pack_transposed((const float *)args->source + first, args->n_stride, args->k, out + j);
        } else if (args->k_stride == 1 && args->type == SQZI_F32) {
            pack_transposed_part((const float *)args->source + first, part, args->n_stride, args->k,
                                 out + j);
        } else if (part == V_WIDTH && args->n_stride == 1) {
            for (size_t p = 0; p < args->k; p++)
                v_store(out + p * NR + j,
                        load_typed(args->source, first + p * args->k_stride, args->type));
        } else {
            for (size_t p = 0; p < args->k; p++)
                for (size_t i = 0; i < V_WIDTH; i++)
                    out[p * NR + j + i] = i < part ? sqzi_load_real(args->source,
                                                                    first + i * args->n_stride +
                                                                        p * args->k_stride,
                                                                    args->type)
                                                   : 0.0f;
        }
    }
}

/* Whole panels of columns that lie beside one another (f32), a few rows of the source for all of
 * them at a time: a panel alone would read two lines of every row. Returns how many columns that
 * were. */
static size_t pack_rows(const sqzk_pack_args *args, size_t panel, float *out)
{
    enum { ROWS = 8 };
    const bool beside = args->type == SQZI_F32 && args->n_stride == 1;
    const size_t columns = beside ? args->n / NR * NR : 0;
    for (size_t p = 0, end; p < args->k; p = end) {
        end = args->k - p < ROWS ? args->k : p + ROWS;
        for (size_t column = 0; column < columns; column += NR) {
            const float *row = (const float *)args->source + p * args->k_stride + column;
            float *to = out + column / NR * panel + p * NR;
            for (size_t i = p; i < end; i++, row += args->k_stride, to += NR)
                for (size_t j = 0; j < NR; j += V_WIDTH) v_store(to + j, v_load(row + j));
        }
    }
    return columns;
}

static void KERNEL(pack)(const sqzk_pack_args *args, void *packed)
{
    const size_t panel = panel_bytes(args->k) / sizeof(float),
                 by_rows = pack_rows(args, panel, packed);
    float *out = packed;
    for (size_t column = 0; column < args->n; column += NR, out += panel) {
        if (column >= by_rows)
            pack_panel(args, column, args->n - column < NR ? args->n - column : NR, out);
        /* of 8 columns and an odd k: half a line is left */
        memset(out + args->k * NR, 0, (panel - args->k * NR) * sizeof *out);
    }
}

extern const sqzk_gemm GEMM_NAME;
const sqzk_gemm GEMM_NAME = {
    .name = GEMM_TEXT,
    .level = GEMM_LEVEL,
    .feature = GEMM_FEATURE,
    .type = SQZI_F32,
    .mr = TILE_ROWS,
    .nr = NR,
    .kr = 1,
    .run = KERNEL(run),
    .pack = KERNEL(pack),
};
