/* SPDX-License-Identifier: Apache-2.0 */
/* GLUE's files: as they were published, or another copy whose header says which column is which.
 * Columns are found by their names; a table whose names are not known is refused, not guessed at.
 */
#include <errno.h>
#include <math.h>
#include <squeezebert/eval.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "data/column_names.h"
#include "data/text_store.h"
#include "eval/glue_tasks.h"
#include "model/context.h"

enum { NO_COLUMN = -1, PATH_BYTES = 4096 };

struct sqz_glue {
    const sqz_allocator *allocator;
    const sqzi_glue_facts *facts;
    sqz_glue_task task;
    sqz_glue_options options;
    char path[PATH_BYTES];
    sqz_rows *reader;
    int at[SQZI_ROLES];            /* of a table: columns, or NO_COLUMN */
    const char *names[SQZI_ROLES]; /* of JSON: members, or NULL */
    bool headless;                 /* CoLA as published */
    bool skips_short;              /* QQP as published */
    bool numbers_are_known;        /* "idx": the numbers of the data set's features */
    sqzi_text_store texts;
    sqzi_buffer rows; /* sqz_glue_row */
    size_t n_skipped, n_unlabelled;
    uint64_t unlabelled_line, n_blank;
    bool has_labels;
};

int sqz_glue_find(const char *name)
{
    for (int t = 0; t < SQZI_GLUE_TASKS; t++)
        if (sqzi_same_word(name, strlen(name), sqzi_glue_facts_of[t].name) ||
            sqzi_same_word(name, strlen(name), sqzi_glue_facts_of[t].other_name))
            return t;
    return -1;
}

const char *sqz_glue_name(sqz_glue_task task)
{
    return (unsigned)task < SQZI_GLUE_TASKS ? sqzi_glue_facts_of[task].name : NULL;
}

const char *sqz_glue_class(sqz_glue_task task, uint32_t k)
{
    return (unsigned)task < SQZI_GLUE_TASKS && k < SQZI_GLUE_CLASSES
               ? sqzi_glue_facts_of[task].classes[k]
               : NULL;
}

/* ---- which column is which ---- */

static bool same_name(sqz_text name, const char *word)
{
    return name.n_bytes && sqzi_same_word(name.bytes, name.n_bytes, word);
}

/* The column of this role by the surest of its names; *twice where two columns have it. */
static int find_role(const sqz_glue *glue, sqzi_glue_role role, const sqz_text *columns, size_t n,
                     size_t stride, const char **name, bool *twice)
{
    const char *const *aliases = glue->facts->columns[role];
    for (int a = 0; a < SQZI_GLUE_NAMES && aliases[a]; a++) {
        int found = NO_COLUMN;
        const char *at = (const char *)columns;
        for (size_t c = 0; c < n; c++, at += stride) {
            if (!same_name(*(const sqz_text *)(const void *)at, aliases[a])) continue;
            *twice |= found != NO_COLUMN;
            found = (int)c;
        }
        *name = aliases[a];
        if (found != NO_COLUMN) return found;
    }
    *name = NULL;
    return NO_COLUMN;
}

static sqz_status find_roles(sqz_glue *glue, const sqz_text *columns, size_t n, size_t stride,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char list[SQZI_NAMES_BYTES];
    sqzi_list_names(columns, n, stride, list);
    for (int role = 0; role < SQZI_ROLES; role++) {
        bool twice = false;
        const char *const *aliases = glue->facts->columns[role];
        glue->at[role] = find_role(glue, (sqzi_glue_role)role, columns, n, stride,
                                   &glue->names[role], &twice);
        FAIL_IF(twice, SQZ_EFORMAT, 0, "%s: two columns are named '%s'", glue->path,
                glue->names[role]);
        FAIL_IF(role <= SQZI_SECOND && aliases[0] && glue->at[role] == NO_COLUMN, SQZ_EFORMAT, 0,
                "%s: the columns %s are not those of %s: '%s'%s%s%s is missing", glue->path, list,
                glue->facts->name, aliases[0], aliases[1] ? " or '" : "",
                aliases[1] ? aliases[1] : "", aliases[1] ? "'" : "");
    }
    glue->has_labels = glue->at[SQZI_LABEL] != NO_COLUMN;
    glue->numbers_are_known = glue->at[SQZI_ID] != NO_COLUMN &&
                              strcmp(glue->names[SQZI_ID], "idx") == 0;
fail:
    return status;
}

/* CoLA's published files but the test's have no header: source, 0 or 1, mark, sentence. */
static bool is_headless(const sqz_glue *glue, const sqz_text *columns, uint32_t n)
{
    return glue->task == SQZ_GLUE_COLA && n == 4 && columns[1].n_bytes == 1 &&
           (columns[1].bytes[0] == '0' || columns[1].bytes[0] == '1');
}

/* A published table, whose `"` are text, is known by its first columns. */
static bool is_published(const sqz_text *columns, uint32_t n)
{
    static const char *const first[] = {"index", "id", "Quality"};
    for (size_t f = 0; n && f < sizeof first / sizeof *first; f++)
        if (same_name(columns[0], first[f])) return true;
    return false;
}

static sqz_status open_reader(sqz_glue *glue, sqz_quotes quotes, sqz_error *error)
{
    const sqz_rows_format format = sqz_rows_format_of(glue->path);
    const sqz_rows_options options = {.allocator = glue->allocator,
                                      .format = format == SQZ_ROWS_LINES ? SQZ_ROWS_TSV : format,
                                      .quotes = quotes,
                                      .no_header = glue->headless,
                                      .ragged = glue->skips_short};
    sqz_rows_close(glue->reader);
    glue->reader = NULL;
    if (format == SQZ_ROWS_JSONL && quotes)
        return sqzi_fail(error, SQZ_EINVAL, 0, "%s: what quotes mean can be chosen for tsv and csv",
                         glue->path);
    return sqz_rows_open_file(glue->path, &options, &glue->reader, error);
}

/* Open the file, read its header, and once more where that tells to read it in another way. */
static sqz_status open_table(sqz_glue *glue, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t n;
    TRY(open_reader(glue, glue->options.quotes, error));
    if (sqz_rows_kind(glue->reader) == SQZ_ROWS_JSONL) return SQZ_OK;
    const sqz_text *columns = sqz_rows_columns(glue->reader, &n);
    const bool tsv = sqz_rows_kind(glue->reader) == SQZ_ROWS_TSV;
    if (!n) return SQZ_OK; /* an empty file */
    glue->headless = is_headless(glue, columns, n);
    if (glue->headless) {
        glue->at[SQZI_FIRST] = 3;
        glue->at[SQZI_LABEL] = 1;
        glue->has_labels = true;
    } else TRY(find_roles(glue, columns, n, sizeof *columns, error));
    const bool published = tsv && !glue->options.quotes && is_published(columns, n);
    glue->skips_short = published && glue->task == SQZ_GLUE_QQP;
    if (published || glue->headless)
        TRY(open_reader(glue, published ? SQZ_QUOTES_NONE : glue->options.quotes, error));
fail:
    return status;
}

/* ---- rows ---- */

static const sqz_field *find_field(const sqz_glue *glue, const sqz_row *row, sqzi_glue_role role)
{
    if (sqz_rows_kind(glue->reader) != SQZ_ROWS_JSONL)
        return glue->at[role] >= 0 && (uint32_t)glue->at[role] < row->n_fields
                   ? &row->fields[glue->at[role]]
                   : NULL;
    for (uint32_t f = 0; glue->names[role] && f < row->n_fields; f++)
        if (same_name(row->fields[f].name, glue->names[role])) return &row->fields[f];
    return NULL;
}

/* A field's text, kept: a JSON string decoded, any other value as it stands. */
static sqz_status keep_text(sqz_glue *glue, const sqz_field *field, sqz_text *text,
                            sqz_error *error)
{
    char *to = sqzi_store_take(&glue->texts, field->value.n_bytes);
    if (!to) return sqzi_fail(error, SQZ_ENOMEM, 0, "%s: no memory for its texts", glue->path);
    const ptrdiff_t decoded = field->json ? sqz_json_string(field->value, to) : -1;
    if (decoded < 0 && field->value.n_bytes) memcpy(to, field->value.bytes, field->value.n_bytes);
    *text = (sqz_text){to, decoded < 0 ? field->value.n_bytes : (size_t)decoded};
    return SQZ_OK;
}

static sqz_status take_text(sqz_glue *glue, const sqz_row *row, sqzi_glue_role role, sqz_text *text,
                            sqz_error *error)
{
    const sqz_field *field = find_field(glue, row, role);
    const char *name = glue->headless ? "the fourth" : glue->names[role];
    if (!field)
        return sqzi_fail(error, SQZ_EFORMAT, row->line, "%s: line %llu: the column '%s' is missing",
                         glue->path, (unsigned long long)row->line, name);
    if (field->json && field->value.bytes[0] != '"')
        return sqzi_fail(error, SQZ_EFORMAT, row->line, "%s: line %llu: '%s' is no string",
                         glue->path, (unsigned long long)row->line, name);
    return keep_text(glue, field, text, error);
}

/* The test splits of the data sets' copies have -1 for every label. */
static bool is_unlabelled(sqz_text word)
{
    return (word.n_bytes == 2 && memcmp(word.bytes, "-1", 2) == 0) ||
           (word.n_bytes == 4 && memcmp(word.bytes, "-1.0", 4) == 0) ||
           (word.n_bytes == 4 && memcmp(word.bytes, "null", 4) == 0);
}

static bool read_class(const sqz_glue *glue, sqz_text word, uint32_t *label)
{
    int found = sqzi_glue_class_of_word(glue->facts, word.bytes, word.n_bytes);
    if (found < 0 && (glue->facts->numbered || glue->numbers_are_known) && word.n_bytes == 1)
        found = sqzi_glue_number_of(word.bytes, word.n_bytes);
    if (found < 0 || (uint32_t)found >= sqzi_glue_n_classes(glue->facts)) return false;
    *label = (uint32_t)found;
    return true;
}

static sqz_status refuse_label(const sqz_glue *glue, const sqz_row *row, sqz_text word,
                               sqz_error *error)
{
    char classes[160] = "0 to 5";
    const bool number = word.n_bytes == 1 && sqzi_glue_number_of(word.bytes, 1) >= 0;
    sqzi_glue_list_classes(glue->facts, classes, sizeof classes);
    return sqzi_fail(error, SQZ_EFORMAT, row->line,
                     "%s: line %llu: the label '%.*s' is none of %s (%s)%s", glue->path,
                     (unsigned long long)row->line, (int)(word.n_bytes < 40 ? word.n_bytes : 40),
                     word.bytes, glue->facts->name, classes,
                     number && !glue->facts->numbered
                         ? ": numbers stand for classes only beside a column 'idx'"
                         : "");
}

static sqz_status take_label(sqz_glue *glue, const sqz_row *row, sqz_glue_row *to, sqz_error *error)
{
    sqz_text word;
    const sqz_field *field = find_field(glue, row, SQZI_LABEL);
    if (!glue->has_labels) return SQZ_OK;
    if (!field)
        return sqzi_fail(error, SQZ_EFORMAT, row->line, "%s: line %llu: the label is missing",
                         glue->path, (unsigned long long)row->line);
    const sqz_status status = keep_text(glue, field, &word, error);
    if (status != SQZ_OK) return status;
    if (is_unlabelled(word)) {
        if (!glue->n_unlabelled++) glue->unlabelled_line = row->line;
        return SQZ_OK;
    }
    const bool known = sqzi_glue_n_classes(glue->facts)
                           ? read_class(glue, word, &to->label)
                           : sqzi_parse_real(word.bytes, word.n_bytes, &to->score) &&
                                 to->score >= 0 && to->score <= 5;
    return known ? SQZ_OK : refuse_label(glue, row, word, error);
}

/* A pair that the annotators did not agree on has the gold label '-'. */
static bool has_no_gold_label(const sqz_glue *glue, const sqz_row *row)
{
    const sqz_field *field = find_field(glue, row, SQZI_LABEL);
    return glue->task == SQZ_GLUE_MNLI && field && field->value.n_bytes == 1 &&
           field->value.bytes[0] == '-';
}

static bool is_short(const sqz_glue *glue, const sqz_row *row)
{
    uint32_t n;
    (void)sqz_rows_columns(glue->reader, &n);
    return row->n_fields < n;
}

static sqz_status read_row(sqz_glue *glue, const sqz_row *row, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_glue_row to = {.line = row->line};
    FAIL_IF(row->status != SQZ_OK, row->status, row->line, "%s: line %llu: %s", glue->path,
            (unsigned long long)row->line, row->fault);
    if ((glue->skips_short && is_short(glue, row)) || has_no_gold_label(glue, row)) {
        glue->n_skipped++;
        return SQZ_OK;
    }
    FAIL_IF(glue->headless && row->n_fields != 4, SQZ_EFORMAT, row->line,
            "%s: line %llu: the row has %u columns, cola without a header has 4", glue->path,
            (unsigned long long)row->line, row->n_fields);
    TRY(take_text(glue, row, SQZI_FIRST, &to.input.text, error));
    if (glue->facts->columns[SQZI_SECOND][0]) {
        TRY(take_text(glue, row, SQZI_SECOND, &to.input.second, error));
        to.input.pair = 1;
    }
    TRY(take_label(glue, row, &to, error));
    const sqz_field *id = find_field(glue, row, SQZI_ID);
    if (id) TRY(keep_text(glue, id, &to.id, error));
    TRY(sqzi_buffer_append(&glue->rows, &to, sizeof to, error));
fail:
    return status;
}

static sqz_status read_rows(sqz_glue *glue, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_row *row;
    for (uint32_t n = 1, first = 1; n; first = 0) {
        TRY(sqz_rows_next(glue->reader, &row, &n, error));
        if (first && n && sqz_rows_kind(glue->reader) == SQZ_ROWS_JSONL && row->status == SQZ_OK)
            TRY(find_roles(glue, &row->fields->name, row->n_fields, sizeof *row->fields, error));
        for (uint32_t r = 0; r < n; r++) TRY(read_row(glue, &row[r], error));
    }
    const size_t n_rows = glue->rows.used / sizeof(sqz_glue_row);
    if (glue->n_unlabelled && glue->n_unlabelled == n_rows) glue->has_labels = false;
    FAIL_IF(glue->n_unlabelled && glue->has_labels, SQZ_EFORMAT, glue->unlabelled_line,
            "%s: line %llu: there is no label here, other rows have one", glue->path,
            (unsigned long long)glue->unlabelled_line);
    glue->n_blank = sqz_rows_blank(glue->reader);
fail:
    return status;
}

/* ---- the file ---- */

/* 0: no such file; 1: a file, readable or not; 2: a folder. */
static int look_at(const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (!file) return errno != ENOENT && errno != ENOTDIR;
    errno = 0;
    const int kind = fgetc(file) == EOF && ferror(file) && errno == EISDIR ? 2 : 1;
    (void)fclose(file);
    return kind;
}

/* The file of a split: .tsv, .csv or .jsonl, "dev" also under the name "validation". */
static sqz_status find_file(sqz_glue *glue, const char *folder, const char *split, sqz_error *error)
{
    static const char *const ends[] = {".tsv", ".csv", ".jsonl"};
    const char *const dev = strncmp(split, "dev", 3) == 0 ? "validation" : "";
    if (look_at(folder) == 1) {
        if (snprintf(glue->path, PATH_BYTES, "%s", folder) < PATH_BYTES) return SQZ_OK;
        return sqzi_fail(error, SQZ_EINVAL, 0, "the path of the file is too long");
    }
    for (int other = 0; other <= (dev[0] != '\0'); other++)
        for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
            const int n = snprintf(glue->path, PATH_BYTES, "%s/%s%s%s", folder, other ? dev : "",
                                   other ? split + 3 : split, ends[e]);
            if (n < 0 || n >= PATH_BYTES)
                return sqzi_fail(error, SQZ_EINVAL, 0, "the path of the folder is too long");
            if (look_at(glue->path) == 1) return SQZ_OK;
        }
    return sqzi_fail(error, SQZ_EIO, 0,
                     "%s: holds no %s.tsv, .csv or .jsonl%s: name the folder of the task's files, "
                     "or the file",
                     folder, split, dev[0] ? ", nor validation's" : "");
}

sqz_status sqz_glue_open(const sqz_context *context, sqz_glue_task task, const char *folder,
                         const char *split, const sqz_glue_options *options, sqz_glue **out,
                         sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!context || !folder || (!split && task != SQZ_GLUE_AX) || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_glue_open: an argument is NULL");
    *out = NULL;
    if ((unsigned)task >= SQZI_GLUE_TASKS)
        return sqzi_fail(error, SQZ_EINVAL, 0, "%d is no GLUE task", (int)task);
    status = SQZI_RESERVED(options, "sqz_glue_options", error);
    if (status != SQZ_OK) return status;
    sqz_glue *glue = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *glue);
    if (!glue) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a GLUE file");
    glue->allocator = glue->texts.allocator = glue->rows.allocator = &context->allocator;
    glue->rows.limit = SIZE_MAX;
    glue->task = task;
    glue->facts = &sqzi_glue_facts_of[task];
    if (options) glue->options = *options;
    for (int role = 0; role < SQZI_ROLES; role++) glue->at[role] = NO_COLUMN;
    TRY(find_file(glue, folder, task == SQZ_GLUE_AX ? "AX" : split, error));
    TRY(open_table(glue, error));
    TRY(read_rows(glue, error));
    *out = glue;
    return SQZ_OK;
fail:
    sqz_glue_close(glue);
    return status;
}

void sqz_glue_close(sqz_glue *glue)
{
    if (!glue) return;
    sqz_rows_close(glue->reader);
    sqzi_store_free(&glue->texts);
    sqzi_buffer_free(&glue->rows);
    sqzi_release(glue->allocator, glue, sizeof *glue);
}

const sqz_glue_row *sqz_glue_rows(const sqz_glue *glue, size_t *n)
{
    *n = glue->rows.used / sizeof(sqz_glue_row);
    return (const void *)glue->rows.data;
}

int sqz_glue_labelled(const sqz_glue *glue)
{
    return glue->has_labels;
}

size_t sqz_glue_skipped(const sqz_glue *glue)
{
    return glue->n_skipped;
}

uint64_t sqz_glue_blank(const sqz_glue *glue)
{
    return glue->n_blank;
}

const char *sqz_glue_path(const sqz_glue *glue)
{
    return glue->path;
}
