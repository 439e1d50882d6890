/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of pieces and added tokens. */
#include "import/tokenizer_draft.h"

#include <string.h>

/* A vocabulary may be another model's, larger one; the bound keeps memory near what the model's
 * own takes. */
enum { MOST_BEYOND = 1 << 18, MOST_PIECES = 1 << 24, MOST_ADDED = 65536 };

sqz_status sqzi_tokenizer_draft_open(const sqzi_importer *m, const char *source, uint32_t n,
                                     size_t most_added, sqzi_tokenizer_draft *d)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const sqz_allocator *allocator = m->source.allocator;
    *d = (sqzi_tokenizer_draft){.importer = m,
                                .source = source,
                                .clean_text = true,
                                .handle_chinese_chars = true,
                                .strip_accents = true,
                                .lowercase = true,
                                .types = true,
                                .prefix = sqzi_span_of("##"),
                                .max_word_chars = 100,
                                .most_added = (uint32_t)(most_added < MOST_ADDED ? most_added
                                                                                 : MOST_ADDED)};
    FAIL_IF(m->vocabulary > MOST_PIECES, SQZ_ELIMIT, 0,
            "config.json: vocab_size is %u, at most 2^24 are allowed", m->vocabulary);
    FAIL_IF(n > MOST_PIECES || (n > m->vocabulary && n - m->vocabulary > MOST_BEYOND), SQZ_ELIMIT,
            0, "%s/%s has %u pieces, the model embeds %u: it belongs to another model",
            m->transformer, source, n, m->vocabulary);
    d->capacity = (n > m->vocabulary ? n : m->vocabulary) + d->most_added;
    d->pieces = sqzi_allocate_zeroed(allocator, d->capacity, sizeof *d->pieces);
    d->apart = sqzi_allocate_zeroed(allocator, d->capacity, sizeof *d->apart);
    d->added_at = sqzi_allocate_zeroed(allocator, d->capacity, sizeof *d->added_at);
    d->added = sqzi_allocate_zeroed(allocator, d->most_added, sizeof *d->added);
    FAIL_IF(!d->pieces || !d->apart || !d->added_at || !d->added, SQZ_ENOMEM, 0,
            "no memory for %u pieces", n);
    TRY(sqzi_piece_index_open(allocator, n, &d->vocabulary, error));
    TRY(sqzi_piece_index_open(allocator, d->most_added, &d->tokens, error));
fail:
    return status;
}

void sqzi_tokenizer_draft_close(sqzi_tokenizer_draft *d)
{
    if (!d->importer) return;
    const sqz_allocator *allocator = d->importer->source.allocator;
    sqzi_release(allocator, d->pieces, d->capacity * sizeof *d->pieces);
    sqzi_release(allocator, d->apart, d->capacity * sizeof *d->apart);
    sqzi_release(allocator, d->added_at, d->capacity * sizeof *d->added_at);
    sqzi_release(allocator, d->added, d->most_added * sizeof *d->added);
    sqzi_piece_index_close(&d->vocabulary);
    sqzi_piece_index_close(&d->tokens);
}

sqz_status sqzi_tokenizer_draft_piece(sqzi_tokenizer_draft *d, sqzi_span text, int64_t id)
{
    const sqzi_importer *m = d->importer;
    if (id < 0 || id >= (int64_t)d->capacity - d->most_added)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s/%s: the piece '%.60s' has the id %lld, config.json says vocab_size %u",
                         m->transformer, d->source, text.bytes, (long long)id, m->vocabulary);
    sqzi_span *piece = &d->pieces[id];
    if (piece->n)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s/%s: the pieces '%.60s' and '%.60s' share the id %lld", m->transformer,
                         d->source, piece->bytes, text.bytes, (long long)id);
    uint32_t before = 0;
    const sqz_status status = sqzi_piece_index_put(&d->vocabulary, text, (uint32_t)id, &before,
                                                   m->error);
    if (status != SQZ_OK) return status;
    if (before != UINT32_MAX) d->pieces[before] = (sqzi_span){NULL, 0};
    *piece = text;
    if (text.n && (uint32_t)id >= d->n) d->n = (uint32_t)id + 1;
    return SQZ_OK;
}

/* A new one, or other flags for one that is there. */
static sqz_status put_token(sqzi_tokenizer_draft *d, sqzi_span text, uint32_t id, uint32_t flags)
{
    uint32_t before = 0;
    const sqz_status status = sqzi_piece_index_put(&d->tokens, text, id, &before,
                                                   d->importer->error);
    if (status != SQZ_OK) return status;
    if (!d->added_at[id]) d->added_at[id] = ++d->n_added;
    d->added[d->added_at[id] - 1] = (sqzi_added_token){id, text, flags};
    if (id >= d->next_added) d->next_added = id + 1;
    if (!d->pieces[id].n) {
        d->pieces[id] = text;
        d->apart[id] = true;
    }
    if (id >= d->n) d->n = id + 1;
    return SQZ_OK;
}

sqz_status sqzi_tokenizer_draft_add(sqzi_tokenizer_draft *d, const sqzi_new_token *token)
{
    const bool normalized = token->normalized >= 0 ? token->normalized
                                                   : !(token->flags & SQZI_ADDED_SPECIAL);
    const uint32_t flags = token->flags | (normalized ? SQZI_ADDED_NORMALIZED : 0);
    if (token->text.n == 0) return SQZ_OK;
    uint32_t id = sqzi_tokenizer_draft_id(d, token->text);
    if (id == UINT32_MAX) id = d->next_added > d->vocabulary.n ? d->next_added : d->vocabulary.n;
    if (d->n_added == d->most_added && !(id < d->capacity && d->added_at[id]))
        return sqzi_fail(d->importer->error, SQZ_ELIMIT, 0,
                         "%s: more than %d added tokens, that many are allowed",
                         d->importer->transformer, MOST_ADDED);
    if (id >= d->capacity)
        return sqzi_fail(d->importer->error, SQZ_EFORMAT, 0,
                         "%s: the added token '%.60s' has the id %u, config.json says vocab_size "
                         "%u",
                         d->importer->transformer, token->text.bytes, id, d->importer->vocabulary);
    return put_token(d, token->text, id, flags);
}

uint32_t sqzi_tokenizer_draft_id(const sqzi_tokenizer_draft *d, sqzi_span text)
{
    const uint32_t id = sqzi_piece_index_find(&d->tokens, text);
    return id != UINT32_MAX ? id : sqzi_piece_index_find(&d->vocabulary, text);
}

sqzi_span sqzi_tokenizer_draft_text(const sqzi_tokenizer_draft *d, uint32_t id)
{
    if (id >= d->capacity) return (sqzi_span){NULL, 0};
    return d->added_at[id] ? d->added[d->added_at[id] - 1].text : d->pieces[id];
}

sqz_status sqzi_check_keys(const sqzi_importer *m, const char *where, json_t *object,
                           const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0) i++;
        if (!known[i])
            return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "%s has the key '%.60s', which is not known: it could change what "
                             "the tokenizer does",
                             where, key);
    }
    return SQZ_OK;
}

sqz_status sqzi_read_token(const sqzi_importer *m, const char *where, json_t *value,
                           sqzi_new_token *token)
{
    const char *key;
    json_t *member;
    const char *content = json_is_string(value)
                              ? json_string_value(value)
                              : json_string_value(json_object_get(value, "content"));
    *token = (sqzi_new_token){.flags = json_is_string(value) ? SQZI_ADDED_SPECIAL : 0,
                              .normalized = -1,
                              .is_string = json_is_string(value)};
    if (!content)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: a token is a string, or an object with its content", where);
    token->text = sqzi_span_of(content);
    if (token->is_string) return SQZ_OK;
    json_object_foreach (value, key, member) {
        int k = 0;
        while (k < SQZI_ADDED_FLAGS && strcmp(key, sqzi_added_flags[k]) != 0) k++;
        if (k < SQZI_ADDED_FLAGS && json_is_boolean(member)) {
            if (1u << k == SQZI_ADDED_NORMALIZED) token->normalized = json_is_true(member);
            else if (json_is_true(member)) token->flags |= 1u << k;
        } else if (k < SQZI_ADDED_FLAGS && !json_is_null(member))
            return sqzi_fail(m->error, SQZ_EFORMAT, 0, "%s: '%s' of '%.60s' is no true or false",
                             where, key, content);
        else if (k == SQZI_ADDED_FLAGS && strcmp(key, "content") != 0 && strcmp(key, "id") != 0 &&
                 strcmp(key, "__type") != 0)
            return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "%s: the token '%.60s' has the key '%s', which is not known", where,
                             content, key);
    }
    return SQZ_OK;
}
