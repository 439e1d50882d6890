/* SPDX-License-Identifier: Apache-2.0 */
/* Records in: texts from lines, csv, tsv and JSON Lines, by one rule for all of them. In
 * libsqueezebert-full.
 *
 *   line end   LF or CRLF, and the end of the input; a lone CR is text
 *   mark       U+FEFF as UTF-8 at the very start is dropped; UTF-16's is refused
 *   blank      a line of nothing but spaces, TABs and CRs is no record: it is skipped and counted
 *   bytes      NUL and ill-formed UTF-8 are text
 *   line       numbers count every line of the input from 1, blank ones, the header and those
 *              inside quotes too; a record's is the one it begins in
 *   length     a record has at most SQZ_MAX_RECORD_BYTES; a longer one fails and is not held
 *
 *     for (; (status = sqz_rows_next(rows, &row, &n, &error)) == SQZ_OK && n;)
 *         for (uint32_t r = 0; r < n; r++) use(&row[r]);
 */
#ifndef SQUEEZEBERT_DATA_H
#define SQUEEZEBERT_DATA_H

#include <squeezebert/context.h>
#include <squeezebert/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SQZ_MAX_RECORD_BYTES = 1 << 28, SQZ_MAX_COLUMNS = 1 << 16 };

/*   LINES  a line is a text; with `pair` its first TAB parts two texts
 *   CSV    RFC 4180 as Python's csv.DictReader reads it: a header, then rows; a cell in quotes may
 *          hold separators, line ends and doubled quotes
 *   TSV    the same with TAB; see sqz_quotes
 *   JSONL  a JSON object a line. What is not read is passed on as it stands, unparsed: 2^64, 0.1,
 *          1e400, NaN, Infinity, escapes, members that come twice
 */
typedef enum sqz_rows_format {
    SQZ_ROWS_LINES,
    SQZ_ROWS_CSV,
    SQZ_ROWS_TSV,
    SQZ_ROWS_JSONL
} sqz_rows_format;

/* What `"` means in a table.
 *
 *   AUTO  csv: as CSV below. tsv: a cell that is wholly in quotes, with none but doubled ones
 *         inside, loses them and its doubled ones are halved; any other `"` is text
 *   NONE  every `"` is text, and every line end ends the row
 *   CSV   RFC 4180, in a tsv too: what a spreadsheet writes where a cell holds TABs or line ends
 */
typedef enum sqz_quotes { SQZ_QUOTES_AUTO, SQZ_QUOTES_NONE, SQZ_QUOTES_CSV } sqz_quotes;

/* Where bytes come from.
 *
 *   name   what messages call it: a path, "stdin"
 *   read   fills bytes [n] and returns how many they are: 0 at the end, -1 with errno set where
 *          reading fails. May wait
 *   ready  1 where read would not wait. NULL: it never does
 *   user   what both are called with
 */
typedef struct sqz_rows_source {
    const char *name;
    ptrdiff_t (*read)(void *user, void *bytes, size_t n);
    int (*ready)(void *user);
    void *user;
    uint64_t reserved[2];
} sqz_rows_source;

/* Zero-initialise for lines.
 *
 *   allocator  copied; NULL for the C library's
 *   text       the column of the text; NULL: none is read, all of them are fields
 *   text2      the column of the second text; NULL: records have one
 *   pair       LINES: two texts a line
 *   no_header  tables: the first row is a record and fields have no names
 *   ragged     tables: a row may have fewer or more cells than the header; those beyond it have no
 *              names. Without it such a row fails
 *   portion    rows that sqz_rows_next gives at most; 0 = 512
 *
 * Strings must outlive the reader.
 */
typedef struct sqz_rows_options {
    const sqz_allocator *allocator;
    sqz_rows_format format;
    sqz_quotes quotes;
    const char *text, *text2;
    int pair;
    int no_header, ragged;
    uint32_t portion;
    uint64_t reserved[4];
} sqz_rows_options;

/* A column that is not read, in the order of the input.
 *
 *   name       of the column or member
 *   value      the cell; of JSONL the value as it stands, valid JSON but for NaN, Infinity and
 *              -Infinity, in one line
 *   json_name  JSONL: the name as it stands between its quotes, escapes and all
 *   json       1 where value is JSON
 */
typedef struct sqz_field {
    sqz_text name, value, json_name;
    int json;
} sqz_field;

/* A record, or why there is none: then status is SQZ_EFORMAT, SQZ_EINVAL (no TAB in a pair) or
 * SQZ_ELIMIT, `fault` says what was found and expected, and there are no texts; fields are there as
 * far as they could be read. */
typedef struct sqz_row {
    uint64_t line;
    sqz_status status;
    const char *fault;
    sqz_text text, second;
    int pair;
    const sqz_field *fields;
    uint32_t n_fields;
    uint64_t reserved[2];
} sqz_row;

typedef struct sqz_rows sqz_rows;

/* csv, tsv, jsonl and ndjson by the end of the path, in any case; else lines. */
SQZ_API sqz_rows_format sqz_rows_format_of(const char *path);

/* Open a reader; of a table, read its header (waits for it). An input without a header line has no
 * rows.
 * SQZ_EINVAL: an option is for another format. SQZ_EIO: reading fails. SQZ_EFORMAT: the header
 * lacks a column, names it twice, or opens a quote that nothing closes; UTF-16. SQZ_ELIMIT: a
 * header of too many bytes or columns. SQZ_ENOMEM. Texts of errors begin with the source's name and
 * the line. */
SQZ_API SQZ_NODISCARD sqz_status sqz_rows_open(const sqz_rows_source *source,
                                               const sqz_rows_options *options, sqz_rows **rows,
                                               sqz_error *error);
/* The same of a file, which is read in portions. SQZ_EIO: it cannot be opened. */
SQZ_API SQZ_NODISCARD sqz_status sqz_rows_open_file(const char *path,
                                                    const sqz_rows_options *options,
                                                    sqz_rows **rows, sqz_error *error);
SQZ_API void sqz_rows_close(sqz_rows *rows);

/* The next rows, at least one; 0 at the end. It waits for the first and then goes on as long as the
 * source is ready, up to options.portion rows or about 1 MB, so that a slow pipe is answered line
 * by line and a fast one in batches. Rows stay until the next call.
 * Memory: the portion, at least one record, and at most 56 bytes a field.
 * SQZ_EIO, SQZ_EFORMAT (UTF-16), SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_rows_next(sqz_rows *rows, const sqz_row **row, uint32_t *n,
                                               sqz_error *error);

/* The header's columns [n]; NULL and 0 where there is none. */
SQZ_API const sqz_text *sqz_rows_columns(const sqz_rows *rows, uint32_t *n);
/* Blank lines skipped so far. */
SQZ_API uint64_t sqz_rows_blank(const sqz_rows *rows);
/* What it was opened as: the source's name, the format. */
SQZ_API const char *sqz_rows_name(const sqz_rows *rows);
SQZ_API sqz_rows_format sqz_rows_kind(const sqz_rows *rows);

/* The string that a JSON value is, decoded to UTF-8 (a lone surrogate becomes U+FFFD): `value` as a
 * field holds it, `to` with room for value.n_bytes, which may be where it lies. Returns the bytes
 * written; -1: the value is no string. */
SQZ_API ptrdiff_t sqz_json_string(sqz_text value, char *to);

#ifdef __cplusplus
}
#endif

#endif
