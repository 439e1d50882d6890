/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier built while memory fails: of an int8 base, of a float one that is quantised first,
 * with every weight trained, and of a classifier that is kept. */
#include <squeezebert/build.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <sys/stat.h>

#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/tiny_model.h"

static char data[512], floats[512], integers[512], classifier[512], out[512], card[512], cache[512];

static void write_table(void)
{
    FILE *file = fopen(data, "w");
    assert_non_null(file);
    fputs("text,label\n", file);
    for (int i = 0; i < 24; i++)
        fprintf(file, "%c%c %c,%s\n", 'a' + i, 'b' + i % 3, i % 2 ? 'x' : 'y',
                i % 2 ? "odd" : "even");
    assert_int_equal(fclose(file), 0);
}

/* A file that is refused leaves nothing; notes of a cache that cannot be written are no error. */
static sqz_status build_of(const sqzt_subject *s, const char *base, const sqz_build_options *o,
                           sqz_error *error)
{
    sqz_dataset *dataset = NULL;
    sqz_build *build = NULL;
    struct stat there;
    sqz_status status = sqz_dataset_open(s->context, data, NULL, &dataset, error);
    if (status == SQZ_OK) status = sqz_build_run(s->context, base, dataset, out, o, &build, error);
    if (status == SQZ_OK) assert_int_equal(sqz_build_get(build)->n, 24);
    else assert_int_not_equal(stat(out, &there), 0);
    sqz_build_close(build);
    sqz_dataset_close(dataset);
    remove(out);
    return status;
}

static sqz_status frozen(const sqzt_subject *s, sqz_error *error)
{
    const sqz_build_options o = {.holdout = 0.4, .cache = cache, .card = card};
    return build_of(s, integers, &o, error);
}

static sqz_status quantised(const sqzt_subject *s, sqz_error *error)
{
    const sqz_build_options o = {.holdout = 0.4};
    return build_of(s, floats, &o, error);
}

static sqz_status full(const sqzt_subject *s, sqz_error *error)
{
    const sqz_build_options o = {.holdout = 0.4, .minutes = 5};
    return build_of(s, floats, &o, error);
}

/* Its classes stand in another order than the data's, and are one more. */
static sqz_status kept(const sqzt_subject *s, sqz_error *error)
{
    const sqz_build_options o = {.holdout = 0.4, .keep_head = 1, .card = card};
    return build_of(s, classifier, &o, error);
}

static void name(char *to, const char *end)
{
    snprintf(to, 512, "%s", sqzt_temporary(end));
}

static void a_build_says_so_holds_nothing_and_writes_nothing(void **state)
{
    (void)state;
    sqz_error error = {0};
    const sqzt_tiny *tiny = &sqzt_tiny_forms[0].tiny;
    name(data, "build.csv");
    name(floats, "floats.gguf");
    name(integers, "integers.gguf");
    name(classifier, "classifier.gguf");
    name(out, "built.gguf");
    name(card, "built.md");
    name(cache, "built.features");
    write_table();
    sqzt_tiny_write(tiny, floats);
    static const char *const labels[] = {"odd", "neither", "even"};
    sqzt_tiny with_head = *tiny;
    with_head.head = "sequence";
    with_head.classes = 3;
    with_head.labels = labels;
    sqzt_tiny_write(&with_head, classifier);
    sqzt_subject s = sqzt_sweep_begin();
    sqzt_assert_ok(sqz_quantize(s.context, floats, integers, NULL, &error), &error);
    assert_true(sqzt_sweep("frozen", frozen, &s) > 40);
    assert_true(sqzt_sweep("kept", kept, &s) > 40);
    assert_true(sqzt_sweep_every("quantised", quantised, &s, 7) > 60);
    assert_true(sqzt_sweep_every("full", full, &s, 17) > 100);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_says_so_holds_nothing_and_writes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
