/* SPDX-License-Identifier: Apache-2.0 */
/* Labelled data of every layout, its faults by line, what is the same text, and what is held out.
 */
#include <squeezebert/dataset.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/dataset_text.h"

static void columns_are_those_that_are_named(void **state)
{
    (void)state;
    size_t n;
    sqz_dataset *d = opened("k\tb\ta\ty\n1\t\"B \"\"1\"\"\"\tA\tup\n2\t\tA\tdown\n",
                            OPTIONS(.format = SQZ_DATA_TSV, .text = "a", .text2 = "b", .label = "y",
                                    .id = "k", .source = "a"));
    const sqz_example *e = sqz_dataset_examples(d, &n);
    assert_int_equal(n, 2);
    assert_text(e[0].input.text, "A");
    assert_text(e[0].input.second, "B \"1\"");
    assert_true(e[0].input.pair);
    assert_text(e[1].id, "2");
    assert_text(e[1].source, "A");
    sqz_dataset_close(d);
    d = opened("{\"y\":true,\"text\":\"\\u00e4\"}\n{\"text\":\"\",\"y\":7}\n",
               OPTIONS(.format = SQZ_DATA_JSONL, .label = "y"));
    assert_classes(d, (const char *const[]){"7", "true", NULL});
    assert_text(sqz_dataset_examples(d, &n)[0].input.text, "\xC3\xA4");
    sqz_dataset_close(d);
}

static void faults_name_their_line(void **state)
{
    (void)state;
    const char *const two[] = {"up", "down"};
    const sqz_dataset_options given = {.classes = two, .n_classes = 2};
    const sqz_dataset_options json = {.format = SQZ_DATA_JSONL},
                              many = {.format = SQZ_DATA_JSONL, .kind = SQZ_LABELS_MANY};
    refused("text,label\n", OPTIONS(0), SQZ_EFORMAT, "rows: holds no example");
    refused("", OPTIONS(0), SQZ_EFORMAT, "rows: holds no example");
    refused("text,y\na,1\n", OPTIONS(0), SQZ_EFORMAT, "no column 'label', it has 'text', 'y'");
    refused("text,label,label\na,1,2\n", OPTIONS(0), SQZ_EFORMAT, "two columns are named 'label'");
    refused("text,label\na,1\n\nb, \n", OPTIONS(0), SQZ_EFORMAT, "rows: line 4: the row has no");
    refused("text,label\na,up\nb,left\n", given, SQZ_EFORMAT,
            "rows: line 3: the label 'left' is none of the 2 classes 'up', 'down'");
    refused("text,label\na,1\nb\n", OPTIONS(0), SQZ_EFORMAT, "rows: line 3: the row has 1 columns");
    refused("text,label\na,1\nb,inf\n", OPTIONS(.kind = SQZ_LABELS_VALUE), SQZ_EFORMAT,
            "rows: line 3: the label 'inf' in 'label' is no number");
    refused("{\"text\":\"a\",\"label\":null}\n", json, SQZ_EFORMAT, "line 1: the row has no label");
    refused("{\"text\":\"a\"}\n", json, SQZ_EFORMAT, "line 1: the object has no 'label'");
    refused("{\"text\":\"a\",\"label\":[\"x\"]}\n", json, SQZ_EFORMAT, "one label is expected");
    refused("{\"text\":3,\"label\":\"x\"}\n", json, SQZ_EFORMAT, "'text' is 3: a string");
    refused("{\"text\":\"a\",\"label\":[[1]]}\n", many, SQZ_EFORMAT, "item 0 of 'label'");
    refused("{\"text\":\"a\",\"label\":null}\n", many, SQZ_EFORMAT, "no label");
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const char *const twice[] = {"a", "a"};
    refused("", OPTIONS(.format = SQZ_DATA_CONLL), SQZ_EINVAL, "conll");
    refused("", OPTIONS(.format = SQZ_DATA_CLINC, .text = "t"), SQZ_EINVAL, "columns");
    refused("", OPTIONS(.kind = SQZ_LABELS_WORDS), SQZ_EINVAL, "conll, or in jsonl");
    refused("", OPTIONS(.text = "y", .label = "y"), SQZ_EINVAL, "'y' is a text and the label");
    refused("", OPTIONS(.text2 = "label"), SQZ_EINVAL, "'label' is a text and the label");
    refused("", OPTIONS(.format = SQZ_DATA_JSONL, .quotes = SQZ_QUOTES_CSV), SQZ_EINVAL, "quotes");
    refused("", OPTIONS(.separator = ";"), SQZ_EINVAL, "separator");
    refused("", OPTIONS(.kind = SQZ_LABELS_MANY, .separator = ""), SQZ_EINVAL, "separator");
    refused("", OPTIONS(.split = "val"), SQZ_EINVAL, "split");
    refused("", OPTIONS(.classes = twice, .n_classes = 2), SQZ_EINVAL, "'a' is named twice");
    refused("", OPTIONS(.reserved = {1}), SQZ_EINVAL, "reserved");
}

static void a_header_of_another_layout_says_which(void **state)
{
    (void)state;
    refused("text;label\na;up\n", OPTIONS(0), SQZ_EFORMAT,
            "it has 'text;label'; cells seem to be parted by ';', which is not read: save it with "
            "commas or TABs");
    refused("text|label\na|up\n", OPTIONS(0), SQZ_EFORMAT, "parted by '|', which is not read");
    refused("text\tlabel\na\tup\n", OPTIONS(0), SQZ_EFORMAT,
            "parted by TABs: read it as tsv (--input tsv)");
    refused("text,label\na,up\n", OPTIONS(.format = SQZ_DATA_TSV), SQZ_EFORMAT,
            "parted by ',': read it as csv (--input csv)");
    refused("text,label\ra,up\rb,down\r", OPTIONS(0), SQZ_EFORMAT,
            "line 1: its lines end with CR alone: save it with LF or CR LF");
    refused("text,label,day\ra,up,1\rb,down,2\r", OPTIONS(0), SQZ_EFORMAT,
            "line 1: its lines end with CR alone: save it with LF or CR LF");
    refused("body;more,label\na,up\n", OPTIONS(0), SQZ_EFORMAT, "it has 'body;more', 'label'");
}

static void words_in_columns_are_sentences(void **state)
{
    (void)state;
    size_t n;
    const char text[] = "-DOCSTART- -X- O\n\nParis NNP B-LOC\nsleeps VBZ O \n\n\nit\tO\r\n";
    sqz_dataset *d = opened(text, OPTIONS(.format = SQZ_DATA_CONLL, .kind = SQZ_LABELS_WORDS));
    const sqz_example *e = sqz_dataset_examples(d, &n);
    assert_int_equal(n, 2);
    assert_text(e[0].input.text, "Paris sleeps");
    assert_int_equal(e[0].line, 3);
    assert_int_equal(e[0].n_labels, 2);
    assert_int_equal(e[0].word_end[0], 5);
    assert_int_equal(e[0].word_end[1], 12);
    assert_int_equal(e[0].labels[0], 0);
    assert_int_equal(e[1].line, 7);
    assert_classes(d, (const char *const[]){"B-LOC", "O", NULL});
    sqz_dataset_close(d);
    d = opened("{\"text\":[\"Paris\",\"sleeps\"],\"label\":[\"B-LOC\",\"O\"]}\n"
               "{\"text\":[\"it\"],\"label\":[\"O\"]}\n",
               OPTIONS(.format = SQZ_DATA_JSONL, .kind = SQZ_LABELS_WORDS));
    assert_text(sqz_dataset_examples(d, &n)[0].input.text, "Paris sleeps");
    assert_int_equal(sqz_dataset_examples(d, &n)[0].labels[1], 1);
    sqz_dataset_close(d);
    refused("a O\nlonely\n", OPTIONS(.format = SQZ_DATA_CONLL, .kind = SQZ_LABELS_WORDS),
            SQZ_EFORMAT, "rows: line 2: a word and its class");
    refused("{\"text\":[\"a\",\"b\"],\"label\":[\"O\"]}\n",
            OPTIONS(.format = SQZ_DATA_JSONL, .kind = SQZ_LABELS_WORDS), SQZ_EFORMAT,
            "line 1: 2 words and 1 labels");
}

static void members_of_clincs_json_are_splits(void **state)
{
    (void)state;
    size_t n;
    const char text[] = "{\"val\": [[\"v\", \"pay\"]], \"train\": [[\"a\", \"pay\"], [\"b\", "
                        "\"fly\"]], \"oos_val\": [[\"z\", \"oos\"]], \"odd\": [[\"a\"]]}";
    sqz_dataset *d = opened(text, OPTIONS(.format = SQZ_DATA_CLINC));
    (void)sqz_dataset_examples(d, &n);
    assert_int_equal(n, 2);
    assert_classes(d, (const char *const[]){"fly", "pay", NULL});
    sqz_dataset_close(d);
    d = opened(text, OPTIONS(.format = SQZ_DATA_CLINC, .split = "val+oos_val"));
    assert_classes(d, (const char *const[]){"oos", "pay", NULL});
    assert_text(sqz_dataset_examples(d, &n)[1].input.text, "z");
    sqz_dataset_close(d);
    refused(text, OPTIONS(.format = SQZ_DATA_CLINC, .split = "test"), SQZ_EFORMAT, "\"test\"");
    refused(text, OPTIONS(.format = SQZ_DATA_CLINC, .split = "val+"), SQZ_EINVAL, "val+");
    refused(text, OPTIONS(.format = SQZ_DATA_CLINC, .split = "odd"), SQZ_EFORMAT,
            "item 1 of \"odd\"");
    refused("[1", OPTIONS(.format = SQZ_DATA_CLINC), SQZ_EFORMAT, "rows, line 1: ']' expected");
    refused("[1]", OPTIONS(.format = SQZ_DATA_CLINC), SQZ_EFORMAT, "no JSON object");
}

/* "[]," is three bytes of text and 160 of memory. */
static void json_that_would_take_too_much_memory_is_refused(void **state)
{
    (void)state;
    enum { PARTS = 200000, ROOM = 3 * PARTS + 100 };
    char *text = malloc(ROOM), *parts = malloc(3 * PARTS + 1);
    assert_true(text && parts);
    for (size_t i = 0; i < PARTS; i++) memcpy(parts + 3 * i, "[],", 3);
    parts[3 * PARTS - 1] = '\0';
    snprintf(text, ROOM, "{\"train\": [%s]}", parts);
    refused(text, OPTIONS(.format = SQZ_DATA_CLINC), SQZ_ELIMIT, "so many values");
    snprintf(text, ROOM, "{\"text\": \"a\", \"label\": [%s]}\n", parts);
    refused(text, OPTIONS(.format = SQZ_DATA_JSONL, .kind = SQZ_LABELS_MANY), SQZ_ELIMIT,
            "line 1: its 600001 bytes");
    free(text);
    free(parts);
}

static void the_hash_is_of_what_is_read(void **state)
{
    (void)state;
    sqz_dataset *a = opened("text,label\na,1\nb,2\n", OPTIONS(0)),
                *b = opened("x,label,text\r\n9,\"1\",a\r\n8,2,\"b\"\r\n", OPTIONS(0)),
                *c = opened("text,label\na,2\nb,1\n", OPTIONS(0)),
                *e = opened("text,label\nab,1\n,2\n", OPTIONS(0));
    assert_string_equal(sqz_dataset_sha256(a), sqz_dataset_sha256(b));
    assert_string_not_equal(sqz_dataset_sha256(a), sqz_dataset_sha256(c));
    assert_string_not_equal(sqz_dataset_sha256(a), sqz_dataset_sha256(e));
    sqz_dataset *const all[] = {a, b, c, e};
    for (int i = 0; i < 4; i++) sqz_dataset_close(all[i]);
}

static void repeats_and_contradictions_are_found(void **state)
{
    (void)state;
    size_t n;
    const sqz_repeat *repeats;
    sqz_error error = {0};
    sqz_dataset *d = opened("text,label\nHello,1\nhello!  ,1\nC++,1\nC,2\n\xC3\x84 b,1\n"
                            "\xC3\xA4\t b.,2\n?,1\n,2\n",
                            OPTIONS(0));
    sqzt_assert_ok(sqz_dataset_repeats(d, &repeats, &n, &error), &error);
    assert_int_equal(n, 2);
    assert_int_equal(repeats[0].row, 1);
    assert_int_equal(repeats[0].first, 0);
    assert_false(repeats[0].contradicts);
    assert_int_equal(repeats[1].row, 5);
    assert_int_equal(repeats[1].first, 4);
    assert_true(repeats[1].contradicts);
    sqz_dataset_close(d);
    /* pairs: what is parted elsewhere is another pair */
    d = opened("a,b,label\nx y,z,1\nx,y z,2\nX y,Z,1\n", OPTIONS(.text = "a", .text2 = "b"));
    sqzt_assert_ok(sqz_dataset_repeats(d, &repeats, &n, &error), &error);
    assert_int_equal(n, 1);
    assert_int_equal(repeats[0].row, 2);
    sqz_dataset_close(d);
}

/* 400 examples: every text twice, three classes, four rows from each cell of `from`. */
static sqz_dataset *many_examples(const char *source)
{
    enum { ROWS = 400 };
    static char text[ROWS * 64];
    size_t used = (size_t)snprintf(text, sizeof text, "text,label,from\n");
    for (int i = 0; i < ROWS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "Text number %d,%s,f%d\n", i / 2,
                                 i == 7      ? "rare"
                                 : i / 2 % 4 ? "often"
                                             : "seldom",
                                 i / 4);
    return opened(text, OPTIONS(.source = source));
}

static void sources_stay_together(void **state)
{
    (void)state;
    enum { ROWS = 400 };
    uint32_t rows[ROWS], again[ROWS], side[ROWS];
    size_t n, n_train, n_again;
    sqz_error error = {0};
    for (int by_source = 0; by_source <= 1; by_source++) {
        sqz_dataset *d = many_examples(by_source ? "from" : NULL);
        const sqz_example *e = sqz_dataset_examples(d, &n);
        assert_int_equal(n, ROWS);
        sqzt_assert_ok(sqz_dataset_split(d, 0.2, 5, rows, &n_train, &error), &error);
        assert_int_equal(n_train, 320);
        size_t seldom = 0;
        for (uint32_t i = 0; i < ROWS; i++) {
            assert_true(i == 0 || i == n_train || rows[i] > rows[i - 1]);
            side[rows[i]] = i >= n_train;
            seldom += i >= n_train && strcmp(sqz_dataset_class(d, e[rows[i]].label), "seldom") == 0;
        }
        assert_true(by_source || (seldom >= 20 && seldom <= 22)); /* a fifth of 100, and a source */
        assert_false(side[7]);
        for (uint32_t i = 0; i < ROWS; i++)
            assert_int_equal(side[i], side[i - i % (by_source ? 4 : 2)]);
        sqzt_assert_ok(sqz_dataset_split(d, 0.2, 5, again, &n_again, &error), &error);
        assert_memory_equal(rows, again, sizeof rows);
        sqzt_assert_ok(sqz_dataset_split(d, 0.2, 6, again, &n_again, &error), &error);
        assert_memory_not_equal(rows, again, sizeof rows);
        sqzt_assert_fails(sqz_dataset_split(d, 1, 5, rows, &n_train, &error), SQZ_EINVAL, &error,
                          "below 1");
        sqzt_assert_fails(sqz_dataset_split(d, 0.001, 5, rows, &n_train, &error), SQZ_EFORMAT,
                          &error, "a larger share");
        sqz_dataset_close(d);
    }
}

static void pairs_are_linked_by_either_text(void **state)
{
    (void)state;
    uint32_t rows[5];
    size_t n_train;
    sqz_error error = {0};
    sqz_dataset *d = opened("a,b,label\np,q,1\nr,s,1\nq,r,1\nt,u,1\nu,v,1\n",
                            OPTIONS(.text = "a", .text2 = "b"));
    sqzt_assert_ok(sqz_dataset_split(d, 0.4, 1, rows, &n_train, &error), &error);
    assert_int_equal(n_train, 3);
    assert_int_equal(rows[3], 3);
    assert_int_equal(rows[4], 4);
    sqz_dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_those_that_are_named),
        cmocka_unit_test(faults_name_their_line),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(a_header_of_another_layout_says_which),
        cmocka_unit_test(words_in_columns_are_sentences),
        cmocka_unit_test(members_of_clincs_json_are_splits),
        cmocka_unit_test(json_that_would_take_too_much_memory_is_refused),
        cmocka_unit_test(the_hash_is_of_what_is_read),
        cmocka_unit_test(repeats_and_contradictions_are_found),
        cmocka_unit_test(sources_stay_together),
        cmocka_unit_test(pairs_are_linked_by_either_text),
    };
    return cmocka_run_group_tests(tests, set_allocator, NULL);
}
