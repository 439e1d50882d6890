/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration: the states of all tokens stay, and each block in turn is run over them. So the
 * moments of one block's inputs are all that is held at once. */
#include "squeeze/calibration.h"

#include <string.h>

#include "base/error.h"

enum { BATCH_TOKENS = 512 };

/* A linear congruential generator modulo 2^64 (Knuth's MMIX), its upper half. */
static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

static sqzi_sequences begin_sequences(const sqz_model *model, bool texts)
{
    const sqz_allocator *allocator = &model->context->allocator;
    const sqzi_buffer empty = {.allocator = allocator, .limit = SIZE_MAX};
    return (sqzi_sequences){.allocator = allocator, .ids = empty, .first = empty, .texts = texts};
}

uint32_t sqzi_sequences_tokens(const sqzi_sequences *s)
{
    return (uint32_t)(s->ids.used / sizeof(uint32_t));
}

static sqz_status add_sequence(sqzi_sequences *s, const uint32_t *ids, uint32_t n, sqz_error *error)
{
    const uint32_t first = sqzi_sequences_tokens(s);
    sqz_status status = sqzi_buffer_append(&s->first, &first, sizeof first, error);
    if (status == SQZ_OK) status = sqzi_buffer_append(&s->ids, ids, n * sizeof *ids, error);
    if (status != SQZ_OK) return status;
    s->n++;
    if (n > s->longest) s->longest = n;
    return SQZ_OK;
}

static sqz_status end_sequences(sqzi_sequences *s, sqz_error *error)
{
    const uint32_t end = sqzi_sequences_tokens(s);
    return sqzi_buffer_append(&s->first, &end, sizeof end, error);
}

void sqzi_sequences_discard(sqzi_sequences *s)
{
    if (!s->allocator) return;
    sqzi_buffer_free(&s->ids);
    sqzi_buffer_free(&s->first);
}

sqz_status sqzi_sequences_random(const sqz_model *model, sqzi_sequences *s, sqz_error *error)
{
    const uint32_t most = model->info.max_positions,
                   length = most < SQZI_CALIBRATION_LENGTH ? most : SQZI_CALIBRATION_LENGTH;
    uint32_t ids[SQZI_CALIBRATION_LENGTH];
    uint64_t state = 1;
    sqz_status status = SQZ_OK;
    *s = begin_sequences(model, false);
    for (int i = 0; i < SQZI_CALIBRATION_SEQUENCES && status == SQZ_OK; i++) {
        for (uint32_t t = 0; t < length; t++) ids[t] = next_random(&state) % model->info.vocabulary;
        status = add_sequence(s, ids, length, error);
    }
    return status == SQZ_OK ? end_sequences(s, error) : status;
}

/* Pieces of the text itself. */
static uint32_t own_pieces(const sqz_encoding *encoding, uint32_t n)
{
    uint32_t own = 0;
    for (uint32_t i = 0; i < n; i++) own += !sqz_encoding_pieces(encoding)[i].special;
    return own;
}

sqz_status sqzi_sequences_of_texts(const sqz_model *model, const sqz_text *texts, size_t n,
                                   sqzi_sequences *s, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *tokenizer = sqz_model_tokenizer(model);
    const sqz_tokenize_options options = {.max_length = model->info.max_length};
    sqz_encoding *encoding = NULL;
    *s = begin_sequences(model, true);
    TRY(sqz_encoding_open(model->context, &encoding, error));
    for (size_t i = 0; i < n && sqzi_sequences_tokens(s) < SQZI_CALIBRATION_MOST; i++) {
        TRY(sqz_tokenize(tokenizer, texts[i], NULL, &options, encoding, error));
        const uint32_t pieces = sqz_encoding_first(encoding, 1);
        if (own_pieces(encoding, pieces))
            TRY(add_sequence(s, sqz_encoding_ids(encoding), pieces, error));
    }
    FAIL_IF(sqzi_sequences_tokens(s) < SQZI_CALIBRATION_LEAST, SQZ_EINVAL, 0,
            "%u texts to calibrate on have %u pieces in all, at least %d are needed: give more "
            "texts, of the kind that the model will read",
            s->n, sqzi_sequences_tokens(s), SQZI_CALIBRATION_LEAST);
    TRY(end_sequences(s, error));
fail:
    sqz_encoding_close(encoding);
    return status;
}

typedef struct calibration {
    sqzi_corrections *corrections;
    const sqzi_sequences *sequences;
    const sqzk_gemm *gemm;
    uint32_t stage;
    sqzi_workspace workspace;
    sqzi_real *hidden;       /* [tokens, C] */
    uint32_t *first;         /* of a batch */
    sqzi_real *columns;      /* inputs of one linear, transposed */
    void *packed;
    unsigned char *moments;  /* of one stage */
    size_t moments_bytes;
    void *block;
    size_t bytes;
} calibration;

/* The moments of a stage over memory, or their bytes. */
static size_t lay_out_moments(const calibration *c, uint32_t stage, sqzi_arena arena)
{
    for (uint32_t i = 0; i < c->corrections->n; i++)
        if (c->corrections->list[i].stage == stage)
            sqzi_correction_lay_out_moments(&c->corrections->list[i], &arena);
    return arena.used;
}

static uint32_t batch_tokens(const calibration *c)
{
    return c->sequences->longest > BATCH_TOKENS ? c->sequences->longest : BATCH_TOKENS;
}

static void lay_out(calibration *c, sqzi_arena *arena)
{
    const sqzi_encoder *encoder = &c->corrections->model->encoder;
    size_t columns = 0, packed = 0;
    sqzi_workspace_layout(&c->workspace, encoder, batch_tokens(c), c->sequences->longest, 1, arena);
    c->hidden = sqzi_arena_take(arena, (size_t)sqzi_sequences_tokens(c->sequences) * encoder->width,
                                sizeof *c->hidden);
    c->first = sqzi_arena_take(arena, batch_tokens(c) + 1, sizeof *c->first);
    if (!c->sequences->texts) return;
    for (uint32_t i = 0; i < c->corrections->n; i++) {
        const sqzi_correction *one = &c->corrections->list[i];
        const size_t of_weight = sqzi_moments_packed_bytes(c->gemm, &one->of_weight),
                     of_a = sqzi_moments_packed_bytes(c->gemm, &one->of_a);
        columns = one->linear->n_in > columns ? one->linear->n_in : columns;
        packed = of_weight > packed ? of_weight : packed;
        packed = of_a > packed ? of_a : packed;
    }
    for (uint32_t stage = 0; stage <= encoder->n_blocks; stage++) {
        const size_t bytes = lay_out_moments(c, stage, sqzi_arena_over(NULL, SIZE_MAX));
        c->moments_bytes = bytes > c->moments_bytes ? bytes : c->moments_bytes;
    }
    c->columns = sqzi_arena_take(arena, columns * SQZI_MOMENT_ROWS, sizeof *c->columns);
    c->packed = sqzi_arena_take(arena, packed, 1);
    c->moments = sqzi_arena_take(arena, c->moments_bytes, 1);
}

/* Rows that a linear reads, to its moments, in the order in which it reads them. */
static void add_moments(calibration *c, sqzi_correction *to, size_t m, const sqzi_real *x,
                        size_t ldx)
{
    const sqzi_linear *linear = to->linear;
    for (size_t row = 0; row < m; row++)
        for (size_t j = 0; j < linear->n_in; j++)
            c->columns[j * SQZI_MOMENT_ROWS + row] =
                x[row * ldx + (linear->in ? linear->in[j] : j)];
    if (to->of_weight.squares) sqzi_moments_add(c->gemm, &to->of_weight, c->columns, m, c->packed);
    if (to->of_a.squares) sqzi_moments_add(c->gemm, &to->of_a, c->columns, m, c->packed);
}

/* sqzi_keep's input. */
static void see(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx)
{
    calibration *c = user;
    for (uint32_t i = 0; i < c->corrections->n; i++) {
        sqzi_correction *one = &c->corrections->list[i];
        if (one->linear != linear) continue;
        sqzi_correction_see(one, m, x, ldx);
        for (size_t row = 0; c->sequences->texts && row < m; row += SQZI_MOMENT_ROWS)
            add_moments(c, one, m - row < SQZI_MOMENT_ROWS ? m - row : SQZI_MOMENT_ROWS,
                        x + row * ldx, ldx);
    }
}

/* All sequences through one stage, some at a time. */
static void run_stage(calibration *c)
{
    const sqzi_encoder *encoder = &c->corrections->model->encoder;
    const uint32_t *first = (const uint32_t *)(const void *)c->sequences->first.data,
                   *ids = (const uint32_t *)(const void *)c->sequences->ids.data;
    const sqzi_keep keep = {.input = see, .user = c};
    const sqzi_team alone = {0, 1, NULL};
    for (uint32_t b = 0, end; b < c->sequences->n; b = end) {
        for (end = b; end < c->sequences->n && first[end + 1] - first[b] <= batch_tokens(c); end++)
            c->first[end + 1 - b] = first[end + 1] - first[b];
        c->first[0] = 0;
        const sqzi_batch batch = {end - b,  first[end] - first[b], c->sequences->longest,
                                  c->first, ids + first[b],        NULL};
        sqzi_real *hidden = c->hidden + (size_t)first[b] * encoder->width;
        if (c->stage == 0)
            sqzi_encoder_embed(encoder, &batch, &keep, &c->workspace, hidden, encoder->width,
                               &alone);
        else
            sqzi_encoder_run_block(encoder, c->stage - 1, &batch, &keep, &c->workspace, hidden,
                                   encoder->width, &alone);
    }
}

static sqz_status calibrate_stage(calibration *c, sqz_error *error)
{
    const bool texts = c->sequences->texts;
    if (texts) {
        memset(c->moments, 0, c->moments_bytes);
        (void)lay_out_moments(c, c->stage, sqzi_arena_over(c->moments, c->moments_bytes));
    }
    run_stage(c);
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < c->corrections->n && status == SQZ_OK; i++) {
        sqzi_correction *one = &c->corrections->list[i];
        if (one->stage != c->stage) continue;
        if (texts) status = sqzi_correction_compensate(one, c->gemm, c->corrections->work, error);
        if (status == SQZ_OK)
            status = sqzi_correction_solve(one, texts, c->corrections->work, error);
    }
    return status;
}

sqz_status sqzi_calibrate(sqzi_corrections *corrections, const sqzi_sequences *sequences,
                          const sqz_quantize_options *options, sqz_error *error)
{
    const sqz_model *model = corrections->model;
    const sqz_allocator *allocator = &model->context->allocator;
    const uint32_t stages = model->encoder.n_blocks + 1;
    sqz_status status = SQZ_OK;
    calibration c = {.corrections = corrections,
                     .sequences = sequences,
                     .gemm = model->context->kernels.gemm_f32};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&c, &arena);
    c.bytes = arena.used;
    c.block = sqzi_allocate(allocator, c.bytes);
    if (!c.block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a run of %u tokens",
                         sqzi_sequences_tokens(sequences));
    arena = sqzi_arena_over(c.block, c.bytes);
    lay_out(&c, &arena);
    for (; c.stage < stages; c.stage++) {
        TRY(calibrate_stage(&c, error));
        FAIL_IF(options->progress && options->progress(options->user, c.stage + 1, stages) != 0,
                SQZ_ECANCELLED, 0, "stopped after %u of %u blocks", c.stage, stages - 1);
    }
fail:
    sqzi_release(allocator, c.block, c.bytes);
    return status;
}
