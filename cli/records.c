/* SPDX-License-Identifier: Apache-2.0 */
/* Records from their bytes: a line, a pair, a row of a table, a JSON object. */
#include "records.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

enum { PORTION = 512, PORTION_BYTES = 1 << 20, MAX_COLUMNS = 1024 };
enum { LINES, CSV, TSV, JSONL };

static cli_source source;
static bool pairs;
static const char *column, *column2;
static cli_record *records;
static uint32_t n_records, capacity;
static cli_place *places;
/* of a csv or tsv table */
static char *header_bytes, **names;
static uint32_t n_names, text_at, text2_at;

static sqz_text *cells; /* [MAX_COLUMNS] of the row at hand */

static void fault(cli_record *record, sqz_status status, const char *text)
{
    record->status = status;
    snprintf(record->fault, sizeof record->fault, "%s", text);
}

/* A quoted csv cell, its quotes taken off and doubled ones halved in place. */
static sqz_text unquote(char *cell, size_t n)
{
    size_t out = 0;
    bool open = true;
    if (!n || cell[0] != '"') return (sqz_text){cell, n};
    for (size_t i = 1; i < n; i++) {
        if (open && cell[i] == '"') {
            if (i + 1 < n && cell[i + 1] == '"') i++;
            else {
                open = false;
                continue;
            }
        }
        cell[out++] = cell[i];
    }
    return (sqz_text){cell, out};
}

/* Cut a row into cells. A csv row may hold separators in quotes. */
static uint32_t split(char *row, size_t n)
{
    const char separator = cli.input == CSV ? ',' : '\t';
    uint32_t count = 0;
    if (n && row[n - 1] == '\r') n--;
    for (size_t begin = 0; count < MAX_COLUMNS;) {
        size_t end = begin;
        bool quoted = cli.input == CSV && begin < n && row[begin] == '"';
        for (bool inside = quoted; end < n && (inside || row[end] != separator); end++)
            if (quoted && row[end] == '"' && end > begin) inside = !inside;
        cells[count++] = quoted ? unquote(row + begin, end - begin)
                                : (sqz_text){row + begin, end - begin};
        if (end >= n) break;
        begin = end + 1;
    }
    return count;
}

static uint32_t find_column(const char *name)
{
    for (uint32_t c = 0; c < n_names; c++)
        if (strcmp(names[c], name) == 0) return c;
    cli_die(CLI_BAD_FILE, "the table's header has no column '%s': name one with --text or --text2",
            name);
}

/* The header's names are kept for good. */
static void read_header(char *row, size_t n)
{
    if (n >= 3 && memcmp(row, "\xEF\xBB\xBF", 3) == 0) {
        row += 3;
        n -= 3;
    }
    header_bytes = cli_allocate(NULL, n + 1);
    memcpy(header_bytes, row, n);
    n_names = split(header_bytes, n);
    names = cli_allocate(NULL, n_names * sizeof *names);
    for (uint32_t c = 0; c < n_names; c++) {
        names[c] = cli_allocate(NULL, cells[c].n_bytes + 1);
        memcpy(names[c], cells[c].bytes, cells[c].n_bytes);
        names[c][cells[c].n_bytes] = '\0';
    }
    text_at = find_column(column);
    text2_at = pairs ? find_column(column2) : UINT32_MAX;
}

static void read_row(cli_record *record, char *row, size_t n)
{
    const uint32_t count = split(row, n);
    char text[160];
    if (count != n_names) {
        snprintf(text, sizeof text, "the row has %u columns, the header %u", count, n_names);
        fault(record, SQZ_EFORMAT, text);
        return;
    }
    record->input = (sqz_input){.text = cells[text_at], .pair = pairs};
    if (pairs) record->input.second = cells[text2_at];
    record->fields = cli_allocate(NULL, n_names * sizeof *record->fields);
    for (uint32_t c = 0; c < n_names; c++)
        if (c != text_at && c != text2_at)
            record->fields[record->n_fields++] = (cli_field){names[c], cells[c], NULL};
}

static char *copy(const char *bytes, size_t n)
{
    char *text = cli_allocate(NULL, n + 1);
    memcpy(text, bytes, n);
    text[n] = '\0';
    return text;
}

/* The object's string under this key, copied; a fault where there is none. */
static sqz_text take_string(cli_record *record, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    char text[160];
    if (json_is_string(value))
        return (sqz_text){copy(json_string_value(value), json_string_length(value)),
                          json_string_length(value)};
    snprintf(text, sizeof text, "the object has no string '%.60s'", key);
    fault(record, SQZ_EFORMAT, text);
    return (sqz_text){NULL, 0};
}

/* What jansson takes for values, at most: "{}," is three bytes of text and 240 of memory. A line
 * that would take too much is refused unread. */
static bool fits_memory(const char *line, size_t n)
{
    enum { OBJECT = 240, ARRAY = 136, MEMBER = 130, ELEMENT = 90, FACTOR = 12, SPARE = 40000000 };
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += line[i] == '{'   ? OBJECT
                 : line[i] == '[' ? ARRAY
                 : line[i] == ':' ? MEMBER
                 : line[i] == ',' ? ELEMENT
                                  : 0;
    return bytes <= FACTOR * n + SPARE;
}

/* The texts are copies here and are released with the record. */
static void read_object(cli_record *record, const char *line, size_t n)
{
    json_error_t error;
    char text[160];
    if (!fits_memory(line, n)) {
        fault(
            record, SQZ_ELIMIT,
            "the JSON holds so many values that they would take over 16 times its bytes and 64 MB");
        return;
    }
    json_t *object = json_loadb(line, n, JSON_ALLOW_NUL, &error), *value;
    const char *key;
    if (!json_is_object(object)) {
        snprintf(text, sizeof text, "not a JSON object: %.120s",
                 object ? "another value" : error.text);
        fault(record, SQZ_EFORMAT, text);
        json_decref(object);
        return;
    }
    record->input = (sqz_input){.text = take_string(record, object, column), .pair = pairs};
    if (pairs) record->input.second = take_string(record, object, column2);
    record->fields = cli_allocate(NULL, json_object_size(object) * sizeof *record->fields);
    json_object_foreach(object, key, value) {
        if (strcmp(key, column) == 0 || (pairs && strcmp(key, column2) == 0)) continue;
        record->fields[record->n_fields++] = (cli_field){
            copy(key, strlen(key)), {NULL, 0}, json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY)};
    }
    json_decref(object);
}

static void read_line(cli_record *record, const char *line, size_t n)
{
    const char *tab = pairs ? memchr(line, '\t', n) : NULL;
    record->input = (sqz_input){.text = {line, n}, .pair = pairs};
    if (!pairs) return;
    if (!tab) {
        fault(record, SQZ_EINVAL, "the line has no TAB between two texts");
        return;
    }
    record->input.text.n_bytes = (size_t)(tab - line);
    record->input.second = (sqz_text){tab + 1, n - (size_t)(tab + 1 - line)};
}

static void read_record(cli_record *record, const cli_place *place)
{
    char *bytes = source.data + place->begin;
    *record = (cli_record){.status = SQZ_OK};
    if (place->too_long) fault(record, SQZ_ELIMIT, "the record is longer than 268 MB");
    else if (cli.input == LINES) read_line(record, bytes, place->n);
    else if (cli.input == JSONL) read_object(record, bytes, place->n);
    else read_row(record, bytes, place->n);
}

static void release(cli_record *record)
{
    json_free_t free_json;
    json_get_alloc_funcs(NULL, &free_json);
    if (cli.input == JSONL) {
        free((char *)(uintptr_t)record->input.text.bytes);
        free((char *)(uintptr_t)record->input.second.bytes);
        for (uint32_t f = 0; f < record->n_fields; f++) {
            free((char *)(uintptr_t)record->fields[f].name);
            free_json(record->fields[f].json);
        }
    }
    free(record->fields);
}

static void forget(void)
{
    for (uint32_t r = 0; r < n_records; r++) release(&records[r]);
    n_records = 0;
    cli_source_forget(&source);
}

static bool take(cli_place *place)
{
    while (!cli_source_take(&source, place))
        if (!cli_source_read(&source)) return cli_source_take(&source, place);
    return true;
}

void cli_records_open(cli_reading how)
{
    cli_place place;
    pairs = how.pair || cli.pair || cli.text2;
    column = cli.text ? cli.text : how.column ? how.column : "text";
    column2 = cli.text2 ? cli.text2 : how.column2 ? how.column2 : "text2";
    capacity = how.most ? how.most : PORTION;
    records = cli_allocate(NULL, capacity * sizeof *records);
    places = cli_allocate(NULL, capacity * sizeof *places);
    cells = cli_allocate(NULL, MAX_COLUMNS * sizeof *cells);
    source.csv = cli.input == CSV;
    if (cli.input == LINES && (cli.text || cli.text2))
        cli_die(CLI_USAGE, "--text and --text2 name columns: say --input csv, tsv or jsonl");
    if (cli.input != LINES) cli.json = true;
    if ((cli.input == CSV || cli.input == TSV) && take(&place))
        read_header(source.data + place.begin, place.n);
}

uint32_t cli_records_next(cli_record **out)
{
    uint32_t n = 0;
    size_t bytes = 0;
    forget();
    while (n < capacity && bytes < PORTION_BYTES) {
        if (!cli_source_take(&source, &places[n])) {
            if (n && !cli_source_ready()) break; /* answer what is there before waiting for more */
            if (cli_source_read(&source)) continue;
            if (!cli_source_take(&source, &places[n])) break;
        }
        bytes += places[n++].n;
    }
    for (uint32_t r = 0; r < n; r++) read_record(&records[r], &places[r]);
    n_records = n;
    *out = records;
    return n;
}

void cli_records_close(void)
{
    forget();
    for (uint32_t c = 0; c < n_names; c++) free(names[c]);
    free(names);
    free(header_bytes);
    free(records);
    free(places);
    free(cells);
    free(source.data);
    records = NULL;
    places = NULL;
    cells = NULL;
    names = NULL;
    header_bytes = NULL;
    n_names = 0;
    source = (cli_source){0};
}
