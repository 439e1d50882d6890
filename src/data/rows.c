/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: places of records first, since their bytes may move while more is read, then the
 * records themselves (record.c). */
#include "data/rows.h"

#include <errno.h>
#include <string.h>

#include "data/column_names.h"
#include "data/json_members.h"
#include "data/table_row.h"
#include "data/text_bytes.h"

enum { PORTION = 512, PORTION_BYTES = 1 << 20 };

/* ---- the portion ---- */

/* The next record that is there, blank lines left out; *bytes grows by what was gone through. */
static sqz_status take_here(sqz_rows *rows, sqzi_line *place, size_t *bytes, bool *taken,
                            sqz_error *error)
{
    for (;;) {
        const sqz_status status = sqzi_source_take(&rows->lines, place, taken, error);
        if (status != SQZ_OK || !*taken) return status;
        *bytes += place->n + 1;
        if (place->too_long || !sqzi_is_blank(rows->lines.data + place->begin, place->n))
            return SQZ_OK;
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
        FAIL_IF(sqzi_read_record(rows, &rows->rows[r], &rows->places[r]) != SQZ_OK, SQZ_ENOMEM, 0,
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
        FAIL_IF(*at != SQZI_NO_COLUMN, SQZ_EFORMAT, 0,
                "%s: line %llu: two columns are named '%.60s'", rows->source.name,
                (unsigned long long)line, name);
        *at = c;
    }
    sqzi_list_names(rows->names, rows->n_names, sizeof *rows->names, list);
    FAIL_IF(*at == SQZI_NO_COLUMN, SQZ_EFORMAT, 0,
            "%s: line %llu: the header has no column '%.60s', it has %s%s", rows->source.name,
            (unsigned long long)line, name, list,
            sqzi_header_hint(rows->names, rows->n_names, sqzi_rows_separator(rows)));
fail:
    return status;
}

/* A CR and something else than LF behind it, not in quotes: the whole of an old Mac's table is one
 * line. */
static bool has_lone_cr(const char *bytes, size_t n)
{
    bool quoted = false;
    for (size_t i = 0; i + 1 < n; i++) {
        if (bytes[i] == '"') quoted = !quoted;
        if (!quoted && bytes[i] == '\r' && bytes[i + 1] != '\n') return true;
    }
    return false;
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
    FAIL_IF(has_lone_cr(rows->lines.data + place->begin, place->n), SQZ_EFORMAT, 0,
            "%s: line %llu: its lines end with CR alone: save it with LF or CR LF",
            rows->source.name, line);
    char *bytes = sqzi_store_take(&rows->header, place->n);
    FAIL_IF(!bytes, SQZ_ENOMEM, 0, "%s: no memory for the header", rows->source.name);
    memcpy(bytes, rows->lines.data + place->begin, place->n);
    rows->cells.used = 0;
    status = sqzi_row_split(bytes, place->n, sqzi_rows_separator(rows), rows->quotes, &rows->cells,
                            error);
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
    rows->text_at = rows->text2_at = SQZI_NO_COLUMN;
    rows->header.allocator = rows->store.allocator = &rows->allocator;
    rows->cells = (sqzi_buffer){.allocator = &rows->allocator, .limit = SQZ_MAX_COLUMNS * item};
    rows->lines = (sqzi_line_source){.source = &rows->source, .allocator = &rows->allocator};
    if (sqzi_rows_separator(rows) && rows->quotes == SQZ_QUOTES_CSV)
        rows->lines.separator = sqzi_rows_separator(rows);
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
    if (status == SQZ_OK && sqzi_rows_separator(rows) && !rows->options.no_header)
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

uint64_t sqz_rows_ill_formed(const sqz_rows *rows)
{
    return rows->lines.n_ill_formed;
}

const char *sqz_rows_name(const sqz_rows *rows)
{
    return rows->source.name;
}

sqz_rows_format sqz_rows_kind(const sqz_rows *rows)
{
    return rows->options.format;
}
