/* SPDX-License-Identifier: Apache-2.0 */
/* A data set of plain texts. */
#include "base/error.h"
#include "data/permutation.h"
#include "data/sentences.h"
#include "eval/dataset_reader.h"
#include "model/context.h"

static bool is_blank(sqz_text text)
{
    for (size_t i = 0; i < text.n_bytes; i++)
        if (text.bytes[i] != ' ' && !(text.bytes[i] >= '\t' && text.bytes[i] <= '\r')) return false;
    return true;
}

/* Texts [n] in the order of `order`, or as they stand; those that are blank or stand there already
 * are left out. */
static sqz_status add_texts(sqz_dataset *dataset, const sqz_text *texts, const uint32_t *order,
                            uint32_t n, uint32_t most, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_text_table seen = {.allocator = dataset->allocator};
    uint32_t number;
    for (uint32_t i = 0; i < n && (!most || seen.n < most); i++) {
        const uint32_t at = order ? order[i] : i;
        sqz_example e = {.line = at + 1};
        if (is_blank(texts[at])) {
            dataset->n_blank++;
            continue;
        }
        if (sqzi_text_table_find(&seen, texts[at]) != UINT32_MAX) continue;
        TRY(sqzi_dataset_keep(dataset, texts[at], &e.input.text, error));
        TRY(sqzi_text_table_add(&seen, e.input.text, &number, error));
        TRY(sqzi_dataset_add(dataset, &e, error));
    }
    FAIL_IF(!seen.n, SQZ_EFORMAT, 0, "%s: holds no text", dataset->name);
fail:
    sqzi_text_table_free(&seen);
    return status;
}

static sqz_status add_some(sqz_dataset *dataset, const sqz_text *texts, size_t n,
                           const sqz_texts_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t *order = NULL;
    FAIL_IF(n > INT32_MAX, SQZ_ELIMIT, 0, "%s: more than 2^31 - 1 texts", dataset->name);
    if (o->most) {
        order = sqzi_allocate(dataset->allocator, n * sizeof *order);
        FAIL_IF(!order, SQZ_ENOMEM, 0, "%s: no memory for the order of its texts", dataset->name);
        for (uint32_t i = 0; i < n; i++) order[i] = i;
        sqzi_permute(order, (uint32_t)n, o->seed, SQZI_CHANCE_TEXTS, 0);
    }
    TRY(add_texts(dataset, texts, order, (uint32_t)n, o->most, error));
fail:
    sqzi_release(dataset->allocator, order, n * sizeof *order);
    return status;
}

sqz_status sqz_dataset_open_texts(const sqz_context *context, const char *name,
                                  const sqz_text *texts, size_t n, const sqz_texts_options *options,
                                  sqz_dataset **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    static const sqz_texts_options defaults;
    sqz_dataset *dataset = NULL;
    sqzi_sentences sentences = {0};
    if (!context || !name || (!texts && n) || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_dataset_open_texts: an argument is NULL");
    *out = NULL;
    if (!options) options = &defaults;
    TRY(SQZI_RESERVED(options, "sqz_texts_options", error));
    TRY(sqzi_dataset_make(context, name, SQZ_LABELS_ONE, &dataset, error));
    dataset->labelled = false;
    if (!options->whole) {
        TRY(sqzi_sentences_make(&context->allocator, texts, n, &sentences, error));
        texts = sentences.all;
        n = sentences.n;
    }
    TRY(add_some(dataset, texts, n, options, error));
    TRY(sqzi_dataset_finish(dataset, error));
    *out = dataset;
    dataset = NULL;
fail:
    sqzi_sentences_discard(&sentences);
    sqz_dataset_close(dataset);
    return status;
}
