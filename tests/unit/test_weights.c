/* SPDX-License-Identifier: Apache-2.0 */
/* A model's weights in memory: written as they came they are the tensors of the source; what is
 * kept, dropped or rounded is what the new file holds; the bytes foretold are those of the file. */
#define _POSIX_C_SOURCE 200809L
#include "squeeze/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "model/context.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *context; /* of the portable kernels, as those that make the vectors */

static int open_context(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1, .cpu = "portable"},
                                    &context, &error),
                   &error);
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    sqz_context_close(context);
    return 0;
}

static sqz_model *open_model(const char *path)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static sqz_model *open_tiny(const sqzt_tiny *tiny, const char *file)
{
    const char *path = sqzt_temporary(file);
    sqzt_tiny_write(tiny, path);
    return open_model(path);
}

static const sqzi_step step = {.history = "squeezed", .suffix = "-squeezed"};

/* Write, beside the bytes that were foretold, and open again. */
static sqz_model *write_and_open(const sqzi_weights *weights, const char *file)
{
    sqz_error error = {0};
    struct stat found;
    uint64_t foretold = 0, bytes = 0;
    const char *path = sqzt_temporary(file);
    sqzt_assert_ok(sqzi_weights_write(weights, &step, NULL, &foretold, &error), &error);
    sqzt_assert_ok(sqzi_weights_write(weights, &step, path, &bytes, &error), &error);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(bytes, foretold);
    assert_int_equal(found.st_size, bytes);
    return open_model(path);
}

/* As the float that the number means. */
static float number(const sqz_model *model, const sqzi_gguf_tensor *t, const char *name, uint64_t i)
{
    char full[128];
    if (t->type == SQZI_BF16) {
        uint32_t bits = (uint32_t)((const uint16_t *)t->data)[i] << 16;
        float x;
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    if (t->type != SQZI_S8) return ((const float *)t->data)[i];
    snprintf(full, sizeof full, "%s.scale", name);
    const float *scale = sqzi_gguf_find_tensor(model->gguf, full)->data;
    return scale[i / t->shape[1]] * (float)((const int8_t *)t->data)[i];
}

/* Codes become the rows that a run makes of them. */
static void check_same_words(const sqz_model *from, const sqz_model *to)
{
    const sqzi_table *a = &from->encoder.embedding.word, *b = &to->encoder.embedding.word;
    const size_t n = a->width;
    float *rows = calloc(2 * n, sizeof *rows);
    assert_non_null(rows);
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(n, b->width);
    assert_int_equal(b->parts, 0);
    for (uint32_t r = 0; r < a->n_rows; r++) {
        sqzi_table_row(a, &context->kernels, r, 0, rows);
        sqzi_table_row(b, &context->kernels, r, 0, rows + n);
        assert_memory_equal(rows, rows + n, n * sizeof *rows);
    }
    free(rows);
}

static bool is_reference(const char *name)
{
    return strncmp(name, "verify.", 7) == 0;
}

static void check_same_tensors(const sqz_model *from, const sqz_model *to, const char *form)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(from->gguf); i++) {
        const char *name = from->tensor_names[i];
        const size_t length = strlen(name);
        const sqzi_gguf_tensor *a = sqzi_gguf_tensor_at(from->gguf, i),
                               *b = sqzi_gguf_find_tensor(to->gguf, name);
        if (length > 6 && strcmp(name + length - 6, ".scale") == 0) continue;
        if (strstr(name, "token_embd.c")) continue; /* codes and centroids: check_same_words */
        if (!b) fail_msg("%s: tensor '%s' is missing", form, name);
        assert_int_equal(a->n, b->n);
        assert_memory_equal(a->shape, b->shape, sizeof a->shape);
        if (a->type == SQZI_F32 || a->type == SQZI_I32) {
            if (!is_reference(name)) assert_memory_equal(a->data, b->data, (size_t)a->bytes);
            continue;
        }
        assert_int_equal(b->type, SQZI_F32);
        for (uint64_t j = 0; j < a->n; j++)
            assert_true(number(from, a, name, j) == number(to, b, name, j));
    }
}

/* Every key that the source has, with the same value, but those that a step changes. */
static void check_same_metadata(const sqz_model *from, const sqz_model *to, const char *form)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_values(from->gguf); i++) {
        const sqzi_gguf_value *a = sqzi_gguf_value_at(from->gguf, i);
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)a->key.n, a->key.bytes);
        if (!strstr(key, "sqz.block") && !strstr(key, "sqz.permutation")) continue;
        const sqzi_gguf_value *b = sqzi_gguf_find(to->gguf, key);
        bool trivial = a->type == SQZI_GGUF_U32 && !strstr(key, "permutation");
        for (uint64_t j = 0; j < a->n && trivial; j++) trivial = sqzi_gguf_uint(a, j) == 1;
        if (!b && trivial && strstr(key, "groups")) continue; /* one group is what is meant */
        if (!b) fail_msg("%s: metadata '%s' is missing", form, key);
        assert_int_equal(a->n, b->n);
        for (uint64_t j = 0; j < a->n; j++)
            if (a->type == SQZI_GGUF_U32)
                assert_int_equal(sqzi_gguf_uint(a, j), sqzi_gguf_uint(b, j));
            else if (a->type == SQZI_GGUF_F64)
                assert_true(sqzi_gguf_float(a, j) == sqzi_gguf_float(b, j));
    }
}

static void untouched_weights_are_the_tensors_of_the_source(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++) {
        sqz_error error = {0};
        sqzt_tiny tiny = f->tiny;
        tiny.expanded = true; /* packed rows: test_round_weights.c */
        sqz_model *model = open_tiny(&tiny, "source.gguf");
        sqzi_weights weights;
        sqzt_assert_ok(sqzi_weights_of(model, &weights, &error), &error);
        sqz_model *copy = write_and_open(&weights, "copy.gguf");
        check_same_words(model, copy);
        check_same_tensors(model, copy, f->name);
        check_same_metadata(model, copy, f->name);
        sqz_model_close(copy);
        sqzi_weights_discard(&weights);
        sqz_model_close(model);
    }
}

static const sqzt_tiny *form(const char *name)
{
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return &f->tiny;
    fail_msg("no form '%s'", name);
    return NULL;
}

static bool has_feature(const sqz_model *model, const char *feature)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(model->gguf, "sqz.requires");
    const unsigned char *at = value ? value->data : NULL;
    for (uint64_t i = 0; value && i < value->n; i++)
        if (sqzi_span_is(sqzi_gguf_next_string(&at), feature)) return true;
    return false;
}

/* Of a permuted sum whose last block is another: its matrices, norms, sizes and permutations come
 * under the new number. */
static void blocks_that_stay_are_numbered_anew(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_tiny tiny = *form("sum of groups and low rank, permuted, factorised");
    tiny.blocks = 3;
    sqz_model *model = open_tiny(&tiny, "three.gguf");
    sqzi_weights weights;
    sqzt_assert_ok(sqzi_weights_of(model, &weights, &error), &error);
    sqzi_weights_keep_blocks(&weights, (const uint32_t[]){0, 2}, 2);
    sqz_model *two = write_and_open(&weights, "two.gguf");
    assert_int_equal(two->encoder.n_blocks, 2);
    static const char *const parts[] = {"attn_q.weight", "ffn_up.a", "ffn_down.b", "ffn_down.bias",
                                        "layer_output_norm.weight"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char from[64], to[64];
        snprintf(from, sizeof from, "blk.2.%s", parts[i]);
        snprintf(to, sizeof to, "blk.1.%s", parts[i]);
        const sqzi_gguf_tensor *a = sqzi_gguf_find_tensor(model->gguf, from),
                               *b = sqzi_gguf_find_tensor(two->gguf, to);
        assert_int_equal(a->bytes, b->bytes);
        assert_memory_equal(a->data, b->data, (size_t)a->bytes);
    }
    const sqzi_gguf_value *a = sqzi_gguf_find(model->gguf, "sqz.permutation.blk.2.ffn_up.in"),
                          *b = sqzi_gguf_find(two->gguf, "sqz.permutation.blk.1.ffn_up.in");
    assert_memory_equal(a->data, b->data, a->n * 4);
    assert_null(sqzi_gguf_find(two->gguf, "sqz.permutation.blk.2.ffn_up.in"));
    assert_null(sqzi_gguf_find_tensor(two->gguf, "blk.2.ffn_up.a"));
    assert_int_equal(sqzi_gguf_find(two->gguf, "sqz.block.attn_norm_epsilon")->n, 2);
    assert_true(has_feature(two, "sum") && has_feature(two, "permutation") &&
                has_feature(two, "low_rank") && has_feature(two, "groups") &&
                has_feature(two, "reduced_embedding") && !has_feature(two, "s8"));
    sqz_model_close(two);
    sqzi_weights_discard(&weights);
    sqz_model_close(model);
}

/* Neurons 1, 2 and 5 of the last feed-forward. */
static void rows_and_columns_that_stay_make_a_narrower_block(void **state)
{
    (void)state;
    sqz_error error = {0};
    static const uint32_t kept[] = {1, 2, 5};
    sqz_model *model = open_tiny(form("dense"), "wide.gguf");
    sqzi_weights weights;
    sqzt_assert_ok(sqzi_weights_of(model, &weights, &error), &error);
    sqzi_weight_block *block = &weights.blocks[1];
    sqzi_weight_linear *up = &block->linears[SQZI_FFN_UP], *down = &block->linears[SQZI_FFN_DOWN];
    sqzt_assert_ok(sqzi_weight_linear_keep_outputs(&weights, up, kept, 3, &error), &error);
    sqzt_assert_ok(sqzi_weight_linear_keep_inputs(&weights, down, kept, 3, &error), &error);
    block->ffn_width = 3;
    sqz_model *narrow = write_and_open(&weights, "narrow.gguf");
    assert_int_equal(narrow->encoder.blocks[0].ffn_width, 40);
    assert_int_equal(narrow->encoder.blocks[1].ffn_width, 3);
    const float *from = sqzi_gguf_find_tensor(model->gguf, "blk.1.ffn_down.weight")->data,
                *to = sqzi_gguf_find_tensor(narrow->gguf, "blk.1.ffn_down.weight")->data,
                *bias = sqzi_gguf_find_tensor(model->gguf, "blk.1.ffn_up.bias")->data,
                *short_bias = sqzi_gguf_find_tensor(narrow->gguf, "blk.1.ffn_up.bias")->data;
    for (size_t i = 0; i < 3; i++) {
        assert_true(bias[kept[i]] == short_bias[i]);
        for (size_t r = 0; r < 24; r++) assert_true(from[r * 40 + kept[i]] == to[r * 3 + i]);
    }
    sqz_model_close(narrow);
    sqzi_weights_discard(&weights);
    sqz_model_close(model);
}

static void rounded_matrices_are_written_as_integers(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model = open_tiny(form("dense"), "float.gguf");
    sqzi_weights weights;
    sqzt_assert_ok(sqzi_weights_of(model, &weights, &error), &error);
    sqzi_weight_matrix *m = &weights.blocks[0].linears[SQZI_FFN_UP].terms[0].b;
    const uint64_t before = sqzi_weights_bytes(&weights), whole = sqzi_weight_matrix_bytes(m);
    assert_int_equal(whole, 24 * 40 * 4);
    sqzt_assert_ok(sqzi_weight_matrix_round(&weights, SQZI_STORED_S8, m, &error), &error);
    for (size_t i = 0; i < 24 * 40; i++) m->rounded.integers[i] = (int8_t)(i % 100);
    for (size_t r = 0; r < 40; r++) m->rounded.scale[r] = (float)r + 1;
    assert_int_equal(sqzi_weight_matrix_bytes(m), 24 * 40 + 40 * 4);
    assert_int_equal(sqzi_weights_bytes(&weights), before - whole + 24 * 40 + 40 * 4);
    sqz_model *rounded = write_and_open(&weights, "rounded.gguf");
    const sqzi_gguf_tensor *t = sqzi_gguf_find_tensor(rounded->gguf, "blk.0.ffn_up.weight");
    assert_int_equal(t->type, SQZI_S8);
    assert_memory_equal(t->data, m->rounded.integers, 24 * 40);
    assert_true(has_feature(rounded, "s8"));
    sqz_model_close(rounded);
    sqzi_weight_matrix_unround(&weights, m);
    assert_int_equal(sqzi_weights_bytes(&weights), before);
    sqzi_weights_discard(&weights);
    sqz_model_close(model);
}

static void a_weight_that_is_not_finite_is_named(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_tiny tiny = *form("dense");
    tiny.poison = "token_embd.weight"; /* tables are not looked at when a model is opened */
    sqz_model *model = open_tiny(&tiny, "poisoned.gguf");
    sqzi_weights weights;
    sqzt_assert_fails(sqzi_weights_of(model, &weights, &error), SQZ_ENUMERIC, &error,
                      "'token_embd.weight'");
    sqzi_weights_discard(&weights);
    sqz_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untouched_weights_are_the_tensors_of_the_source),
        cmocka_unit_test(blocks_that_stay_are_numbered_anew),
        cmocka_unit_test(rows_and_columns_that_stay_make_a_narrower_block),
        cmocka_unit_test(rounded_matrices_are_written_as_integers),
        cmocka_unit_test(a_weight_that_is_not_finite_is_named),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
