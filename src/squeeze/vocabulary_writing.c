/* SPDX-License-Identifier: Apache-2.0 */
/* A pruned vocabulary in a new file: pieces numbered anew. */
#include <squeezebert/session.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/vocabulary_pruning.h"

static const char tokens_key[] = "tokenizer.ggml.tokens", added_key[] = "sqz.tokenizer.added.ids",
                  vocabulary_key[] = "sqz.vocabulary";

/* Of single pieces. */
static const char *const special_keys[] = {"tokenizer.ggml.unknown_token_id",
                                           "tokenizer.ggml.cls_token_id",
                                           "tokenizer.ggml.seperator_token_id",
                                           "tokenizer.ggml.padding_token_id",
                                           "tokenizer.ggml.mask_token_id"};

bool sqzi_vocabulary_describes(sqzi_span key)
{
    for (size_t i = 0; i < sizeof special_keys / sizeof *special_keys; i++)
        if (sqzi_span_is(key, special_keys[i])) return true;
    return sqzi_span_is(key, tokens_key) || sqzi_span_is(key, added_key) ||
           sqzi_span_is(key, vocabulary_key);
}

/* The new number of a piece: its row's, or, of those without a row, behind them; UINT32_MAX where
 * it left. Rows ascend. */
static uint32_t number_of(const sqzi_weights *w, uint32_t id)
{
    const uint32_t before = w->model->info.vocabulary, n = w->word.rows;
    if (id >= before) return id - before + n;
    uint32_t low = 0, high = n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (w->kept_words[middle] < id) low = middle + 1;
        else high = middle;
    }
    return low < n && w->kept_words[low] == id ? low : UINT32_MAX;
}

static sqz_status put_pieces(const sqzi_weights *w, sqzi_gguf_writer *writer, sqz_error *error)
{
    const sqz_allocator *allocator = &w->model->context->allocator;
    const sqzi_gguf_value *value = sqzi_gguf_find(w->model->gguf, tokens_key);
    const size_t most = (size_t)value->n;
    sqzi_span *pieces = sqzi_allocate(allocator, most * sizeof *pieces);
    if (!pieces)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a vocabulary of %zu pieces", most);
    const unsigned char *at = value->data;
    size_t n = 0;
    for (uint32_t id = 0; id < most; id++) {
        const sqzi_span piece = sqzi_gguf_next_string(&at);
        const uint32_t number = number_of(w, id);
        if (number == UINT32_MAX) continue;
        pieces[number] = piece;
        n = number + 1;
    }
    sqzi_gguf_put_strings(writer, tokens_key, pieces, n);
    sqzi_release(allocator, pieces, most * sizeof *pieces);
    return SQZ_OK;
}

static sqz_status put_added(const sqzi_weights *w, sqzi_gguf_writer *writer, sqz_error *error)
{
    const sqz_allocator *allocator = &w->model->context->allocator;
    const sqzi_gguf_value *value = sqzi_gguf_find(w->model->gguf, added_key);
    if (!value) return SQZ_OK;
    const size_t n = (size_t)value->n;
    uint32_t *ids = sqzi_allocate(allocator, n * sizeof *ids);
    if (!ids) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu added tokens", n);
    for (size_t i = 0; i < n; i++) ids[i] = number_of(w, (uint32_t)sqzi_gguf_uint(value, i));
    sqzi_gguf_put_u32s(writer, added_key, ids, n);
    sqzi_release(allocator, ids, n * sizeof *ids);
    return SQZ_OK;
}

sqz_status sqzi_vocabulary_put(const sqzi_weights *w, sqzi_gguf_writer *writer, sqz_error *error)
{
    sqz_status status = put_pieces(w, writer, error);
    if (status == SQZ_OK) status = put_added(w, writer, error);
    sqzi_gguf_put_u32(writer, vocabulary_key, w->word.rows);
    for (size_t i = 0; i < sizeof special_keys / sizeof *special_keys; i++) {
        const sqzi_gguf_value *value = sqzi_gguf_find(w->model->gguf, special_keys[i]);
        if (value)
            sqzi_gguf_put_u32(writer, special_keys[i],
                              number_of(w, (uint32_t)sqzi_gguf_uint(value, 0)));
    }
    return status;
}

bool sqzi_vocabulary_has_rows(const sqzi_weights *w, const sqzi_gguf_tensor *tensor)
{
    return w->kept_words && w->model->info.head == SQZ_HEAD_MASKED_LM &&
           sqzi_span_is(tensor->name, "head.output.bias");
}

sqz_status sqzi_vocabulary_emit(void *source, sqzi_file_writer *file, sqz_error *error)
{
    const sqzi_vocabulary_rows *rows = source;
    const sqzi_weights *w = rows->weights;
    const size_t bytes = (size_t)(rows->tensor->bytes / rows->tensor->shape[0]);
    sqz_status status = SQZ_OK;
    for (uint32_t r = 0; r < w->word.rows && status == SQZ_OK; r++)
        status = sqzi_file_writer_put(file,
                                      (const unsigned char *)rows->tensor->data +
                                          w->kept_words[r] * bytes,
                                      bytes, error);
    return status;
}

/* ---- reference vectors ---- */

/* New numbers; a piece that left becomes one that is there, whose old number goes to `old`. */
static bool renumber(const sqzi_weights *w, sqzi_reference_vector *v, uint32_t *old)
{
    bool changed = false;
    for (uint32_t t = 0; t < v->length; t++) {
        uint32_t number = number_of(w, (uint32_t)v->ids[t]);
        const bool left = number >= w->word.rows;
        if (left) number = (uint32_t)v->ids[t] % w->word.rows;
        old[t] = w->kept_words[number];
        v->ids[t] = (int32_t)number;
        changed |= left;
    }
    return changed;
}

/* What the source makes of it. */
static sqz_status run_source(const sqzi_references *r, sqz_session *session,
                             const sqzi_reference_vector *v, const uint32_t *ids, uint8_t *types,
                             sqz_error *error)
{
    const uint32_t first[] = {0, v->length};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids, .types = types};
    for (uint32_t t = 0; t < v->length; t++) types[t] = (uint8_t)v->types[t];
    const sqz_status status = sqz_encode(session, &batch, v->source_hidden, r->width, error);
    if (status != SQZ_OK || !v->rows) return status;
    return sqz_logits(session, &batch, NULL, 0, v->source_logits, r->classes, error);
}

sqz_status sqzi_vocabulary_references(const sqzi_weights *w, sqzi_references *r, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &w->model->context->allocator;
    const uint32_t longest = w->model->info.max_positions;
    sqz_session *session = NULL;
    if (!w->kept_words || r->n == 0) return SQZ_OK;
    uint32_t *ids = sqzi_allocate(allocator, longest * sizeof *ids);
    uint8_t *types = sqzi_allocate(allocator, longest);
    FAIL_IF(!ids || !types, SQZ_ENOMEM, 0, "no memory for a reference vector");
    TRY(sqz_session_open(
        w->model,
        &(sqz_session_options){.max_tokens = longest, .max_sequences = 1, .max_length = longest},
        &session, error));
    for (uint32_t j = 0; j < r->n; j++) {
        sqzi_reference_vector *v = &r->vectors[j];
        FAIL_IF(v->length > longest, SQZ_EFORMAT, 0,
                "reference vector %u is longer than the model's %u positions", j, longest);
        if (renumber(w, v, ids)) TRY(run_source(r, session, v, ids, types, error));
    }
fail:
    sqz_session_close(session);
    sqzi_release(allocator, ids, longest * sizeof *ids);
    sqzi_release(allocator, types, longest);
    return status;
}
