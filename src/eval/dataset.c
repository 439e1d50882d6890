/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: what readers put in, then classes put in order and everything hashed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "data/column_names.h"
#include "data/text_bytes.h"
#include "eval/dataset_reader.h"
#include "model/context.h"
#include "text/unicode.h"

/* ---- what readers share ---- */

sqz_status sqzi_dataset_take(sqz_dataset *dataset, size_t n, size_t item_bytes, void **taken,
                             sqz_error *error)
{
    size_t bytes;
    *taken = sqzi_multiply(n, item_bytes, &bytes) ? sqzi_store_take(&dataset->store, bytes) : NULL;
    if (*taken) return SQZ_OK;
    return sqzi_fail(error, SQZ_ENOMEM, 0, "%s: no memory for its examples", dataset->name);
}

sqz_status sqzi_dataset_keep(sqz_dataset *dataset, sqz_text text, sqz_text *kept, sqz_error *error)
{
    void *taken;
    const sqz_status status = sqzi_dataset_take(dataset, text.n_bytes + 1, 1, &taken, error);
    if (status != SQZ_OK) return status;
    char *to = taken;
    if (text.n_bytes) memcpy(to, text.bytes, text.n_bytes);
    to[text.n_bytes] = '\0';
    *kept = (sqz_text){to, text.n_bytes};
    return SQZ_OK;
}

sqz_status sqzi_dataset_make(const sqz_context *context, const char *name, sqz_label_kind kind,
                             sqz_dataset **out, sqz_error *error)
{
    sqz_text kept;
    sqz_dataset *d = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *d);
    if (!d) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a data set");
    d->context = context;
    d->allocator = d->store.allocator = d->classes.allocator = &context->allocator;
    const sqzi_buffer empty = {.allocator = d->allocator, .limit = SIZE_MAX};
    d->examples = d->repeats = empty;
    d->pieces = d->teachers = (sqzi_pieces){empty, empty, empty, empty};
    d->name = name;
    d->label_name = "label";
    d->kind = kind;
    d->labelled = true;
    const sqz_status status = sqzi_dataset_keep(d, (sqz_text){name, strlen(name)}, &kept, error);
    if (status == SQZ_OK) d->name = kept.bytes;
    *out = status == SQZ_OK ? d : NULL;
    if (status != SQZ_OK) sqz_dataset_close(d);
    return status;
}

static void free_pieces(sqzi_pieces *pieces)
{
    sqzi_buffer_free(&pieces->ids);
    sqzi_buffer_free(&pieces->types);
    sqzi_buffer_free(&pieces->labels);
    sqzi_buffer_free(&pieces->ranges);
}

void sqz_dataset_close(sqz_dataset *dataset)
{
    if (!dataset) return;
    sqzi_store_free(&dataset->store);
    sqzi_text_table_free(&dataset->classes);
    sqzi_buffer_free(&dataset->examples);
    sqzi_buffer_free(&dataset->repeats);
    free_pieces(&dataset->pieces);
    free_pieces(&dataset->teachers);
    sqzi_release(dataset->allocator, dataset, sizeof *dataset);
}

/* "'a', 'b', 'c' and 147 more" in `to`. */
static const char *list_classes(const sqz_dataset *dataset, char to[SQZI_NAMES_BYTES])
{
    sqzi_list_names(dataset->classes.texts, dataset->classes.n, sizeof(sqz_text), to);
    return to;
}

sqz_status sqzi_dataset_class_named(sqz_dataset *dataset, sqz_text name, uint64_t line,
                                    uint32_t *number, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char list[SQZI_NAMES_BYTES];
    sqz_text kept;
    const unsigned long long at = line;
    const int shown = (int)(name.n_bytes < 60 ? name.n_bytes : 60);
    *number = sqzi_text_table_find(&dataset->classes, name);
    if (*number != UINT32_MAX) return SQZ_OK;
    FAIL_IF(dataset->closed, SQZ_EFORMAT, line,
            "%s: line %llu: the label '%.*s' is none of the %u classes %s", dataset->name, at,
            shown, name.bytes, dataset->classes.n, list_classes(dataset, list));
    FAIL_IF(memchr(name.bytes, '\0', name.n_bytes), SQZ_EFORMAT, line,
            "%s: line %llu: the label has a NUL byte", dataset->name, at);
    FAIL_IF(!sqzi_is_utf8(name.bytes, name.n_bytes), SQZ_EFORMAT, line,
            "%s: line %llu: the label is not UTF-8 (iconv -f WINDOWS-1252 -t UTF-8 converts a file "
            "from Windows)",
            dataset->name, at);
    FAIL_IF(dataset->classes.n == SQZ_MAX_CLASSES, SQZ_ELIMIT, line,
            "%s: line %llu: more than %d different labels: are they numbers to be predicted?",
            dataset->name, at, SQZ_MAX_CLASSES);
    TRY(sqzi_dataset_keep(dataset, name, &kept, error));
    TRY(sqzi_text_table_add(&dataset->classes, kept, number, error));
fail:
    return status;
}

sqz_text sqzi_label_trimmed(sqz_text label)
{
    size_t begin = label.n_bytes, end = 0;
    for (size_t at = 0, length; at < label.n_bytes; at += length) {
        const uint32_t code = sqzi_utf8_next((const unsigned char *)label.bytes + at,
                                             label.n_bytes - at, &length);
        if (sqzi_unicode_property(code) & SQZI_UNICODE_SPACE) continue;
        if (!end) begin = at;
        end = at + length;
    }
    return (sqz_text){label.bytes + begin, end ? end - begin : 0};
}

/* A class that was given may have white space at its ends: what is called just so is it. */
sqz_status sqzi_dataset_class_of(sqz_dataset *dataset, sqz_text label, uint64_t line,
                                 uint32_t *number, sqz_error *error)
{
    const sqz_text name = sqzi_label_trimmed(label);
    *number = sqzi_text_table_find(&dataset->classes, label);
    if (*number != UINT32_MAX) return SQZ_OK;
    if (!name.n_bytes)
        return sqzi_fail(error, SQZ_EFORMAT, line, "%s: line %llu: the label is nothing but blanks",
                         dataset->name, (unsigned long long)line);
    return sqzi_dataset_class_named(dataset, name, line, number, error);
}

sqz_status sqzi_dataset_add(sqz_dataset *dataset, const sqz_example *example, sqz_error *error)
{
    if (dataset->examples.used / sizeof *example == INT32_MAX)
        return sqzi_fail(error, SQZ_ELIMIT, example->line, "%s: more than 2^31 - 1 examples",
                         dataset->name);
    return sqzi_buffer_append(&dataset->examples, example, sizeof *example, error);
}

/* ---- classes in order ---- */

typedef struct ranked {
    sqz_text name;
    double value;
    uint32_t number;
} ranked;

static int by_bytes(const void *left, const void *right)
{
    const ranked *a = left, *b = right;
    const size_t n = a->name.n_bytes < b->name.n_bytes ? a->name.n_bytes : b->name.n_bytes;
    const int order = n ? memcmp(a->name.bytes, b->name.bytes, n) : 0;
    if (order) return order;
    return (a->name.n_bytes > b->name.n_bytes) - (a->name.n_bytes < b->name.n_bytes);
}

static int by_value(const void *left, const void *right)
{
    const ranked *a = left, *b = right;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return by_bytes(left, right);
}

static int rising(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Labels by the new numbers; those of a set rising, each once. */
static void renumber(sqz_dataset *dataset, const uint32_t *now)
{
    size_t n;
    sqz_example *examples = sqzi_dataset_all(dataset, &n);
    for (size_t i = 0; i < n; i++) {
        sqz_example *e = &examples[i];
        uint32_t *labels = (uint32_t *)e->labels;
        if (dataset->kind == SQZ_LABELS_ONE) e->label = now[e->label];
        for (uint32_t k = 0; k < e->n_labels; k++) labels[k] = now[labels[k]];
        if (dataset->kind != SQZ_LABELS_MANY || !e->n_labels) continue;
        qsort(labels, e->n_labels, sizeof *labels, rising);
        uint32_t kept = 1;
        for (uint32_t k = 1; k < e->n_labels; k++)
            if (labels[k] != labels[k - 1]) labels[kept++] = labels[k];
        e->n_labels = kept;
    }
}

static sqz_status sort_classes(sqz_dataset *dataset, sqz_error *error)
{
    const uint32_t n = dataset->classes.n;
    const size_t item = sizeof(ranked) + sizeof(uint32_t);
    bool numbers = true;
    ranked *list = sqzi_allocate_zeroed(dataset->allocator, (size_t)n + 1, item);
    if (!list) return sqzi_fail(error, SQZ_ENOMEM, 0, "%s: no memory to sort", dataset->name);
    uint32_t *now = (uint32_t *)(list + n + 1);
    for (uint32_t k = 0; k < n; k++) {
        list[k] = (ranked){.name = dataset->classes.texts[k], .number = k};
        numbers &= sqzi_parse_real(list[k].name.bytes, list[k].name.n_bytes, &list[k].value);
    }
    if (!dataset->closed) qsort(list, n, sizeof *list, numbers ? by_value : by_bytes);
    for (uint32_t k = 0; k < n; k++) now[list[k].number] = k;
    renumber(dataset, now);
    sqzi_text_table sorted = {.allocator = dataset->allocator};
    sqz_status status = SQZ_OK;
    for (uint32_t k = 0, number; k < n && status == SQZ_OK; k++)
        status = sqzi_text_table_add(&sorted, list[k].name, &number, error);
    sqzi_text_table_free(&dataset->classes);
    dataset->classes = sorted;
    sqzi_release(dataset->allocator, list, ((size_t)n + 1) * item);
    return status;
}

/* ---- the hash ---- */

static void hash_number(sqzi_sha256 *hash, uint64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(value >> (8 * i));
    sqzi_sha256_update(hash, bytes, sizeof bytes);
}

static void hash_text(sqzi_sha256 *hash, sqz_text text)
{
    hash_number(hash, text.n_bytes);
    if (text.n_bytes) sqzi_sha256_update(hash, text.bytes, text.n_bytes);
}

static void hash_example(sqzi_sha256 *hash, const sqz_example *e)
{
    char value[SQZI_REAL_BYTES];
    hash_text(hash, e->input.text);
    hash_number(hash, e->input.pair != 0);
    hash_text(hash, e->input.second);
    hash_number(hash, e->label);
    sqzi_real_text(value, 17, e->value);
    hash_text(hash, (sqz_text){value, strlen(value)});
    hash_number(hash, e->n_labels);
    for (uint32_t k = 0; k < e->n_labels; k++) {
        hash_number(hash, e->labels[k]);
        if (e->word_end) hash_number(hash, e->word_end[k]);
    }
    for (uint32_t k = 0; k < e->n_negatives; k++) hash_text(hash, e->negatives[k]);
}

static void hash_all(sqz_dataset *dataset)
{
    sqzi_sha256 hash;
    size_t n;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    sqzi_sha256_init(&hash);
    hash_number(&hash, (uint64_t)dataset->kind);
    hash_number(&hash, dataset->classes.n);
    for (uint32_t k = 0; k < dataset->classes.n; k++) hash_text(&hash, dataset->classes.texts[k]);
    for (size_t i = 0; i < n; i++) hash_example(&hash, &examples[i]);
    sqzi_sha256_final(&hash, dataset->sha256);
}

sqz_status sqzi_dataset_finish(sqz_dataset *dataset, sqz_error *error)
{
    if (!dataset->examples.used)
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: holds no example", dataset->name);
    const sqz_status status = sort_classes(dataset, error);
    if (status == SQZ_OK) hash_all(dataset);
    return status;
}

sqz_status sqzi_dataset_add_classes(sqz_dataset *dataset, const char *const *names, uint32_t n,
                                    sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t k = 0, number; k < n; k++) {
        sqz_text name = {names[k], strlen(names[k])};
        if (sqzi_text_table_find(&dataset->classes, name) != UINT32_MAX) continue;
        TRY(sqzi_dataset_keep(dataset, name, &name, error));
        TRY(sqzi_text_table_add(&dataset->classes, name, &number, error));
    }
    hash_all(dataset);
fail:
    return status;
}

/* ---- scores ---- */

sqz_status sqz_dataset_scale(sqz_dataset *dataset, double low, double high, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    sqz_example *examples = sqzi_dataset_all(dataset, &n);
    FAIL_IF(dataset->kind != SQZ_LABELS_VALUE || !(low < high) || !isfinite(high - low), SQZ_EINVAL,
            0, "%s: a range of scores from low to high is for labels that are numbers",
            dataset->name);
    for (size_t i = 0; i < n; i++)
        FAIL_IF(!(examples[i].value >= low && examples[i].value <= high), SQZ_EFORMAT,
                examples[i].line, "%s: line %llu: the score %s is not from %s to %s", dataset->name,
                (unsigned long long)examples[i].line, SQZI_REAL(6, examples[i].value),
                SQZI_REAL(6, low), SQZI_REAL(6, high));
    for (size_t i = 0; i < n; i++) examples[i].value = (examples[i].value - low) / (high - low);
fail:
    return status;
}

/* ---- a part ---- */

sqz_status sqz_dataset_part(const sqz_dataset *dataset, const uint32_t *rows, size_t n_rows,
                            sqz_dataset **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    sqz_dataset *part = NULL;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    *out = NULL;
    FAIL_IF(!n_rows, SQZ_EINVAL, 0, "%s: a part has at least one example", dataset->name);
    TRY(sqzi_dataset_make(dataset->context, dataset->name, dataset->kind, &part, error));
    part->label_name = dataset->label_name;
    part->task = dataset->task;
    part->labelled = dataset->labelled;
    part->closed = true;
    for (uint32_t k = 0, number; k < dataset->classes.n; k++)
        TRY(sqzi_text_table_add(&part->classes, dataset->classes.texts[k], &number, error));
    for (size_t i = 0; i < n_rows; i++) {
        FAIL_IF(rows[i] >= n, SQZ_EINVAL, i, "row %u of %zu examples", rows[i], n);
        TRY(sqzi_dataset_add(part, &examples[rows[i]], error));
    }
    hash_all(part);
    *out = part;
    return SQZ_OK;
fail:
    sqz_dataset_close(part);
    return status;
}

/* ---- what is known of it ---- */

const sqz_example *sqz_dataset_examples(const sqz_dataset *dataset, size_t *n)
{
    return sqzi_dataset_all(dataset, n);
}

sqz_label_kind sqz_dataset_kind(const sqz_dataset *dataset)
{
    return dataset->kind;
}

int sqz_dataset_labelled(const sqz_dataset *dataset)
{
    return dataset->labelled;
}

uint32_t sqz_dataset_n_classes(const sqz_dataset *dataset)
{
    return dataset->classes.n;
}

const char *sqz_dataset_class(const sqz_dataset *dataset, uint32_t k)
{
    return k < dataset->classes.n ? dataset->classes.texts[k].bytes : NULL;
}

const char *sqz_dataset_name(const sqz_dataset *dataset)
{
    return dataset->name;
}

uint64_t sqz_dataset_blank(const sqz_dataset *dataset)
{
    return dataset->n_blank;
}

uint64_t sqz_dataset_skipped(const sqz_dataset *dataset)
{
    return dataset->n_skipped;
}

uint64_t sqz_dataset_ill_formed(const sqz_dataset *dataset)
{
    return dataset->n_ill_formed;
}

const char *sqz_dataset_sha256(const sqz_dataset *dataset)
{
    return dataset->sha256;
}
