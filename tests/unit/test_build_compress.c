/* SPDX-License-Identifier: Apache-2.0 */
/* What a build within a budget is not: options that its own take the place of are refused by name,
 * before a file is touched. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/build.h>
#include <stdio.h>
#include <unistd.h>

#include "support/bytes_source.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *context;
static sqz_dataset *rows;
static char base[400], folder[400], out[400];

static int open_rows(void **state)
{
    (void)state;
    static char table[] = "text,label\na,up\nb,down\nc,up\nd,down\n";
    sqz_error error = {0};
    sqzt_bytes bytes = {table, sizeof table - 1, 0};
    const sqz_rows_source from = {.name = "rows", .read = sqzt_read_bytes, .user = &bytes};
    const sqz_dataset_options o = {.format = SQZ_DATA_CSV};
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, base);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_assert_ok(sqz_dataset_open_source(context, &from, &o, &rows, &error), &error);
    return 0;
}

static int close_rows(void **state)
{
    (void)state;
    sqz_dataset_close(rows);
    sqz_context_close(context);
    return 0;
}

static void refuse(sqz_build_options o, sqz_compress_options small, const char *words)
{
    sqz_error error = {0};
    sqz_build *build = NULL;
    o.compress = &small;
    sqzt_assert_fails(sqz_build_run(context, base, rows, out, &o, &build, &error), SQZ_EINVAL,
                      &error, words);
    assert_null(build);
    assert_int_not_equal(access(out, F_OK), 0);
    assert_int_not_equal(access(folder, F_OK), 0);
}

static int stop(void *user, const char *what, size_t done, size_t total)
{
    (void)user, (void)what, (void)done, (void)total;
    return 1;
}

static void what_a_build_decides_itself_is_refused_by_name(void **state)
{
    (void)state;
    const sqz_squeeze_options levers = {.budget = 30000};
    const sqz_build_options o = {.checkpoint = folder};
    refuse((sqz_build_options){.minutes = 1}, (sqz_compress_options){.levers = levers},
           "a folder (checkpoint) is needed");
    refuse((sqz_build_options){.keep_head = 1}, (sqz_compress_options){.levers = levers},
           "keep_head leaves one as it is");
    refuse(o, (sqz_compress_options){.epochs = 2}, "say a budget, a time");
    refuse(o, (sqz_compress_options){.levers = levers, .minutes = 3}, "those of sqz_build_options");
    refuse(o, (sqz_compress_options){.levers = levers, .seed = 3}, "those of sqz_build_options");
    refuse(o, (sqz_compress_options){.levers = levers, .dataset = rows}, "sqz_build_options");
    refuse(o, (sqz_compress_options){.levers = levers, .folder = folder}, "sqz_build_options");
    refuse(o, (sqz_compress_options){.levers = levers, .progress = stop}, "sqz_build_options");
    refuse(o, (sqz_compress_options){.levers = levers, .reserved = {1}}, "sqz_compress_options");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_build_decides_itself_is_refused_by_name)};
    return cmocka_run_group_tests(tests, open_rows, close_rows);
}
