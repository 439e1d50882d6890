/* SPDX-License-Identifier: Apache-2.0 */
/* Marks that strip_accents keeps, beside marks that it takes: canonical order must neither stop the
 * scan nor move a letter. */
#include "support/test.h"

#include "base/memory.h"
#include "text/tokenizer_spec.h"

static const char *const spellings[] = {"[UNK]", "[CLS]", "[SEP]", "a", "##\xE3\x80\xAE", "b"};

static sqz_tokenizer *open_tokenizer(void)
{
    sqzi_span pieces[6];
    for (int i = 0; i < 6; i++) pieces[i] = sqzi_span_of(spellings[i]);
    const sqzi_template_item single[] = {{0, 0, 0}}, pair[] = {{0, 0, 0}, {0, 1, 1}};
    const sqzi_tokenizer_spec spec = {.pieces = pieces,
                                      .n_pieces = 6,
                                      .clean_text = true,
                                      .handle_chinese_chars = true,
                                      .strip_accents = true,
                                      .lowercase = true,
                                      .prefix = sqzi_span_of("##"),
                                      .max_word_chars = 100,
                                      .special = {0, 1, 2, UINT32_MAX, UINT32_MAX},
                                      .single = single,
                                      .n_single = 1,
                                      .pair = pair,
                                      .n_pair = 2};
    sqz_tokenizer *tokenizer = NULL;
    assert_int_equal(sqzi_tokenizer_open(&sqzi_default_allocator, &spec, &tokenizer, NULL), SQZ_OK);
    return tokenizer;
}

/* "a", then the given marks, then " b": a ##U+302E b. */
static void check(const char *text)
{
    sqz_tokenizer *tokenizer = open_tokenizer();
    sqz_encoding *encoding = NULL;
    assert_int_equal(sqzi_encoding_open(&sqzi_default_allocator, &encoding, NULL), SQZ_OK);
    assert_int_equal(sqz_tokenize(tokenizer, (sqz_text){text, strlen(text)}, NULL, NULL, encoding,
                                  NULL),
                     SQZ_OK);
    assert_int_equal(sqz_encoding_first(encoding, 1), 3);
    const uint32_t expected[] = {3, 4, 5};
    assert_memory_equal(sqz_encoding_ids(encoding), expected, sizeof expected);
    sqz_encoding_close(encoding);
    sqzi_tokenizer_close(tokenizer);
}

static void a_kept_mark_alone(void **state)
{
    (void)state;
    check("a\xE3\x80\xAE b");
}

static void a_kept_mark_behind_a_stripped_one(void **state)
{
    (void)state;
    check("a\xCC\x81\xE3\x80\xAE b");
}

static void a_kept_mark_behind_a_stripped_starter_ends_the_run(void **state)
{
    (void)state;
    check("a\xCD\x8F\xE3\x80\xAE b"); /* U+034F: Mn of class 0 */
}

/* U+1D15E is U+1D157 with U+1D165 behind it, a mark of class 216; U+0334 behind that has class 1
 * and goes first. The package pairs the parts with the text after that, so U+1D165 is said to come
 * from where U+0334 stands. */
static void a_mark_inside_a_code_point_goes_among_those_behind_it(void **state)
{
    (void)state;
    const char text[] = "\xF0\x9D\x85\x9E\xCC\xB4 b";
    sqz_tokenizer *tokenizer = open_tokenizer();
    sqz_encoding *encoding = NULL;
    assert_int_equal(sqzi_encoding_open(&sqzi_default_allocator, &encoding, NULL), SQZ_OK);
    assert_int_equal(sqz_tokenize(tokenizer, (sqz_text){text, strlen(text)}, NULL, NULL, encoding,
                                  NULL),
                     SQZ_OK);
    assert_int_equal(sqz_encoding_first(encoding, 1), 2);
    const sqz_piece *pieces = sqz_encoding_pieces(encoding);
    assert_int_equal(pieces[0].id, 0); /* not in the vocabulary */
    assert_int_equal(pieces[0].begin, 0);
    assert_int_equal(pieces[0].end, 2);
    assert_int_equal(pieces[0].end_byte, 6);
    assert_int_equal(pieces[1].id, 5);
    assert_int_equal(pieces[1].begin, 3);
    sqz_encoding_close(encoding);
    sqzi_tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_mark_alone),
        cmocka_unit_test(a_kept_mark_behind_a_stripped_one),
        cmocka_unit_test(a_kept_mark_behind_a_stripped_starter_ends_the_run),
        cmocka_unit_test(a_mark_inside_a_code_point_goes_among_those_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
