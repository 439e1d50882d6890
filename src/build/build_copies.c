/* SPDX-License-Identifier: Apache-2.0 */
/* Near copies across the split: of each row held out the row trained on whose normalised state has
 * the largest product with its own. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "build/builder.h"
#include "model/context.h"

/* Rows of a strip, and trained rows that are packed at a time. More than PAIRS are not compared:
 * of as many rows held out as that allows, every k-th is. */
enum { STRIP = 64, COLUMNS = 2048 };
static const uint64_t PAIRS = UINT64_C(4000000000);
static const float NEAR = 0.95f;

typedef struct work {
    sqz_build *build;
    const sqzk_gemm *gemm;
    uint32_t n, step, members; /* every step-th row held out, n of them */
    uint32_t begin, columns;   /* the trained rows at hand */
    uint32_t *best;            /* [n] trained rows */
    float *product;            /* [n] theirs */
    float *rows, *products;    /* [members, STRIP, width], [members, STRIP, COLUMNS] */
    unsigned char *packed;
    void *block;
    size_t bytes;
} work;

static void lay_out(work *w, sqzi_arena *arena)
{
    const size_t width = w->build->features.width, strips = (size_t)w->members * STRIP;
    w->best = sqzi_arena_take(arena, w->n, sizeof *w->best);
    w->product = sqzi_arena_take(arena, w->n, sizeof *w->product);
    w->rows = sqzi_arena_take(arena, strips, width * sizeof *w->rows);
    w->products = sqzi_arena_take(arena, strips, COLUMNS * sizeof *w->products);
    w->packed = sqzi_arena_take(arena, 1, sqzk_gemm_packed_bytes(w->gemm, width, COLUMNS));
}

static void compare_strip(const work *w, uint32_t strip, uint32_t member)
{
    const size_t width = w->build->features.width, n_train = w->build->result.n_train;
    const uint32_t first = strip * STRIP, left = w->n - first, m = left < STRIP ? left : STRIP;
    float *rows = w->rows + member * STRIP * width;
    float *products = w->products + (size_t)member * STRIP * COLUMNS;
    for (uint32_t r = 0; r < m; r++)
        memcpy(rows + r * width,
               w->build->frozen.x + (n_train + (size_t)(first + r) * w->step) * width,
               width * sizeof *rows);
    w->gemm->run(&(sqzk_gemm_args){.m = m,
                                   .n = w->columns,
                                   .k = width,
                                   .a = rows,
                                   .lda = width * sizeof *rows,
                                   .b = w->packed,
                                   .c = products,
                                   .ldc = w->columns});
    for (uint32_t r = 0; r < m; r++)
        for (uint32_t j = 0; j < w->columns; j++) {
            const float product = products[(size_t)r * w->columns + j];
            if ((w->begin || j) && product <= w->product[first + r]) continue;
            w->product[first + r] = product;
            w->best[first + r] = w->begin + j;
        }
}

static void compare(void *argument, const sqzi_team *team)
{
    const work *w = argument;
    sqzi_turn turn = {.team = team};
    uint32_t strip;
    while (sqzi_take_part(&turn, (w->n + STRIP - 1) / STRIP, &strip))
        compare_strip(w, strip, team->member);
}

static sqz_status compare_all(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_build *b = w->build;
    const size_t width = b->features.width;
    const uint32_t n = (uint32_t)b->result.n_train;
    for (w->begin = 0; w->begin < n; w->begin += w->columns) {
        w->columns = n - w->begin < COLUMNS ? n - w->begin : COLUMNS;
        w->gemm->pack(&(sqzk_pack_args){.n = w->columns,
                                        .k = width,
                                        .source = b->frozen.x + w->begin * width,
                                        .n_stride = width,
                                        .k_stride = 1,
                                        .type = SQZI_F32},
                      w->packed);
        sqzi_thread_pool_run(b->context->pool, w->members, compare, w);
        FAIL_IF(b->options.progress && b->options.progress(b->options.user, "texts compared",
                                                           w->begin + w->columns, n) != 0,
                SQZ_ECANCELLED, 0, "stopped while texts were compared");
    }
fail:
    return status;
}

static int falling(const void *left, const void *right)
{
    const sqz_near_copy *a = left, *b = right;
    if (a->cosine != b->cosine) return a->cosine < b->cosine ? 1 : -1;
    return (a->held_out > b->held_out) - (a->held_out < b->held_out);
}

/* Rows have a mean of squares of 1: a cosine is the product over the width. */
static void keep_near(const work *w)
{
    sqz_build *b = w->build;
    for (uint32_t i = 0; i < w->n; i++) {
        const float cosine = w->product[i] / (float)b->features.width;
        if (cosine < NEAR) continue;
        const uint32_t row = i * w->step;
        b->is_copy[row] = 1;
        b->near_copies[b->result.n_near_copies++] =
            (sqz_near_copy){b->rows[b->result.n_train + row], b->rows[w->best[i]], cosine};
    }
    qsort(b->near_copies, b->result.n_near_copies, sizeof *b->near_copies, falling);
}

sqz_status sqzi_build_find_copies(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint64_t n_held = b->result.n_held_out, pairs = n_held * b->result.n_train;
    work w = {.build = b,
              .gemm = b->context->kernels.gemm_f32,
              .step = (uint32_t)(pairs / (PAIRS + 1)) + 1,
              .members = sqzi_thread_pool_size(b->context->pool)};
    w.n = (uint32_t)((n_held + w.step - 1) / w.step);
    b->result.n_compared = w.n;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&w, &arena);
    w.block = sqzi_allocate(b->allocator, arena.used);
    if (!w.block) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to compare texts");
    w.bytes = arena.used;
    arena = sqzi_arena_over(w.block, w.bytes);
    lay_out(&w, &arena);
    TRY(compare_all(&w, error));
    keep_near(&w);
fail:
    sqzi_release(b->allocator, w.block, w.bytes);
    return status;
}
