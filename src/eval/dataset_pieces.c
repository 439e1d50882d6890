/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a data set's examples: one block each of ids, types and labels. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "eval/dataset_reader.h"
#include "model/loader.h"

enum { USUAL_LENGTH = 128 };

/* The class of each word at its first piece: pieces come in the order of the text. */
static sqz_status put_labels(sqzi_buffer *labels, const sqz_example *e, const sqz_piece *pieces,
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
        TRY(sqzi_buffer_append(labels, &label, sizeof label, error));
    }
fail:
    return status;
}

/* Up to where each text of an example was read. */
static void measure_texts(const sqz_piece *pieces, sqzi_piece_range *range)
{
    for (uint32_t p = 0; p < range->n; p++)
        if (!pieces[p].special) range->bytes[pieces[p].sequence] = pieces[p].end_byte;
}

static sqz_status put_example(const sqz_dataset *d, const sqz_example *e, sqz_encoding *encoding,
                              uint32_t skip, sqzi_pieces *to, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_piece_range range = {.begin = to->types.used,
                              .n = sqz_encoding_first(encoding, 1),
                              .cut = sqz_encoding_cut(encoding),
                              .skip = skip};
    measure_texts(sqz_encoding_pieces(encoding), &range);
    TRY(sqzi_buffer_append(&to->ids, sqz_encoding_ids(encoding), range.n * sizeof(uint32_t),
                           error));
    TRY(sqzi_buffer_append(&to->types, sqz_encoding_types(encoding), range.n, error));
    if (d->kind == SQZ_LABELS_WORDS && d->labelled)
        TRY(put_labels(&to->labels, e, sqz_encoding_pieces(encoding), range.n, error));
    TRY(sqzi_buffer_append(&to->ranges, &range, sizeof range, error));
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

static void forget(sqzi_pieces *pieces)
{
    pieces->ids.used = pieces->types.used = pieces->labels.used = pieces->ranges.used = 0;
}

static void forget_pieces(sqz_dataset *dataset)
{
    forget(&dataset->pieces);
    forget(&dataset->teachers);
    dataset->texts = 0;
}

sqz_status sqz_dataset_tokenize(sqz_dataset *dataset, const sqz_tokenizer *tokenizer,
                                uint32_t max_length, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    sqz_encoding *encoding = NULL;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    const sqz_tokenize_options options = {.max_length = max_length};
    forget_pieces(dataset);
    TRY(sqz_encoding_open(dataset->context, &encoding, error));
    for (size_t i = 0; i < n; i++) {
        const sqz_input *input = &examples[i].input;
        status = sqz_tokenize(tokenizer, input->text, input->pair ? &input->second : NULL, &options,
                              encoding, error);
        if (status == SQZ_ETOKEN || status == SQZ_ELIMIT) name_line(dataset, &examples[i], error);
        if (status != SQZ_OK) goto fail;
        TRY(put_example(dataset, &examples[i], encoding, 0, &dataset->pieces, error));
    }
fail:
    sqz_encoding_close(encoding);
    if (status != SQZ_OK) forget_pieces(dataset);
    return status;
}

/* ---- of a teacher ---- */

static const sqzi_piece_range *range_of(const sqzi_pieces *pieces, size_t i)
{
    return (const sqzi_piece_range *)(const void *)pieces->ranges.data + i;
}

/* What of a text the student reads: all of it, unless pieces were cut off. */
static sqz_text read_of(sqz_text text, const sqzi_piece_range *range, int t)
{
    return range->cut ? (sqz_text){text.bytes, range->bytes[t]} : text;
}

sqz_status sqz_dataset_tokenize_teacher(sqz_dataset *dataset, const sqz_tokenizer *tokenizer,
                                        uint32_t max_length, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    sqz_encoding *encoding = NULL;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    const sqz_tokenize_options options = {.max_length = max_length};
    forget(&dataset->teachers);
    FAIL_IF(!dataset->pieces.ranges.used || dataset->texts || dataset->kind == SQZ_LABELS_WORDS,
            SQZ_EINVAL, 0,
            "%s: a teacher's pieces are of examples that are tokenised already, and have no "
            "classes of words",
            dataset->name);
    TRY(sqz_encoding_open(dataset->context, &encoding, error));
    for (size_t i = 0; i < n; i++) {
        const sqz_input *input = &examples[i].input;
        const sqzi_piece_range *range = range_of(&dataset->pieces, i);
        const sqz_text second = read_of(input->second, range, 1);
        status = sqz_tokenize(tokenizer, read_of(input->text, range, 0),
                              input->pair ? &second : NULL, &options, encoding, error);
        if (status == SQZ_ETOKEN || status == SQZ_ELIMIT) name_line(dataset, &examples[i], error);
        if (status != SQZ_OK) goto fail;
        TRY(put_example(dataset, &examples[i], encoding, 0, &dataset->teachers, error));
    }
fail:
    sqz_encoding_close(encoding);
    if (status != SQZ_OK) forget(&dataset->teachers);
    return status;
}

/* ---- texts by themselves ---- */

sqz_text sqzi_dataset_text(const sqz_example *e, uint32_t t)
{
    return t == 0 ? e->input.text : t == 1 ? e->input.second : e->negatives[t - 2];
}

uint32_t sqzi_dataset_count_texts(const sqz_dataset *dataset)
{
    size_t n;
    const sqz_example *first = sqzi_dataset_all(dataset, &n);
    return first->input.pair ? 2 + first->n_negatives : 1;
}

/* A prompt, and the pieces that pooling leaves out for it: as sqz_embed_texts counts them. */
typedef struct prefix {
    sqz_text text;
    uint32_t skip;
} prefix;

typedef struct reading {
    sqz_dataset *dataset;
    const sqz_tokenizer *tokenizer;
    sqz_tokenize_options options;
    sqz_encoding *encoding;
    sqzi_buffer joined;
    prefix prefixes[2];
} reading;

static sqz_status measure(reading *r, const char *prompt, bool counts, prefix *out,
                          sqz_error *error)
{
    *out = (prefix){{prompt ? prompt : "", prompt ? strlen(prompt) : 0}, 0};
    if (!out->text.n_bytes) return SQZ_OK;
    const uint32_t most = r->options.max_length;
    const sqz_status status = sqz_tokenize(r->tokenizer, out->text, NULL, &r->options, r->encoding,
                                           error);
    if (status != SQZ_OK) return status;
    const uint32_t n = sqz_encoding_first(r->encoding, 1);
    if (most && n >= most)
        return sqzi_fail(error, SQZ_ETOOLONG, 0,
                         "the prompt '%.40s' alone fills the %u pieces that a text may have: give "
                         "a larger max_length",
                         out->text.bytes, most);
    if (!counts) out->skip = n - (n && sqz_encoding_pieces(r->encoding)[n - 1].special);
    return SQZ_OK;
}

static sqz_status read_text(reading *r, const sqz_example *e, uint32_t t, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const prefix *before = &r->prefixes[t > 0];
    sqz_text text = sqzi_dataset_text(e, t);
    if (before->text.n_bytes) {
        r->joined.used = 0;
        TRY(sqzi_buffer_append(&r->joined, before->text.bytes, before->text.n_bytes, error));
        TRY(sqzi_buffer_append(&r->joined, text.bytes, text.n_bytes, error));
        text = (sqz_text){(const char *)r->joined.data, r->joined.used};
    }
    status = sqz_tokenize(r->tokenizer, text, NULL, &r->options, r->encoding, error);
    if (status == SQZ_ETOKEN || status == SQZ_ELIMIT) name_line(r->dataset, e, error);
    if (status != SQZ_OK) return status;
    FAIL_IF(before->skip >= sqz_encoding_first(r->encoding, 1), SQZ_ETOOLONG, e->line,
            "%s: line %llu: the prompt alone fills all pieces, and pooling leaves it out: give a "
            "larger max_length",
            r->dataset->name, (unsigned long long)e->line);
    TRY(put_example(r->dataset, e, r->encoding, before->skip, &r->dataset->pieces, error));
fail:
    return status;
}

sqz_status sqz_dataset_tokenize_texts(sqz_dataset *dataset, const sqz_model *model,
                                      const char *prompt, const char *second_prompt,
                                      uint32_t max_length, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    const bool counts = sqz_model_get_info(model)->include_prompt != 0;
    const uint32_t texts = sqzi_dataset_count_texts(dataset);
    reading r = {.dataset = dataset,
                 .tokenizer = sqz_model_embed_tokenizer(model),
                 .options = {.max_length = max_length},
                 .joined = {.allocator = dataset->allocator, .limit = SIZE_MAX}};
    forget_pieces(dataset);
    FAIL_IF(dataset->kind == SQZ_LABELS_WORDS, SQZ_EINVAL, 0,
            "%s: has classes of words, embeddings are of texts", dataset->name);
    TRY(sqz_encoding_open(dataset->context, &r.encoding, error));
    TRY(measure(&r, prompt, counts, &r.prefixes[0], error));
    TRY(measure(&r, second_prompt, counts, &r.prefixes[1], error));
    for (size_t i = 0; i < n * texts; i++)
        TRY(read_text(&r, &examples[i / texts], (uint32_t)(i % texts), error));
    dataset->texts = texts;
fail:
    sqzi_buffer_free(&r.joined);
    sqz_encoding_close(r.encoding);
    if (status != SQZ_OK) forget_pieces(dataset);
    return status;
}

static bool begins_with(sqz_text text, sqz_text begin)
{
    return begin.n_bytes && text.n_bytes >= begin.n_bytes &&
           memcmp(text.bytes, begin.bytes, begin.n_bytes) == 0;
}

sqz_status sqzi_dataset_skip_prompts(sqz_dataset *dataset, const sqz_model *model,
                                     const char *const *prompts, uint32_t n, uint32_t max_length,
                                     sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n_examples;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n_examples);
    sqzi_piece_range *ranges = (void *)dataset->pieces.ranges.data;
    reading r = {.dataset = dataset,
                 .tokenizer = sqz_model_embed_tokenizer(model),
                 .options = {.max_length = max_length}};
    const bool counts = sqz_model_get_info(model)->include_prompt != 0;
    TRY(sqz_encoding_open(dataset->context, &r.encoding, error));
    for (uint32_t p = 0; p < n; p++) {
        const prefix *before = &r.prefixes[0];
        TRY(measure(&r, prompts[p], counts, &r.prefixes[0], error));
        for (size_t i = 0; i < n_examples; i++)
            if (begins_with(examples[i].input.text, before->text) && ranges[i].skip < before->skip)
                ranges[i].skip = before->skip;
    }
fail:
    sqz_encoding_close(r.encoding);
    return status;
}

uint32_t sqz_dataset_texts(const sqz_dataset *dataset)
{
    return dataset->texts;
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

static sqz_example_pieces pieces_of(const sqzi_pieces *pieces, size_t i)
{
    if (i >= pieces->ranges.used / sizeof(sqzi_piece_range)) return (sqz_example_pieces){0};
    const sqzi_piece_range *range = range_of(pieces, i);
    return (sqz_example_pieces){
        .ids = (const uint32_t *)(const void *)pieces->ids.data + range->begin,
        .types = pieces->types.data + range->begin,
        .labels = pieces->labels.used
                      ? (const int32_t *)(const void *)pieces->labels.data + range->begin
                      : NULL,
        .n = range->n,
        .cut = range->cut,
        .skip = range->skip};
}

sqz_example_pieces sqz_dataset_pieces(const sqz_dataset *dataset, size_t i)
{
    return pieces_of(&dataset->pieces, i);
}

sqz_example_pieces sqz_dataset_teacher_pieces(const sqz_dataset *dataset, size_t i)
{
    return pieces_of(&dataset->teachers, i);
}
