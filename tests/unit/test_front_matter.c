/* SPDX-License-Identifier: Apache-2.0 */
/* The front matter of model cards: values in every form that cards use, and nothing read beyond the
 * bytes that are there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/front_matter.h"
#include "support/test.h"

enum { MOST = 8 };

/* Every value of the key, joined by '|'. The card lies in a block of its own size, so that a read
 * behind it is seen under sanitizers. */
static const char *values_of(const char *card, const char *key)
{
    static char joined[512];
    const size_t n = strlen(card);
    char *copy = malloc(n ? n : 1);
    sqzi_span values[MOST], rest;
    assert_non_null(copy);
    if (n) memcpy(copy, card, n);
    const sqzi_span matter = sqzi_front_matter((sqzi_span){copy, n}, &rest);
    const size_t found = sqzi_front_values(matter, key, values, MOST);
    joined[0] = '\0';
    for (size_t i = 0; i < found; i++) {
        const size_t used = strlen(joined);
        snprintf(joined + used, sizeof joined - used, "%s%.*s", i ? "|" : "", (int)values[i].n,
                 values[i].bytes);
    }
    free(copy);
    return joined;
}

static const char *title_of(const char *card)
{
    static char text[256];
    const size_t n = strlen(card);
    char *copy = malloc(n ? n : 1);
    sqzi_span rest, title;
    assert_non_null(copy);
    if (n) memcpy(copy, card, n);
    (void)sqzi_front_matter((sqzi_span){copy, n}, &rest);
    text[0] = '\0';
    if (sqzi_card_title(rest, &title))
        snprintf(text, sizeof text, "%.*s", (int)title.n, title.bytes);
    free(copy);
    return text;
}

static void values_come_in_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *values;
    } cases[] = {
        {"a: x\n", "x"},
        {"a:x\n", "x"},
        {"a:  x y  # why\n", "x y"},
        {"a: c#\n", "c#"},
        {"a: \"no\"\n", "no"},
        {"a: 'it # is'  # why\n", "it # is"},
        {"a: 'open\n", ""},
        {"a: [x, \"y z\" , 'w',]\n", "x|y z|w"},
        {"a: []\n", ""},
        {"a:\n- x\n-  y # why\n\n  - z\nb: 1\n- w\n", "x|y|z"},
        {"a:\n# a comment\n- x\n", "x"},
        {"a: null\n", ""},
        {"a: ~\n", ""},
        {"a:\n", ""},
        {"a: |\n  long\n", ""},
        {"b:\n  a: x\n", ""},
        {"ab: x\n", ""},
        {"b: y\r\na: x\r\n", "x"},
        {"a: x\na: y\n", "x"},
        {"a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n", "1|2|3|4|5|6|7|8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char card[256];
        snprintf(card, sizeof card, "---\n%s---\nbody\n", cases[i].lines);
        assert_string_equal(values_of(card, "a"), cases[i].values);
    }
}

static void blank_lines_may_come_first(void **state)
{
    (void)state;
    assert_string_equal(values_of("\n \r\n---\nlicense: mit\n---\n# T\n", "license"), "mit");
    assert_string_equal(title_of("\n\n---\nlicense: mit\n# no title\n---\n# T\n"), "T");
    assert_string_equal(title_of("\n\n# T\n"), "T");
    assert_string_equal(values_of("\n\n", "license"), "");
}

static void what_is_no_front_matter_has_no_values(void **state)
{
    (void)state;
    static const char *const cards[] = {"",
                                        "-",
                                        "---",
                                        "---\n",
                                        "a: x\n",
                                        "---\na: x",
                                        "---\na: x\n",
                                        "----\na: x\n---\n"};
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++)
        assert_string_equal(values_of(cards[i], "a"), "");
    assert_string_equal(values_of("\xef\xbb\xbf---\na: x\n---", "a"), "x");
}

static void the_title_is_the_first_heading_of_the_text(void **state)
{
    (void)state;
    assert_string_equal(title_of("---\n# not this\n---\n\n# This one\n# Nor this\n"), "This one");
    assert_string_equal(title_of("text\n\n#\tTabbed ##\n"), "Tabbed");
    assert_string_equal(title_of("```\n# code\n```\n~~~sh\n# more\n~~~\n# Out\r\n"), "Out");
    assert_string_equal(title_of("## Second\n#none\n"), "");
    assert_string_equal(title_of("---\nnever: closed\n# Title"), "Title");
    assert_string_equal(title_of("#"), "");
    assert_string_equal(title_of("# #"), "");
    assert_string_equal(title_of(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_every_form),
        cmocka_unit_test(blank_lines_may_come_first),
        cmocka_unit_test(what_is_no_front_matter_has_no_values),
        cmocka_unit_test(the_title_is_the_first_heading_of_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
