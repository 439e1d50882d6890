/* SPDX-License-Identifier: Apache-2.0 */
/* Squeezing as a whole while memory fails: the new file is whole or is not there, and a folder of
 * what layers read holds whole files alone. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "squeeze/dense_algebra.h"
#include "support/allocation_sweep.h"
#include "support/squeeze_texts.h"
#include "support/test.h"
#include "support/tiny_model.h"

static char folder[256], cache[256], source[256];
static sqz_text texts[SQZT_SQUEEZE_TEXTS];
static sqz_squeeze_options options;
static uint32_t n_results;

static void count_result(void *user, const sqz_squeeze_result *result)
{
    (void)user;
    assert_true(result->bytes_after > 0);
    n_results++;
}

static sqz_status squeeze(const sqzt_subject *s, sqz_error *error)
{
    char out[300];
    snprintf(out, sizeof out, "%s/squeezed.gguf", folder);
    n_results = 0;
    const sqz_status status = sqz_squeeze(s->context, s->path, out, &options, error);
    assert_int_equal(sqzt_count_files(folder), status == SQZ_OK);
    assert_int_equal(n_results, status == SQZ_OK);
    if (status == SQZ_OK) assert_int_equal(remove(out), 0);
    return status;
}

/* What earlier runs kept is used: what is there by now was written whole. */
static sqz_status squeeze_cached(const sqzt_subject *s, sqz_error *error)
{
    const sqz_status status = squeeze(s, error);
    assert_true(sqzt_count_files(cache) <= 1);
    return status;
}

static sqz_status squeeze_keeping(const sqzt_subject *s, sqz_error *error)
{
    char path[520];
    const sqz_status status = squeeze_cached(s, error);
    DIR *entries = opendir(cache);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", cache, entry->d_name);
        assert_int_equal(remove(path), 0);
    }
    closedir(entries);
    return status;
}

static void make_folder(char path[256], const char *name)
{
    snprintf(path, 256, "%s", sqzt_temporary(name));
    assert_true(mkdir(path, 0700) == 0 || access(path, W_OK) == 0);
}

static sqzt_subject open_subject(void)
{
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.ffn_width = 64; /* neurons leave in multiples of 32 */
    sqzt_subject s = sqzt_sweep_begin();
    make_folder(folder, "output");
    make_folder(cache, "cache");
    snprintf(source, sizeof source, "%s", sqzt_temporary("source.gguf"));
    sqzt_tiny_write(&tiny, source);
    sqzt_squeeze_texts(texts);
    s.path = source;
    options = (sqz_squeeze_options){.texts = texts,
                                    .n_texts = SQZT_SQUEEZE_TEXTS,
                                    .result = count_result};
    return s;
}

static void fewer_bits_leave_whole_files_or_none(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_subject s = open_subject();
    options.bits = 4;
    options.embedding = SQZ_EMBEDDING_PRODUCT;
    options.embedding_size = 6;
    assert_true(sqzt_sweep("product, 4 bits", squeeze, &s) > 300);
    sqzt_sweep_end(&s);
}

static void narrower_models_leave_whole_files_or_none(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_subject s = open_subject();
    options.embedding = SQZ_EMBEDDING_WIDTH;
    options.embedding_size = 8;
    options.neurons = options.heads = 0.5;
    options.vocabulary = texts;
    options.n_vocabulary = 4;
    assert_true(sqzt_sweep_every("width, neurons, heads, vocabulary", squeeze, &s, 5) > 300);
    sqzt_sweep_end(&s);
}

static void factors_and_groups_leave_whole_files_or_none(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_subject s = open_subject();
    options.rank = 0.5;
    assert_true(sqzt_sweep_every("rank", squeeze, &s, 5) > 300);
    options.rank = 0;
    options.groups = 2;
    options.bits = 3;
    assert_true(sqzt_sweep_every("groups, 3 bits", squeeze, &s, 5) > 300);
    sqzt_sweep_end(&s);
}

static void budgets_leave_whole_files_or_none(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_subject s = open_subject();
    options.budget = 24000;
    assert_true(sqzt_sweep_every("budget", squeeze, &s, 41) > 300);
    sqzt_sweep_end(&s);
}

/* All of the time: nothing depends on the clock. */
static void times_leave_whole_files_or_none(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_subject s = open_subject();
    options.time = 1;
    options.bits = 8;
    options.no_fidelity = 1;
    assert_true(sqzt_sweep_every("time", squeeze, &s, 41) > 300);
    sqzt_sweep_end(&s);
}

static void caches_hold_whole_files_alone(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_subject s = open_subject();
    options.bits = 4;
    options.cache = cache;
    options.no_fidelity = 1;
    assert_true(sqzt_sweep_every("a cache made", squeeze_keeping, &s, 5) > 300);
    assert_true(sqzt_sweep_every("a cache found", squeeze_cached, &s, 5) > 300);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_bits_leave_whole_files_or_none),
        cmocka_unit_test(narrower_models_leave_whole_files_or_none),
        cmocka_unit_test(factors_and_groups_leave_whole_files_or_none),
        cmocka_unit_test(budgets_leave_whole_files_or_none),
        cmocka_unit_test(times_leave_whole_files_or_none),
        cmocka_unit_test(caches_hold_whole_files_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
