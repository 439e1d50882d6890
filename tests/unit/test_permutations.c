/* SPDX-License-Identifier: Apache-2.0 */
/* Permutations as a model is opened: what can be packed in its place gives the bits of a file that
 * holds its weights there, nothing is left to do when it runs, and an order between two linears
 * that both know is not made at all. What has to be moved when it runs is checked by
 * test_linear.c. */
#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>
#include <stdlib.h>

#include "model/loader.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TOKENS = 61 };

static sqzt_tiny form(const char *name)
{
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return f->tiny;
    fail_msg("no form '%s'", name);
    return sqzt_tiny_forms[0].tiny;
}

static sqz_model *open_model(sqz_context *context, const char *path)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static void encode(sqz_model *model, float *hidden)
{
    sqz_error error = {0};
    sqz_session *session;
    uint32_t ids[TOKENS];
    const uint32_t first[] = {0, 1, 38, TOKENS};
    for (uint32_t i = 0; i < TOKENS; i++) ids[i] = i * 29 % SQZT_TINY_VOCABULARY;
    sqzt_assert_ok(
        sqz_session_open(model, &(sqz_session_options){.max_tokens = TOKENS, .max_sequences = 3},
                         &session, &error),
        &error);
    const size_t width = sqz_model_get_info(model)->width;
    sqzt_assert_ok(sqz_encode(session, &(sqz_batch){.n_sequences = 3, .first = first, .ids = ids},
                              hidden, width, &error),
                   &error);
    sqz_session_close(session);
}

static const sqzi_linear *linear_of(const sqz_model *model, uint32_t block, uint32_t j)
{
    const sqzi_block *b = &model->encoder.blocks[block];
    const sqzi_linear *const linears[] = {&b->attn_q,      &b->attn_k, &b->attn_v,
                                          &b->attn_output, &b->ffn_up, &b->ffn_down};
    return linears[j];
}

static void assert_nothing_to_move(const sqz_model *model)
{
    for (uint32_t i = 0; i < model->encoder.n_blocks; i++)
        for (uint32_t j = 0; j < 6; j++) {
            const sqzi_linear *linear = linear_of(model, i, j);
            assert_non_null(linear->in);
            assert_non_null(linear->out);
            assert_null(linear->from);
            for (uint32_t t = 0; t < linear->n_terms; t++)
                assert_true(!linear->terms[t].a.gather && !linear->terms[t].b.gather);
        }
}

static void check_placed(const char *name, sqzi_type type, const char *cpu)
{
    sqz_error error = {0};
    sqz_context *context;
    sqzt_tiny tiny = form(name);
    const char *path = sqzt_temporary("permuted.gguf"),
               *placed_path = sqzt_temporary("placed.gguf");
    const size_t n = (size_t)TOKENS * tiny.width;
    float *permuted = calloc(n, sizeof *permuted), *placed = calloc(n, sizeof *placed);
    assert_true(permuted && placed);
    tiny.type = type;
    sqzt_tiny_write(&tiny, path);
    tiny.placed = true;
    sqzt_tiny_write(&tiny, placed_path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1, .cpu = cpu}, &context,
                                    &error),
                   &error);
    sqz_model *model = open_model(context, path);
    assert_nothing_to_move(model);
    encode(model, permuted);
    sqz_model_close(model);
    model = open_model(context, placed_path);
    assert_null(linear_of(model, 0, 0)->in);
    encode(model, placed);
    sqz_model_close(model);
    sqz_context_close(context);
    if (memcmp(permuted, placed, n * sizeof *permuted) != 0)
        fail_msg("%s, type %d, %s: other bits than with weights in their places", name, (int)type,
                 cpu);
    free(permuted);
    free(placed);
}

static void permutations_within_groups_are_packed_away(void **state)
{
    (void)state;
    static const char *const names[] = {"dense, permuted", "low rank, permuted",
                                        "groups, permuted within"};
    static const sqzi_type types[] = {SQZI_F32, SQZI_BF16, SQZI_S8};
    for (size_t i = 0; i < 3; i++)
        for (size_t t = 0; t < 3; t++) {
            check_placed(names[i], types[t], "portable");
            check_placed(names[i], types[t], "");
        }
}

static void an_order_that_two_linears_share_is_not_made(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context;
    sqzt_tiny tiny = form("groups, permuted, one order between");
    const char *path = sqzt_temporary("shared.gguf");
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    for (int i = 0; i < 2; i++) {
        const bool shared = i == 1;
        tiny.same_inner = shared;
        sqzt_tiny_write(&tiny, path);
        sqz_model *model = open_model(context, path);
        const sqzi_linear *up = linear_of(model, 0, 4), *down = linear_of(model, 0, 5);
        assert_true(up->terms[0].b.gather && !up->from && !up->out);
        assert_true((down->terms[0].b.gather == NULL) == shared && down->from);
        sqz_model_close(model);
    }
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(permutations_within_groups_are_packed_away),
                                       cmocka_unit_test(
                                           an_order_that_two_linears_share_is_not_made)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
