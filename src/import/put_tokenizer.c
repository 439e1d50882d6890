/* SPDX-License-Identifier: Apache-2.0 */
/* A finished draft to the metadata of a model file, and what its user should know about it. */
#include <stdio.h>
#include <string.h>

#include "import/tokenizer_draft.h"
#include "text/vocabulary.h"

/* What the tokenizer would refuse when the finished file is opened is refused here, where the
 * source can be named. */
static sqz_status check_pieces(const sqzi_tokenizer_draft *d)
{
    sqz_status status = SQZ_OK;
    const sqzi_importer *m = d->importer;
    sqz_error *error = m->error;
    sqzi_vocabulary vocabulary = {0};
    FAIL_IF(d->vocabulary.n == 0, SQZ_EFORMAT, 0, "%s/%s: the vocabulary is empty", m->transformer,
            d->source);
    status = sqzi_vocabulary_open(m->source.allocator, d->pieces, d->n, d->apart, d->prefix,
                                  &vocabulary, error);
    if (status == SQZ_OK) sqzi_vocabulary_close(m->source.allocator, &vocabulary);
    else {
        sqzi_error_prefix(error, d->source);
        sqzi_error_prefix(error, m->transformer);
    }
fail:
    return status;
}

static bool has_capital(sqzi_span piece)
{
    for (size_t i = 0; piece.n && piece.bytes[0] != '[' && i < piece.n; i++)
        if (piece.bytes[i] >= 'A' && piece.bytes[i] <= 'Z') return true;
    return false;
}

/* Whether words that cannot be spelt have a piece: an added token alone is none, for Transformers
 * as well. */
static bool has_unknown(const sqzi_tokenizer_draft *d)
{
    return d->special[0] &&
           sqzi_piece_index_find(&d->vocabulary, sqzi_span_of(d->special[0])) != UINT32_MAX;
}

/* No unknown token, numbers that the model does not embed, and a vocabulary that lower case makes
 * no use of. */
static void tell(const sqzi_tokenizer_draft *d)
{
    const sqzi_importer *m = d->importer;
    uint32_t capitals = 0, beyond = 0, first = UINT32_MAX;
    if (!has_unknown(d))
        sqzi_import_note(
            m,
            "the vocabulary has no unknown token (unk_token is '%.60s'): a text with a "
            "word that it cannot spell is refused",
            d->special[0] ? d->special[0] : "null");
    for (uint32_t i = 0; i < d->n; i++) {
        if (!d->pieces[i].n) continue;
        capitals += has_capital(d->pieces[i]);
        if (i < m->vocabulary) continue;
        beyond++;
        if (first == UINT32_MAX) first = i;
    }
    if (beyond)
        sqzi_import_note(m,
                         "%u of the tokenizer's pieces, '%.60s' the first, have numbers from %u "
                         "on, the model embeds %u: a text with one of them is refused",
                         beyond, d->pieces[first].bytes, first, m->vocabulary);
    if (d->lowercase && d->n >= 1000 && capitals > d->n / 10)
        sqzi_import_note(m,
                         "texts are made lower case, but %u of the %u pieces hold capital letters: "
                         "if the model is a cased one, set do_lower_case to false in "
                         "tokenizer_config.json",
                         capitals, d->n);
}

static sqz_status put_added(const sqzi_tokenizer_draft *d)
{
    sqz_status status = SQZ_OK;
    const sqzi_importer *m = d->importer;
    sqz_error *error = m->error;
    const size_t n = d->n_added, bytes = n * (2 * sizeof(uint32_t) + sizeof(sqzi_span));
    sqzi_span *texts = sqzi_allocate(m->source.allocator, bytes);
    FAIL_IF(!texts, SQZ_ENOMEM, 0, "no memory for %zu added tokens", n);
    uint32_t *ids = (uint32_t *)(void *)(texts + n), *bits = ids + n;
    for (uint32_t id = 0, i = 0; id < d->n; id++) {
        if (!d->added_at[id]) continue;
        const sqzi_added_token *token = &d->added[d->added_at[id] - 1];
        texts[i] = token->text;
        ids[i] = id;
        bits[i++] = token->flags | (d->apart[id] ? SQZI_ADDED_APART : 0);
    }
    sqzi_gguf_put_u32s(m->writer, "sqz.tokenizer.added.ids", ids, n);
    sqzi_gguf_put_strings(m->writer, "sqz.tokenizer.added.texts", texts, n);
    sqzi_gguf_put_u32s(m->writer, "sqz.tokenizer.added.flags", bits, n);
fail:
    if (texts) sqzi_release(m->source.allocator, texts, bytes);
    return status;
}

sqz_status sqzi_put_tokenizer(const sqzi_tokenizer_draft *d)
{
    sqzi_gguf_writer *w = d->importer->writer;
    const sqz_status status = check_pieces(d);
    if (status != SQZ_OK) return status;
    sqzi_gguf_put_string(w, "tokenizer.ggml.model", "bert");
    sqzi_gguf_put_strings(w, "tokenizer.ggml.tokens", d->pieces, d->n);
    sqzi_gguf_put_bool(w, "sqz.tokenizer.clean_text", d->clean_text);
    sqzi_gguf_put_bool(w, "sqz.tokenizer.handle_chinese_chars", d->handle_chinese_chars);
    sqzi_gguf_put_bool(w, "sqz.tokenizer.strip_accents", d->strip_accents);
    sqzi_gguf_put_bool(w, "sqz.tokenizer.lowercase", d->lowercase);
    sqzi_gguf_put_span(w, "sqz.tokenizer.prefix", d->prefix);
    sqzi_gguf_put_u32(w, "sqz.tokenizer.max_word_chars", d->max_word_chars);
    for (int k = 0; k < SQZI_SPECIAL_WORDS; k++) {
        char key[64];
        const bool is_there = d->special[k] && (k > 0 || has_unknown(d));
        const uint32_t id = is_there ? sqzi_tokenizer_draft_id(d, sqzi_span_of(d->special[k]))
                                     : UINT32_MAX;
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", sqzi_special_words[k].gguf);
        if (id != UINT32_MAX) sqzi_gguf_put_u32(w, key, id);
    }
    tell(d);
    return put_added(d);
}
