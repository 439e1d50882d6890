/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a run: what may be in it, and what goes with it. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "compress/run_folder.h"
#include "support/test.h"
#include "support/tiny_model.h"

static char folder[400];

static const char *path_of(const char *name)
{
    static char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Empty. */
static const char *put(const char *name)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    return path;
}

static sqz_status spare(const char *name)
{
    sqz_error error = {0};
    const sqz_status status = sqzi_run_folder_spare(folder, name, &error);
    if (status != SQZ_OK) assert_non_null(strstr(error.text, "is in, the folder of the run"));
    return status;
}

static void what_is_to_stay_is_not_in_it_there_or_not_by_links_or_not(void **state)
{
    (void)state;
    char inner[500], link[400], beside[500];
    snprintf(inner, sizeof inner, "%s//small.gguf", folder);
    snprintf(beside, sizeof beside, "%s.gguf", folder);
    snprintf(link, sizeof link, "%s", sqzt_temporary("link"));
    assert_int_equal(spare(NULL), SQZ_OK);
    for (int there = 0; there < 2; there++) {
        assert_int_equal(spare(inner), SQZ_EOUTPUT);
        assert_int_equal(spare(folder), SQZ_EOUTPUT);
        assert_int_equal(spare(beside), SQZ_OK);
        assert_int_equal(mkdir(folder, 0777), there ? -1 : 0);
    }
    assert_int_equal(symlink(inner, link), 0);
    assert_int_equal(spare(link), SQZ_EOUTPUT);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(folder), 0);
}

static sqz_status open_run(sqzi_run_folder *run, bool resume, sqz_error *error)
{
    *run =
        (sqzi_run_folder){.allocator = &sqzi_default_allocator,
                          .path = folder,
                          .kind = "compress",
                          .key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                          .resume = resume};
    return sqzi_run_folder_open(run, error);
}

static void files_of_others_stay_and_where_names_are_its_own_no_run_begins(void **state)
{
    (void)state;
    static const char *const others[] = {"run.gguf.mine", "run.gguf.k3x9qa7m.txt", "notes"};
    static const char *const own[] = {"small.gguf", "healed-1.gguf", "statistics-1.gguf"};
    sqzi_run_folder run;
    sqz_error error = {0};
    assert_int_equal(mkdir(folder, 0777), 0);
    for (size_t i = 0; i < 3; i++) {
        put(own[i]);
        sqzt_assert_fails(open_run(&run, true, &error), SQZ_EINVAL, &error, own[i]);
        sqzi_run_folder_close(&run, false, false);
        assert_int_equal(unlink(put(own[i])), 0);
    }
    for (size_t i = 0; i < 3; i++) put(others[i]);
    put("run.gguf.k3x9qa7m.tmp");
    sqzt_assert_ok(open_run(&run, false, &error), &error);
    for (size_t i = 0; i < 3; i++) put(own[i]);
    sqzi_run_folder_close(&run, true, false);
    for (size_t i = 0; i < 3; i++) assert_int_equal(unlink(path_of(others[i])), 0);
    assert_int_equal(rmdir(folder), 0); /* so it was empty */
}

static void a_run_that_is_refused_leaves_a_folder_that_was_there(void **state)
{
    (void)state;
    sqzi_run_folder run;
    sqz_error error = {0};
    for (int there = 0; there < 2; there++) {
        if (there) assert_int_equal(mkdir(folder, 0777), 0);
        sqzt_assert_ok(open_run(&run, false, &error), &error);
        put("healed-1.gguf");
        sqzi_run_folder_close(&run, false, true);
        assert_int_equal(rmdir(folder), there ? 0 : -1); /* and it was empty */
    }
}

int main(void)
{
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_to_stay_is_not_in_it_there_or_not_by_links_or_not),
        cmocka_unit_test(files_of_others_stay_and_where_names_are_its_own_no_run_begins),
        cmocka_unit_test(a_run_that_is_refused_leaves_a_folder_that_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
