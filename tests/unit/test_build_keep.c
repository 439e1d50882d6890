/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier that is kept: what a build says of its classes, and what it refuses. */
#include <math.h>
#include <squeezebert/build.h>
#include <stdio.h>

#include "support/test.h"
#include "support/tiny_model.h"

static char data[512], base[512], out[512];
static sqz_context *context;
static sqz_dataset *dataset;

static void write_base(const char *const *labels, uint32_t n)
{
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.head = "sequence";
    tiny.classes = n;
    tiny.labels = labels;
    sqzt_tiny_write(&tiny, base);
}

static int set_up(void **state)
{
    (void)state;
    sqz_error error = {0};
    snprintf(data, sizeof data, "%s", sqzt_temporary("keep.csv"));
    snprintf(base, sizeof base, "%s", sqzt_temporary("keep.gguf"));
    snprintf(out, sizeof out, "%s", sqzt_temporary("kept.gguf"));
    FILE *file = fopen(data, "w");
    assert_non_null(file);
    fputs("text,label\n", file);
    for (int i = 0; i < 40; i++)
        fprintf(file, "%c%c %c,%s\n", 'a' + i % 26, 'b' + i % 7, i % 3 ? 'x' : 'y',
                i % 4 ? "odd" : "even");
    assert_int_equal(fclose(file), 0);
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    sqzt_assert_ok(sqz_dataset_open(context, data, NULL, &dataset, &error), &error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sqz_dataset_close(dataset);
    sqz_context_close(context);
    return 0;
}

static void classes_are_the_datas_then_those_of_the_model_alone(void **state)
{
    (void)state;
    static const char *const labels[] = {"odd", "neither", "even", "both"};
    static const char *const named[] = {"even", "odd", "neither", "both"};
    static const uint64_t counts[] = {10, 30, 0, 0};
    sqz_error error = {0};
    sqz_build *build;
    write_base(labels, 4);
    sqzt_assert_ok(sqz_build_run(context, base, dataset, out, &(sqz_build_options){.keep_head = 1},
                                 &build, &error),
                   &error);
    const sqz_build_result *r = sqz_build_get(build);
    assert_int_equal(r->kept, 1);
    assert_int_equal(r->full, 0);
    assert_int_equal(r->n_classes, 4);
    assert_int_equal(r->n_absent, 2);
    assert_int_equal(r->n_few, 0);
    assert_int_equal(sqz_dataset_n_classes(r->held_out), 4);
    assert_int_equal(r->measures.n_classes, 4);
    for (uint32_t k = 0; k < 4; k++) {
        assert_string_equal(sqz_dataset_class(r->held_out, k), named[k]);
        assert_int_equal(r->counts[k], counts[k]);
    }
    assert_true(isnan(r->frozen_accuracy) && isnan(r->full_accuracy));
    assert_non_null(strstr(r->why, "--seed 0"));
    sqz_build_close(build);
}

static void classes_are_the_same_without_white_space_at_their_ends(void **state)
{
    (void)state;
    static const char *const labels[] = {" odd", "even "};
    sqz_error error = {0};
    sqz_build *build;
    write_base(labels, 2);
    sqzt_assert_ok(sqz_build_run(context, base, dataset, out, &(sqz_build_options){.keep_head = 1},
                                 &build, &error),
                   &error);
    assert_int_equal(sqz_build_get(build)->n_classes, 2);
    assert_int_equal(sqz_build_get(build)->n_absent, 0);
    sqz_build_close(build);
}

static void is_refused(const char *const *labels, uint32_t n, const sqz_build_options *o,
                       const char *why)
{
    sqz_error error = {0};
    sqz_build *build;
    remove(out);
    write_base(labels, n);
    sqzt_assert_fails(sqz_build_run(context, base, dataset, out, o, &build, &error), SQZ_EINVAL,
                      &error, why);
    assert_null(build);
    assert_null(fopen(out, "r"));
}

static void what_a_kept_head_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const fine[] = {"even", "odd"}, *const twice[] = {"even", "odd", "even"},
                             *const others_twice[] = {"even", "z", "odd", "z"},
                             *const lacking[] = {"even", "z"};
    const sqz_build_options keep = {.keep_head = 1};
    is_refused(fine, 2, &(sqz_build_options){.keep_head = 1, .minutes = 1}, "minutes");
    is_refused(fine, 2, &(sqz_build_options){.keep_head = 1, .checkpoint = "f"}, "checkpoint");
    is_refused(fine, 1, &keep, "one is kept that gives a text one class of two or more");
    is_refused(twice, 3, &keep, "outputs 0 and 2 are both called 'even'");
    is_refused(others_twice, 4, &keep, "two of its 4 classes have one name");
    is_refused(lacking, 2, &keep, "30 rows, the first on line 3, have the label 'odd'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_the_datas_then_those_of_the_model_alone),
        cmocka_unit_test(classes_are_the_same_without_white_space_at_their_ends),
        cmocka_unit_test(what_a_kept_head_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
