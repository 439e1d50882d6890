/* SPDX-License-Identifier: Apache-2.0 */
/* GLUE's files as data sets, and which layout a path's end names. */
#include <string.h>

#include "base/error.h"
#include "eval/dataset_reader.h"
#include "eval/glue_tasks.h"
#include "model/context.h"

static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), bytes = strlen(end);
    return n >= bytes && strcmp(path + n - bytes, end) == 0;
}

sqz_data_format sqz_data_format_of(const char *path)
{
    switch (sqz_rows_format_of(path)) {
    case SQZ_ROWS_CSV: return SQZ_DATA_CSV;
    case SQZ_ROWS_TSV: return SQZ_DATA_TSV;
    case SQZ_ROWS_JSONL: return SQZ_DATA_JSONL;
    case SQZ_ROWS_LINES: break;
    }
    if (ends_in(path, ".conll") || ends_in(path, ".bio")) return SQZ_DATA_CONLL;
    return ends_in(path, ".json") ? SQZ_DATA_CLINC : SQZ_DATA_AUTO;
}

static sqz_status put_row(sqz_dataset *dataset, const sqz_glue_row *row, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_example e = {.line = row->line, .label = row->label, .value = row->score};
    TRY(sqzi_dataset_keep(dataset, row->input.text, &e.input.text, error));
    e.input.pair = row->input.pair;
    if (e.input.pair) TRY(sqzi_dataset_keep(dataset, row->input.second, &e.input.second, error));
    if (row->id.bytes) TRY(sqzi_dataset_keep(dataset, row->id, &e.id, error));
    TRY(sqzi_dataset_add(dataset, &e, error));
fail:
    return status;
}

static sqz_status put_rows(sqz_dataset *dataset, const sqz_glue *glue, sqz_glue_task task,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    const sqz_glue_row *rows = sqz_glue_rows(glue, &n);
    for (uint32_t k = 0, number; sqz_glue_class(task, k); k++) {
        const char *name = sqz_glue_class(task, k);
        TRY(sqzi_dataset_class_of(dataset, (sqz_text){name, strlen(name)}, 0, &number, error));
    }
    dataset->closed = true;
    dataset->task = sqz_glue_name(task);
    if (task == SQZ_GLUE_STSB) dataset->label_name = "score";
    for (size_t i = 0; i < n; i++) TRY(put_row(dataset, &rows[i], error));
    dataset->n_blank = sqz_glue_blank(glue);
    dataset->n_skipped = sqz_glue_skipped(glue);
    dataset->n_ill_formed = sqz_glue_ill_formed(glue);
    TRY(sqzi_dataset_finish(dataset, error));
fail:
    return status;
}

sqz_status sqz_dataset_open_glue(const sqz_context *context, sqz_glue_task task, const char *folder,
                                 const char *split, const sqz_glue_options *options,
                                 sqz_dataset **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_glue *glue = NULL;
    sqz_dataset *dataset = NULL;
    if (!out) return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_dataset_open_glue: an argument is NULL");
    *out = NULL;
    TRY(sqz_glue_open(context, task, folder, split, options, &glue, error));
    FAIL_IF(!sqz_glue_labelled(glue), SQZ_EINVAL, 0,
            "%s: has no labels, as test files have none: choose another split",
            sqz_glue_path(glue));
    TRY(sqzi_dataset_make(context, sqz_glue_path(glue),
                          sqz_glue_class(task, 0) ? SQZ_LABELS_ONE : SQZ_LABELS_VALUE, &dataset,
                          error));
    TRY(put_rows(dataset, glue, task, error));
    *out = dataset;
    sqz_glue_close(glue);
    return SQZ_OK;
fail:
    sqz_dataset_close(dataset);
    sqz_glue_close(glue);
    return status;
}

/* ---- a model's classes ---- */

/* The model's names in its order, and the number of each class of the task there. */
static sqz_status rename_classes(sqz_dataset *dataset, const sqz_model *model, sqz_glue_task task,
                                 const uint32_t *order, uint32_t *now, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_text_table classes = {.allocator = dataset->allocator};
    for (uint32_t k = 0, number; k < dataset->classes.n; k++) {
        const char *name = sqz_model_get_info(model)->labels_named ? sqz_model_label(model, k)
                                                                   : sqz_glue_class(task, order[k]);
        sqz_text kept;
        TRY(sqzi_dataset_keep(dataset, (sqz_text){name, strlen(name)}, &kept, error));
        TRY(sqzi_text_table_add(&classes, kept, &number, error));
        now[order[k]] = k;
    }
    sqzi_text_table_free(&dataset->classes);
    dataset->classes = classes;
    return SQZ_OK;
fail:
    sqzi_text_table_free(&classes);
    return status;
}

sqz_status sqz_dataset_fit_glue(sqz_dataset *dataset, const sqz_model *model, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    uint32_t order[SQZI_GLUE_CLASSES], now[SQZI_GLUE_CLASSES];
    if (!dataset || !model)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_dataset_fit_glue: an argument is NULL");
    sqz_example *examples = sqzi_dataset_all(dataset, &n);
    const int task = dataset->task ? sqz_glue_find(dataset->task) : -1;
    FAIL_IF(task < 0, SQZ_EINVAL, 0, "%s: are rows of no task of GLUE", dataset->name);
    const sqz_eval_options o = {.cosine = task == SQZ_GLUE_STSB &&
                                          sqz_model_get_info(model)->head == SQZ_HEAD_NONE};
    TRY(sqzi_glue_fit(model, (sqz_glue_task)task, &o, order, error));
    if (!dataset->classes.n) return SQZ_OK;
    TRY(rename_classes(dataset, model, (sqz_glue_task)task, order, now, error));
    for (size_t i = 0; i < n; i++) examples[i].label = now[examples[i].label];
fail:
    return status;
}
