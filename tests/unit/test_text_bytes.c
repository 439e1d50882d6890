/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test.h"

#include <string.h>

#include "data/text_bytes.h"

static void characters_of_every_length_are_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\x7F",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBD",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "eight or more, then \xC3\xA9 and more of it again"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(sqzi_is_utf8(good[i], strlen(good[i])));
    assert_true(sqzi_is_utf8("a\0b", 3));
}

static void what_no_encoder_writes_is_not_utf8(void **state)
{
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC3",
                                      "\xC3(",
                                      "\xE0\x9F\xBF",
                                      "\xE2\x82",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xF0\x8F\x80\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "caf\xE9 in Latin-1",
                                      "twenty bytes before it \xE9"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sqzi_is_utf8(bad[i], strlen(bad[i])));
}

static void files_that_are_no_text_are_known_by_their_first_bytes(void **state)
{
    static const struct {
        const char *bytes, *word;
    } files[] = {{"\x1F\x8B\x08 and so on", "gzip"},     {"PK\x03\x04 and so on", ".xlsx"},
                 {"\x28\xB5\x2F\xFD and so on", "zstd"}, {"PAR1\x15\x04 and so on", "Parquet"},
                 {"BZh91AY&SY and so on", "bzip2"},      {"\xFF\xFEg\x01", "UTF-16"}};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        bool known = false;
        const char *what = sqzi_no_text(files[i].bytes, strlen(files[i].bytes), &known);
        assert_true(known);
        assert_non_null(what);
        assert_non_null(strstr(what, files[i].word));
    }
}

static void no_more_bytes_are_waited_for_than_may_be_a_signature(void **state)
{
    bool known;
    (void)state;
    assert_null(sqzi_no_text("PK", 2, &known));
    assert_false(known);
    assert_null(sqzi_no_text("P\n", 2, &known));
    assert_true(known);
    assert_null(sqzi_no_text("PAR1 is a name", 14, &known));
    assert_true(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_every_length_are_utf8),
        cmocka_unit_test(what_no_encoder_writes_is_not_utf8),
        cmocka_unit_test(files_that_are_no_text_are_known_by_their_first_bytes),
        cmocka_unit_test(no_more_bytes_are_waited_for_than_may_be_a_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
