/* SPDX-License-Identifier: Apache-2.0 */
/* stdin as a source of the library's reader, and files that are read by it. */
#include "records.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORTION = 512 };

static sqz_rows *stdin_rows;
static cli_record *records;
static bool quotes_used; /* some input of this run is a table */

static ptrdiff_t read_stdin(void *user, void *bytes, size_t n)
{
    ssize_t got;
    (void)user;
    do got = read(STDIN_FILENO, bytes, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static int stdin_is_ready(void *user)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    (void)user;
    return poll(&input, 1, 0) > 0;
}

/* --quotes where it means something. */
static sqz_quotes quotes_of(sqz_rows_format format)
{
    if (format != SQZ_ROWS_CSV && format != SQZ_ROWS_TSV) return SQZ_QUOTES_AUTO;
    quotes_used = true;
    return (sqz_quotes)cli.quotes;
}

/* Die where a reader could not be opened. */
static void check_open(sqz_status status, const sqz_error *error, const char *what)
{
    if (status == SQZ_EFORMAT) cli_die(CLI_BAD_FILE, "%s (%s)", error->text, what);
    cli_check(status, error);
}

void cli_records_open(cli_reading how)
{
    static const sqz_rows_source source = {.name = "stdin",
                                           .read = read_stdin,
                                           .ready = stdin_is_ready};
    const bool pair = how.pair || cli.pair || cli.text2;
    sqz_error error = {0};
    if (cli.input == SQZ_ROWS_LINES && (cli.text || cli.text2))
        cli_die(CLI_USAGE, "--text and --text2 name columns: say --input csv, tsv or jsonl");
    const sqz_quotes quotes = quotes_of((sqz_rows_format)cli.input);
    if (cli.quotes && !quotes_used)
        cli_die(CLI_USAGE, "--quotes is for tables: say --input csv or tsv");
    const sqz_rows_options options = {.format = (sqz_rows_format)cli.input,
                                      .quotes = quotes,
                                      .text = cli.text     ? cli.text
                                              : how.column ? how.column
                                                           : "text",
                                      .text2 = !pair         ? NULL
                                               : cli.text2   ? cli.text2
                                               : how.column2 ? how.column2
                                                             : "text2",
                                      .pair = pair,
                                      .portion = how.most ? how.most : PORTION};
    if (cli.input != SQZ_ROWS_LINES) cli.json = true;
    check_open(sqz_rows_open(&source, &options, &stdin_rows, &error), &error,
               "--text and --text2 name columns, --input says what stdin holds");
    records = cli_allocate(NULL, options.portion * sizeof *records);
}

uint32_t cli_records_next(cli_record **out)
{
    const sqz_row *row;
    const uint32_t n = cli_next_rows(stdin_rows, &row);
    for (uint32_t r = 0; r < n; r++)
        records[r] = (cli_record){
            .input = {.text = row[r].text, .second = row[r].second, .pair = row[r].pair},
            .line = row[r].line,
            .status = row[r].status,
            .fault = row[r].fault,
            .fields = row[r].fields,
            .n_fields = row[r].n_fields};
    *out = records;
    return n;
}

void cli_records_close(void)
{
    cli_say_lines(stdin_rows);
    sqz_rows_close(stdin_rows);
    free(records);
    stdin_rows = NULL;
    records = NULL;
}

sqz_rows *cli_open_rows(const char *path, uint32_t format, const char *column, const char *what)
{
    sqz_error error = {0};
    sqz_rows *rows;
    const sqz_rows_format kind = format ? (sqz_rows_format)(format - 1) : sqz_rows_format_of(path);
    const sqz_rows_options options = {.format = kind, .quotes = quotes_of(kind), .text = column};
    check_open(sqz_rows_open_file(path, &options, &rows, &error), &error, what);
    return rows;
}

uint32_t cli_next_rows(sqz_rows *rows, const sqz_row **row)
{
    sqz_error error = {0};
    uint32_t n = 0;
    cli_check(sqz_rows_next(rows, row, &n, &error), &error);
    return n;
}

void cli_say_ill_formed(uint64_t n, const char *of)
{
    if (n)
        cli_say("%llu record%s of %s %s not UTF-8: the bytes that are not are read as U+FFFD "
                "(iconv -f WINDOWS-1252 -t UTF-8 converts a file from Windows)",
                (unsigned long long)n, n == 1 ? "" : "s", of, n == 1 ? "is" : "are");
}

void cli_say_lines(const sqz_rows *rows)
{
    const unsigned long long n = sqz_rows_blank(rows);
    if (n) cli_say("%llu blank line%s of %s skipped", n, n == 1 ? "" : "s", sqz_rows_name(rows));
    cli_say_ill_formed(sqz_rows_ill_formed(rows), sqz_rows_name(rows));
}

static void add_text(cli_texts *texts, size_t *room, const sqz_row *row)
{
    const size_t bytes = texts->n_bytes + row->text.n_bytes + 1;
    if (bytes > *room) texts->bytes = cli_allocate(texts->bytes, *room = 2 * bytes);
    if ((texts->n & (texts->n - 1)) == 0) /* 0 and the powers of two */
        texts->ends = cli_allocate(texts->ends,
                                   (texts->n ? 2 * texts->n : 1) * sizeof *texts->ends);
    if (row->text.n_bytes)
        memcpy(texts->bytes + texts->n_bytes, row->text.bytes, row->text.n_bytes);
    texts->bytes[bytes - 1] = ' ';
    texts->ends[texts->n++] = bytes - 1;
    texts->n_bytes = bytes;
}

cli_texts cli_read_texts(sqz_rows *rows, size_t most)
{
    const sqz_row *row;
    cli_texts texts = {0};
    size_t room = 0;
    for (uint32_t n; !texts.more && (n = cli_next_rows(rows, &row)) > 0;)
        for (uint32_t r = 0; r < n && !(texts.more = texts.n_bytes >= most); r++) {
            if (row[r].status != SQZ_OK)
                cli_die(CLI_BAD_FILE, "%s: line %llu: %s", sqz_rows_name(rows),
                        (unsigned long long)row[r].line, row[r].fault);
            add_text(&texts, &room, &row[r]);
        }
    if (!texts.n) cli_die(CLI_BAD_FILE, "%s: holds no text", sqz_rows_name(rows));
    return texts;
}

void cli_say_more(const sqz_rows *rows, const cli_texts *texts)
{
    if (texts->more)
        cli_say("%s: the first %zu texts, %.0f MB, are read, those behind them are not",
                sqz_rows_name(rows), texts->n, 1e-6 * (double)texts->n_bytes);
}
