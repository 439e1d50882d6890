/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as text, and that nothing of the library depends on the locale of the host program:
 * German has a comma for the point, Pashto a mark of two bytes. Locales are built by localedef in
 * a folder of this test's own where the system can. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include "support/test.h"

#include <locale.h>
#include <math.h>
#include <squeezebert/eval.h>
#include <squeezebert/export.h>
#include <squeezebert/import.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "support/random.h"
#include "support/tiny_model.h"

static const char *const locales[] = {"de_DE", "ps_AF"};
enum { N_LOCALES = sizeof locales / sizeof *locales };
static locale_t made[N_LOCALES]; /* 0: not to be had */

/* The leak sanitizer, which sees only what a program exports, asks for this: glibc's newlocale
 * forgets what it makes of LOCPATH. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:argz_add_sep";
}

static int build_locales(void **state)
{
    char command[600], name[64];
    const char *folder = sqzt_temporary("locales");
    (void)state;
    snprintf(command, sizeof command, "mkdir -p '%s'", folder);
    if (system(command) != 0 || setenv("LOCPATH", folder, 1) != 0) return -1;
    for (int i = 0; i < N_LOCALES; i++) {
        snprintf(name, sizeof name, "%s.UTF-8", locales[i]);
        snprintf(command, sizeof command, "localedef -i %s -f UTF-8 '%s/%s' >'%s/log' 2>&1",
                 locales[i], folder, name, folder);
        made[i] = system(command) == 0 ? newlocale(LC_ALL_MASK, name, (locale_t)0) : (locale_t)0;
        if (!made[i]) print_message("no locale %s here (localedef, locales)\n", locales[i]);
    }
    return 0;
}

static int remove_locales(void **state)
{
    char command[600];
    (void)state;
    for (int i = 0; i < N_LOCALES; i++)
        if (made[i]) freelocale(made[i]);
    snprintf(command, sizeof command, "rm -r '%s'", getenv("LOCPATH"));
    return system(command);
}

/* In the locale from here on; false where it is not to be had. */
static bool enter(int l)
{
    if (!made[l]) return false;
    assert_non_null(uselocale(made[l]));
    return true;
}

static void leave(void)
{
    (void)uselocale(LC_GLOBAL_LOCALE);
}

/* Without this the tests below would prove nothing. */
static void the_locales_have_another_mark(void **state)
{
    (void)state;
    static const char *const halves[] = {"0,5", "0\xD9\xAB"
                                                "5"};
    if (!made[0] && !made[1]) skip();
    for (int l = 0; l < N_LOCALES; l++) {
        char half[16];
        if (!enter(l)) continue;
        snprintf(half, sizeof half, "%.1f", 0.5);
        leave();
        assert_string_equal(half, halves[l]);
    }
}

static void random_numbers_are_rounded_as_in_the_c_locale(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(7);
    for (int i = 0; i < 20000; i++) {
        char text[SQZI_REAL_BYTES], again[SQZI_REAL_BYTES];
        const uint64_t bits = sqzt_bits(&random);
        double value, read;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        const int digits = 1 + (int)sqzt_below(&random, 17);
        snprintf(text, sizeof text, "%.*g", digits, value);
        const double expected = strtod(text, NULL);
        for (int l = 0; l < N_LOCALES; l++) {
            if (!enter(l)) continue;
            (void)sqzi_real_text(again, digits, value);
            const bool parsed = sqzi_parse_real(text, strlen(text), &read);
            leave();
            assert_string_equal(again, text);
            assert_int_equal(parsed, isfinite(expected));
            if (parsed) assert_memory_equal(&read, &expected, sizeof read);
        }
    }
}

static void what_is_no_decimal_number_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",   "-",   "+.", "1,5",  "1e",    "1e+",
                                      "nan", "inf", "0x1", " 1", "1 ",   "1.5.0", "1e5.0",
                                      "e5",  "--1", "1a",  "١",  "1e999"};
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},     {"-0.5", -0.5}, {"+3.", 3},      {".25", 0.25},
                {"1e2", 100}, {"1E-2", 0.01}, {"4.750", 4.75}, {"1e-999", 0}};
    double value;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (sqzi_parse_real(bad[i], strlen(bad[i]), &value)) fail_msg("'%s' is read", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(sqzi_parse_real(good[i].text, strlen(good[i].text), &value));
        assert_true(value == good[i].value);
    }
    assert_false(sqzi_parse_real("1\0002", 3, &value));
}

/* Every metadata value of a model as the library shows it. */
static size_t show_metadata(const char *path, char *to, size_t room)
{
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    const char *key, *value;
    size_t n = 0;
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    for (uint32_t i = 0; sqz_model_metadata(model, i, &key, &value); i++)
        n += (size_t)snprintf(to + n, room - n, "%s=%s\n", key, value);
    sqz_model_close(model);
    sqz_context_close(context);
    return n;
}

static void metadata_are_shown_with_a_point(void **state)
{
    (void)state;
    static char shown[2][65536];
    const char *path = sqzt_temporary("locale.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, path);
    (void)show_metadata(path, shown[0], sizeof shown[0]);
    assert_non_null(strstr(shown[0], "e-"));
    for (int l = 0; l < N_LOCALES; l++) {
        if (!enter(l)) continue;
        (void)show_metadata(path, shown[1], sizeof shown[1]);
        leave();
        assert_string_equal(shown[0], shown[1]);
    }
    assert_int_equal(remove(path), 0);
}

/* The bytes of a file, or of config.json in a folder. */
static size_t read_bytes(const char *path, const char *name, char *to, size_t room)
{
    char full[400];
    snprintf(full, sizeof full, "%s%s", path, name);
    FILE *file = fopen(full, "rb");
    assert_non_null(file);
    const size_t n = fread(to, 1, room, file);
    fclose(file);
    assert_true(n > 0 && n < room);
    return n;
}

/* A folder becomes a model file and a folder again. */
static size_t import_and_export(char *to, size_t room)
{
    char file[300], folder[300], command[700];
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    snprintf(file, sizeof file, "%s", sqzt_temporary("there.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("back"));
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    sqzt_assert_ok(sqz_import(context, "tests/golden/models/bert-masked", file, NULL, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(context, file, &model, &error), &error);
    sqzt_assert_ok(sqz_export(model, folder, NULL, &error), &error);
    sqz_model_close(model);
    sqz_context_close(context);
    size_t n = read_bytes(file, "", to, room);
    n += read_bytes(folder, "/config.json", to + n, room - n);
    snprintf(command, sizeof command, "rm -r '%s' '%s'", file, folder);
    assert_int_equal(system(command), 0);
    return n;
}

static void import_and_export_read_and_write_points(void **state)
{
    (void)state;
    enum { ROOM = 1 << 20 };
    static char expected[ROOM], got[ROOM];
    const size_t n = import_and_export(expected, ROOM);
    for (int l = 0; l < N_LOCALES; l++) {
        if (!enter(l)) continue;
        const size_t n_got = import_and_export(got, ROOM);
        leave();
        assert_int_equal(n_got, n);
        assert_memory_equal(got, expected, n);
    }
}

static void scores_of_a_table_are_read_with_a_point(void **state)
{
    (void)state;
    char path[300], command[400];
    sqz_error error = {0};
    sqz_context *context;
    const char *folder = sqzt_temporary("scores");
    snprintf(command, sizeof command, "mkdir -p '%s'", folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/dev.tsv", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("sentence1\tsentence2\tscore\na\tb\t4.75\n", file);
    fclose(file);
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    for (int l = 0; l < N_LOCALES; l++) {
        sqz_glue *glue;
        size_t n;
        if (!enter(l)) continue;
        const sqz_status status = sqz_glue_open(context, SQZ_GLUE_STSB, folder, "dev", NULL, &glue,
                                                &error);
        leave();
        sqzt_assert_ok(status, &error);
        assert_true(sqz_glue_rows(glue, &n)->score == 4.75);
        sqz_glue_close(glue);
    }
    sqz_context_close(context);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_locales_have_another_mark),
        cmocka_unit_test(random_numbers_are_rounded_as_in_the_c_locale),
        cmocka_unit_test(what_is_no_decimal_number_is_refused),
        cmocka_unit_test(metadata_are_shown_with_a_point),
        cmocka_unit_test(import_and_export_read_and_write_points),
        cmocka_unit_test(scores_of_a_table_are_read_with_a_point),
    };
    return cmocka_run_group_tests(tests, build_locales, remove_locales);
}
