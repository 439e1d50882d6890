/* SPDX-License-Identifier: Apache-2.0 */
/* What is loaded when it is needed: found, absent, or not what it should be. The library that is
 * always there is the C library's own libm. */
#include "squeeze/load_library.h"

#include <math.h>

#include "support/test.h"

static double (*cosine)(double);
static double (*power)(double, double);
static const sqzi_loaded_function two[] = {{"cos", &cosine}, {"pow", &power}};

static void functions_of_a_loaded_library_are_its_own(void **state)
{
    (void)state;
    sqz_error error = {0};
    for (int again = 0; again < 2; again++) {
        cosine = NULL, power = NULL;
        sqzt_assert_ok(sqzi_load_library("libm.so.6", "nothing", two, 2, &error), &error);
        assert_true(cosine(0) == 1);
        assert_true(power(3, 4) == 81);
    }
}

static void an_absent_library_is_named_with_what_to_install(void **state)
{
    (void)state;
    const char *const name = "libsqueezebert-none.so.7";
    const char *const parts[] = {"needs the shared library libsqueezebert-none.so.7",
                                 "cannot open shared object file", /* the loader's own words */
                                 "install a library of that name"};
    sqz_error error = {0};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        sqzt_assert_fails(sqzi_load_library(name, "a library of that name", two, 2, &error),
                          SQZ_EUNSUPPORTED, &error, parts[i]);
    assert_int_equal(sqzi_load_library(name, "", two, 2, NULL), SQZ_EUNSUPPORTED);
}

static void a_library_without_a_function_is_refused_by_its_name(void **state)
{
    (void)state;
    sqz_error error = {0};
    const sqzi_loaded_function wrong[] = {{"cos", &cosine}, {"sqzt_no_such_function", &power}};
    const char *const parts[] = {"libm.so.6", "sqzt_no_such_function", "install LAPACKE"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        sqzt_assert_fails(sqzi_load_library("libm.so.6", "LAPACKE", wrong, 2, &error),
                          SQZ_EUNSUPPORTED, &error, parts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_a_loaded_library_are_its_own),
        cmocka_unit_test(an_absent_library_is_named_with_what_to_install),
        cmocka_unit_test(a_library_without_a_function_is_refused_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
