/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as Python's json writes it, and Git LFS pointers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "import/json_file.h"
#include "import/lfs_pointer.h"
#include "support/test.h"

static json_t *parse(const char *text, bool strict, sqz_error *error)
{
    uint64_t spare = SQZI_JSON_SPARE;
    json_t *value = NULL;
    const size_t n = strlen(text);
    const sqz_status status = sqzi_json_parse((sqzi_json_text){"a.json", text, n, n, strict},
                                              &spare, &value, error);
    assert_true((status == SQZ_OK) == (value != NULL));
    return value;
}

static json_t *read_it(const char *text)
{
    sqz_error error = {0};
    json_t *value = parse(text, false, &error);
    if (!value) fail_msg("%s: %s", text, error.text);
    return value;
}

static double number(const char *text)
{
    char whole[1024];
    double out = -1;
    sqz_error error = {0};
    snprintf(whole, sizeof whole, "{\"x\": %s, \"y\": [%s]}", text, text);
    json_t *value = read_it(whole);
    assert_int_equal(sqzi_json_number(value, "a.json", "x", true, &out, &error), SQZ_OK);
    assert_int_equal(json_array_size(json_object_get(value, "y")), 1);
    json_decref(value);
    return out;
}

static void numbers_of_any_size_are_read(void **state)
{
    (void)state;
    char long_one[400];
    memset(long_one, '7', 330);
    long_one[330] = '\0';
    assert_true(number("1000000000000000019884624838656") == 1000000000000000019884624838656.0);
    assert_true(number("9223372036854775807") == 9223372036854775807.0);
    assert_true(number("9223372036854775808") == 9223372036854775808.0);
    assert_true(number("-9223372036854775809") == -9223372036854775809.0);
    assert_true(number("1.5e300") == 1.5e300);
    assert_true(number("1.6e308") == 1.6e308);
    assert_true(number("0.00000016e315") == 1.6e308);
    assert_true(number("0.000e999999999999") == 0);
    assert_true(number("1e-400") == 0);
    static const char *const huge[] = {"1e400",       "1E+9999999999999999999",
                                       "Infinity",    "1.8e308",
                                       "0.00018e313", "18e307"};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++)
        assert_true(number(huge[i]) == (double)INFINITY);
    assert_true(number(long_one) == (double)INFINITY);
    assert_true(number("-Infinity") == -(double)INFINITY);
    assert_true(number("-1e400") == -(double)INFINITY);
}

static void an_integer_of_64_bits_stays_one(void **state)
{
    (void)state;
    json_t *value = read_it("[9223372036854775807, -5, 9223372036854775808]");
    assert_true(json_integer_value(json_array_get(value, 0)) == INT64_MAX);
    assert_int_equal(json_integer_value(json_array_get(value, 1)), -5);
    assert_true(json_is_real(json_array_get(value, 2)));
    json_decref(value);
}

static void nan_is_no_number_where_one_is_needed(void **state)
{
    (void)state;
    json_t *value = read_it("{\"best\": NaN, \"eps\": 1}");
    sqz_error error = {0};
    double out;
    uint32_t whole;
    assert_int_equal(sqzi_json_number(value, "a.json", "best", true, &out, &error), SQZ_EFORMAT);
    assert_non_null(strstr(error.text, "a.json: 'best'"));
    assert_int_equal(sqzi_json_uint(value, "a.json", "best", false, &whole, &error), SQZ_EFORMAT);
    json_decref(value);
}

static void of_twin_keys_the_last_counts_but_where_json_is_strict(void **state)
{
    (void)state;
    json_t *value = read_it("{\"a\": 1, \"b\": 2, \"a\": 3}");
    sqz_error error = {0};
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 3);
    json_decref(value);
    assert_null(parse("{\"a\": 1, \"a\": 3}", true, &error));
    assert_null(parse("{\"a\": NaN}", true, &error));
    assert_null(parse("\xEF\xBB\xBF{}", true, &error));
}

static void what_stands_in_strings_is_left_alone(void **state)
{
    (void)state;
    json_t *value = read_it("\xEF\xBB\xBF[\"NaN \\\" Infinity 99999999999999999999\", \"\\\\\", "
                            "NaN, \"\\ud83d\\ude00\", \"a\\ud83dz\", \"\\ude00\"]");
    assert_string_equal(json_string_value(json_array_get(value, 0)),
                        "NaN \" Infinity 99999999999999999999");
    assert_string_equal(json_string_value(json_array_get(value, 1)), "\\");
    assert_string_equal(json_string_value(json_array_get(value, 3)), "\xF0\x9F\x98\x80");
    assert_string_equal(json_string_value(json_array_get(value, 4)), "a\xEF\xBF\xBDz");
    assert_string_equal(json_string_value(json_array_get(value, 5)), "\xEF\xBF\xBD");
    json_decref(value);
}

static void no_other_flaw_is_read(void **state)
{
    (void)state;
    static const char *const flawed[] = {"{\"a\": nan}",
                                         "{\"a\": +1}",
                                         "{\"a\": 01}",
                                         "{\"a\": 1.}",
                                         "{\"a\": .5}",
                                         "{\"a\": 1e}",
                                         "{\"a\": NaNs}",
                                         "{\"a\": -NaN}",
                                         "[1,]",
                                         "{\"a\": Infinit}",
                                         "{\"a\": 1e400x}",
                                         "{'a': 1}",
                                         "[\"\\ud83\"]",
                                         "[\"\\",
                                         "[-]",
                                         "",
                                         "\xEF\xBB\xBF",
                                         "[\"\\u12"};
    for (size_t i = 0; i < sizeof flawed / sizeof *flawed; i++) {
        sqz_error error = {0};
        json_t *value = parse(flawed[i], false, &error);
        if (value) fail_msg("%s was read", flawed[i]);
        assert_non_null(strstr(error.text, "a.json"));
    }
}

/* A word at every place of the buffers that the parser asks to be filled. */
static void a_word_is_read_wherever_it_stands(void **state)
{
    (void)state;
    char text[3000];
    for (int at = 980; at < 1100; at++) {
        const int n = snprintf(text, sizeof text,
                               "[%*s\"a\\\"b\", NaN, 1e999, \"\\ud800\", "
                               "123456789012345678901234567890]",
                               at, "");
        assert_true(n > 0 && n < (int)sizeof text);
        json_t *value = read_it(text);
        assert_int_equal(json_array_size(value), 5);
        assert_string_equal(json_string_value(json_array_get(value, 0)), "a\"b");
        assert_string_equal(json_string_value(json_array_get(value, 1)), "NaN");
        assert_true(json_real_value(json_array_get(value, 4)) == 1.234567890123456789e29);
        json_decref(value);
    }
}

static void a_git_lfs_pointer_is_told_by_its_first_line(void **state)
{
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    sqz_error error = {0};
    assert_true(sqzi_is_lfs_pointer(pointer, sizeof pointer - 1));
    assert_false(sqzi_is_lfs_pointer(pointer, 20));
    assert_false(sqzi_is_lfs_pointer("{\"version\": 1}", 14));
    assert_false(sqzi_is_lfs_pointer(NULL, 0));
    assert_int_equal(sqzi_lfs_pointer_fail("x/config.json", &error), SQZ_EFORMAT);
    assert_non_null(strstr(error.text, "x/config.json is a Git LFS pointer"));
    assert_non_null(strstr(error.text, "git lfs pull"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_any_size_are_read),
        cmocka_unit_test(an_integer_of_64_bits_stays_one),
        cmocka_unit_test(nan_is_no_number_where_one_is_needed),
        cmocka_unit_test(of_twin_keys_the_last_counts_but_where_json_is_strict),
        cmocka_unit_test(what_stands_in_strings_is_left_alone),
        cmocka_unit_test(no_other_flaw_is_read),
        cmocka_unit_test(a_word_is_read_wherever_it_stands),
        cmocka_unit_test(a_git_lfs_pointer_is_told_by_its_first_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
