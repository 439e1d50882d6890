/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences: where texts are cut, and in which order their parts come. */
#include "data/sentences.h"

#include <string.h>

#include "base/error.h"
#include "support/test.h"

static sqz_text text_of(const char *spelling)
{
    return (sqz_text){spelling, strlen(spelling)};
}

static void expect(const char *const *spellings, size_t n, const char *const *wanted,
                   size_t n_wanted)
{
    enum { MOST = 8 };
    sqz_text texts[MOST];
    sqz_error error = {0};
    sqzi_sentences s;
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++) texts[i] = text_of(spellings[i]);
    sqzt_assert_ok(sqzi_sentences_make(&sqzi_default_allocator, texts, n, &s, &error), &error);
    assert_int_equal(s.n, n_wanted);
    for (size_t i = 0; i < n_wanted; i++) {
        assert_int_equal(s.all[i].n_bytes, strlen(wanted[i]));
        assert_memory_equal(s.all[i].bytes, wanted[i], s.all[i].n_bytes);
    }
    sqzi_sentences_discard(&s);
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void a_text_is_cut_behind_its_sentences_marks(void **state)
{
    (void)state;
    static const char *const text[] = {"  \"Where did the river go?\" (It dried out long ago!)  It "
                                       "was 3.5 miles to the.next well... Then nothing more came "};
    static const char *const wanted[] = {"\"Where did the river go?\"", "(It dried out long ago!)",
                                         "It was 3.5 miles to the.next well...",
                                         "Then nothing more came "};
    expect(text, 1, wanted, COUNT(wanted));
}

static void what_is_short_stays_with_what_follows(void **state)
{
    (void)state;
    static const char *const text[] = {"Yes. Mr. Brook came home. He was early that day. So."};
    static const char *const wanted[] = {"Yes. Mr. Brook came home.", "He was early that day.",
                                         "So."};
    expect(text, 1, wanted, COUNT(wanted));
}

static void ideographic_marks_need_no_space(void **state)
{
    (void)state;
    static const char *const text[] = {
        "\xE4\xBB\x8A\xE6\x97\xA5\xE3\x81\xAF\xE9\x9B\xA8\xE3\x81\xA7"
        "\xE3\x81\x99\xE3\x80\x82\xE6\x98\x8E\xE6\x97\xA5"};
    static const char *const wanted[] = {
        "\xE4\xBB\x8A\xE6\x97\xA5\xE3\x81\xAF\xE9\x9B\xA8\xE3\x81\xA7\xE3\x81\x99\xE3\x80\x82",
        "\xE6\x98\x8E\xE6\x97\xA5"};
    expect(text, 1, wanted, COUNT(wanted));
}

static void every_text_gives_its_first_sentence_before_any_gives_its_second(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "The first of the first. The second of the first.", " ", "The only one here", "",
        "The first of the last! The second of it? And a third one."};
    static const char *const wanted[] = {"The first of the first.", "The only one here",
                                         "The first of the last!", "The second of the first.",
                                         "The second of it? And a third one."};
    expect(texts, COUNT(texts), wanted, COUNT(wanted));
    expect(texts, 0, wanted, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_cut_behind_its_sentences_marks),
        cmocka_unit_test(what_is_short_stays_with_what_follows),
        cmocka_unit_test(ideographic_marks_need_no_space),
        cmocka_unit_test(every_text_gives_its_first_sentence_before_any_gives_its_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
