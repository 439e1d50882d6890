/* SPDX-License-Identifier: Apache-2.0 */
/* A model without blocks is its embedding and what stands behind: it opens, runs the same on any
 * number of threads, is quantised, exported and imported. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <squeezebert/export.h>
#include <squeezebert/import.h>
#include <squeezebert/squeeze.h>
#include <squeezebert/task.h>

#include "squeeze/weights.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *context_of(uint32_t n_threads)
{
    sqz_error error = {0};
    sqz_context *context;
    sqzt_assert_ok(
        sqz_context_open(&(sqz_context_options){.n_threads = n_threads}, &context, &error), &error);
    return context;
}

static sqz_model *open_model(sqz_context *context, const char *path)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    assert_int_equal(sqz_model_get_info(model)->n_layers, 0);
    return model;
}

enum { SEQUENCES = 5, MOST_TOKENS = 160, MOST_WIDTH = 64 };
static const uint32_t lengths[2][SEQUENCES] = {{1, 2, 1, 3, 1}, {30, 1, 33, 7, 29}};

typedef struct tokens {
    uint32_t ids[MOST_TOKENS], first[SEQUENCES + 1];
} tokens;

static tokens make_tokens(const uint32_t *of, uint32_t vocabulary)
{
    tokens t = {.first = {0}};
    for (uint32_t b = 0; b < SEQUENCES; b++) t.first[b + 1] = t.first[b] + of[b];
    for (uint32_t i = 0; i < t.first[SEQUENCES]; i++) t.ids[i] = (7 * i + 3) % vocabulary;
    return t;
}

static void encode(const sqz_model *model, const tokens *t, float *hidden)
{
    sqz_error error = {0};
    sqz_session *session;
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = t->first[SEQUENCES],
                                                           .max_sequences = SEQUENCES},
                                    &session, &error),
                   &error);
    const sqz_batch batch = {.n_sequences = SEQUENCES, .first = t->first, .ids = t->ids};
    sqzt_assert_ok(sqz_encode(session, &batch, hidden, sqz_model_get_info(model)->width, &error),
                   &error);
    sqz_session_close(session);
}

/* The norm of the three rows' sum, in double. */
static void check_hidden(const sqz_model *model, const tokens *t, const float *hidden)
{
    const sqzi_embedding *e = &model->encoder.embedding;
    const float *word = e->word.rows, *position = e->position.rows, *type = e->type.rows;
    const size_t n = e->width;
    for (uint32_t b = 0; b < SEQUENCES; b++)
        for (uint32_t i = t->first[b]; i < t->first[b + 1]; i++) {
            double sum[MOST_WIDTH], mean = 0, variance = 0;
            for (size_t j = 0; j < n; j++) {
                sum[j] = (double)word[t->ids[i] * n + j] +
                         (double)position[(i - t->first[b]) * n + j] + (double)type[j];
                mean += sum[j] / (double)n;
            }
            for (size_t j = 0; j < n; j++) variance += pow(sum[j] - mean, 2) / (double)n;
            for (size_t j = 0; j < n; j++) {
                const double wanted = (sum[j] - mean) / sqrt(variance + (double)e->norm.epsilon) *
                                          (double)e->norm.weight[j] +
                                      (double)e->norm.bias[j];
                if (!(fabs((double)hidden[i * n + j] - wanted) <= 1e-5))
                    fail_msg("token %u, %zu: %g, %g expected", i, j, (double)hidden[i * n + j],
                             wanted);
            }
        }
}

static void hidden_states_are_embeddings_on_any_number_of_threads(void **state)
{
    (void)state;
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.blocks = 0;
    const char *path = sqzt_temporary("none.gguf");
    sqzt_tiny_write(&tiny, path);
    for (uint32_t threads = 1; threads <= 4; threads++)
        for (int size = 0; size < 2; size++) {
            sqz_context *context = context_of(threads);
            sqz_model *model = open_model(context, path);
            const tokens t = make_tokens(lengths[size], SQZT_TINY_VOCABULARY);
            static float hidden[MOST_TOKENS * MOST_WIDTH];
            encode(model, &t, hidden);
            check_hidden(model, &t, hidden);
            sqz_model_close(model);
            sqz_context_close(context);
        }
}

/* What becomes of a golden model without its blocks, and of that in a folder. */
static void check_ways(sqz_context *context, const char *name)
{
    sqz_error error = {0};
    char folder[128], out[256];
    sqz_model *model, *shorter, *back;
    sqzi_weights weights;
    uint64_t bytes;
    static float ours[MOST_TOKENS * MOST_WIDTH], theirs[MOST_TOKENS * MOST_WIDTH];
    snprintf(folder, sizeof folder, "tests/golden/models/%s", name);
    const char *path = sqzt_temporary("whole.gguf");
    sqzt_assert_ok(sqz_import(context, folder, path, NULL, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(model, &weights, &error), &error);
    sqzi_weights_keep_blocks(&weights, NULL, 0);
    path = sqzt_temporary("none.gguf");
    sqzt_assert_ok(sqzi_weights_write(&weights, &(sqzi_step){.history = "none", .suffix = ""}, path,
                                      &bytes, &error),
                   &error);
    sqzi_weights_discard(&weights);
    sqz_model_close(model);
    shorter = open_model(context, path);
    sqz_verification verified;
    sqzt_assert_ok(sqz_model_verify(shorter, &verified, &error), &error);
    assert_true(verified.n_vectors > 0);
    const tokens t = make_tokens(lengths[0], sqz_model_get_info(shorter)->vocabulary);
    encode(shorter, &t, ours);
    const char *quantized = sqzt_temporary("s8.gguf");
    sqzt_assert_ok(sqz_quantize(context, path, quantized, NULL, &error), &error);
    sqz_model_close(open_model(context, quantized));
    snprintf(out, sizeof out, "%s.%s", sqzt_temporary("folder"), name);
    sqzt_assert_ok(sqz_export(shorter, out, NULL, &error), &error);
    path = sqzt_temporary("back.gguf");
    sqzt_assert_ok(sqz_import(context, out, path, NULL, &error), &error);
    back = open_model(context, path);
    encode(back, &t, theirs);
    assert_memory_equal(theirs, ours,
                        t.first[SEQUENCES] * sqz_model_get_info(back)->width * sizeof *ours);
    sqz_model_close(back);
    sqz_model_close(shorter);
}

static void golden_models_go_every_way_without_their_blocks(void **state)
{
    (void)state;
    static const char *const names[] = {"bert-sequence",      "bert-masked",
                                        "bert-question",      "squeezebert-sequence",
                                        "squeezebert-masked", "distilbert-sequence",
                                        "distilbert-masked",  "electra-sequence",
                                        "electra-masked"};
    sqz_context *context = context_of(1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_ways(context, names[i]);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_states_are_embeddings_on_any_number_of_threads),
        cmocka_unit_test(golden_models_go_every_way_without_their_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
