/* SPDX-License-Identifier: Apache-2.0 */
/* GLUE's files with their quirks, written here; and the real ones where ../shared/data is at
 * hand. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <squeezebert/eval.h>

#include "model/context.h"

static sqz_context context;
static char folder[] = "/tmp/sqz_test_glue_XXXXXX";

static int open_folder(void **state)
{
    (void)state;
    context.allocator = sqzi_default_allocator;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void path_of(const char *split, char *path, size_t bytes)
{
    assert_true(snprintf(path, bytes, "%s/%s.tsv", folder, split) < (int)bytes);
}

/* Open a file of this content as SPLIT.tsv; the file is gone afterwards (the mapping stays). */
static sqz_status open_text(sqz_glue_task task, const char *split, const char *text,
                            sqz_glue **glue, sqz_error *error)
{
    char path[256];
    path_of(split, path, sizeof path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    const sqz_status status = sqz_glue_open(&context, task, folder, split, glue, error);
    assert_int_equal(unlink(path), 0);
    return status;
}

static void assert_text(sqz_text text, const char *expected)
{
    assert_int_equal(text.n_bytes, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.n_bytes);
}

static void cola_has_no_header_and_its_test_has_one(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n;
    assert_int_equal(open_text(SQZ_GLUE_COLA, "dev",
                               "gj04\t1\t\tA \"lone quote\ngj04\t0\t*\tLast line", &glue, NULL),
                     SQZ_OK);
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 2);
    assert_text(rows[0].input.text, "A \"lone quote");
    assert_int_equal(rows[0].label, 1);
    assert_int_equal(rows[0].input.pair, 0);
    assert_text(rows[1].input.text, "Last line");
    assert_int_equal(rows[1].label, 0);
    sqz_glue_close(glue);
    assert_int_equal(open_text(SQZ_GLUE_COLA, "test", "index\tsentence\n0\tOne.\n", &glue, NULL),
                     SQZ_OK);
    rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 1);
    assert_text(rows[0].input.text, "One.");
    assert_int_equal(sqz_glue_labelled(glue), 0);
    sqz_glue_close(glue);
}

static void mrpc_may_begin_with_a_byte_order_mark(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n;
    assert_int_equal(
        open_text(
            SQZ_GLUE_MRPC, "dev",
            "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t5\t6\tleft\tright\r\n",
            &glue, NULL),
        SQZ_OK);
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 1);
    assert_text(rows[0].input.text, "left");
    assert_text(rows[0].input.second, "right");
    assert_int_equal(rows[0].label, 1);
    sqz_glue_close(glue);
}

static void qqp_skips_and_counts_short_rows(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n;
    assert_int_equal(open_text(SQZ_GLUE_QQP, "dev",
                               "id\tqid1\tqid2\tquestion1\tquestion2\tis_"
                               "duplicate\n1\t2\t3\ta\tb\t1\n4\t5\n6\t7\t8\tc\td\t0\n",
                               &glue, NULL),
                     SQZ_OK);
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 2);
    assert_int_equal(sqz_glue_skipped(glue), 1);
    assert_text(rows[1].input.second, "d");
    sqz_glue_close(glue);
}

static void mnli_takes_its_last_column(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n;
    assert_int_equal(
        open_text(SQZ_GLUE_MNLI, "dev_matched",
                  "h\n0\t1\t2\t3\t4\t5\t6\t7\tpremise\thypothesis\tx\ty\tz\tu\tv\tcontradiction\n",
                  &glue, NULL),
        SQZ_OK);
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 1);
    assert_text(rows[0].input.text, "premise");
    assert_string_equal(sqz_glue_class(SQZ_GLUE_MNLI, rows[0].label), "contradiction");
    sqz_glue_close(glue);
}

static void stsb_has_scores_and_a_three_column_sample_is_known_by_its_header(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n;
    assert_int_equal(open_text(SQZ_GLUE_STSB, "dev", "h\n0\tg\tf\t2012\t1\tn\tn\tone\ttwo\t4.750\n",
                               &glue, NULL),
                     SQZ_OK);
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 1);
    assert_true(rows[0].score == 4.75);
    sqz_glue_close(glue);
    assert_int_equal(open_text(SQZ_GLUE_QNLI, "dev",
                               "sentence1\tsentence2\tlabel\nq\ts\tnot_entailment\n", &glue, NULL),
                     SQZ_OK);
    rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 1);
    assert_text(rows[0].input.text, "q");
    assert_int_equal(rows[0].label, 1);
    sqz_glue_close(glue);
}

static void a_bad_row_is_an_error_with_its_place(void **state)
{
    (void)state;
    sqz_glue *glue;
    sqz_error error;
    assert_int_equal(open_text(SQZ_GLUE_SST2, "dev", "sentence\tlabel\nfine\t1\nshort\n", &glue,
                               &error),
                     SQZ_EFORMAT);
    assert_int_equal(error.offset, 22);
    assert_null(glue);
    assert_int_equal(open_text(SQZ_GLUE_SST2, "dev", "sentence\tlabel\nfine\t2\n", &glue, &error),
                     SQZ_EFORMAT);
    assert_non_null(strstr(error.text, "'2'"));
    assert_int_equal(sqz_glue_open(&context, SQZ_GLUE_SST2, folder, "absent", &glue, &error),
                     SQZ_EIO);
}

static void an_empty_file_has_no_rows(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n = 1;
    assert_int_equal(open_text(SQZ_GLUE_SST2, "dev", "", &glue, NULL), SQZ_OK);
    (void)sqz_glue_rows(glue, &n);
    assert_int_equal(n, 0);
    sqz_glue_close(glue);
}

static void names_are_found(void **state)
{
    (void)state;
    assert_int_equal(sqz_glue_find("STS-B"), SQZ_GLUE_STSB);
    assert_int_equal(sqz_glue_find("sst2"), SQZ_GLUE_SST2);
    assert_int_equal(sqz_glue_find("glue"), -1);
    assert_string_equal(sqz_glue_name(SQZ_GLUE_AX), "ax");
}

/* Row counts of the files at hand. The train split of MRPC there has 3667 rows, one fewer than
 * published. */
static void the_real_files_have_their_rows(void **state)
{
    (void)state;
    static const struct {
        sqz_glue_task task;
        const char *folder, *split;
        size_t n;
    } files[] = {
        {SQZ_GLUE_COLA, "glue/CoLA", "train", 8551},   {SQZ_GLUE_COLA, "glue/CoLA", "dev", 1043},
        {SQZ_GLUE_COLA, "glue/CoLA", "test", 1063},    {SQZ_GLUE_SST2, "glue/SST-2", "dev", 872},
        {SQZ_GLUE_SST2, "glue/SST-2", "train", 67349}, {SQZ_GLUE_SST2, "glue/SST-2", "test", 1821},
        {SQZ_GLUE_MRPC, "glue/MRPC", "dev", 408},      {SQZ_GLUE_MRPC, "glue/MRPC", "train", 3667},
        {SQZ_GLUE_MRPC, "glue/MRPC", "test", 1725},    {SQZ_GLUE_STSB, "glue/STS-B", "dev", 1500},
        {SQZ_GLUE_STSB, "glue/STS-B", "train", 5749},  {SQZ_GLUE_STSB, "glue/STS-B", "test", 1379},
        {SQZ_GLUE_QNLI, "glue/QNLI", "dev", 5463},     {SQZ_GLUE_QNLI, "glue/QNLI", "test", 5463},
        {SQZ_GLUE_WNLI, "glue/WNLI", "train", 635},    {SQZ_GLUE_WNLI, "glue/WNLI", "dev", 71},
        {SQZ_GLUE_WNLI, "glue/WNLI", "test", 146},     {SQZ_GLUE_AX, "glue/AX", "test", 1104},
        {SQZ_GLUE_MNLI, "glue_10k/MNLI", "dev", 1000}, {SQZ_GLUE_QQP, "glue_10k/QQP", "dev", 1000},
        {SQZ_GLUE_QNLI, "glue_10k/QNLI", "dev", 1000},
    };
    if (access("../shared/data/glue", R_OK) != 0) {
        print_message("../shared/data is not here: the real files are not read\n");
        skip();
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256];
        sqz_error error = {0};
        sqz_glue *glue;
        size_t n;
        snprintf(path, sizeof path, "../shared/data/%s", files[i].folder);
        if (sqz_glue_open(&context, files[i].task, path, files[i].split, &glue, &error) != SQZ_OK)
            fail_msg("%s", error.text);
        (void)sqz_glue_rows(glue, &n);
        if (n != files[i].n)
            fail_msg("%s %s: %zu rows, expected %zu", files[i].folder, files[i].split, n,
                     files[i].n);
        sqz_glue_close(glue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cola_has_no_header_and_its_test_has_one),
        cmocka_unit_test(mrpc_may_begin_with_a_byte_order_mark),
        cmocka_unit_test(qqp_skips_and_counts_short_rows),
        cmocka_unit_test(mnli_takes_its_last_column),
        cmocka_unit_test(stsb_has_scores_and_a_three_column_sample_is_known_by_its_header),
        cmocka_unit_test(a_bad_row_is_an_error_with_its_place),
        cmocka_unit_test(an_empty_file_has_no_rows),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(the_real_files_have_their_rows),
    };
    return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
