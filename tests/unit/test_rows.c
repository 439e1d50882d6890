/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of lines and tables: what is a record, what is text, what is passed on, and where a
 * fault is said to be. Every input is read in portions of 1, 2, 3 and many bytes: a record may be
 * torn anywhere. */
#include "support/test.h"

#include <squeezebert/data.h>
#include <stdio.h>
#include <stdlib.h>

/* A text as a source that gives `step` bytes at a time. */
typedef struct tape {
    const char *bytes;
    size_t n, at, step;
} tape;

static ptrdiff_t read_tape(void *user, void *bytes, size_t n)
{
    tape *t = user;
    size_t got = t->n - t->at;
    if (got > n) got = n;
    if (got > t->step) got = t->step;
    memcpy(bytes, t->bytes + t->at, got);
    t->at += got;
    return (ptrdiff_t)got;
}

/* Rows written out: "LINE TEXT[|SECOND] [NAME=VALUE]...;", a fault as "LINE !FAULT". */
static char shown[4096];
static size_t used;

static void put(const char *bytes, size_t n)
{
    assert_true(used + n < sizeof shown);
    if (n) memcpy(shown + used, bytes, n);
    used += n;
}

static void put_word(const char *word)
{
    put(word, strlen(word));
}

static void put_row(const sqz_row *row)
{
    char line[32];
    snprintf(line, sizeof line, "%llu ", (unsigned long long)row->line);
    put_word(line);
    if (row->status != SQZ_OK) {
        put_word("!");
        put_word(row->fault);
    } else {
        put(row->text.bytes, row->text.n_bytes);
        if (row->pair) put_word("|");
        if (row->pair) put(row->second.bytes, row->second.n_bytes);
    }
    for (uint32_t f = 0; f < row->n_fields; f++) {
        const sqz_field *field = &row->fields[f];
        put_word(" ");
        put(field->json ? field->json_name.bytes : field->name.bytes,
            field->json ? field->json_name.n_bytes : field->name.n_bytes);
        put_word("=");
        put(field->value.bytes, field->value.n_bytes);
    }
    put_word(";");
}

static sqz_status read_steps(const char *bytes, size_t n, size_t step, const sqz_rows_options *o,
                             uint64_t *n_blank, sqz_error *error)
{
    tape t = {bytes, n, 0, step};
    const sqz_rows_source source = {.name = "tape", .read = read_tape, .user = &t};
    sqz_rows *rows;
    const sqz_row *row;
    uint32_t found = 0;
    used = 0;
    sqz_status status = sqz_rows_open(&source, o, &rows, error);
    if (status != SQZ_OK) return status;
    do {
        status = sqz_rows_next(rows, &row, &found, error);
        for (uint32_t r = 0; r < found; r++) put_row(&row[r]);
    } while (status == SQZ_OK && found);
    *n_blank = sqz_rows_blank(rows);
    sqz_rows_close(rows);
    shown[used] = '\0';
    return status;
}

static void expect_bytes(const char *bytes, size_t n, const sqz_rows_options *options,
                         const char *expected, uint64_t n_blank)
{
    static const size_t steps[] = {1, 2, 3, 1 << 20};
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
        for (uint32_t portion = 1; portion < 4; portion++) {
            uint64_t blank;
            sqz_error error = {0};
            sqz_rows_options o = *options;
            o.portion = portion;
            sqzt_assert_ok(read_steps(bytes, n, steps[s], &o, &blank, &error), &error);
            assert_string_equal(shown, expected);
            assert_int_equal(blank, n_blank);
        }
}

static void expect(const char *text, sqz_rows_options options, const char *expected)
{
    uint64_t unused;
    sqz_error error = {0};
    sqzt_assert_ok(read_steps(text, strlen(text), 99, &options, &unused, &error), &error);
    expect_bytes(text, strlen(text), &options, expected, unused);
}

static void refuse(const char *text, sqz_rows_options options, sqz_status status, const char *words)
{
    uint64_t unused;
    sqz_error error = {0};
    assert_int_equal(read_steps(text, strlen(text), 5, &options, &unused, &error), status);
    if (!strstr(error.text, words)) fail_msg("'%s' is not in '%s'", words, error.text);
}

static const sqz_rows_options lines = {0}, csv = {.format = SQZ_ROWS_CSV, .text = "text"},
                              tsv = {.format = SQZ_ROWS_TSV, .text = "text"},
                              jsonl = {.format = SQZ_ROWS_JSONL, .text = "text"};

static void a_line_ends_at_lf_or_crlf_and_a_lone_cr_is_text(void **state)
{
    (void)state;
    expect("one\r\ntwo\nth\rree\r\r\nfour\r", lines, "1 one;2 two;3 th\rree\r;4 four;");
    expect("text,x\r\na\rb,\"c\r\"\r\n", csv, "2 a\rb x=c\r;");
    expect("text\tx\r\na\rb\t1\r\n", tsv, "2 a\rb x=1;");
    expect("{\"text\":\"a\"}\r\n{\"text\":\"b\"}\r", jsonl, "1 a;2 b;");
}

static void blank_lines_are_counted_and_keep_their_numbers(void **state)
{
    (void)state;
    expect_bytes("\n \na\n\r\n\t \r\nb\n\n", 14, &lines, "3 a;6 b;", 5);
    expect_bytes("\n\ntext,id\n\na,1\n  \nb,2\n\n", 23, &csv, "5 a id=1;7 b id=2;", 5);
    expect_bytes("text\tid\n\t\na\t1\n", 14, &tsv, "3 a id=1;", 1);
    expect_bytes("\n{\"text\":\"a\"}\n\n", 15, &jsonl, "2 a;", 2);
    expect_bytes("\n\n\n", 3, &lines, "", 3);
    expect_bytes("", 0, &csv, "", 0);
}

static void a_row_that_holds_an_empty_text_is_no_blank_line(void **state)
{
    (void)state;
    expect("text\n\"\"\n", csv, "2 ;");
    expect("text,id\n,\n", csv, "2  id=;");
    expect("{\"text\":\"\"}\n", jsonl, "1 ;");
}

static void a_byte_order_mark_is_dropped_at_the_start_alone(void **state)
{
    (void)state;
    expect("\xEF\xBB\xBF"
           "a\n\xEF\xBB\xBF"
           "b\n",
           lines,
           "1 a;2 \xEF\xBB\xBF"
           "b;");
    expect("\xEF\xBB\xBF"
           "text,id\na,1\n",
           csv, "2 a id=1;");
    expect("\xEF\xBB\xBF\"text\",id\na,1\n", csv, "2 a id=1;");
    expect("\xEF\xBB\xBF{\"text\":\"a\"}\n", jsonl, "1 a;");
    expect("\xEF", lines, "1 \xEF;");
    expect("\xEF\xBB", lines, "1 \xEF\xBB;");
    refuse("\xFF\xFE"
           "a",
           lines, SQZ_EFORMAT, "tape: line 1: begins with the mark of UTF-16");
    refuse("\xFE\xFF"
           "a",
           csv, SQZ_EFORMAT, "UTF-16");
}

static void any_bytes_are_text(void **state)
{
    (void)state;
    expect_bytes("a\0b\n\xFF\xC3(\n", 8, &lines, "1 a", 0); /* shown ends at the NUL */
    assert_memory_equal(shown, "1 a\0b;2 \xFF\xC3(;", 13);
    expect_bytes("text,x\na,\0\n", 11, &csv, "2 a x=", 0);
    assert_memory_equal(shown, "2 a x=\0;", 8);
}

static void pairs_are_parted_at_the_first_tab(void **state)
{
    (void)state;
    expect("a\tb\tc\nno\n\tb\n", (sqz_rows_options){.pair = 1},
           "1 a|b\tc;2 !the line has no TAB between two texts;3 |b;");
}

static void csv_is_read_as_rfc_4180_has_it(void **state)
{
    (void)state;
    expect("id,text\n1,\"a, \"\"b\"\"\n\r\nc\"\n2,d\n", csv, "2 a, \"b\"\n\r\nc id=1;5 d id=2;");
    expect("text,x\na\"b\",\"c\"d\"e\n", csv, "2 a\"b\" x=cd\"e;"); /* as Python's csv module */
    expect("text,x\n \"a\",\"\"\n", csv, "2  \"a\" x=;");
    expect("text\nlast \"line\"", csv, "2 last \"line\";");
    expect("text,x\n\"a\"\r\n", csv, "2 !the row has 1 columns, the header 2: 'text', 'x';");
}

static void a_row_of_another_length_fails_with_the_columns_there_are(void **state)
{
    (void)state;
    expect("id,text\n1,a,b\n2,c\n", csv,
           "2 !the row has 3 columns, the header 2: 'id', 'text' id=1 =b;3 c id=2;");
    expect("text\tid\na\n", (sqz_rows_options){.format = SQZ_ROWS_TSV, .ragged = 1}, "2  text=a;");
}

static void a_quote_that_is_never_closed_fails_where_it_opens(void **state)
{
    (void)state;
    expect("text,id\na,1\n\"b,2\nc,3\n", csv,
           "2 a id=1;3 !a quote that begins in this row is never closed;");
    refuse("text,\"id\n1,2\n", csv, SQZ_EFORMAT, "tape: line 1: a quote that begins");
}

static void a_tsv_cell_wholly_in_quotes_is_unquoted_and_a_lone_quote_is_text(void **state)
{
    (void)state;
    expect("text\tx\n\"a \"\"b\"\" c\"\t\"\"\n", tsv, "2 a \"b\" c x=;");
    expect("text\tx\n\"a\t5\"\n", tsv, "2 \"a x=5\";");
    expect("text\tx\n\"a\" and \"b\"\t\"\n", tsv, "2 \"a\" and \"b\" x=\";");
    expect("text\tx\n\"\"\"\t\"\"\"\"\n", tsv, "2 \"\"\" x=\";");
}

static void what_quotes_mean_can_be_chosen(void **state)
{
    (void)state;
    sqz_rows_options none = tsv, like_csv = tsv, none_csv = csv;
    none.quotes = none_csv.quotes = SQZ_QUOTES_NONE;
    like_csv.quotes = SQZ_QUOTES_CSV;
    expect("text\tx\n\"a\"\t1\n", none, "2 \"a\" x=1;");
    expect("text\tx\n\"a\tb\nc\"\t1\n", like_csv, "2 a\tb\nc x=1;");
    expect("text,x\n\"a,1\n", none_csv, "2 \"a x=1;");
}

static void missing_and_twin_columns_are_named(void **state)
{
    (void)state;
    refuse("\nid,body\n1,a\n", csv, SQZ_EFORMAT,
           "tape: line 2: the header has no column 'text', it has 'id', 'body'");
    refuse("text\ttext\n", tsv, SQZ_EFORMAT, "two columns are named 'text'");
    refuse("text\n", (sqz_rows_options){.format = SQZ_ROWS_CSV, .text = "text", .text2 = "other"},
           SQZ_EFORMAT, "no column 'other'");
}

static void a_header_of_another_layout_says_which(void **state)
{
    (void)state;
    refuse("text;label\na;up\n", csv, SQZ_EFORMAT,
           "it has 'text;label'; cells seem to be parted by ';', which is not read");
    refuse("text\tlabel\na\tup\n", csv, SQZ_EFORMAT, "read it as tsv (--input tsv)");
    refuse("text,label\na,up\n", tsv, SQZ_EFORMAT, "read it as csv (--input csv)");
    refuse("text,label\ra,up\rb,down", csv, SQZ_EFORMAT,
           "tape: line 1: its lines end with CR alone: save it with LF or CR LF");
    expect("text,\"of a\r\nday\"\na,up\n", csv, "3 a of a\r\nday=up;");
    expect("text,\"of a\rday\"\na,up\n", csv, "2 a of a\rday=up;");
}

static void json_is_passed_on_as_it_stands(void **state)
{
    (void)state;
    expect(
        "{\"id\": 10014255632117358197, \"text\": \"a\", \"n\": NaN, \"i\":[-Infinity,Infinity]}\n",
        jsonl, "1 a id=10014255632117358197 n=NaN i=[-Infinity,Infinity];");
    expect("{\"x\":0.1,\"x\":1e400,\"\\u0079\":\"\\ud800\\/\",\"text\":\"a\",\"o\":{\"b\":[ "
           "],\"a\":{}}}",
           jsonl, "1 a x=0.1 x=1e400 \\u0079=\"\\ud800\\/\" o={\"b\":[ ],\"a\":{}};");
    expect("{\"a\":[1,\r\t2]\t,\"text\":\"t\"}\n", jsonl, "1 t a=[1,  2];");
    expect("{\"text\":\"first\",\"text\":\"last\"}\n", jsonl, "1 last;");
    expect("{\"te\\u0078t\":\"a\"}\n", jsonl, "1 a;");
}

static void json_strings_are_decoded(void **state)
{
    (void)state;
    expect("{\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00\"}\n", jsonl,
           "1 \"\\/\b\f\n\r\t\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80;");
    expect("{\"text\":\"\\ud83dx\\ude00\\ud83d\\u0041\"}\n", jsonl,
           "1 \xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD"
           "A;");
    expect("{\"text\":\"a\",\"text2\":\"b\"}\n",
           (sqz_rows_options){.format = SQZ_ROWS_JSONL, .text = "text", .text2 = "text2"},
           "1 a|b;");
}

static void what_is_no_json_fails_with_its_byte(void **state)
{
    (void)state;
    static const struct {
        const char *line, *fault;
    } cases[] = {
        {"[1]", "not a JSON object: { is expected at byte 1"},
        {"{\"a\":1", "not a JSON object: a comma or } is expected at byte 7"},
        {"{\"a\":[1,]}", "not a JSON object: a value is expected at byte 9"},
        {"{\"a\":01}", "not a JSON object: a comma or } is expected at byte 7"},
        {"{\"a\":1.}", "not a JSON object: a digit is expected at byte 8"},
        {"{\"a\":+1}", "not a JSON object: a value is expected at byte 6"},
        {"{\"a\":nan}", "not a JSON object: a value is expected at byte 6"},
        {"{\"a\":nulls}", "not a JSON object: a comma or } is expected at byte 10"},
        {"{\"a\" 1}", "not a JSON object: a colon behind a name is expected at byte 6"},
        {"{a:1}", "not a JSON object: a name in quotes is expected at byte 2"},
        {"{\"a\":1,}", "not a JSON object: a name in quotes is expected at byte 8"},
        {"{\"a\":[1}", "not a JSON object: a comma or ] is expected at byte 8"},
        {"{\"a\":{\"b\":1]}", "not a JSON object: a comma or } is expected at byte 12"},
        {"{\"a\":\"\x01\"}", "not a JSON object: no control character in a string is expected at "
                             "byte 7"},
        {"{\"a\":\"\\x\"}", "not a JSON object: one of \" \\ / b f n r t u behind \\ is expected "
                            "at byte 8"},
        {"{\"a\":\"\\u12g4\"}", "not a JSON object: four hexadecimal digits behind \\u is "
                                "expected at byte 11"},
        {"{\"a\":\"b", "not a JSON object: the quote that ends a string is expected at byte 8"},
        {"{} x", "not a JSON object: the end of the line behind the object is expected at byte 4"},
        {"{\"text\":7}", "'text' is 7: a string is expected"},
        {"{\"a\":1}", "the object has no 'text', it has 'a' a=1"},
        {"{}", "the object has no 'text', it has none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wanted[256];
        snprintf(wanted, sizeof wanted, "1 !%s;", cases[i].fault);
        expect(cases[i].line, jsonl, wanted);
    }
}

static void json_nests_a_thousand_deep_and_no_deeper(void **state)
{
    (void)state;
    char line[2200];
    for (int depth = 1000; depth <= 1001; depth++) {
        int n = snprintf(line, sizeof line, "{\"text\":\"a\",\"x\":");
        for (int d = 0; d < depth; d++) line[n++] = '[';
        for (int d = 0; d < depth; d++) line[n++] = ']';
        snprintf(line + n, sizeof line - (size_t)n, "}");
        uint64_t unused;
        assert_int_equal(read_steps(line, strlen(line), 99, &jsonl, &unused, NULL), SQZ_OK);
        if (depth == 1000) assert_memory_equal(shown, "1 a x=[[", 8);
        else assert_string_equal(shown, "1 !the JSON nests more than 1000 deep;");
    }
}

static void a_row_of_too_many_columns_fails_and_the_next_one_is_read(void **state)
{
    (void)state;
    const size_t n = SQZ_MAX_COLUMNS;
    char *text = malloc(7 * n + 100);
    assert_non_null(text);
    memcpy(text, "text\n", 5);
    memset(text + 5, ',', n);
    strcpy(text + 5 + n, "\nlast\n");
    expect(text, csv, "2 !more than 65536 columns;3 last;");
    size_t at = (size_t)sprintf(text, "{");
    for (size_t i = 0; i <= n; i++) at += (size_t)sprintf(text + at, "\"\":1,");
    sprintf(text + at, "\"x\":1}\n{\"text\":\"last\"}\n");
    expect(text, jsonl, "1 !more than 65536 columns;2 last;");
    free(text);
}

/* A source that has its bytes without end: `first`, then `fill` for n bytes, then `last`. */
typedef struct flood {
    const char *first, *last;
    size_t n, at;
} flood;

static ptrdiff_t read_flood(void *user, void *bytes, size_t n)
{
    flood *f = user;
    const size_t first = strlen(f->first), last = strlen(f->last), all = first + f->n + last;
    char *to = bytes;
    size_t got = 0;
    for (; got < n && f->at < all; got++, f->at++)
        to[got] = f->at < first          ? f->first[f->at]
                  : f->at < first + f->n ? 'a'
                                         : f->last[f->at - first - f->n];
    return (ptrdiff_t)got;
}

static void a_record_over_the_limit_fails_and_is_not_held(void **state)
{
    (void)state;
    flood f = {"good\n", "\nnext\n", SQZ_MAX_RECORD_BYTES + (size_t)100000, 0};
    const sqz_rows_source source = {.name = "flood", .read = read_flood, .user = &f};
    sqz_rows *rows;
    const sqz_row *row;
    uint32_t n;
    used = 0;
    assert_int_equal(sqz_rows_open(&source, NULL, &rows, NULL), SQZ_OK);
    while (sqz_rows_next(rows, &row, &n, NULL) == SQZ_OK && n)
        for (uint32_t r = 0; r < n; r++) put_row(&row[r]);
    sqz_rows_close(rows);
    shown[used] = '\0';
    assert_string_equal(shown, "1 good;2 !the record is longer than 268 MB;3 next;");
}

/* Ready as long as bytes are left; the second line never comes before the first was given. */
static int tape_is_ready(void *user)
{
    const tape *t = user;
    return t->at < t->n && t->at != 6;
}

static void what_is_there_is_given_before_more_is_waited_for(void **state)
{
    (void)state;
    tape t = {"one\n\n\ntwo\nthree\n", 16, 0, 6};
    const sqz_rows_source source = {
        .name = "tape", .read = read_tape, .ready = tape_is_ready, .user = &t};
    sqz_rows *rows;
    const sqz_row *row;
    uint32_t n;
    assert_int_equal(sqz_rows_open(&source, NULL, &rows, NULL), SQZ_OK);
    assert_int_equal(t.at, 0);
    assert_int_equal(sqz_rows_next(rows, &row, &n, NULL), SQZ_OK);
    assert_int_equal(n, 1);
    assert_int_equal(t.at, 6);
    assert_int_equal(sqz_rows_next(rows, &row, &n, NULL), SQZ_OK);
    assert_int_equal(n, 2);
    assert_int_equal(row[1].line, 5);
    assert_int_equal(sqz_rows_next(rows, &row, &n, NULL), SQZ_OK);
    assert_int_equal(n, 0);
    sqz_rows_close(rows);
}

static void options_of_another_format_are_refused(void **state)
{
    (void)state;
    static const sqz_rows_options bad[] = {{.format = (sqz_rows_format)4},
                                           {.format = SQZ_ROWS_CSV, .quotes = (sqz_quotes)3},
                                           {.quotes = SQZ_QUOTES_NONE},
                                           {.format = SQZ_ROWS_JSONL, .ragged = 1},
                                           {.format = SQZ_ROWS_CSV, .text = "a", .no_header = 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse("a\n", bad[i], SQZ_EINVAL, "a reader of rows");
}

static void a_path_tells_its_format(void **state)
{
    (void)state;
    assert_int_equal(sqz_rows_format_of("a/b.csv"), SQZ_ROWS_CSV);
    assert_int_equal(sqz_rows_format_of("B.TSV"), SQZ_ROWS_TSV);
    assert_int_equal(sqz_rows_format_of("x.jsonl"), SQZ_ROWS_JSONL);
    assert_int_equal(sqz_rows_format_of("x.ndjson"), SQZ_ROWS_JSONL);
    assert_int_equal(sqz_rows_format_of("x.csv.txt"), SQZ_ROWS_LINES);
    assert_int_equal(sqz_rows_format_of("sv"), SQZ_ROWS_LINES);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    sqz_rows *rows;
    const sqz_row *row;
    uint32_t n;
    sqz_error error = {0};
    assert_int_equal(sqz_rows_open_file("/no/such.csv", &csv, &rows, &error), SQZ_EIO);
    assert_non_null(strstr(error.text, "/no/such.csv: cannot open"));
    assert_int_equal(sqz_rows_open_file("/tmp", NULL, &rows, &error), SQZ_OK);
    assert_int_equal(sqz_rows_next(rows, &row, &n, &error), SQZ_EIO);
    assert_non_null(strstr(error.text, "/tmp: cannot read"));
    sqz_rows_close(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_ends_at_lf_or_crlf_and_a_lone_cr_is_text),
        cmocka_unit_test(blank_lines_are_counted_and_keep_their_numbers),
        cmocka_unit_test(a_row_that_holds_an_empty_text_is_no_blank_line),
        cmocka_unit_test(a_byte_order_mark_is_dropped_at_the_start_alone),
        cmocka_unit_test(any_bytes_are_text),
        cmocka_unit_test(pairs_are_parted_at_the_first_tab),
        cmocka_unit_test(csv_is_read_as_rfc_4180_has_it),
        cmocka_unit_test(a_row_of_another_length_fails_with_the_columns_there_are),
        cmocka_unit_test(a_quote_that_is_never_closed_fails_where_it_opens),
        cmocka_unit_test(a_tsv_cell_wholly_in_quotes_is_unquoted_and_a_lone_quote_is_text),
        cmocka_unit_test(what_quotes_mean_can_be_chosen),
        cmocka_unit_test(missing_and_twin_columns_are_named),
        cmocka_unit_test(a_header_of_another_layout_says_which),
        cmocka_unit_test(json_is_passed_on_as_it_stands),
        cmocka_unit_test(json_strings_are_decoded),
        cmocka_unit_test(what_is_no_json_fails_with_its_byte),
        cmocka_unit_test(json_nests_a_thousand_deep_and_no_deeper),
        cmocka_unit_test(a_row_of_too_many_columns_fails_and_the_next_one_is_read),
        cmocka_unit_test(a_record_over_the_limit_fails_and_is_not_held),
        cmocka_unit_test(what_is_there_is_given_before_more_is_waited_for),
        cmocka_unit_test(options_of_another_format_are_refused),
        cmocka_unit_test(a_path_tells_its_format),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
