/* SPDX-License-Identifier: Apache-2.0 */
/* The kind of tokenizer that a model file names is looked at: another kind's pieces would be read
 * as word pieces, and every id would be another. */
#include <squeezebert/model.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"
#include "support/tiny_model.h"

static const sqzt_tiny tiny = {.width = 24,
                               .blocks = 1,
                               .heads = 3,
                               .head_width = 8,
                               .ffn_width = 48,
                               .embedding_width = 24,
                               .positions = 8,
                               .head = "sequence",
                               .classes = 2,
                               .seed = 5};

/* The tiny model's file with `to` in the place of `from`, which is as long; returns its path. */
static const char *changed(const char *from, const char *to, size_t n)
{
    enum { MOST = 1 << 20 };
    static char path[256];
    snprintf(path, sizeof path, "%s", sqzt_temporary("tokenizer_model.gguf"));
    sqzt_tiny_write(&tiny, path);
    char *data = malloc(MOST);
    FILE *file = fopen(path, "rb");
    assert_true(data && file);
    const size_t bytes = fread(data, 1, MOST, file);
    assert_int_equal(fclose(file), 0);
    assert_true(bytes < MOST);
    size_t at = 0;
    while (at + n <= bytes && memcmp(data + at, from, n) != 0) at++;
    assert_true(at + n <= bytes);
    memcpy(data + at, to, n);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    free(data);
    return path;
}

/* Key, type (a string) and length, as they lie in the file. */
#define KEY(name) name "\x08\0\0\0\x04\0\0\0\0\0\0\0"

static void an_unknown_tokenizer_is_refused_by_name(void **state)
{
    (void)state;
    static const char from[] = KEY("tokenizer.ggml.model") "bert",
                      to[] = KEY("tokenizer.ggml.model") "gpt2";
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model = NULL;
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    const char *path = changed(from, to, sizeof from - 1);
    sqzt_assert_fails(sqz_model_open(context, path, &model, &error), SQZ_EUNSUPPORTED, &error,
                      "the tokenizer is 'gpt2', and only 'bert' (WordPiece) is known");
    assert_non_null(strstr(error.text, path));
    assert_null(model);
    sqz_context_close(context);
}

static void a_file_that_names_none_has_word_pieces(void **state)
{
    (void)state;
    static const char from[] = KEY("tokenizer.ggml.model"), to[] = KEY("tokenizer.ggml.other");
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, changed(from, to, sizeof from - 1), &model, &error),
                   &error);
    sqz_model_close(model);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_unknown_tokenizer_is_refused_by_name),
                                       cmocka_unit_test(a_file_that_names_none_has_word_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
