/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a data set's examples: one block each of ids, types and labels. */
#include <stdio.h>

#include "base/error.h"
#include "eval/dataset_reader.h"
#include "model/loader.h"

enum { USUAL_LENGTH = 128 };

/* The class of each word at its first piece: pieces come in the order of the text. */
static sqz_status put_labels(sqz_dataset *d, const sqz_example *e, const sqz_piece *pieces,
                             uint32_t n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t word = 0, labelled = UINT32_MAX;
    for (uint32_t p = 0; p < n; p++) {
        int32_t label = -1;
        if (!pieces[p].special) {
            while (word < e->n_labels && e->word_end[word] <= pieces[p].begin_byte) word++;
            if (word < e->n_labels && word != labelled) label = (int32_t)e->labels[word];
            labelled = word;
        }
        TRY(sqzi_buffer_append(&d->piece_labels, &label, sizeof label, error));
    }
fail:
    return status;
}

static sqz_status put_example(sqz_dataset *d, const sqz_example *e, sqz_encoding *encoding,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_piece_range range = {.begin = d->types.used,
                              .n = sqz_encoding_first(encoding, 1),
                              .cut = sqz_encoding_cut(encoding)};
    TRY(sqzi_buffer_append(&d->ids, sqz_encoding_ids(encoding), range.n * sizeof(uint32_t), error));
    TRY(sqzi_buffer_append(&d->types, sqz_encoding_types(encoding), range.n, error));
    if (d->kind == SQZ_LABELS_WORDS && d->labelled)
        TRY(put_labels(d, e, sqz_encoding_pieces(encoding), range.n, error));
    TRY(sqzi_buffer_append(&d->pieces, &range, sizeof range, error));
fail:
    return status;
}

static void name_line(const sqz_dataset *dataset, const sqz_example *e, sqz_error *error)
{
    char prefix[300];
    snprintf(prefix, sizeof prefix, "%s: line %llu", dataset->name, (unsigned long long)e->line);
    sqzi_error_prefix(error, prefix);
    if (error) error->offset = e->line;
}

sqz_status sqz_dataset_tokenize(sqz_dataset *dataset, const sqz_tokenizer *tokenizer,
                                uint32_t max_length, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    sqz_encoding *encoding = NULL;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    const sqz_tokenize_options options = {.max_length = max_length};
    dataset->ids.used = dataset->types.used = 0;
    dataset->piece_labels.used = dataset->pieces.used = 0;
    TRY(sqz_encoding_open(dataset->context, &encoding, error));
    for (size_t i = 0; i < n; i++) {
        const sqz_input *input = &examples[i].input;
        status = sqz_tokenize(tokenizer, input->text, input->pair ? &input->second : NULL, &options,
                              encoding, error);
        if (status == SQZ_ETOKEN || status == SQZ_ELIMIT) name_line(dataset, &examples[i], error);
        if (status != SQZ_OK) goto fail;
        TRY(put_example(dataset, &examples[i], encoding, error));
    }
fail:
    sqz_encoding_close(encoding);
    if (status != SQZ_OK) dataset->pieces.used = 0;
    return status;
}

/* ---- with the tokenizer of a file ---- */

/* What texts need of a model file: its vocabulary, and how many pieces it takes. */
static sqz_status read_texts(sqz_model *m, const char *path, uint32_t *positions, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_span architecture;
    TRY(sqzi_gguf_open(&m->context->allocator, path, m->map.data, m->map.bytes, &m->gguf, error));
    TRY(sqzi_gguf_get_string(m->gguf, "general.architecture", true, &architecture, error));
    FAIL_IF(!sqzi_span_is(architecture, "sqz-encoder"), SQZ_EFORMAT, 0,
            "%s: not a model of this program", path);
    TRY(sqzi_gguf_get_u32(m->gguf, "sqz.max_positions", true, positions, error));
    status = sqzi_load_tokenizer(m, error);
    if (status != SQZ_OK) sqzi_error_prefix(error, path);
fail:
    return status;
}

sqz_status sqz_dataset_tokenize_for(sqz_dataset *dataset, const char *path, uint32_t *max_length,
                                    sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t positions = 0;
    sqz_model m = {0};
    if (!dataset || !path || !max_length)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_dataset_tokenize_for: an argument is NULL");
    m.context = (sqz_context *)(uintptr_t)dataset->context; /* read alone */
    TRY(sqzi_file_map_open(path, &m.map, error));
    TRY(read_texts(&m, path, &positions, error));
    if (!*max_length) *max_length = positions < USUAL_LENGTH ? positions : USUAL_LENGTH;
    FAIL_IF(*max_length > positions, SQZ_EINVAL, 0,
            "at most %u pieces a text are asked for, %s takes %u", *max_length, path, positions);
    TRY(sqz_dataset_tokenize(dataset, m.tokenizer, *max_length, error));
fail:
    sqzi_tokenizer_close(m.tokenizer);
    sqzi_gguf_close(m.gguf);
    sqzi_file_map_close(&m.map);
    return status;
}

sqz_example_pieces sqz_dataset_pieces(const sqz_dataset *dataset, size_t i)
{
    if (i >= dataset->pieces.used / sizeof(sqzi_piece_range)) return (sqz_example_pieces){0};
    const sqzi_piece_range *range = (const sqzi_piece_range *)(const void *)dataset->pieces.data +
                                    i;
    return (sqz_example_pieces){
        .ids = (const uint32_t *)(const void *)dataset->ids.data + range->begin,
        .types = dataset->types.data + range->begin,
        .labels = dataset->piece_labels.used
                      ? (const int32_t *)(const void *)dataset->piece_labels.data + range->begin
                      : NULL,
        .n = range->n,
        .cut = range->cut};
}
