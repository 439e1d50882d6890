/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: places of records first, since their bytes may move while more is read, then the
 * records themselves. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/column_names.h"
#include "data/json_members.h"
#include "data/line_source.h"
#include "data/table_row.h"
#include "data/text_store.h"

enum { PORTION = 512, PORTION_BYTES = 1 << 20, NO_COLUMN = -1 };

struct sqz_rows {
    sqz_allocator allocator;
    sqz_rows_options options;
    sqz_rows_source source;
    sqz_quotes quotes; /* of this format, AUTO resolved for csv */
    FILE *file;        /* of sqz_rows_open_file */
    sqzi_line_source lines;
    uint64_t n_blank;
    sqzi_text_store header; /* the header's bytes and names */
    sqz_text *names;
    uint32_t n_names;
    int64_t text_at, text2_at; /* columns of a table */
    uint32_t portion;
    sqzi_line *places;    /* [portion] */
    sqz_row *rows;         /* [portion] */
    sqzi_buffer cells;     /* of the row at hand: sqz_text, or sqzi_json_member */
    sqzi_text_store store; /* fields and faults of the portion */
};

static bool is_table(const sqz_rows *rows)
{
    return rows->options.format == SQZ_ROWS_CSV || rows->options.format == SQZ_ROWS_TSV;
}

static char separator_of(const sqz_rows *rows)
{
    return rows->options.format == SQZ_ROWS_CSV ? ',' : '\t';
}

/* SQZ_ENOMEM where the text finds no room. */
static SQZI_PRINTF(4, 5) sqz_status fault(sqz_rows *rows, sqz_row *row, sqz_status status,
                                          const char *format, ...)
{
    enum { FAULT_BYTES = 400 };
    char *text = sqzi_store_take(&rows->store, FAULT_BYTES);
    if (!text) return SQZ_ENOMEM;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, FAULT_BYTES, format, arguments);
    va_end(arguments);
    *row = (sqz_row){.line = row->line,
                     .status = status,
                     .fault = text,
                     .fields = row->fields,
                     .n_fields = row->n_fields};
    return SQZ_OK;
}

static sqz_status too_many_columns(sqz_rows *rows, sqz_row *row)
{
    return fault(rows, row, SQZ_ELIMIT, "more than %d columns", SQZ_MAX_COLUMNS);
}

/* Room for the fields of a row. */
static sqz_field *take_fields(sqz_rows *rows, sqz_row *row, size_t n)
{
    sqz_field *fields = sqzi_store_take(&rows->store, n * sizeof *fields);
    row->fields = fields;
    row->n_fields = 0;
    return fields;
}

static sqz_status put_cells(sqz_rows *rows, sqz_row *row, const sqz_text *cells, uint32_t n)
{
    sqz_field *fields = take_fields(rows, row, n);
    if (!fields) return SQZ_ENOMEM;
    for (uint32_t c = 0; c < n; c++)
        if (c != rows->text_at && c != rows->text2_at)
            fields[row->n_fields++] = (sqz_field){.name = c < rows->n_names ? rows->names[c]
                                                                            : (sqz_text){"", 0},
                                                  .value = cells[c]};
    return SQZ_OK;
}

static sqz_status read_row(sqz_rows *rows, sqz_row *row, const sqzi_line *place)
{
    sqz_error why;
    char list[SQZI_NAMES_BYTES];
    rows->cells.used = 0;
    const sqz_status status = sqzi_row_split(rows->lines.data + place->begin, place->n,
                                             separator_of(rows), rows->quotes, &rows->cells, &why);
    if (status == SQZ_ELIMIT) return too_many_columns(rows, row);
    if (status != SQZ_OK) return status;
    const sqz_text *cells = (const void *)rows->cells.data;
    const uint32_t n = (uint32_t)(rows->cells.used / sizeof *cells);
    if (put_cells(rows, row, cells, n) != SQZ_OK) return SQZ_ENOMEM;
    if (place->open)
        return fault(rows, row, SQZ_EFORMAT, "a quote that begins in this row is never closed");
    if (n != rows->n_names && !rows->options.no_header && !rows->options.ragged) {
        sqzi_list_names(rows->names, rows->n_names, sizeof *rows->names, list);
        return fault(rows, row, SQZ_EFORMAT, "the row has %u columns, the header %u: %s", n,
                     rows->n_names, list);
    }
    if (rows->text_at >= n || rows->text2_at >= n)
        return fault(rows, row, SQZ_EFORMAT, "the row has %u columns, too few for its text", n);
    if (rows->text_at != NO_COLUMN) row->text = cells[rows->text_at];
    row->pair = rows->text2_at != NO_COLUMN;
    if (row->pair) row->second = cells[rows->text2_at];
    return SQZ_OK;
}

/* A member's name as a program compares it; the decoded bytes of one with escapes are the
 * portion's. */
static sqz_status decode_name(sqz_rows *rows, sqz_text name, sqz_text *decoded)
{
    *decoded = name;
    if (!name.n_bytes || !memchr(name.bytes, '\\', name.n_bytes)) return SQZ_OK;
    char *text = sqzi_store_take(&rows->store, name.n_bytes);
    if (!text) return SQZ_ENOMEM;
    *decoded = (sqz_text){text, sqzi_json_decode(name, text)};
    return SQZ_OK;
}

/* The string that is a text of the record: the last one of this name, as in Python. It is decoded
 * where it lies, since it is not passed on. */
static sqz_status take_string(sqz_rows *rows, sqz_row *row, const char *name,
                              const sqzi_json_member *found, sqz_text *text)
{
    char list[SQZI_NAMES_BYTES];
    if (row->status != SQZ_OK) return SQZ_OK;
    if (!found) {
        const sqzi_json_member *members = (const void *)rows->cells.data;
        sqzi_list_names(members ? &members->name : NULL, rows->cells.used / sizeof *members,
                        sizeof *members, list);
        return fault(rows, row, SQZ_EFORMAT, "the object has no '%.60s', it has %s", name, list);
    }
    char *to = rows->lines.data + (found->value.bytes - rows->lines.data);
    const ptrdiff_t n = sqz_json_string(found->value, to);
    if (n < 0)
        return fault(rows, row, SQZ_EFORMAT, "'%.60s' is %.*s: a string is expected", name,
                     (int)(found->value.n_bytes < 40 ? found->value.n_bytes : 40),
                     found->value.bytes);
    *text = (sqz_text){to, (size_t)n};
    return SQZ_OK;
}

static sqz_status put_members(sqz_rows *rows, sqz_row *row, const sqzi_json_member *found[2])
{
    sqz_status status = SQZ_OK;
    const sqzi_json_member *members = (const void *)rows->cells.data;
    const size_t n = rows->cells.used / sizeof *members;
    sqz_field *fields = take_fields(rows, row, n);
    if (!fields) return SQZ_ENOMEM;
    for (size_t m = 0; m < n; m++) {
        sqz_text name;
        TRY(decode_name(rows, members[m].name, &name));
        if (sqzi_text_is(name, rows->options.text)) found[0] = &members[m];
        else if (sqzi_text_is(name, rows->options.text2)) found[1] = &members[m];
        else
            fields[row->n_fields++] = (sqz_field){
                .name = name, .value = members[m].value, .json_name = members[m].name, .json = 1};
    }
fail:
    return status;
}

static sqz_status read_object(sqz_rows *rows, sqz_row *row, const sqzi_line *place)
{
    const sqzi_json_member *found[2] = {NULL, NULL};
    sqz_error why = {0};
    rows->cells.used = 0;
    sqz_status status = sqzi_json_members(rows->lines.data + place->begin, place->n, &rows->cells,
                                          &why);
    if (status == SQZ_ELIMIT && rows->cells.used + sizeof(sqzi_json_member) > rows->cells.limit)
        return too_many_columns(rows, row);
    if (status == SQZ_EFORMAT || status == SQZ_ELIMIT)
        return fault(rows, row, status, "%s", why.text);
    if (status == SQZ_OK) status = put_members(rows, row, found);
    if (status != SQZ_OK) return status;
    if (rows->options.text)
        status = take_string(rows, row, rows->options.text, found[0], &row->text);
    if (status == SQZ_OK && rows->options.text2) {
        sqz_text second = {NULL, 0};
        status = take_string(rows, row, rows->options.text2, found[1], &second);
        row->second = second;
        row->pair = row->status == SQZ_OK;
    }
    return status;
}

static sqz_status read_line(sqz_rows *rows, sqz_row *row, const sqzi_line *place)
{
    const char *line = rows->lines.data + place->begin;
    const char *tab = rows->options.pair ? memchr(line, '\t', place->n) : NULL;
    row->text = (sqz_text){line, place->n};
    if (!rows->options.pair) return SQZ_OK;
    if (!tab) return fault(rows, row, SQZ_EINVAL, "the line has no TAB between two texts");
    row->pair = 1;
    row->text.n_bytes = (size_t)(tab - line);
    row->second = (sqz_text){tab + 1, place->n - (size_t)(tab + 1 - line)};
    return SQZ_OK;
}

static sqz_status read_record(sqz_rows *rows, sqz_row *row, const sqzi_line *place)
{
    *row = (sqz_row){.line = place->line};
    if (place->too_long)
        return fault(rows, row, SQZ_ELIMIT, "the record is longer than %d MB",
                     SQZ_MAX_RECORD_BYTES / 1000000);
    if (rows->options.format == SQZ_ROWS_LINES) return read_line(rows, row, place);
    if (rows->options.format == SQZ_ROWS_JSONL) return read_object(rows, row, place);
    return read_row(rows, row, place);
}

static bool is_blank(const sqz_rows *rows, const sqzi_line *place)
{
    const char *bytes = rows->lines.data + place->begin;
    for (size_t i = 0; i < place->n; i++)
        if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r') return false;
    return !place->too_long;
}

/* ---- the portion ---- */

/* The next record that is there, blank lines left out; *bytes grows by what was gone through. */
static sqz_status take_here(sqz_rows *rows, sqzi_line *place, size_t *bytes, bool *taken,
                            sqz_error *error)
{
    for (;;) {
        const sqz_status status = sqzi_source_take(&rows->lines, place, taken, error);
        if (status != SQZ_OK || !*taken) return status;
        *bytes += place->n + 1;
        if (!is_blank(rows, place)) return SQZ_OK;
        rows->n_blank++;
        *taken = false;
    }
}

static sqz_status find_places(sqz_rows *rows, uint32_t *n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t bytes = 0;
    for (*n = 0; *n < rows->portion && bytes < PORTION_BYTES;) {
        bool taken, more;
        TRY(take_here(rows, &rows->places[*n], &bytes, &taken, error));
        if (taken) {
            ++*n;
            continue;
        }
        if (*n && !sqzi_source_ready(&rows->lines)) break; /* answered before more is waited for */
        if (!*n) {
            sqzi_source_forget(&rows->lines); /* blank lines alone do not pile up */
            bytes = 0;
        }
        const bool was_at_end = rows->lines.at_end;
        TRY(sqzi_source_read(&rows->lines, &more, error));
        if (!more && was_at_end) break;
    }
fail:
    return status;
}

sqz_status sqz_rows_next(sqz_rows *rows, const sqz_row **row, uint32_t *n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!rows || !row || !n)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_rows_next: an argument is NULL");
    *n = 0;
    *row = rows->rows;
    sqzi_store_forget(&rows->store);
    sqzi_source_forget(&rows->lines);
    uint32_t found = 0;
    do TRY(find_places(rows, &found, error));
    while (!found && !(rows->lines.at_end && rows->lines.begin == rows->lines.end));
    for (uint32_t r = 0; r < found; r++)
        FAIL_IF(read_record(rows, &rows->rows[r], &rows->places[r]) != SQZ_OK, SQZ_ENOMEM, 0,
                "%s: line %llu: no memory for its columns", rows->source.name,
                (unsigned long long)rows->places[r].line);
    *n = found;
fail:
    return status;
}

/* ---- the header ---- */

static sqz_status find_column(const sqz_rows *rows, const char *name, uint64_t line, int64_t *at,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char list[SQZI_NAMES_BYTES];
    if (!name) return SQZ_OK;
    for (uint32_t c = 0; c < rows->n_names; c++) {
        if (!sqzi_text_is(rows->names[c], name)) continue;
        FAIL_IF(*at != NO_COLUMN, SQZ_EFORMAT, 0, "%s: line %llu: two columns are named '%.60s'",
                rows->source.name, (unsigned long long)line, name);
        *at = c;
    }
    sqzi_list_names(rows->names, rows->n_names, sizeof *rows->names, list);
    FAIL_IF(*at == NO_COLUMN, SQZ_EFORMAT, 0,
            "%s: line %llu: the header has no column '%.60s', it has %s", rows->source.name,
            (unsigned long long)line, name, list);
fail:
    return status;
}

/* The header's names are kept for good. */
static sqz_status keep_header(sqz_rows *rows, const sqzi_line *place, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const unsigned long long line = place->line;
    FAIL_IF(place->too_long, SQZ_ELIMIT, 0, "%s: line %llu: the header is longer than %d MB",
            rows->source.name, line, SQZ_MAX_RECORD_BYTES / 1000000);
    FAIL_IF(place->open, SQZ_EFORMAT, 0,
            "%s: line %llu: a quote that begins in the header is never closed", rows->source.name,
            line);
    char *bytes = sqzi_store_take(&rows->header, place->n);
    FAIL_IF(!bytes, SQZ_ENOMEM, 0, "%s: no memory for the header", rows->source.name);
    memcpy(bytes, rows->lines.data + place->begin, place->n);
    rows->cells.used = 0;
    status = sqzi_row_split(bytes, place->n, separator_of(rows), rows->quotes, &rows->cells, error);
    FAIL_IF(status == SQZ_ELIMIT, SQZ_ELIMIT, 0,
            "%s: line %llu: the header has more than %d columns", rows->source.name, line,
            SQZ_MAX_COLUMNS);
    if (status != SQZ_OK) goto fail;
    rows->names = sqzi_store_take(&rows->header, rows->cells.used);
    FAIL_IF(!rows->names, SQZ_ENOMEM, 0, "%s: no memory for the header", rows->source.name);
    memcpy(rows->names, rows->cells.data, rows->cells.used);
    rows->n_names = (uint32_t)(rows->cells.used / sizeof *rows->names);
    TRY(find_column(rows, rows->options.text, place->line, &rows->text_at, error));
    TRY(find_column(rows, rows->options.text2, place->line, &rows->text2_at, error));
fail:
    return status;
}

static sqz_status read_header(sqz_rows *rows, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_line place;
    size_t bytes = 0;
    bool taken, more = true;
    for (bool last = false;; last = !more) {
        TRY(take_here(rows, &place, &bytes, &taken, error));
        if (taken) return keep_header(rows, &place, error);
        if (last) return SQZ_OK;
        sqzi_source_forget(&rows->lines);
        TRY(sqzi_source_read(&rows->lines, &more, error));
    }
fail:
    return status;
}

/* ---- opening and closing ---- */

static sqz_status take_memory(sqz_rows *rows, sqz_error *error)
{
    rows->places = sqzi_allocate_zeroed(&rows->allocator, rows->portion, sizeof *rows->places);
    rows->rows = sqzi_allocate_zeroed(&rows->allocator, rows->portion, sizeof *rows->rows);
    if (rows->places && rows->rows) return SQZ_OK;
    return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u rows", rows->portion);
}

static void set_up(sqz_rows *rows, const sqz_rows_options *o)
{
    const size_t item = o->format == SQZ_ROWS_JSONL ? sizeof(sqzi_json_member) : sizeof(sqz_text);
    rows->options = *o;
    rows->quotes = o->quotes == SQZ_QUOTES_AUTO && o->format == SQZ_ROWS_CSV ? SQZ_QUOTES_CSV
                                                                             : o->quotes;
    rows->portion = o->portion ? o->portion : PORTION;
    rows->text_at = rows->text2_at = NO_COLUMN;
    rows->header.allocator = rows->store.allocator = &rows->allocator;
    rows->cells = (sqzi_buffer){.allocator = &rows->allocator, .limit = SQZ_MAX_COLUMNS * item};
    rows->lines = (sqzi_line_source){.source = &rows->source, .allocator = &rows->allocator};
    if (is_table(rows) && rows->quotes == SQZ_QUOTES_CSV)
        rows->lines.separator = separator_of(rows);
}

static sqz_status check_options(const sqz_rows_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool table = o->format == SQZ_ROWS_CSV || o->format == SQZ_ROWS_TSV;
    TRY(SQZI_RESERVED(o, "sqz_rows_options", error));
    TRY(SQZI_RESERVED(o->allocator, "sqz_allocator", error));
    FAIL_IF((unsigned)o->format > SQZ_ROWS_JSONL || (unsigned)o->quotes > SQZ_QUOTES_CSV,
            SQZ_EINVAL, 0, "a reader of rows: format %d or quotes %d is unknown", (int)o->format,
            (int)o->quotes);
    FAIL_IF(!table && (o->quotes || o->no_header || o->ragged), SQZ_EINVAL, 0,
            "a reader of rows: quotes, no_header and ragged are for csv and tsv");
    FAIL_IF(o->no_header && (o->text || o->text2), SQZ_EINVAL, 0,
            "a reader of rows: without a header no column has the name of a text");
fail:
    return status;
}

static sqz_status make(const sqz_rows_options *given, sqz_rows **out, sqz_error *error)
{
    static const sqz_rows_options defaults = {0};
    const sqz_rows_options *options = given ? given : &defaults;
    const sqz_status status = check_options(options, error);
    if (status != SQZ_OK) return status;
    const sqz_allocator *allocator = options->allocator ? options->allocator
                                                        : &sqzi_default_allocator;
    sqz_rows *rows = sqzi_allocate_zeroed(allocator, 1, sizeof *rows);
    if (!rows) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a reader of records");
    rows->allocator = *allocator;
    set_up(rows, options);
    *out = rows;
    return SQZ_OK;
}

static sqz_status begin(sqz_rows *rows, sqz_rows **out, sqz_error *error)
{
    sqz_status status = take_memory(rows, error);
    if (status == SQZ_OK && is_table(rows) && !rows->options.no_header)
        status = read_header(rows, error);
    if (status == SQZ_OK) *out = rows;
    else sqz_rows_close(rows);
    return status;
}

sqz_status sqz_rows_open(const sqz_rows_source *source, const sqz_rows_options *options,
                         sqz_rows **out, sqz_error *error)
{
    if (!source || !source->name || !source->read || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_rows_open: an argument is NULL");
    *out = NULL;
    sqz_rows *rows = NULL;
    sqz_status status = SQZI_RESERVED(source, "sqz_rows_source", error);
    if (status == SQZ_OK) status = make(options, &rows, error);
    if (status != SQZ_OK) return status;
    rows->source = *source;
    return begin(rows, out, error);
}

static ptrdiff_t read_file(void *user, void *bytes, size_t n)
{
    const size_t got = fread(bytes, 1, n, user);
    return got == 0 && ferror((FILE *)user) ? -1 : (ptrdiff_t)got;
}

sqz_status sqz_rows_open_file(const char *path, const sqz_rows_options *options, sqz_rows **out,
                              sqz_error *error)
{
    if (!path || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_rows_open_file: an argument is NULL");
    *out = NULL;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return sqzi_fail(error, sqz_status_of_errno(errno, 0), 0, "%s: cannot open: %s", path,
                          strerror(errno));
    sqz_rows *rows = NULL;
    const sqz_status status = make(options, &rows, error);
    if (status != SQZ_OK) (void)fclose(file);
    if (status != SQZ_OK) return status;
    rows->file = file;
    rows->source = (sqz_rows_source){.name = path, .read = read_file, .user = file};
    return begin(rows, out, error);
}

void sqz_rows_close(sqz_rows *rows)
{
    if (!rows) return;
    const sqz_allocator allocator = rows->allocator;
    if (rows->file) (void)fclose(rows->file);
    sqzi_source_free(&rows->lines);
    sqzi_store_free(&rows->header);
    sqzi_store_free(&rows->store);
    sqzi_buffer_free(&rows->cells);
    if (rows->places) sqzi_release(&allocator, rows->places, rows->portion * sizeof *rows->places);
    if (rows->rows) sqzi_release(&allocator, rows->rows, rows->portion * sizeof *rows->rows);
    sqzi_release(&allocator, rows, sizeof *rows);
}

const sqz_text *sqz_rows_columns(const sqz_rows *rows, uint32_t *n)
{
    *n = rows->n_names;
    return rows->names;
}

uint64_t sqz_rows_blank(const sqz_rows *rows)
{
    return rows->n_blank;
}

const char *sqz_rows_name(const sqz_rows *rows)
{
    return rows->source.name;
}

sqz_rows_format sqz_rows_kind(const sqz_rows *rows)
{
    return rows->options.format;
}
