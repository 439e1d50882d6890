/* SPDX-License-Identifier: Apache-2.0 */
/* A compression while memory fails: squeezed to a budget, healed, judged, searched for. It says so,
 * holds nothing and writes nothing; what its folder keeps is whole, and the run goes on from it to
 * the bits of one that nothing happened to. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/compress.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "squeeze/dense_algebra.h"
#include "support/allocation_sweep.h"
#include "support/bytes_source.h"
#include "support/random.h"
#include "support/remove_all.h"
#include "support/same_files.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TEXTS = 260, TEXT_BYTES = 24, ROWS = 250, PATH = 600 };

static char source[PATH], classifier[PATH], folder[PATH], out[PATH], whole[PATH];
static sqz_text texts[TEXTS];

static void make_texts(void)
{
    static char bytes[TEXTS][TEXT_BYTES];
    sqzt_random random = sqzt_random_of(31);
    for (uint32_t i = 0; i < TEXTS; i++) {
        for (uint32_t j = 0; j < TEXT_BYTES; j++)
            bytes[i][j] = j % 5 == 4 ? ' ' : (char)('a' + sqzt_below(&random, 26));
        texts[i] = (sqz_text){bytes[i], TEXT_BYTES};
    }
}

/* Three classes, told by their letters. */
static sqz_status open_rows(const sqz_context *context, sqz_dataset **rows, sqz_error *error)
{
    static const char *const classes[] = {"high", "low", "middle"};
    char table[40 * ROWS];
    sqzt_random random = sqzt_random_of(7);
    size_t used = (size_t)snprintf(table, sizeof table, "text,label\n");
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t j = 0; j < 24; j++)
            table[used++] = (char)('a' + 8 * (i % 3) + sqzt_below(&random, 10));
        used += (size_t)snprintf(table + used, sizeof table - used, ",%s\n", classes[i % 3]);
    }
    sqzt_bytes bytes = {table, used, 0};
    const sqz_rows_source from = {.name = "rows", .read = sqzt_read_bytes, .user = &bytes};
    const sqz_dataset_options o = {.format = SQZ_DATA_CSV, .classes = classes, .n_classes = 3};
    return sqz_dataset_open_source(context, &from, &o, rows, error);
}

/* One that fails leaves no file; its folder is kept for who goes on. */
static sqz_status compress(const sqzt_subject *s, const char *path, sqz_compress_options *o,
                           sqz_error *error)
{
    sqz_compress_result result;
    o->folder = folder;
    o->resume = 1;
    o->seed = 3;
    const sqz_status status = sqz_compress(s->context, path, out, o, &result, error);
    assert_int_equal(access(out, F_OK) == 0, status == SQZ_OK);
    if (status == SQZ_OK) assert_int_not_equal(access(folder, F_OK), 0);
    return status;
}

/* From the start. */
static sqz_status afresh(const sqzt_subject *s, const char *path, sqz_compress_options *o,
                         sqz_error *error)
{
    sqzt_remove_all(folder);
    (void)remove(out);
    return compress(s, path, o, error);
}

static sqz_compress_options by_hand(void)
{
    return (sqz_compress_options){.levers = {.bits = 4, .texts = texts, .n_texts = TEXTS},
                                  .minutes = 60,
                                  .epochs = 1,
                                  .batch = 64,
                                  .teacher_type = SQZ_TEACHER_S8};
}

static sqz_status healed(const sqzt_subject *s, sqz_error *error)
{
    sqz_compress_options o = by_hand();
    return afresh(s, source, &o, error);
}

/* Some of them are reported on, and there are texts beside them. */
static sqz_status of_rows(const sqzt_subject *s, sqz_error *error)
{
    enum { REPORTED = 30 };
    uint32_t first[REPORTED];
    sqz_dataset *rows = NULL, *report = NULL;
    sqz_compress_options o = {.levers = {.bits = 4, .texts = texts, .n_texts = 20},
                              .minutes = 60,
                              .epochs = 1,
                              .batch = 64};
    sqz_status status = open_rows(s->context, &rows, error);
    for (uint32_t i = 0; i < REPORTED; i++) first[i] = i;
    if (status == SQZ_OK) status = sqz_dataset_part(rows, first, REPORTED, &report, error);
    o.dataset = rows;
    o.report = report;
    if (status == SQZ_OK) status = afresh(s, classifier, &o, error);
    sqz_dataset_close(report);
    sqz_dataset_close(rows);
    return status;
}

static sqz_status searched(const sqzt_subject *s, sqz_error *error)
{
    sqz_compress_options o = {.levers = {.texts = texts, .n_texts = TEXTS},
                              .min_score = 0.5,
                              .minutes = -1};
    return afresh(s, source, &o, error);
}

static sqzt_subject open_subject(void)
{
    static const char *const labels[] = {"high", "low", "middle"};
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    sqzt_subject s = sqzt_sweep_begin();
    char *const names[] = {source, classifier, folder, out, whole};
    static const char *const ends[] = {"source.gguf", "classifier.gguf", "work", "out.gguf",
                                       "whole.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        snprintf(names[i], PATH, "%s", sqzt_temporary(ends[i]));
    make_texts();
    tiny.labels = labels;
    sqzt_tiny_write(&tiny, classifier);
    tiny.head = NULL;
    tiny.prompts[0] = tiny.default_prompt = "usual";
    tiny.prompts[1] = "a b ";
    tiny.exclude_prompt = true;
    sqzt_tiny_write(&tiny, source);
    return s;
}

static void a_compression_says_so_holds_nothing_and_writes_nothing(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqzt_subject s = open_subject();
    assert_true(sqzt_sweep_every("healed", healed, &s, 31) > 300);
    assert_true(sqzt_sweep_every("of rows", of_rows, &s, 61) > 300);
    assert_true(sqzt_sweep_every("searched", searched, &s, 211) > 300);
    sqzt_remove_all(folder);
    sqzt_sweep_end(&s);
}

/* One that fails when most is done. */
static void leave_unfinished(const sqzt_subject *s, uint64_t calls)
{
    sqz_error error = {0};
    sqzt_swept.fail_at = sqzt_swept.calls + calls;
    assert_int_equal(healed(s, &error), SQZ_ENOMEM);
    sqzt_swept.fail_at = 0;
}

/* What was made until it failed stays, and is what it would be; where memory fails for what is
 * kept, that is made anew. */
static void a_run_that_memory_failed_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqz_error error = {0};
    sqzt_subject s = open_subject();
    const uint64_t before = sqzt_swept.calls;
    sqzt_assert_ok(healed(&s, &error), &error);
    const uint64_t most = (sqzt_swept.calls - before) * 3 / 4;
    assert_int_equal(rename(out, whole), 0);
    sqz_status status = SQZ_OK;
    bool reached = true;
    uint32_t failed = 0;
    for (uint64_t n = 1; reached; n++) {
        sqz_compress_options o = by_hand();
        if (status == SQZ_OK) leave_unfinished(&s, most);
        const uint64_t fail_at = sqzt_swept.fail_at = sqzt_swept.calls + n;
        status = compress(&s, source, &o, &error);
        sqzt_swept.fail_at = 0;
        reached = sqzt_swept.calls >= fail_at;
        if (status != SQZ_OK) assert_int_equal(status, SQZ_ENOMEM);
        else sqzt_assert_same_files(whole, out);
        failed += status != SQZ_OK;
        (void)remove(out);
    }
    assert_true(failed > 100);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compression_says_so_holds_nothing_and_writes_nothing),
        cmocka_unit_test(a_run_that_memory_failed_goes_on_to_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
