/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets of csv, tsv and JSON Lines: columns found by the names that the caller gives. */
#include <string.h>

#include "base/error.h"
#include "data/column_names.h"
#include "eval/dataset_reader.h"
#include "model/context.h"

typedef enum role { TEXT, TEXT2, LABEL, SOURCE, ID, ROLES } role; /* then the negatives */
enum { NO_COLUMN = -1 };

typedef struct table {
    sqz_dataset *dataset;
    sqz_rows *rows;
    const char *separator;
    const char *names[ROLES + SQZ_MOST_NEGATIVES]; /* NULL: not asked for */
    int64_t at[ROLES + SQZ_MOST_NEGATIVES];        /* columns of csv and tsv */
    uint32_t n_negatives;                          /* of every example, once there is one */
} table;

static bool is_json(const table *t)
{
    return sqz_rows_kind(t->rows) == SQZ_ROWS_JSONL;
}

static sqz_status find_columns(table *t, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t n;
    char list[SQZI_NAMES_BYTES];
    const sqz_text *columns = sqz_rows_columns(t->rows, &n);
    const char separator = sqz_rows_kind(t->rows) == SQZ_ROWS_TSV ? '\t' : ',';
    sqzi_list_names(columns, n, sizeof *columns, list);
    for (int r = 0; r < ROLES + SQZ_MOST_NEGATIVES; r++) {
        t->at[r] = NO_COLUMN;
        if (!t->names[r] || is_json(t) || !n) continue; /* n = 0: an empty file */
        for (uint32_t c = 0; c < n; c++) {
            if (!sqzi_text_is(columns[c], t->names[r])) continue;
            FAIL_IF(t->at[r] != NO_COLUMN, SQZ_EFORMAT, 0, "%s: two columns are named '%.60s'",
                    t->dataset->name, t->names[r]);
            t->at[r] = c;
        }
        FAIL_IF(t->at[r] == NO_COLUMN, SQZ_EFORMAT, 0,
                "%s: the header has no column '%.60s', it has %s%s", t->dataset->name, t->names[r],
                list, sqzi_header_hint(columns, n, separator));
    }
fail:
    return status;
}

/* The cell, or the member: the last one of its name, as in Python. NULL: the object lacks it. */
static const sqz_field *find_field(const table *t, const sqz_row *row, uint32_t r)
{
    if (!is_json(t)) return &row->fields[t->at[r]];
    const sqz_field *found = NULL;
    for (uint32_t f = 0; f < row->n_fields; f++)
        if (sqzi_text_is(row->fields[f].name, t->names[r])) found = &row->fields[f];
    return found;
}

static sqz_status need_field(const table *t, const sqz_row *row, uint32_t r,
                             const sqz_field **field, sqz_error *error)
{
    char list[SQZI_NAMES_BYTES];
    *field = find_field(t, row, r);
    if (*field) return SQZ_OK;
    sqzi_list_names(&row->fields->name, row->n_fields, sizeof *row->fields, list);
    return sqzi_fail(error, SQZ_EFORMAT, row->line,
                     "%s: line %llu: the object has no '%.60s', it has %s", t->dataset->name,
                     (unsigned long long)row->line, t->names[r], list);
}

static sqz_status take_text(const table *t, const sqz_row *row, role r, sqz_text *text,
                            sqz_error *error)
{
    const sqz_field *field;
    const sqz_status status = need_field(t, row, r, &field, error);
    if (status != SQZ_OK) return status;
    if (field->json && field->value.bytes[0] != '"')
        return sqzi_fail(error, SQZ_EFORMAT, row->line,
                         "%s: line %llu: '%.60s' is %.*s: a string is expected", t->dataset->name,
                         (unsigned long long)row->line, t->names[r],
                         (int)(field->value.n_bytes < 40 ? field->value.n_bytes : 40),
                         field->value.bytes);
    return sqzi_dataset_field(t->dataset, field, text, error);
}

/* As many as the first example has. */
static sqz_status take_negatives(table *t, const sqz_row *row, sqz_example *e, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_field *field;
    size_t n;
    for (uint32_t r = ROLES; r < ROLES + SQZ_MOST_NEGATIVES && t->names[r]; r++) {
        TRY(need_field(t, row, r, &field, error));
        TRY(sqzi_dataset_negatives(t->dataset, field, t->names[r], e, error));
    }
    (void)sqzi_dataset_all(t->dataset, &n);
    if (n == 0) t->n_negatives = e->n_negatives;
    FAIL_IF(e->n_negatives != t->n_negatives || e->n_negatives > SQZ_MOST_NEGATIVES, SQZ_EFORMAT,
            row->line,
            "%s: line %llu: %u negatives: each row has as many as the first one, %u, "
            "and at most %d",
            t->dataset->name, (unsigned long long)row->line, e->n_negatives, t->n_negatives,
            SQZ_MOST_NEGATIVES);
fail:
    return status;
}

static sqz_status read_row(table *t, const sqz_row *row, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_example e = {.line = row->line};
    const sqz_field *field;
    FAIL_IF(row->status != SQZ_OK, row->status, row->line, "%s: line %llu: %s", t->dataset->name,
            (unsigned long long)row->line, row->fault);
    if (t->dataset->kind == SQZ_LABELS_WORDS) {
        TRY(need_field(t, row, TEXT, &field, error));
        TRY(sqzi_dataset_words(t->dataset, field, t->names[TEXT], &e, error));
    } else TRY(take_text(t, row, TEXT, &e.input.text, error));
    e.input.pair = t->names[TEXT2] != NULL;
    if (e.input.pair) TRY(take_text(t, row, TEXT2, &e.input.second, error));
    if (t->names[LABEL]) {
        TRY(need_field(t, row, LABEL, &field, error));
        TRY(sqzi_dataset_label(t->dataset, field, t->names[LABEL], t->separator, &e, error));
    }
    TRY(take_negatives(t, row, &e, error));
    for (role r = SOURCE; r <= ID; r++) {
        if (!t->names[r]) continue;
        TRY(need_field(t, row, r, &field, error));
        TRY(sqzi_dataset_field(t->dataset, field, r == ID ? &e.id : &e.source, error));
    }
    TRY(sqzi_dataset_add(t->dataset, &e, error));
fail:
    return status;
}

static const sqz_rows_format formats[] = {[SQZ_DATA_CSV] = SQZ_ROWS_CSV,
                                          [SQZ_DATA_TSV] = SQZ_ROWS_TSV,
                                          [SQZ_DATA_JSONL] = SQZ_ROWS_JSONL};

sqz_status sqzi_dataset_read_table(sqz_dataset *dataset, const sqz_rows_source *source,
                                   const sqz_dataset_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_row *row;
    sqz_text label;
    const sqz_rows_options options = {.allocator = dataset->allocator,
                                      .format = formats[o->format],
                                      .quotes = o->quotes};
    table t = {.dataset = dataset, .separator = o->separator ? o->separator : "|"};
    t.names[TEXT] = o->text ? o->text : "text";
    t.names[TEXT2] = o->text2;
    const bool labelled = !o->unlabelled && o->kind != SQZ_LABELS_NONE;
    t.names[LABEL] = !labelled ? NULL : o->label ? o->label : "label";
    t.names[SOURCE] = o->source;
    t.names[ID] = o->id;
    for (uint32_t k = 0; k < o->n_negatives; k++) t.names[ROLES + k] = o->negatives[k];
    if (o->label) {
        TRY(sqzi_dataset_keep(dataset, (sqz_text){o->label, strlen(o->label)}, &label, error));
        dataset->label_name = label.bytes;
    }
    TRY(sqz_rows_open(source, &options, &t.rows, error));
    TRY(find_columns(&t, error));
    for (uint32_t n = 1; n;) {
        TRY(sqz_rows_next(t.rows, &row, &n, error));
        for (uint32_t r = 0; r < n; r++) TRY(read_row(&t, &row[r], error));
    }
    dataset->n_blank = sqz_rows_blank(t.rows);
    dataset->n_ill_formed = sqz_rows_ill_formed(t.rows);
fail:
    sqz_rows_close(t.rows);
    return status;
}
