/* SPDX-License-Identifier: Apache-2.0 */
/* What a model reads of labelled data. */
#include <squeezebert/dataset.h>
#include <stdio.h>
#include <string.h>

#include "support/test.h"
#include "support/tiny_model.h"

static ptrdiff_t read_text(void *user, void *bytes, size_t n)
{
    const char **text = user;
    const size_t rest = strlen(*text), got = rest < n ? rest : n;
    memcpy(bytes, *text, got);
    *text += got;
    return (ptrdiff_t)got;
}

static sqz_dataset *opened(const sqz_context *context, const char *text, sqz_data_format format,
                           sqz_label_kind kind)
{
    sqz_dataset *dataset;
    sqz_error error = {0};
    const sqz_rows_source source = {.name = "rows", .read = read_text, .user = &text};
    const sqz_dataset_options options = {.format = format, .kind = kind};
    sqzt_assert_ok(sqz_dataset_open_source(context, &source, &options, &dataset, &error), &error);
    return dataset;
}

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

static void the_first_piece_of_a_word_has_its_label(void **state)
{
    (void)state;
    sqz_context *whole;
    sqz_model *model;
    sqz_error error = {0};
    const char *path = sqzt_temporary("dataset.gguf");
    sqzt_tiny_write(&tiny, path);
    sqzt_assert_ok(sqz_context_open(NULL, &whole, &error), &error);
    sqzt_assert_ok(sqz_model_open(whole, path, &model, &error), &error);
    sqz_dataset *d = opened(whole, "a B\nx.y I\nb O\n\nb O\n", SQZ_DATA_CONLL, SQZ_LABELS_WORDS);
    assert_null(sqz_dataset_pieces(d, 0).ids);
    sqzt_assert_ok(sqz_dataset_tokenize(d, sqz_model_tokenizer(model), 6, &error), &error);
    /* [CLS] a x . y [SEP]: b is cut off */
    const sqz_example_pieces p = sqz_dataset_pieces(d, 0);
    assert_int_equal(p.n, 6);
    assert_int_equal(p.cut, 1);
    const int32_t labels[] = {-1, 0, 1, -1, -1, -1};
    assert_memory_equal(p.labels, labels, sizeof labels);
    assert_int_equal(sqz_dataset_pieces(d, 1).labels[1], 2);
    assert_int_equal(sqz_dataset_pieces(d, 2).n, 0);
    sqzt_assert_fails(sqz_dataset_tokenize(d, sqz_model_tokenizer(model), 1, &error), SQZ_EINVAL,
                      &error, "");
    sqz_dataset_close(d);
    sqz_model_close(model);
    sqz_context_close(whole);
    assert_int_equal(remove(path), 0);
}

static void a_model_files_tokenizer_is_the_opened_models(void **state)
{
    (void)state;
    sqz_context *whole;
    sqz_model *model;
    sqz_error error = {0};
    uint32_t length = 0;
    const char *path = sqzt_temporary("dataset.gguf");
    sqzt_tiny_write(&tiny, path);
    sqzt_assert_ok(sqz_context_open(NULL, &whole, &error), &error);
    sqzt_assert_ok(sqz_model_open(whole, path, &model, &error), &error);
    sqz_dataset *d = opened(whole, "text,label\na b x y a b x y,1\nb,2\n", SQZ_DATA_CSV,
                            SQZ_LABELS_ONE);
    sqz_dataset *other = opened(whole, "text,label\na b x y a b x y,1\nb,2\n", SQZ_DATA_CSV,
                                SQZ_LABELS_ONE);
    sqzt_assert_ok(sqz_dataset_tokenize(d, sqz_model_tokenizer(model), tiny.positions, &error),
                   &error);
    sqzt_assert_ok(sqz_dataset_tokenize_for(other, path, &length, &error), &error);
    assert_int_equal(length, tiny.positions); /* fewer than 128 */
    for (size_t i = 0; i < 2; i++) {
        const sqz_example_pieces p = sqz_dataset_pieces(d, i), q = sqz_dataset_pieces(other, i);
        assert_int_equal(p.n, q.n);
        assert_int_equal(p.cut, q.cut);
        assert_memory_equal(p.ids, q.ids, p.n * sizeof *p.ids);
        assert_memory_equal(p.types, q.types, p.n);
    }
    assert_int_equal(sqz_dataset_pieces(other, 0).cut, 2);
    length = tiny.positions + 1;
    sqzt_assert_fails(sqz_dataset_tokenize_for(d, path, &length, &error), SQZ_EINVAL, &error,
                      "at most 9 pieces");
    length = 0;
    sqzt_assert_fails(sqz_dataset_tokenize_for(d, "no/such", &length, &error), SQZ_EIO, &error,
                      "no/such");
    sqzt_assert_fails(sqz_dataset_tokenize_for(NULL, path, &length, &error), SQZ_EINVAL, &error,
                      "NULL");
    sqz_dataset_close(d);
    sqz_dataset_close(other);
    sqz_model_close(model);
    sqz_context_close(whole);
    assert_int_equal(remove(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_piece_of_a_word_has_its_label),
        cmocka_unit_test(a_model_files_tokenizer_is_the_opened_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
