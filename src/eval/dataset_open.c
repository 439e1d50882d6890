/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a data set: its options checked, then read by the reader of its layout. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "eval/dataset_reader.h"

/* The column that is the label and a text too, or NULL: a model would learn to copy it. */
static const char *column_of_both(const sqz_dataset_options *o)
{
    const char *label = o->label ? o->label : "label", *text = o->text ? o->text : "text";
    if (o->kind == SQZ_LABELS_NONE || o->unlabelled) return NULL;
    return strcmp(label, text) == 0 || (o->text2 && strcmp(label, o->text2) == 0) ? label : NULL;
}

/* What a layout cannot be asked for. */
static sqz_status check_options(const sqz_dataset_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool table = o->format >= SQZ_DATA_CSV && o->format <= SQZ_DATA_JSONL;
    const bool quoted = o->format == SQZ_DATA_CSV || o->format == SQZ_DATA_TSV;
    TRY(SQZI_RESERVED(o, "sqz_dataset_options", error));
    FAIL_IF((unsigned)o->format > SQZ_DATA_CLINC || (unsigned)o->kind > SQZ_LABELS_NONE, SQZ_EINVAL,
            0, "a data set: format %d or kind %d is unknown", (int)o->format, (int)o->kind);
    FAIL_IF(!table && (o->text || o->text2 || o->label || o->source || o->id), SQZ_EINVAL, 0,
            "a data set: columns are named in csv, tsv and jsonl alone");
    FAIL_IF(table && column_of_both(o), SQZ_EINVAL, 0,
            "a data set: the column '%.60s' is a text and the label too", column_of_both(o));
    FAIL_IF(!quoted && o->quotes, SQZ_EINVAL, 0,
            "a data set: what quotes mean can be chosen for csv and tsv");
    FAIL_IF(o->format == SQZ_DATA_CONLL && (o->kind != SQZ_LABELS_WORDS || o->unlabelled),
            SQZ_EINVAL, 0, "a data set: conll has a class of each word and nothing else");
    FAIL_IF(o->format == SQZ_DATA_CLINC && (o->kind != SQZ_LABELS_ONE || o->unlabelled), SQZ_EINVAL,
            0, "a data set: CLINC's JSON has one class an example and nothing else");
    FAIL_IF(o->kind == SQZ_LABELS_WORDS && quoted, SQZ_EINVAL, 0,
            "a data set: classes of words stand in conll, or in jsonl as two arrays");
    FAIL_IF(o->kind == SQZ_LABELS_WORDS && o->text2, SQZ_EINVAL, 0,
            "a data set: classes of words belong to one text, there is no second");
    FAIL_IF(o->split && o->format != SQZ_DATA_CLINC, SQZ_EINVAL, 0,
            "a data set: a split is chosen of CLINC's JSON alone");
    FAIL_IF(o->separator && (o->kind != SQZ_LABELS_MANY || !o->separator[0]), SQZ_EINVAL, 0,
            "a data set: a separator, not empty, is for several classes in a cell");
    FAIL_IF(o->n_classes && (o->kind == SQZ_LABELS_VALUE || o->kind == SQZ_LABELS_NONE), SQZ_EINVAL,
            0, "a data set: numbers, or no labels, have no classes");
    FAIL_IF(o->kind == SQZ_LABELS_NONE && (o->label || o->unlabelled || !table), SQZ_EINVAL, 0,
            "a data set: texts without a label stand in csv, tsv and jsonl, with no column of one");
    FAIL_IF(o->n_negatives && (o->kind != SQZ_LABELS_NONE || !o->text2), SQZ_EINVAL, 0,
            "a data set: negatives stand beside a text and a text2, without a label");
    FAIL_IF(o->n_negatives > SQZ_MOST_NEGATIVES, SQZ_EINVAL, 0,
            "a data set: %u columns of negatives, %d are the most", o->n_negatives,
            SQZ_MOST_NEGATIVES);
fail:
    return status;
}

static sqz_status put_classes(sqz_dataset *dataset, const sqz_dataset_options *options,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t k = 0, number; k < options->n_classes; k++) {
        const char *name = options->classes[k];
        TRY(sqzi_dataset_class_named(dataset, (sqz_text){name, strlen(name)}, 0, &number, error));
        FAIL_IF(number != k, SQZ_EINVAL, k, "the class '%.60s' is named twice", name);
    }
    dataset->closed = options->n_classes > 0;
fail:
    return status;
}

sqz_status sqz_dataset_open_source(const sqz_context *context, const sqz_rows_source *source,
                                   const sqz_dataset_options *options, sqz_dataset **out,
                                   sqz_error *error)
{
    sqz_status status = SQZ_OK;
    static const sqz_dataset_options defaults = {0};
    sqz_dataset *dataset = NULL;
    if (!context || !source || !source->name || !source->read || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_dataset_open: an argument is NULL");
    *out = NULL;
    if (!options) options = &defaults;
    FAIL_IF(options->format == SQZ_DATA_AUTO, SQZ_EINVAL, 0,
            "%s: its layout must be said: csv, tsv, jsonl, conll or clinc", source->name);
    TRY(check_options(options, error));
    TRY(sqzi_dataset_make(context, source->name, options->kind, &dataset, error));
    TRY(put_classes(dataset, options, error));
    dataset->labelled = !options->unlabelled;
    if (options->format == SQZ_DATA_CONLL) TRY(sqzi_dataset_read_conll(dataset, source, error));
    else if (options->format == SQZ_DATA_CLINC)
        TRY(sqzi_dataset_read_clinc(dataset, source, options->split, error));
    else TRY(sqzi_dataset_read_table(dataset, source, options, error));
    TRY(sqzi_dataset_finish(dataset, error));
    *out = dataset;
    return SQZ_OK;
fail:
    sqz_dataset_close(dataset);
    return status;
}

static ptrdiff_t read_file(void *user, void *bytes, size_t n)
{
    const size_t got = fread(bytes, 1, n, user);
    return got == 0 && ferror((FILE *)user) ? -1 : (ptrdiff_t)got;
}

sqz_status sqz_dataset_open(const sqz_context *context, const char *path,
                            const sqz_dataset_options *options, sqz_dataset **out, sqz_error *error)
{
    if (!path || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_dataset_open: an argument is NULL");
    *out = NULL;
    sqz_dataset_options of_file = options ? *options : (sqz_dataset_options){0};
    if (of_file.format == SQZ_DATA_AUTO) of_file.format = sqz_data_format_of(path);
    FILE *file = fopen(path, "rbe");
    if (!file)
        return sqzi_fail(error, sqz_status_of_errno(errno, 0), 0, "%s: cannot open: %s", path,
                         strerror(errno));
    const sqz_rows_source source = {.name = path, .read = read_file, .user = file};
    const sqz_status status = sqz_dataset_open_source(context, &source, &of_file, out, error);
    (void)fclose(file);
    return status;
}
