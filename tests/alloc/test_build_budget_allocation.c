/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier within a budget while memory fails, of a base of integers: it says so, holds nothing
 * and writes nothing. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/build.h>
#include <stdio.h>
#include <unistd.h>

#include "squeeze/dense_algebra.h"
#include "support/allocation_sweep.h"
#include "support/random.h"
#include "support/remove_all.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { ROWS = 250, PATH = 600 };

static char data[PATH], base[PATH], folder[PATH], out[PATH], card[PATH];

/* Three classes, told by their letters. */
static void write_table(void)
{
    static const char *const classes[] = {"high", "low", "middle"};
    sqzt_random random = sqzt_random_of(7);
    FILE *file = fopen(data, "w");
    assert_non_null(file);
    fputs("text,label\n", file);
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t j = 0; j < 24; j++)
            fputc((char)('a' + 8 * (i % 3) + sqzt_below(&random, 10)), file);
        fprintf(file, ",%s\n", classes[i % 3]);
    }
    assert_int_equal(fclose(file), 0);
}

static sqz_status build_for(const sqzt_subject *s, double minutes, sqz_error *error)
{
    const sqz_compress_options small = {.levers = {.bits = 4}, .epochs = 1, .batch = 64};
    const sqz_build_options o = {
        .minutes = minutes, .compress = &small, .checkpoint = folder, .card = card};
    sqz_dataset *dataset = NULL;
    sqz_build *build = NULL;
    sqzt_remove_all(folder);
    (void)remove(out);
    (void)remove(card);
    sqz_status status = sqz_dataset_open(s->context, data, NULL, &dataset, error);
    if (status == SQZ_OK) status = sqz_build_run(s->context, base, dataset, out, &o, &build, error);
    assert_int_equal(access(out, F_OK) == 0, status == SQZ_OK);
    if (status == SQZ_OK) {
        const sqz_build_result *r = sqz_build_get(build);
        assert_non_null(r->compressed);
        assert_int_equal(r->n_train + r->n_held_out, ROWS);
        assert_int_equal(r->compressed->n_report, r->n_held_out);
        assert_int_equal(r->measures.n, r->n_held_out);
        assert_int_equal(r->compressed->n_steps > 0, minutes > 0);
        assert_int_not_equal(access(folder, F_OK), 0);
    }
    sqz_build_close(build);
    sqz_dataset_close(dataset);
    return status;
}

static sqz_status unhealed(const sqzt_subject *s, sqz_error *error)
{
    return build_for(s, -1, error);
}

static sqz_status healed(const sqzt_subject *s, sqz_error *error)
{
    return build_for(s, 60, error);
}

static void a_build_says_so_holds_nothing_and_writes_nothing(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    sqzt_subject s = sqzt_sweep_begin();
    char *const names[] = {data, base, folder, out, card};
    static const char *const ends[] = {"rows.csv", "base.gguf", "work", "out.gguf", "out.md"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        snprintf(names[i], PATH, "%s", sqzt_temporary(ends[i]));
    write_table();
    tiny.head = NULL;
    tiny.type = SQZI_S8;
    sqzt_tiny_write(&tiny, base);
    assert_true(sqzt_sweep_every("unhealed", unhealed, &s, 37) > 600);
    assert_true(sqzt_sweep_every("healed", healed, &s, 307) > 900);
    sqzt_remove_all(folder);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_says_so_holds_nothing_and_writes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
