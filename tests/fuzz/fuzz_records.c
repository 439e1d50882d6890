/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of records: lines, pairs, csv, tsv, jsonl. The first byte chooses which (bits 0-1),
 * two texts (2), what quotes mean (3-4), no header (5), ragged rows (6), every column a field (7);
 * the bytes come in portions of lengths that depend on them. */
#include <squeezebert/data.h>
#include <string.h>

#include "fuzz/fuzz.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("\n"),
    SQZT_TOKEN("\r\n"),
    SQZT_TOKEN(","),
    SQZT_TOKEN("\t"),
    SQZT_TOKEN("\""),
    SQZT_TOKEN("\"\""),
    SQZT_TOKEN("\",\""),
    SQZT_TOKEN("\0"),
    SQZT_TOKEN("{\"text\":\"a\"}\n"),
    SQZT_TOKEN("\"text\":"),
    SQZT_TOKEN("\"text2\":\"\\u0000\""),
    SQZT_TOKEN("null"),
    SQZT_TOKEN("[1,2,{}]"),
    SQZT_TOKEN("\\u0000"),
    SQZT_TOKEN("\\ud800"),
    SQZT_TOKEN("1e400"),
    SQZT_TOKEN("NaN"),
    SQZT_TOKEN("-Infinity"),
    SQZT_TOKEN("\\ud83d\\ude00"),
    SQZT_TOKEN("\r"),
    SQZT_TOKEN("\n \t\r\n"),
    SQZT_TOKEN("text,text2\n"),
    SQZT_TOKEN("text\ttext2\n"),
    SQZT_TOKEN("\xEF\xBB\xBF"),
    SQZT_TOKEN("{"),
    SQZT_TOKEN("}"),
    SQZT_TOKEN("["),
};

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

static unsigned sum;

static void touch(sqz_text text)
{
    for (size_t i = 0; i < text.n_bytes; i++) sum += (unsigned char)text.bytes[i];
}

typedef struct tape {
    const uint8_t *bytes;
    size_t n, at;
} tape;

static ptrdiff_t read_tape(void *user, void *bytes, size_t n)
{
    tape *t = user;
    size_t got = t->n - t->at;
    if (got > n) got = n;
    if (got && got > 1u + t->bytes[t->at] % 50u) got = 1u + t->bytes[t->at] % 50u;
    if (got) memcpy(bytes, t->bytes + t->at, got);
    t->at += got;
    return (ptrdiff_t)got;
}

static int tape_is_ready(void *user)
{
    const tape *t = user;
    return t->at == t->n || t->bytes[t->at] % 3 != 0;
}

/* What is passed on must be a value that stays in its line. */
static void check_field(const sqz_field *field)
{
    touch(field->name);
    touch(field->value);
    if (!field->json) return;
    touch(field->json_name);
    if (!field->value.n_bytes) sqzt_fuzz_breach("a value of no bytes");
    for (size_t i = 0; i < field->value.n_bytes; i++)
        if ((unsigned char)field->value.bytes[i] < 0x20)
            sqzt_fuzz_breach("a control character in JSON");
}

static void check_row(const sqz_row *row, uint64_t *line)
{
    if (row->line <= *line) sqzt_fuzz_breach("lines do not rise");
    *line = row->line;
    for (uint32_t f = 0; f < row->n_fields; f++) check_field(&row->fields[f]);
    if (row->status != SQZ_OK && (!row->fault || !row->fault[0]))
        sqzt_fuzz_breach("a fault without a text");
    touch(row->text);
    if (row->pair) touch(row->second);
}

static void read_all(const sqz_rows_source *source, const sqz_rows_options *options, size_t n)
{
    sqz_rows *rows = NULL;
    const sqz_row *row;
    uint32_t found = 0;
    uint64_t line = 0;
    sqz_error error = {0};
    sqz_status status = sqz_rows_open(source, options, &rows, &error);
    while (status == SQZ_OK) {
        status = sqz_rows_next(rows, &row, &found, &error);
        if (status != SQZ_OK || !found) break;
        if (found > options->portion) sqzt_fuzz_breach("more rows than a portion");
        for (uint32_t r = 0; r < found; r++) check_row(&row[r], &line);
    }
    if (status != SQZ_OK && (status != SQZ_EFORMAT || !strstr(error.text, "tape: line ")))
        sqzt_fuzz_breach("an error that does not name its place");
    if (rows && (line > n || sqz_rows_blank(rows) > n)) sqzt_fuzz_breach("more lines than bytes");
    sqz_rows_close(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n) return 0;
    tape t = {data + 1, n - 1, 0};
    const sqz_rows_source source = {
        .name = "tape", .read = read_tape, .ready = tape_is_ready, .user = &t};
    const sqz_allocator allocator = sqzt_allocator(&sqzt_fuzz_memory);
    const unsigned how = data[0];
    const bool table = (how & 3) == SQZ_ROWS_CSV || (how & 3) == SQZ_ROWS_TSV;
    const sqz_rows_options options = {.allocator = &allocator,
                                      .format = (sqz_rows_format)(how & 3),
                                      .quotes = table ? (sqz_quotes)((how >> 3 & 3) % 3)
                                                      : SQZ_QUOTES_AUTO,
                                      .text = how >> 5 & 5 ? NULL : "text",
                                      .text2 = how >> 2 & 1 && !(how >> 5 & 5) ? "text2" : NULL,
                                      .pair = how >> 2 & 1,
                                      .no_header = table && how >> 5 & 1,
                                      .ragged = table && how >> 6 & 1,
                                      .portion = 7};
    sqzt_fuzz_begin(n);
    read_all(&source, &options, n);
    sqzt_fuzz_end();
    return 0;
}
