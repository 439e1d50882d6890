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

#define MNLI_HEADER                                                                                \
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"             \
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\t"     \
    "label5\tgold_label\n"
#define STSB_HEADER                                                                                \
    "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"

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

/* Open a file of this content as SPLIT.tsv; the file is gone afterwards. */
static sqz_status open_text(sqz_glue_task task, const char *split, const char *text,
                            sqz_glue **glue, sqz_error *error)
{
    char path[256];
    path_of(split, path, sizeof path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    const sqz_status status = sqz_glue_open(&context, task, folder, split, NULL, glue, error);
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
                  MNLI_HEADER
                  "0\t1\t2\t3\t4\t5\t6\t7\tpremise\thypothesis\tx\ty\tz\tu\tv\tcontradiction\n",
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
    assert_int_equal(open_text(SQZ_GLUE_STSB, "dev",
                               STSB_HEADER "0\tg\tf\t2012\t1\tn\tn\tone\ttwo\t4.750\n", &glue,
                               NULL),
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
    assert_int_equal(error.offset, 3);
    assert_null(glue);
    assert_int_equal(open_text(SQZ_GLUE_SST2, "dev", "sentence\tlabel\nfine\t2\n", &glue, &error),
                     SQZ_EFORMAT);
    assert_non_null(strstr(error.text, "'2'"));
    assert_int_equal(sqz_glue_open(&context, SQZ_GLUE_SST2, folder, "absent", NULL, &glue, &error),
                     SQZ_EIO);
}

/* The same of a file of this name, which `split` must find. */
static sqz_status open_named(sqz_glue_task task, const char *name, const char *split,
                             const char *text, sqz_glue **glue, sqz_error *error)
{
    char path[256];
    assert_true(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    const sqz_status status = sqz_glue_open(&context, task, split ? folder : path,
                                            split ? split : "dev", NULL, glue, error);
    assert_int_equal(unlink(path), 0);
    return status;
}

/* One row of a table: what its texts and its label are. */
static void expect_row(sqz_glue_task task, const char *name, const char *text, const char *first,
                       const char *second, uint32_t label)
{
    sqz_glue *glue;
    sqz_error error = {0};
    size_t n;
    if (open_named(task, name, "dev", text, &glue, &error) != SQZ_OK) fail_msg("%s", error.text);
    const sqz_glue_row *row = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 1);
    assert_true(sqz_glue_labelled(glue));
    assert_text(row->input.text, first);
    if (second) assert_text(row->input.second, second);
    assert_int_equal(row->input.pair, second != NULL);
    assert_int_equal(row->label, label);
    sqz_glue_close(glue);
}

static void other_copies_are_known_by_their_headers(void **state)
{
    (void)state;
    expect_row(SQZ_GLUE_SST2, "validation.csv", "sentence,label,idx\n\"a, \"\"b\"\"\",1,0\n",
               "a, \"b\"", NULL, 1);
    expect_row(SQZ_GLUE_SST2, "dev.tsv", "Label\tText\nNEG\tbad\n", "bad", NULL, 0);
    expect_row(SQZ_GLUE_COLA, "dev.jsonl",
               "{\"sentence\": \"He \\u00e9.\", \"label\": 0, \"idx\": 7}\n", "He \xC3\xA9.", NULL,
               0);
    expect_row(SQZ_GLUE_COLA, "dev.tsv", "sentence\tlabel\nHe go.\tunacceptable\n", "He go.", NULL,
               0);
    expect_row(SQZ_GLUE_MNLI, "dev.jsonl",
               "{\"premise\":\"p\",\"hypothesis\":\"h\",\"label\":2,\"idx\":0}\n", "p", "h", 2);
    expect_row(SQZ_GLUE_QNLI, "dev.csv", "question,sentence,label,idx\nq,s,1,0\n", "q", "s", 1);
    expect_row(SQZ_GLUE_MRPC, "dev.csv", "sentence1,sentence2,label,idx\na,b,not_equivalent,3\n",
               "a", "b", 0);
    expect_row(SQZ_GLUE_QQP, "dev.tsv", "sentence1\tsentence2\tlabel\n\"a \"\"x\"\"\"\tb\t1\n",
               "a \"x\"", "b", 1);
    expect_row(SQZ_GLUE_WNLI, "dev.csv", "sentence2,sentence1,label\nb,a,not-entailment\n", "a",
               "b", 0);
}

static void quotes_of_a_published_file_are_text(void **state)
{
    (void)state;
    expect_row(SQZ_GLUE_MRPC, "dev.tsv",
               "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\t\" a .\"\t\"\n", "\" a .\"",
               "\"", 1);
    expect_row(SQZ_GLUE_RTE, "dev.tsv",
               "index\tsentence1\tsentence2\tlabel\n0\t\"a\"\tb\tentailment\n", "\"a\"", "b", 0);
}

static void refuse(sqz_glue_task task, const char *name, const char *text, const char *words)
{
    sqz_glue *glue = NULL;
    sqz_error error = {0};
    assert_int_equal(open_named(task, name, "dev", text, &glue, &error), SQZ_EFORMAT);
    assert_null(glue);
    if (!strstr(error.text, words)) fail_msg("'%s' is not in '%s'", words, error.text);
}

static void what_is_not_understood_is_refused(void **state)
{
    (void)state;
    refuse(SQZ_GLUE_SST2, "dev.csv", "review,stars\nfine,5\n",
           "the columns 'review', 'stars' are not those of sst2: 'sentence' or 'text' is missing");
    refuse(SQZ_GLUE_RTE, "dev.csv", "sentence1,label\na,entailment\n",
           "'sentence2' or 'hypothesis' is missing");
    refuse(SQZ_GLUE_SST2, "dev.csv", "sentence,label,label\na,1,0\n",
           "two columns are named 'label'");
    refuse(SQZ_GLUE_MNLI, "dev.tsv", "sentence1\tsentence2\tlabel\na\tb\t1\n",
           "line 2: the label '1' is none of mnli (entailment, neutral, contradiction): numbers "
           "stand for classes only beside a column 'idx'");
    refuse(SQZ_GLUE_SST2, "dev.csv", "sentence,label\na,1\n\nb,2\n",
           "line 4: the label '2' is none of sst2 (0 = negative, 1 = positive)");
    refuse(SQZ_GLUE_STSB, "dev.csv", "sentence1,sentence2,label\na,b,7\n", "line 2: the label '7'");
    refuse(SQZ_GLUE_SST2, "dev.csv", "sentence,label\na,1\nb,-1\n",
           "line 3: there is no label here, other rows have one");
    refuse(SQZ_GLUE_SST2, "dev.jsonl", "{\"sentence\":\"a\",\"label\":1}\n{\"sentence\":7}\n",
           "line 2: 'sentence' is no string");
    refuse(SQZ_GLUE_SST2, "dev.jsonl", "{\"sentence\":\"a\",\"label\":1}\n{\"label\":1}\n",
           "line 2: the column 'sentence' is missing");
    refuse(SQZ_GLUE_SST2, "dev.jsonl", "{\"sentence\":\"a\",\"label\":1\n", "line 1: not a JSON");
    refuse(SQZ_GLUE_COLA, "dev.tsv", "gj04\t1\t\tA.\ngj04\t1\n", "line 2: the row has 2 columns");
    refuse(SQZ_GLUE_COLA, "dev.tsv", "gj04\tx\t\tA.\n", "are not those of cola");
}

static void rows_without_labels_are_unlabelled(void **state)
{
    (void)state;
    static const char *const tables[] = {"sentence,idx\na,0\n",
                                         "sentence,label,idx\na,-1,0\nb,-1,1\n"};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        sqz_glue *glue;
        assert_int_equal(open_named(SQZ_GLUE_SST2, "test.csv", "test", tables[t], &glue, NULL),
                         SQZ_OK);
        assert_int_equal(sqz_glue_labelled(glue), 0);
        sqz_glue_close(glue);
    }
}

static void rows_keep_their_lines_and_ids_and_blank_ones_are_counted(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n;
    assert_int_equal(open_named(SQZ_GLUE_SST2, "x.csv", NULL,
                                "\nsentence,label,idx\n\na,1,40\n \nb,0,41\n\n", &glue, NULL),
                     SQZ_OK);
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].line, 4);
    assert_int_equal(rows[1].line, 6);
    assert_text(rows[1].id, "41");
    assert_int_equal(sqz_glue_blank(glue), 4);
    assert_non_null(strstr(sqz_glue_path(glue), "/x.csv"));
    sqz_glue_close(glue);
}

static void pairs_without_a_gold_label_are_skipped_and_counted(void **state)
{
    (void)state;
    sqz_glue *glue;
    size_t n;
    assert_int_equal(open_named(SQZ_GLUE_MNLI, "dev.csv", "dev",
                                "premise,hypothesis,gold_label\na,b,-\nc,d,Neutral\n", &glue, NULL),
                     SQZ_OK);
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].label, 1);
    assert_int_equal(sqz_glue_skipped(glue), 1);
    sqz_glue_close(glue);
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
        if (sqz_glue_open(&context, files[i].task, path, files[i].split, NULL, &glue, &error) !=
            SQZ_OK)
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
        cmocka_unit_test(other_copies_are_known_by_their_headers),
        cmocka_unit_test(quotes_of_a_published_file_are_text),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(rows_without_labels_are_unlabelled),
        cmocka_unit_test(rows_keep_their_lines_and_ids_and_blank_ones_are_counted),
        cmocka_unit_test(pairs_without_a_gold_label_are_skipped_and_counted),
        cmocka_unit_test(an_empty_file_has_no_rows),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(the_real_files_have_their_rows),
    };
    return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
