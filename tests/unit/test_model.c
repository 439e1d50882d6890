/* SPDX-License-Identifier: Apache-2.0 */
/* Opening model files: what a model says of itself, and what is refused, with the text a user
 * reads. Sessions: arguments, plan, no allocation in a run. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/counting_memory.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *open_context(const sqz_allocator *allocator)
{
    sqz_context *context;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.allocator = allocator, .n_threads = 1},
                                    &context, &error),
                   &error);
    return context;
}

static const sqzt_tiny *form(const char *name)
{
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return &f->tiny;
    fail_msg("no form '%s'", name);
    return NULL;
}

static void test_info(void **state)
{
    (void)state;
    const char *path = sqzt_temporary("info.gguf");
    sqz_error error = {0};
    sqz_model *model;
    sqz_context *context = open_context(NULL);
    sqzt_tiny_write(form("dense"), path);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    const sqz_model_info *info = sqz_model_get_info(model);
    assert_string_equal(info->name, "tiny");
    assert_int_equal(info->n_layers, 2);
    assert_int_equal(info->width, 24);
    assert_int_equal(info->head, SQZ_HEAD_SEQUENCE);
    assert_int_equal(info->n_labels, 3);
    assert_int_equal(info->max_length, 40);
    assert_int_equal(info->pooling, SQZ_POOLING_MEAN);
    assert_true(info->has_pooler);
    const uint64_t embedding = (SQZT_TINY_VOCABULARY + 40 + 2) * 24 + 2 * 24;
    const uint64_t block = 4 * (24 * 24 + 24) + (24 * 40 + 40) + (40 * 24 + 24) + 4 * 24;
    assert_int_equal(info->n_embedding_parameters, embedding);
    assert_int_equal(info->n_parameters, embedding + 2 * block + (24 * 24 + 24) + (3 * 24 + 3));
    assert_string_equal(sqz_model_label(model, 1), "B-one");
    assert_null(sqz_model_label(model, 3));
    assert_null(sqz_model_prompt(model, NULL));
    sqz_tensor_info tensor;
    assert_true(sqz_model_tensor(model, 0, &tensor));
    assert_string_equal(tensor.name, "token_embd.weight");
    assert_string_equal(tensor.type, "F32");
    assert_int_equal(tensor.shape[0], SQZT_TINY_VOCABULARY);
    assert_int_equal(tensor.shape[1], 24);
    assert_false(sqz_model_tensor(model, 10000, &tensor));
    const char *key, *value;
    bool seen = false;
    for (uint32_t i = 0; sqz_model_metadata(model, i, &key, &value); i++)
        if (strcmp(key, "sqz.block.heads") == 0) {
            assert_string_equal(value, "[3, 3]");
            seen = true;
        }
    assert_true(seen);
    sqz_model_close(model);
    sqz_context_close(context);
}

static void refuse(sqz_context *context, const sqzt_tiny *tiny, sqz_status wanted, const char *part)
{
    const char *path = sqzt_temporary("refused.gguf");
    sqz_model *model;
    sqz_error error = {0};
    sqzt_tiny_write(tiny, path);
    sqzt_assert_fails(sqz_model_open(context, path, &model, &error), wanted, &error, part);
    if (!strstr(error.text, "refused.gguf")) fail_msg("the error names no file: %s", error.text);
}

static void accept(sqz_context *context, const sqzt_tiny *tiny)
{
    const char *path = sqzt_temporary("accepted.gguf");
    sqz_model *model;
    sqz_error error = {0};
    sqzt_tiny_write(tiny, path);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqz_model_close(model);
}

static void test_refused(void **state)
{
    (void)state;
    sqz_context *context = open_context(NULL);
    sqzt_tiny t = *form("dense");
    t.drop = "blk.1.ffn_up.weight";
    refuse(context, &t, SQZ_EFORMAT, "tensor 'blk.1.ffn_up.weight' is missing");
    t.drop = "token_embd_norm.bias";
    refuse(context, &t, SQZ_EFORMAT, "tensor 'token_embd_norm.bias' is missing");
    t.drop = "pooler.weight";
    refuse(context, &t, SQZ_EFORMAT, "pooler");
    t = *form("dense");
    t.extra = "blk.2.attn_q.weight";
    refuse(context, &t, SQZ_EFORMAT, "tensor 'blk.2.attn_q.weight' belongs to no part");
    t = *form("dense");
    t.poison = "blk.0.attn_v.weight";
    refuse(context, &t, SQZ_ENUMERIC, "tensor 'blk.0.attn_v.weight' holds a NaN");
    t.poison = "blk.1.layer_output_norm.weight";
    refuse(context, &t, SQZ_ENUMERIC, "tensor 'blk.1.layer_output_norm.weight' holds a NaN");
    t = *form("product-quantised words, tied");
    t.parts = 7;
    refuse(context, &t, SQZ_EFORMAT,
           "tensor 'token_embd.codes' must be [72, parts], with parts that divide the width 24");
    t.parts = 6;
    t.drop = "token_embd.centroids.scale";
    refuse(context, &t, SQZ_EFORMAT, "tensor 'token_embd.centroids.scale' is missing");
    t.drop = NULL;
    t.poison = "token_embd.centroids.scale";
    refuse(context, &t, SQZ_ENUMERIC, "tensor 'token_embd.centroids.scale' holds a NaN");
    t.poison = NULL;
    t.extra = "token_embd.weight";
    refuse(context, &t, SQZ_EFORMAT, "tensor 'token_embd.weight' belongs to no part");
    t = *form("dense");
    t.groups[2] = 5;
    refuse(context, &t, SQZ_EFORMAT, "5 groups do not divide its 24 inputs and 24 outputs");
    t = (sqzt_tiny){.width = 4,
                    .blocks = 1,
                    .heads = 1,
                    .head_width = 4,
                    .ffn_width = 4,
                    .embedding_width = 4,
                    .positions = 4,
                    .rank = (1 << 15) + 1,
                    .factor_groups = 2};
    refuse(context, &t, SQZ_EFORMAT,
           "tensor 'blk.0.attn_q.a' must be [rank * 2, 2], and its first dimension at most 65536");
    t.rank--; /* 65,536 in all */
    accept(context, &t);
    t = *form("dense");
    t.blocks = 0;
    accept(context, &t);
    t = *form("dense");
    t.head = "sorcery";
    refuse(context, &t, SQZ_EUNSUPPORTED, "sorcery");
    sqz_context_close(context);
}

/* A file that is cut anywhere is refused with an error, never opened. */
static void test_cut_short(void **state)
{
    (void)state;
    sqz_context *context = open_context(NULL);
    sqz_error error = {0};
    sqz_model *model;
    const char *path = sqzt_temporary("cut.gguf");
    sqzt_tiny_write(form("projected embedding"), path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long bytes = ftell(file);
    fclose(file);
    /* the last bytes may be padding */
    for (long cut = bytes - 64; cut >= 0; cut = cut > 3000 ? cut - 1009 : cut - 61) {
        assert_int_equal(truncate(path, cut), 0);
        const sqz_status status = sqz_model_open(context, path, &model, &error);
        if (status != SQZ_EFORMAT)
            fail_msg("cut at %ld of %ld: status %d: %s", cut, bytes, (int)status, error.text);
    }
    sqzt_assert_fails(sqz_model_open(context, "no/such/file.gguf", &model, &error), SQZ_EIO, &error,
                      "no/such/file.gguf");
    sqz_context_close(context);
}

static void test_session(void **state)
{
    (void)state;
    const char *path = sqzt_temporary("session.gguf");
    sqzt_memory memory = {0};
    const sqz_allocator allocator = sqzt_allocator(&memory);
    sqz_context *context = open_context(&allocator);
    sqz_error error = {0};
    sqz_model *model;
    sqz_session *session;
    float out[64 * 24], logits[8];
    sqzt_tiny_write(form("dense"), path);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    const sqz_session_options options = {.max_tokens = 50, .max_sequences = 2};
    const uint64_t before = memory.held_bytes;
    sqzt_assert_ok(sqz_session_open(model, &options, &session, &error), &error);
    assert_int_equal(memory.held_bytes - before, sqz_session_plan(model, &options));

    const uint64_t calls = memory.calls;
    const uint32_t first[] = {0, 3, 8}, ids[] = {2, 5, 3, 2, 6, 7, 8, 3};
    sqz_batch batch = {.n_sequences = 2, .first = first, .ids = ids};
    sqzt_assert_ok(sqz_encode(session, &batch, out, 24, &error), &error);
    sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, logits, 3, &error), &error);
    sqzt_assert_ok(sqz_embed(session, &batch,
                             &(sqz_embed_options){.pooling = SQZ_POOLING_CLS,
                                                  .normalize = SQZ_NORMALIZE_YES,
                                                  .dimensions = 7},
                             out, 7, &error),
                   &error);
    assert_int_equal(memory.calls, calls);
    double squares = 0;
    for (int i = 0; i < 7; i++) squares += (double)out[i] * (double)out[i];
    assert_true(squares > 1 - 1e-6 && squares < 1 + 1e-6);

    const uint32_t empty[] = {0, 0, 3}, falling[] = {0, 3, 3}, many[] = {0, 20, 51},
                   late[] = {1, 3, 8}, bad_ids[] = {2, 5, 72, 2, 6, 7, 8, 3};
    const uint8_t bad_types[] = {0, 1, 0, 0, 2, 0, 0, 0};
    sqzt_assert_fails(sqz_encode(session,
                                 &(sqz_batch){.n_sequences = 2, .first = empty, .ids = ids}, out,
                                 24, &error),
                      SQZ_EINVAL, &error, "sequence 0 holds tokens 0 to 0");
    sqzt_assert_fails(sqz_encode(session,
                                 &(sqz_batch){.n_sequences = 2, .first = falling, .ids = ids}, out,
                                 24, &error),
                      SQZ_EINVAL, &error, "sequence 1");
    sqzt_assert_fails(sqz_encode(session, &(sqz_batch){.n_sequences = 2, .first = many, .ids = ids},
                                 out, 24, &error),
                      SQZ_EINVAL, &error, "50 in all");
    sqzt_assert_fails(sqz_encode(session, &(sqz_batch){.n_sequences = 2, .first = late, .ids = ids},
                                 out, 24, &error),
                      SQZ_EINVAL, &error, "begin at 1");
    sqzt_assert_fails(sqz_encode(session,
                                 &(sqz_batch){.n_sequences = 3, .first = first, .ids = ids}, out,
                                 24, &error),
                      SQZ_EINVAL, &error, "3 sequences");
    sqzt_assert_fails(sqz_encode(session,
                                 &(sqz_batch){.n_sequences = 2, .first = first, .ids = bad_ids},
                                 out, 24, &error),
                      SQZ_ETOKEN, &error, "token 2 is 72");
    assert_int_equal(error.offset, 2);
    sqzt_assert_fails(
        sqz_encode(session,
                   &(sqz_batch){.n_sequences = 2, .first = first, .ids = ids, .types = bad_types},
                   out, 24, &error),
        SQZ_ETOKEN, &error, "type of token 4 is 2");
    sqzt_assert_fails(sqz_encode(session, &batch, out, 23, &error), SQZ_EINVAL, &error, "width");
    sqzt_assert_fails(sqz_logits(session, &batch, NULL, 0, logits, 2, &error), SQZ_EINVAL, &error,
                      "ldl");
    sqzt_assert_fails(sqz_embed(session, &batch, &(sqz_embed_options){.dimensions = 25}, out, 25,
                                &error),
                      SQZ_EINVAL, &error, "25 dimensions");
    sqz_session_close(session);
    sqzt_assert_fails(sqz_session_open(model,
                                       &(sqz_session_options){.max_tokens = 0, .max_sequences = 1},
                                       &session, &error),
                      SQZ_EINVAL, &error, "0 tokens");
    const sqz_session_options largest = {.max_tokens = 1 << 28, .max_sequences = 1},
                              larger = {.max_tokens = (1 << 28) + 1, .max_sequences = 1};
    assert_true(sqz_session_plan(model, &largest) > 1 << 28 &&
                sqz_session_plan(model, &larger) == 0);
    sqzt_assert_fails(sqz_session_open(model,
                                       &(sqz_session_options){
                                           .max_tokens = 9, .max_sequences = 1, .max_length = 41},
                                       &session, &error),
                      SQZ_EINVAL, &error, "40 pieces");
    sqz_model_close(model);
    sqz_context_close(context);
    assert_int_equal(memory.held_bytes, 0);
}

static void test_no_pooler(void **state)
{
    (void)state;
    enum { WIDTH = 8 };
    const sqzt_tiny tiny = {.width = WIDTH,
                            .blocks = 1,
                            .heads = 2,
                            .head_width = 4,
                            .ffn_width = 8,
                            .embedding_width = WIDTH,
                            .positions = 4,
                            .no_pooler = true};
    const char *path = sqzt_temporary("no_pooler.gguf");
    sqz_context *context = open_context(NULL);
    sqz_error error = {0};
    sqz_model *model;
    sqz_session *session;
    float out[WIDTH], mean[WIDTH];
    const uint32_t first[] = {0, 3}, ids[] = {2, 5, 3};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids};
    sqzt_tiny_write(&tiny, path);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = 3, .max_sequences = 1},
                                    &session, &error),
                   &error);
    sqzt_assert_fails(sqz_embed(session, &batch,
                                &(sqz_embed_options){.pooling = SQZ_POOLING_POOLER,
                                                     .normalize = SQZ_NORMALIZE_NO},
                                out, WIDTH, &error),
                      SQZ_EINVAL, &error, "no pooler");
    sqzt_assert_ok(sqz_embed(session, &batch,
                             &(sqz_embed_options){.pooling = SQZ_POOLING_MEAN,
                                                  .normalize = SQZ_NORMALIZE_NO},
                             mean, WIDTH, &error),
                   &error);
    sqzt_assert_ok(sqz_embed(session, &batch,
                             &(sqz_embed_options){.pooling = SQZ_POOLING_DEFAULT,
                                                  .normalize = SQZ_NORMALIZE_NO},
                             out, WIDTH, &error),
                   &error);
    assert_memory_equal(out, mean, sizeof out);
    sqz_session_close(session);
    sqz_model_close(model);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_info), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_cut_short),
                                       cmocka_unit_test(test_session),
                                       cmocka_unit_test(test_no_pooler)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
