/* SPDX-License-Identifier: Apache-2.0 */
/* Observing a model: every observer is told of the stages in order and shown each row of each
 * linear once, in the order of the sequences; the rows are those of a run of the encoder; an end
 * that fails ends the run. */
#include "squeeze/observe.h"

#include <stdlib.h>

#include "nn/tensor_list.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TOKENS = SQZI_CALIBRATION_SEQUENCES * SQZI_CALIBRATION_LENGTH };

typedef struct seen {
    const sqz_model *model;
    uint32_t stage, begun, ended, stop_at;
    size_t rows; /* of the first block's attn_q, all of which are kept */
    size_t counts[2][SQZI_BLOCK_LINEARS];
    sqzi_real *read;
} seen;

static void begin(void *user, uint32_t stage)
{
    seen *s = user;
    assert_int_equal(stage, s->begun++);
    s->stage = stage;
}

static void rows(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx)
{
    seen *s = user;
    const sqzi_block *blocks = s->model->encoder.blocks;
    for (uint32_t i = 0; i < s->model->encoder.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            if (linear != sqzi_block_linear_of(&blocks[i], j)) continue;
            assert_int_equal(s->stage, i + 1);
            s->counts[i][j] += m;
        }
    if (linear != &blocks[0].attn_q) return;
    assert_true(s->rows + m <= TOKENS);
    for (size_t r = 0; r < m; r++, s->rows++)
        memcpy(s->read + s->rows * linear->n_in, x + r * ldx, linear->n_in * sizeof *x);
}

static sqz_status end(void *user, uint32_t stage, sqz_error *error)
{
    seen *s = user;
    (void)error;
    assert_int_equal(stage, s->ended++);
    return stage == s->stop_at ? SQZ_ECANCELLED : SQZ_OK;
}

static seen looking_at(const sqz_model *model, uint32_t stop_at)
{
    seen s = {.model = model, .stop_at = stop_at};
    s.read = calloc((size_t)TOKENS * model->encoder.width, sizeof *s.read);
    assert_non_null(s.read);
    return s;
}

/* What block 0 reads is the embedding. */
static void check_rows(const sqz_model *model, const sqzi_sequences *sequences, const seen *s)
{
    const size_t width = model->encoder.width;
    const sqzi_batch batch = {sequences->n,
                              TOKENS,
                              sequences->longest,
                              (const uint32_t *)(const void *)sequences->first.data,
                              (const uint32_t *)(const void *)sequences->ids.data,
                              NULL};
    sqzi_workspace workspace;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_workspace_layout(&workspace, &model->encoder, TOKENS, sequences->longest, 1, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(&sqzi_default_allocator, bytes);
    sqzi_real *x = calloc(TOKENS * width, sizeof *x);
    assert_true(block && x);
    arena = sqzi_arena_over(block, bytes);
    sqzi_workspace_layout(&workspace, &model->encoder, TOKENS, sequences->longest, 1, &arena);
    workspace.scratch->watch.on = false;
    sqzi_encoder_embed(&model->encoder, &batch, NULL, &workspace, x, width,
                       &(sqzi_team){0, 1, NULL});
    assert_int_equal(s->rows, TOKENS);
    assert_memory_equal(x, s->read, TOKENS * width * sizeof *x);
    for (uint32_t i = 0; i < model->encoder.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) assert_int_equal(s->counts[i][j], TOKENS);
    free(x);
    sqzi_release(&sqzi_default_allocator, block, bytes);
}

static void observers_see_every_row_once(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    sqzi_sequences sequences;
    const char *path = sqzt_temporary("observe.gguf");
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.positions = SQZI_CALIBRATION_LENGTH;
    sqzt_tiny_write(&tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqzi_sequences_random(model, &sequences, &error), &error);
    const uint32_t stages = sqzi_observe_stages(model);
    assert_int_equal(stages, model->encoder.n_blocks + 1);
    assert_true(model->encoder.n_blocks <= 2);
    seen first = looking_at(model, stages), second = looking_at(model, stages),
         third = looking_at(model, 1);
    const sqzi_observer observers[] = {{&first, begin, rows, end},
                                       {NULL, NULL, NULL, NULL},
                                       {&second, begin, rows, end},
                                       {&third, begin, rows, end}};
    sqzt_assert_ok(sqzi_observe(model, &sequences, observers, 3, &error), &error);
    check_rows(model, &sequences, &first);
    check_rows(model, &sequences, &second);
    assert_int_equal(first.ended, stages);
    assert_int_equal(sqzi_observe(model, &sequences, &observers[3], 1, &error), SQZ_ECANCELLED);
    assert_int_equal(third.begun, 2);
    free(first.read);
    free(second.read);
    free(third.read);
    sqzi_sequences_discard(&sequences);
    sqz_model_close(model);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(observers_see_every_row_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
