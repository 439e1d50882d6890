/* SPDX-License-Identifier: Apache-2.0 */
/* Cells and JSON values to labels. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "data/column_names.h"
#include "data/json_text.h"
#include "eval/dataset_reader.h"

/* Where a message is: the line, and what the column is called. */
typedef struct place {
    sqz_dataset *dataset;
    const char *column;
    unsigned long long line;
} place;

static int shown(sqz_text text)
{
    return (int)(text.n_bytes < 40 ? text.n_bytes : 40);
}

sqz_status sqzi_dataset_field(sqz_dataset *dataset, const sqz_field *field, sqz_text *text,
                              sqz_error *error)
{
    const sqz_status status = sqzi_dataset_keep(dataset, field->value, text, error);
    if (status != SQZ_OK || !field->json) return status;
    char *to = (char *)text->bytes;
    const ptrdiff_t n = sqz_json_string(field->value, to);
    if (n < 0) return SQZ_OK;
    to[n] = '\0';
    text->n_bytes = (size_t)n;
    return SQZ_OK;
}

static sqz_status no_label(const place *at, sqz_error *error)
{
    return sqzi_fail(error, SQZ_EFORMAT, at->line,
                     "%s: line %llu: the row has no label in '%.60s': leave rows without one out",
                     at->dataset->name, at->line, at->column);
}

/* ---- JSON arrays ---- */

/* An item as a text: strings and numbers; NULL: it is something else. */
static const char *item_text(const json_t *item, char number[SQZI_REAL_BYTES], size_t *n)
{
    if (json_is_string(item)) {
        *n = json_string_length(item);
        return json_string_value(item);
    }
    if (!json_is_number(item)) return NULL;
    const double value = json_number_value(item);
    for (int digits = 15; digits <= 17; digits++) { /* the fewest that give it back */
        double back;
        sqzi_real_text(number, digits, value);
        *n = strlen(number);
        if (sqzi_parse_real(number, *n, &back) && back == value) break;
    }
    return number;
}

static sqz_status parse_array(const place *at, sqz_text value, json_t **array, sqz_error *error)
{
    char name[300];
    uint64_t spare = SQZI_JSON_SPARE;
    snprintf(name, sizeof name, "%s: line %llu", at->dataset->name, at->line);
    *array = NULL;
    const sqz_status status = sqzi_json_parse(
        (sqzi_json_text){name, value.bytes, value.n_bytes, value.n_bytes, true}, &spare, array,
        error);
    if (json_is_array(*array)) return SQZ_OK;
    if (status != SQZ_OK && status != SQZ_EFORMAT) return status;
    json_decref(*array);
    *array = NULL;
    return sqzi_fail(error, SQZ_EFORMAT, at->line,
                     "%s: line %llu: '%.60s' is %.*s: a JSON array of strings is expected",
                     at->dataset->name, at->line, at->column, shown(value), value.bytes);
}

static sqz_status classes_of_array(const place *at, sqz_text value, sqz_example *example,
                                   sqz_error *error)
{
    sqz_status status = SQZ_OK;
    json_t *array = NULL;
    void *taken;
    TRY(parse_array(at, value, &array, error));
    const size_t n = json_array_size(array);
    TRY(sqzi_dataset_take(at->dataset, n, sizeof(uint32_t), &taken, error));
    uint32_t *labels = taken;
    for (size_t i = 0; i < n; i++) {
        char number[SQZI_REAL_BYTES];
        size_t bytes;
        const char *text = item_text(json_array_get(array, i), number, &bytes);
        FAIL_IF(!text || !bytes, SQZ_EFORMAT, at->line,
                "%s: line %llu: item %zu of '%.60s' is no string and no number", at->dataset->name,
                at->line, i, at->column);
        TRY(sqzi_dataset_class_of(at->dataset, (sqz_text){text, bytes}, at->line, &labels[i],
                                  error));
    }
    example->labels = labels;
    example->n_labels = (uint32_t)n;
fail:
    json_decref(array);
    return status;
}

/* ---- several classes in one cell ---- */

/* The end of the part that begins at `from`. */
static size_t part_end(sqz_text text, size_t from, const char *separator, size_t width)
{
    for (size_t at = from; at + width <= text.n_bytes; at++)
        if (memcmp(text.bytes + at, separator, width) == 0) return at;
    return text.n_bytes;
}

static sqz_status classes_of_cell(const place *at, sqz_text cell, const char *separator,
                                  sqz_example *example, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t width = strlen(separator);
    void *taken;
    size_t parts = 1;
    for (size_t i = part_end(cell, 0, separator, width); i < cell.n_bytes; parts++)
        i = part_end(cell, i + width, separator, width);
    TRY(sqzi_dataset_take(at->dataset, parts, sizeof(uint32_t), &taken, error));
    uint32_t *labels = taken;
    example->labels = labels;
    for (size_t from = 0, end; from < cell.n_bytes; from = end + width) {
        end = part_end(cell, from, separator, width);
        const sqz_text part = {cell.bytes + from, end - from};
        if (!sqzi_label_trimmed(part).n_bytes) continue;
        TRY(sqzi_dataset_class_of(at->dataset, part, at->line, &labels[example->n_labels], error));
        example->n_labels++;
    }
fail:
    return status;
}

/* ---- words ---- */

sqz_status sqzi_dataset_join(sqz_dataset *dataset, const sqz_text *words, size_t n,
                             sqz_example *example, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    void *ends, *text;
    size_t bytes = 0;
    for (size_t w = 0; w < n; w++) bytes += words[w].n_bytes + 1;
    FAIL_IF(bytes > INT32_MAX, SQZ_ELIMIT, example->line, "%s: line %llu: over 2^31 - 1 bytes",
            dataset->name, (unsigned long long)example->line);
    TRY(sqzi_dataset_take(dataset, n, sizeof(uint32_t), &ends, error));
    TRY(sqzi_dataset_take(dataset, bytes + 1, 1, &text, error));
    uint32_t *end = ends;
    char *to = text;
    size_t used = 0;
    for (size_t w = 0; w < n; w++) {
        if (w) to[used++] = ' ';
        if (words[w].n_bytes) memcpy(to + used, words[w].bytes, words[w].n_bytes);
        used += words[w].n_bytes;
        end[w] = (uint32_t)used;
    }
    to[used] = '\0';
    example->input.text = (sqz_text){to, used};
    example->word_end = end;
fail:
    return status;
}

sqz_status sqzi_dataset_words(sqz_dataset *dataset, const sqz_field *field, const char *column,
                              sqz_example *example, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const place at = {dataset, column, example->line};
    json_t *array = NULL;
    void *taken;
    TRY(parse_array(&at, field->value, &array, error));
    const size_t n = json_array_size(array);
    FAIL_IF(!n, SQZ_EFORMAT, example->line, "%s: line %llu: '%.60s' has no word", dataset->name,
            at.line, column);
    TRY(sqzi_dataset_take(dataset, n, sizeof(sqz_text), &taken, error));
    sqz_text *words = taken;
    for (size_t w = 0; w < n; w++) {
        const json_t *item = json_array_get(array, w);
        FAIL_IF(!json_is_string(item), SQZ_EFORMAT, example->line,
                "%s: line %llu: item %zu of '%.60s' is no string", dataset->name, at.line, w,
                column);
        words[w] = (sqz_text){json_string_value(item), json_string_length(item)};
    }
    TRY(sqzi_dataset_join(dataset, words, n, example, error));
    example->n_labels = (uint32_t)n;
fail:
    json_decref(array);
    return status;
}

sqz_status sqzi_dataset_negatives(sqz_dataset *dataset, const sqz_field *field, const char *column,
                                  sqz_example *example, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const place at = {dataset, column, example->line};
    json_t *array = NULL;
    void *taken;
    const bool many = field->json && field->value.bytes[0] == '[';
    if (many) TRY(parse_array(&at, field->value, &array, error));
    const uint32_t before = example->n_negatives;
    const size_t n = many ? json_array_size(array) : 1;
    TRY(sqzi_dataset_take(dataset, before + n, sizeof(sqz_text), &taken, error));
    sqz_text *texts = taken;
    if (before) memcpy(texts, example->negatives, before * sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = many ? json_array_get(array, i) : NULL;
        FAIL_IF(many ? !json_is_string(item) : field->json && field->value.bytes[0] != '"',
                SQZ_EFORMAT, example->line,
                "%s: line %llu: '%.60s' is %.*s: a string, or an array "
                "of strings, is expected",
                dataset->name, at.line, column, shown(field->value), field->value.bytes);
        if (!many) TRY(sqzi_dataset_field(dataset, field, &texts[before], error));
        else
            TRY(sqzi_dataset_keep(dataset,
                                  (sqz_text){json_string_value(item), json_string_length(item)},
                                  &texts[before + i], error));
        FAIL_IF(!texts[before + i].n_bytes, SQZ_EFORMAT, example->line,
                "%s: line %llu: there is no text in '%.60s': every row has as many negatives",
                dataset->name, at.line, column);
    }
    example->negatives = texts;
    example->n_negatives = before + (uint32_t)n;
fail:
    json_decref(array);
    return status;
}

static sqz_status label_words(const place *at, sqz_text value, sqz_example *example,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n_words = example->n_labels;
    TRY(classes_of_array(at, value, example, error));
    FAIL_IF(example->n_labels != n_words, SQZ_EFORMAT, at->line,
            "%s: line %llu: %u words and %u labels in '%.60s': a label a word is expected",
            at->dataset->name, at->line, n_words, example->n_labels, at->column);
fail:
    return status;
}

/* ---- one label ---- */

static sqz_status value_of(const place *at, sqz_text text, sqz_example *example, sqz_error *error)
{
    const bool number = sqzi_parse_real(text.bytes, text.n_bytes, &example->value) &&
                        !isnan(example->value);
    if (number && fabs(example->value) <= FLT_MAX) return SQZ_OK;
    return sqzi_fail(error, SQZ_EFORMAT, at->line,
                     "%s: line %llu: the label '%.*s' in '%.60s' is %s", at->dataset->name,
                     at->line, shown(text), text.bytes, at->column,
                     number ? "more than a float holds, 3.4e38" : "no number");
}

sqz_status sqzi_dataset_label(sqz_dataset *dataset, const sqz_field *field, const char *column,
                              const char *separator, sqz_example *example, sqz_error *error)
{
    const place at = {dataset, column, example->line};
    const char first = field->value.n_bytes ? field->value.bytes[0] : '\0';
    sqz_text text;
    if (dataset->kind == SQZ_LABELS_WORDS) return label_words(&at, field->value, example, error);
    if (dataset->kind == SQZ_LABELS_MANY && first == '[')
        return classes_of_array(&at, field->value, example, error);
    if (field->json && sqzi_text_is(field->value, "null")) return no_label(&at, error);
    if (field->json && (first == '[' || first == '{'))
        return sqzi_fail(error, SQZ_EFORMAT, at.line,
                         "%s: line %llu: '%.60s' is %.*s: one label is expected", dataset->name,
                         at.line, column, shown(field->value), field->value.bytes);
    const sqz_status status = sqzi_dataset_field(dataset, field, &text, error);
    if (status != SQZ_OK) return status;
    if (dataset->kind == SQZ_LABELS_MANY)
        return classes_of_cell(&at, text, separator, example, error);
    if (!sqzi_label_trimmed(text).n_bytes) return no_label(&at, error);
    if (dataset->kind == SQZ_LABELS_VALUE) return value_of(&at, text, example, error);
    return sqzi_dataset_class_of(dataset, text, at.line, &example->label, error);
}
