/* SPDX-License-Identifier: Apache-2.0 */
/* Means and covariances: rows are collected, turned, and multiplied with themselves, some at a
 * time. The sums of one stage are all that is held in double at once. */
#include "squeeze/statistics.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/tensor_list.h"

enum {
    ROWS = 256, /* that are multiplied at once */
    STRIP =
        256, /* rows of a product that begin at the same column: a multiple of every gemm's nr */
    ACCUMULATORS = SQZI_BLOCK_INPUTS
};

sqzi_block_input sqzi_block_input_of(uint32_t j)
{
    switch (j) {
    case SQZI_ATTN_OUTPUT: return SQZI_INPUT_ATTN_OUTPUT;
    case SQZI_FFN_UP: return SQZI_INPUT_FFN_UP;
    case SQZI_FFN_DOWN: return SQZI_INPUT_FFN_DOWN;
    default: return SQZI_INPUT_QKV;
    }
}

/* ---- memory ---- */

sqz_status sqzi_input_statistics_make(const sqz_allocator *allocator, uint32_t n,
                                      sqzi_input_statistics *s, sqz_error *error)
{
    s->n = n;
    s->mean = sqzi_allocate_zeroed(allocator, n, sizeof *s->mean);
    s->covariance = sqzi_allocate_zeroed(allocator, (size_t)n * n, sizeof *s->covariance);
    return s->mean && s->covariance
               ? SQZ_OK
               : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the covariance of %u inputs", n);
}

sqz_status sqzi_input_statistics_kept(const sqz_allocator *allocator,
                                      const sqzi_input_statistics *from, const uint32_t *kept,
                                      uint32_t n, sqzi_input_statistics *to, sqz_error *error)
{
    *to = (sqzi_input_statistics){0};
    const sqz_status status = sqzi_input_statistics_make(allocator, n, to, error);
    if (status != SQZ_OK) return status;
    to->rows = from->rows;
    for (size_t i = 0; i < n; i++) {
        to->mean[i] = from->mean[kept[i]];
        for (size_t j = 0; j < n; j++)
            to->covariance[i * n + j] = from->covariance[(size_t)kept[i] * from->n + kept[j]];
    }
    return SQZ_OK;
}

void sqzi_input_statistics_discard(const sqz_allocator *allocator, sqzi_input_statistics *s)
{
    const size_t n = s->n;
    sqzi_release(allocator, s->mean, n * sizeof *s->mean);
    sqzi_release(allocator, s->covariance, n * n * sizeof *s->covariance);
    *s = (sqzi_input_statistics){0};
}

sqz_status sqzi_statistics_begin(const sqz_model *model, sqzi_statistics *s, sqz_error *error)
{
    const sqz_allocator *allocator = &model->context->allocator;
    *s = (sqzi_statistics){.allocator = allocator,
                           .n_blocks = model->encoder.n_blocks,
                           .n_words = model->info.vocabulary};
    s->blocks = sqzi_allocate_zeroed(allocator, s->n_blocks, sizeof *s->blocks);
    s->word_counts = sqzi_allocate_zeroed(allocator, s->n_words, sizeof *s->word_counts);
    return s->blocks && s->word_counts
               ? SQZ_OK
               : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for statistics of %u blocks",
                           s->n_blocks);
}

void sqzi_statistics_discard(sqzi_statistics *s)
{
    if (!s->allocator) return;
    for (uint32_t i = 0; s->blocks && i < s->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_INPUTS; j++)
            sqzi_input_statistics_discard(s->allocator, &s->blocks[i][j]);
    sqzi_input_statistics_discard(s->allocator, &s->projection);
    sqzi_release(s->allocator, s->blocks, s->n_blocks * sizeof *s->blocks);
    sqzi_release(s->allocator, s->word_counts, s->n_words * sizeof *s->word_counts);
    *s = (sqzi_statistics){0};
}

/* ---- sums ---- */

/* Of one input x [n]: sums over rows of x - c and of (x - c)(x - c)', c about its mean. */
typedef struct accumulator {
    const sqzi_linear *linear; /* the first that reads it, or NULL */
    sqzi_input_statistics *into;
    size_t n, fill;
    uint64_t rows;
    sqzi_real *columns; /* [n, ROWS] of x - c */
    sqzi_real *centre;  /* [n] c: the mean of the first ROWS rows */
    double *sums;       /* [n] */
    double *squares;    /* [n, n] for j >= i and a few below */
} accumulator;

typedef struct collector {
    const sqzi_encoder *encoder; /* that is run */
    const uint32_t *source;      /* [blocks of it] their numbers in the model */
    sqzi_statistics *statistics;
    const sqzk_gemm *gemm;
    accumulator of[ACCUMULATORS];
    void *packed;
    sqzi_real *product; /* [STRIP, n] */
    int (*progress)(void *user, size_t done, size_t total);
    void *user;
} collector;

static void centre_columns(accumulator *a)
{
    for (size_t i = 0; i < a->n; i++) {
        sqzi_real *x = a->columns + i * ROWS;
        double sum = 0;
        if (a->rows == 0) {
            for (size_t r = 0; r < a->fill; r++) sum += (double)x[r];
            a->centre[i] = (sqzi_real)(sum / (double)a->fill);
            sum = 0;
        }
        for (size_t r = 0; r < a->fill; r++) {
            x[r] -= a->centre[i];
            sum += (double)x[r];
        }
        a->sums[i] += sum;
    }
}

/* squares += columns columns' for j >= i and a few below. */
static void add_squares(const collector *c, accumulator *a)
{
    const size_t n = a->n, panel = sqzk_gemm_panel_bytes(c->gemm, a->fill);
    c->gemm->pack(&(sqzk_pack_args){.n = n,
                                    .k = a->fill,
                                    .source = a->columns,
                                    .n_stride = ROWS,
                                    .k_stride = 1,
                                    .type = SQZI_F32},
                  c->packed);
    for (size_t i = 0; i < n; i += STRIP) {
        const size_t m = n - i < STRIP ? n - i : STRIP, width = n - i;
        c->gemm->run(
            &(sqzk_gemm_args){.m = m,
                              .n = width,
                              .k = a->fill,
                              .a = a->columns + i * ROWS,
                              .lda = ROWS * sizeof *a->columns,
                              .b = (const unsigned char *)c->packed + i / c->gemm->nr * panel,
                              .c = c->product,
                              .ldc = width});
        for (size_t r = 0; r < m; r++) {
            double *to = a->squares + (i + r) * n + i;
            const sqzi_real *from = c->product + r * width;
            for (size_t j = r; j < width; j++) to[j] += (double)from[j];
        }
    }
}

static void flush(const collector *c, accumulator *a)
{
    if (a->fill == 0) return;
    centre_columns(a);
    add_squares(c, a);
    a->rows += a->fill;
    a->fill = 0;
}

/* Sums to mean and covariance. */
static sqz_status finish(const collector *c, accumulator *a, sqz_error *error)
{
    const size_t n = a->n;
    const double rows = (double)a->rows;
    bool finite = true;
    sqz_status status = sqzi_input_statistics_make(c->statistics->allocator, (uint32_t)n, a->into,
                                                   error);
    if (status != SQZ_OK) return status;
    a->into->rows = a->rows;
    for (size_t i = 0; i < n; i++) {
        a->into->mean[i] = (float)((double)a->centre[i] + a->sums[i] / rows);
        for (size_t j = i; j < n; j++) {
            const double moment = a->squares[i * n + j] / rows,
                         about = moment - a->sums[i] / rows * (a->sums[j] / rows);
            a->into->covariance[i * n + j] = a->into->covariance[j * n + i] = (float)about;
            finite &= isfinite(about);
        }
        finite &= isfinite(a->into->mean[i]);
    }
    return finite ? SQZ_OK
                  : sqzi_fail(error, SQZ_ENUMERIC, 0,
                              "what a layer reads is not finite on these texts");
}

/* ---- the functions of a sqzi_observer ---- */

static void watch(accumulator *a, const sqzi_linear *linear, sqzi_input_statistics *into)
{
    a->linear = linear;
    a->into = into;
    a->n = linear->n_in;
    a->fill = 0;
    a->rows = 0;
    memset(a->sums, 0, a->n * sizeof *a->sums);
    memset(a->squares, 0, a->n * a->n * sizeof *a->squares);
}

static void begin_stage(void *user, uint32_t stage)
{
    static const uint32_t readers[SQZI_BLOCK_INPUTS] = {
        [SQZI_INPUT_QKV] = SQZI_ATTN_Q,
        [SQZI_INPUT_ATTN_OUTPUT] = SQZI_ATTN_OUTPUT,
        [SQZI_INPUT_FFN_UP] = SQZI_FFN_UP,
        [SQZI_INPUT_FFN_DOWN] = SQZI_FFN_DOWN,
    };
    collector *c = user;
    sqzi_statistics *s = c->statistics;
    for (int j = 0; j < ACCUMULATORS; j++) c->of[j].linear = NULL;
    if (stage == 0) {
        if (c->encoder->embedding.projected)
            watch(&c->of[0], &c->encoder->embedding.projection, &s->projection);
        return;
    }
    for (int j = 0; j < SQZI_BLOCK_INPUTS; j++)
        watch(&c->of[j], sqzi_block_linear_of(&c->encoder->blocks[stage - 1], readers[j]),
              &s->blocks[c->source[stage - 1]][j]);
}

static void see_rows(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x,
                     size_t ldx)
{
    collector *c = user;
    accumulator *a = NULL;
    for (int j = 0; j < ACCUMULATORS; j++)
        if (c->of[j].linear == linear) a = &c->of[j];
    for (size_t r = 0; a && r < m; r++) {
        for (size_t i = 0; i < a->n; i++) a->columns[i * ROWS + a->fill] = x[r * ldx + i];
        if (++a->fill == ROWS) flush(c, a);
    }
}

static sqz_status end_stage(void *user, uint32_t stage, sqz_error *error)
{
    collector *c = user;
    const uint32_t stages = c->encoder->n_blocks + 1;
    sqz_status status = SQZ_OK;
    for (int j = 0; j < ACCUMULATORS && status == SQZ_OK; j++) {
        if (!c->of[j].linear) continue;
        flush(c, &c->of[j]);
        status = finish(c, &c->of[j], error);
    }
    if (status == SQZ_OK && c->progress && c->progress(c->user, stage + 1, stages) != 0)
        return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped after %u of %u blocks", stage,
                         stages - 1);
    return status;
}

/* ---- the run ---- */

/* The widest input of each kind. */
static void find_widths(const sqzi_encoder *encoder, uint32_t n[ACCUMULATORS])
{
    n[0] = encoder->embedding.projected ? encoder->embedding.width : 1;
    for (int j = 1; j < ACCUMULATORS; j++) n[j] = 1;
    for (uint32_t i = 0; i < encoder->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            uint32_t n_in, n_out;
            sqzi_block_linear_sides(&encoder->blocks[i], encoder->width, j, &n_in, &n_out);
            uint32_t *most = &n[sqzi_block_input_of(j)];
            *most = n_in > *most ? n_in : *most;
        }
}

static void lay_out(collector *c, const uint32_t n[ACCUMULATORS], sqzi_arena *arena)
{
    size_t widest = 0;
    for (int j = 0; j < ACCUMULATORS; j++) {
        accumulator *a = &c->of[j];
        a->columns = sqzi_arena_take(arena, (size_t)n[j] * ROWS, sizeof *a->columns);
        a->centre = sqzi_arena_take(arena, n[j], sizeof *a->centre);
        a->sums = sqzi_arena_take(arena, n[j], sizeof *a->sums);
        a->squares = sqzi_arena_take(arena, (size_t)n[j] * n[j], sizeof *a->squares);
        widest = n[j] > widest ? n[j] : widest;
    }
    c->packed = sqzi_arena_take(arena, sqzk_gemm_packed_bytes(c->gemm, ROWS, widest), 1);
    c->product = sqzi_arena_take(arena, STRIP * widest, sizeof *c->product);
}

/* The model with some of its blocks: their linears are those of the model, under a new number. */
static void select_blocks(const sqz_model *model, const uint32_t *blocks, uint32_t n,
                          sqzi_block *selected, uint32_t *source, sqz_model *partial)
{
    *partial = *model;
    for (uint32_t i = 0; i < n; i++) {
        source[i] = blocks ? blocks[i] : i;
        selected[i] = model->encoder.blocks[source[i]];
    }
    partial->encoder.blocks = selected;
    partial->encoder.n_blocks = n;
}

static void count_words(const sqzi_sequences *sequences, sqzi_statistics *s)
{
    const uint32_t *ids = (const uint32_t *)(const void *)sequences->ids.data;
    for (uint32_t i = 0; i < sqzi_sequences_tokens(sequences); i++) s->word_counts[ids[i]]++;
}

sqz_status sqzi_statistics_make(const sqz_model *model, const sqzi_sequences *sequences,
                                const uint32_t *blocks, uint32_t n,
                                int (*progress)(void *user, size_t done, size_t total), void *user,
                                sqzi_statistics *s, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &model->context->allocator;
    const uint32_t n_run = blocks ? n : model->encoder.n_blocks;
    collector c = {.statistics = s,
                   .gemm = model->context->kernels.gemm_f32,
                   .progress = progress,
                   .user = user};
    uint32_t widths[ACCUMULATORS], *source = NULL;
    sqzi_block *selected = NULL;
    sqz_model partial;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    *s = (sqzi_statistics){0};
    find_widths(&model->encoder, widths);
    for (int placed = 0; placed < 2; placed++) {
        selected = sqzi_arena_take(&arena, n_run, sizeof *selected);
        source = sqzi_arena_take(&arena, n_run, sizeof *source);
        lay_out(&c, widths, &arena);
        if (placed) break;
        void *block = sqzi_allocate(allocator, arena.used);
        if (!block)
            return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes of what layers read",
                             arena.used);
        arena = sqzi_arena_over(block, arena.used);
    }
    select_blocks(model, blocks, n_run, selected, source, &partial);
    c.encoder = &partial.encoder;
    c.source = source;
    TRY(sqzi_statistics_begin(model, s, error));
    count_words(sequences, s);
    const sqzi_observer observer = {&c, begin_stage, see_rows, end_stage};
    TRY(sqzi_observe(&partial, sequences, &observer, 1, error));
fail:
    sqzi_release(allocator, arena.base, arena.capacity);
    return status;
}

sqz_status sqzi_statistics_count(const sqz_model *model, const sqzi_sequences *sequences,
                                 sqzi_statistics *s, sqz_error *error)
{
    const sqz_status status = sqzi_statistics_begin(model, s, error);
    if (status == SQZ_OK) count_words(sequences, s);
    return status;
}
