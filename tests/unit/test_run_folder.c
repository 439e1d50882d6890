/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a run: what may be in it, and what goes with it. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compress/run_folder.h"
#include "support/test.h"
#include "support/tiny_model.h"

static char folder[400];

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

int main(void)
{
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_to_stay_is_not_in_it_there_or_not_by_links_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
