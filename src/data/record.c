/* SPDX-License-Identifier: Apache-2.0 */
/* One record: what lies at a place becomes a text or two and fields, or a fault that says why not.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/column_names.h"
#include "data/json_members.h"
#include "data/rows.h"
#include "data/table_row.h"
#include "data/text_bytes.h"

char sqzi_rows_separator(const sqz_rows *rows)
{
    if (rows->options.format == SQZ_ROWS_TSV) return '\t';
    return rows->options.format == SQZ_ROWS_CSV ? ',' : '\0';
}

/* SQZ_ENOMEM where the text finds no room. */
static SQZI_PRINTF(4, 5) sqz_status
    fault(sqz_rows *rows, sqz_row *row, sqz_status status, const char *format, ...)
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
                                             sqzi_rows_separator(rows), rows->quotes, &rows->cells,
                                             &why);
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
    if (rows->text_at != SQZI_NO_COLUMN) row->text = cells[rows->text_at];
    row->pair = rows->text2_at != SQZI_NO_COLUMN;
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

sqz_status sqzi_read_record(sqz_rows *rows, sqz_row *row, const sqzi_line *place)
{
    *row = (sqz_row){.line = place->line};
    if (place->too_long)
        return fault(rows, row, SQZ_ELIMIT, "the record is longer than %d MB",
                     SQZ_MAX_RECORD_BYTES / 1000000);
    if (rows->options.format == SQZ_ROWS_LINES) return read_line(rows, row, place);
    if (rows->options.format == SQZ_ROWS_JSONL) return read_object(rows, row, place);
    return read_row(rows, row, place);
}
