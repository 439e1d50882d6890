/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer's files. tokenizer.json holds all of it; vocab.txt and tokenizer_config.json say
 * the same to readers of older kinds. */
#include <stdio.h>
#include <string.h>

#include "export/exporter.h"
#include "text/tokenizer_spec.h"

/* What the metadata say; opening the model has checked them. */
typedef struct tokenizer {
    const sqzi_gguf_value *pieces, *ids, *texts, *flags; /* the last three may be NULL */
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
    sqzi_span prefix;
    uint32_t max_word_chars;
    /* spellings of the special tokens, NULL where there is none */
    json_t *special[SQZI_SPECIAL_WORDS];
    /* [pieces] an added token that is no piece of model.vocab */
    bool *apart;
} tokenizer;

static sqz_status read_settings(const sqzi_exporter *e, tokenizer *t)
{
    sqz_status status = SQZ_OK;
    const sqzi_gguf *gguf = e->model->gguf;
    t->pieces = sqzi_gguf_find(gguf, "tokenizer.ggml.tokens");
    t->ids = sqzi_gguf_find(gguf, "sqz.tokenizer.added.ids");
    t->texts = sqzi_gguf_find(gguf, "sqz.tokenizer.added.texts");
    t->flags = sqzi_gguf_find(gguf, "sqz.tokenizer.added.flags");
    t->prefix = sqzi_span_of("##");
    t->max_word_chars = 100;
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.clean_text", true, &t->clean_text, e->error));
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.handle_chinese_chars", true,
                           &t->handle_chinese_chars, e->error));
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.strip_accents", true, &t->strip_accents, e->error));
    TRY(sqzi_gguf_get_bool(gguf, "sqz.tokenizer.lowercase", true, &t->lowercase, e->error));
    TRY(sqzi_gguf_get_string(gguf, "sqz.tokenizer.prefix", false, &t->prefix, e->error));
    TRY(sqzi_gguf_get_u32(gguf, "sqz.tokenizer.max_word_chars", false, &t->max_word_chars,
                          e->error));
fail:
    return status;
}

static sqz_status find_apart(const sqzi_exporter *e, tokenizer *t)
{
    t->apart = sqzi_allocate_zeroed(e->allocator, (size_t)t->pieces->n, sizeof *t->apart);
    if (!t->apart) return sqzi_fail(e->error, SQZ_ENOMEM, 0, "no memory for the tokenizer");
    for (uint64_t i = 0; t->ids && i < t->ids->n; i++) {
        const uint64_t id = sqzi_gguf_uint(t->ids, i);
        if (id < t->pieces->n && sqzi_gguf_uint(t->flags, i) & SQZI_ADDED_APART)
            t->apart[id] = true;
    }
    return SQZ_OK;
}

static sqz_status read_special(const sqzi_exporter *e, tokenizer *t)
{
    uint32_t ids[SQZI_SPECIAL_WORDS];
    sqz_status status = SQZ_OK;
    for (int k = 0; k < SQZI_SPECIAL_WORDS; k++) {
        char key[64];
        ids[k] = UINT32_MAX;
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", sqzi_special_words[k].gguf);
        TRY(sqzi_gguf_get_u32(e->model->gguf, key, false, &ids[k], e->error));
    }
    const unsigned char *at = t->pieces->data;
    for (uint64_t i = 0; i < t->pieces->n; i++) {
        const sqzi_span piece = sqzi_gguf_next_string(&at);
        for (int k = 0; k < SQZI_SPECIAL_WORDS; k++)
            if (ids[k] == i && !t->special[k])
                TRY(sqzi_export_text(e, piece, "a special token", &t->special[k]));
    }
fail:
    return status;
}

/* One piece a line, an empty one for a token that is apart; a piece that would break the lines
 * leaves the file out, tokenizer.json has it all. */
static sqz_status write_lines(sqzi_exporter *e, const tokenizer *t)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    sqzi_file_writer file = {0};
    const unsigned char *at = t->pieces->data;
    for (uint64_t i = 0; i < t->pieces->n; i++) {
        const sqzi_span piece = sqzi_gguf_next_string(&at);
        if (!memchr(piece.bytes, '\n', piece.n) && !memchr(piece.bytes, '\0', piece.n) &&
            !(piece.n && piece.bytes[piece.n - 1] == '\r'))
            continue;
        sqzi_export_note(e, "not written: vocab.txt, because piece %llu holds a newline",
                         (unsigned long long)i);
        return SQZ_OK;
    }
    TRY(sqzi_folder_writer_file(&e->folder, "vocab.txt", &file, error));
    at = t->pieces->data;
    uint64_t n = t->pieces->n;
    while (n && t->apart[n - 1]) n--;
    for (uint64_t i = 0; i < n; i++) {
        const sqzi_span piece = sqzi_gguf_next_string(&at);
        TRY(sqzi_file_writer_put(&file, piece.bytes, t->apart[i] ? 0 : piece.n, error));
        TRY(sqzi_file_writer_put(&file, "\n", 1, error));
    }
    TRY(sqzi_file_writer_commit(&file, error));
fail:
    sqzi_file_writer_discard(&file);
    return status;
}

/* ---- tokenizer.json ---- */

/* Readers give a token that is no piece the next number behind as many as the vocabulary has
 * spellings, the empty one of a blank line among them. So where the first such number says that
 * there was one, it takes the first number without a piece; else UINT64_MAX. */
static uint64_t find_blank(const tokenizer *t)
{
    uint64_t spelt = 0, blank = UINT64_MAX, first = UINT64_MAX;
    const unsigned char *at = t->pieces->data, *texts = t->texts ? t->texts->data : NULL;
    for (uint64_t id = 0, i = 0; id < t->pieces->n; id++) {
        const sqzi_span piece = sqzi_gguf_next_string(&at);
        spelt += piece.n > 0 && !t->apart[id];
        if (!piece.n && blank == UINT64_MAX) blank = id;
        /* tokens are by number, as import writes them */
        if (!t->ids || i == t->ids->n || sqzi_gguf_uint(t->ids, i) != id) continue;
        const sqzi_span text = sqzi_gguf_next_string(&texts);
        const bool own = !t->apart[id] && text.n == piece.n &&
                         memcmp(text.bytes, piece.bytes, text.n) == 0;
        if (!own && first == UINT64_MAX) first = id;
        i++;
    }
    return first == spelt + 1 ? blank : UINT64_MAX;
}

static uint32_t find_id(const tokenizer *t, sqzi_span name)
{
    const unsigned char *at = t->texts ? t->texts->data : NULL;
    for (uint64_t i = 0; t->ids && i < t->ids->n; i++) {
        const sqzi_span text = sqzi_gguf_next_string(&at);
        if (text.n == name.n && memcmp(text.bytes, name.bytes, name.n) == 0)
            return (uint32_t)sqzi_gguf_uint(t->ids, i);
    }
    at = t->pieces->data;
    for (uint32_t i = 0; i < t->pieces->n; i++) {
        const sqzi_span text = sqzi_gguf_next_string(&at);
        if (text.n == name.n && memcmp(text.bytes, name.bytes, name.n) == 0) return i;
    }
    return UINT32_MAX; /* opening the model has found each of them */
}

/* The unknown token; for a vocabulary that has none a spelling that is no piece either. */
static json_t *name_unknown(const tokenizer *t)
{
    char name[16];
    size_t n = (size_t)snprintf(name, sizeof name, "%s", sqzi_special_words[0].spelling);
    if (t->special[0]) return json_incref(t->special[0]);
    while (n + 1 < sizeof name && find_id(t, (sqzi_span){name, n}) != UINT32_MAX) name[n++] = '_';
    return json_stringn(name, n);
}

static sqz_status make_model(const sqzi_exporter *e, const tokenizer *t, json_t *root)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    json_t *model = json_object(), *vocabulary = json_object(), *prefix;
    const unsigned char *at = t->pieces->data;
    const uint64_t blank = find_blank(t);
    TRY(sqzi_export_set(e, root, "model", json_incref(model)));
    TRY(sqzi_export_set(e, model, "type", json_string("WordPiece")));
    TRY(sqzi_export_set(e, model, "unk_token", name_unknown(t)));
    TRY(sqzi_export_text(e, t->prefix, "metadata 'sqz.tokenizer.prefix'", &prefix));
    TRY(sqzi_export_set(e, model, "continuing_subword_prefix", prefix));
    TRY(sqzi_export_set(e, model, "max_input_chars_per_word", json_integer(t->max_word_chars)));
    TRY(sqzi_export_set(e, model, "vocab", json_incref(vocabulary)));
    for (uint64_t i = 0; i < t->pieces->n; i++) {
        const sqzi_span piece = sqzi_gguf_next_string(&at);
        /* an id without a spelling, or spelt among the added tokens */
        if ((piece.n == 0 && i != blank) || t->apart[i]) continue;
        FAIL_IF(!sqzi_export_is_text(piece), SQZ_EFORMAT, i,
                "piece %llu of the vocabulary is no UTF-8, or holds a NUL byte: tokenizer.json "
                "cannot hold it",
                (unsigned long long)i);
        FAIL_IF(json_object_setn_new(vocabulary, piece.bytes, piece.n,
                                     json_integer((json_int_t)i)) != 0,
                SQZ_ENOMEM, 0, "no memory for the vocabulary of tokenizer.json");
    }
fail:
    json_decref(model);
    json_decref(vocabulary);
    return status;
}

/* The flags of an added token, in the form that both files use. */
static sqz_status make_added(const sqzi_exporter *e, sqzi_span text, uint32_t flags, json_t *token)
{
    sqz_status status = SQZ_OK;
    json_t *content;
    TRY(sqzi_export_text(e, text, "an added token", &content));
    TRY(sqzi_export_set(e, token, "content", content));
    for (int k = 0; k < SQZI_ADDED_FLAGS; k++)
        TRY(sqzi_export_set(e, token, sqzi_added_flags[k], json_boolean(flags >> k & 1)));
fail:
    return status;
}

/* `list` for tokenizer.json; `by_id` for the added_tokens_decoder of tokenizer_config.json. */
static sqz_status make_all_added(const sqzi_exporter *e, const tokenizer *t, json_t *list,
                                 json_t *by_id)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    const unsigned char *at = t->texts ? t->texts->data : NULL;
    for (uint64_t i = 0; t->ids && i < t->ids->n; i++) {
        char key[16];
        const sqzi_span text = sqzi_gguf_next_string(&at);
        const uint32_t id = (uint32_t)sqzi_gguf_uint(t->ids, i),
                       flags = (uint32_t)sqzi_gguf_uint(t->flags, i);
        json_t *token = json_object(), *entry = json_object();
        snprintf(key, sizeof key, "%u", (unsigned)id);
        /* before its list has it: a list that cannot take it lets it go */
        int failed = json_object_set_new(token, "id", json_integer(id));
        failed |= json_array_append_new(list, token);
        failed |= json_object_set_new(by_id, key, entry);
        FAIL_IF(failed, SQZ_ENOMEM, 0, "no memory for an added token");
        TRY(make_added(e, text, flags, token));
        TRY(make_added(e, text, flags, entry));
    }
fail:
    return status;
}

static sqz_status make_template(const sqzi_exporter *e, const tokenizer *t, const char *name,
                                json_t *processor, json_t *special)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    char key[64];
    json_t *items = json_array(), *text = NULL;
    snprintf(key, sizeof key, "sqz.tokenizer.template.%s", name);
    const sqzi_gguf_value *value = sqzi_gguf_find(e->model->gguf, key);
    const unsigned char *at = value->data;
    for (uint64_t i = 0; i < value->n; i++) {
        const sqzi_span item = sqzi_gguf_next_string(&at), whole = {item.bytes, item.n - 2};
        const bool sequence = sqzi_span_is(whole, "$A") || sqzi_span_is(whole, "$B");
        TRY(sqzi_export_text(e, sequence ? (sqzi_span){whole.bytes + 1, 1} : whole,
                             "an item of a template", &text));
        const int type = item.bytes[item.n - 1] - '0',
                  failed = json_array_append_new(
                      items, json_pack("{s:{s:O, s:i}}", sequence ? "Sequence" : "SpecialToken",
                                       "id", text, "type_id", type));
        if (!failed && !sequence)
            status = sqzi_export_set(e, special, json_string_value(text),
                                     json_pack("{s:O, s:[i], s:[O]}", "id", text, "ids",
                                               (int)find_id(t, whole), "tokens", text));
        json_decref(text);
        FAIL_IF(failed, SQZ_ENOMEM, 0, "no memory for a template");
        if (status != SQZ_OK) goto fail;
    }
    TRY(sqzi_export_set(e, processor, name, json_incref(items)));
fail:
    json_decref(items);
    return status;
}

static sqz_status make_processor(const sqzi_exporter *e, const tokenizer *t, json_t *root)
{
    sqz_status status = SQZ_OK;
    json_t *processor = json_object(), *special = json_object();
    TRY(sqzi_export_set(e, root, "post_processor", json_incref(processor)));
    TRY(sqzi_export_set(e, processor, "type", json_string("TemplateProcessing")));
    TRY(make_template(e, t, "single", processor, special));
    TRY(make_template(e, t, "pair", processor, special));
    TRY(sqzi_export_set(e, processor, "special_tokens", json_incref(special)));
fail:
    json_decref(processor);
    json_decref(special);
    return status;
}

static sqz_status write_json(sqzi_exporter *e, const tokenizer *t, json_t *added)
{
    sqz_status status = SQZ_OK;
    json_t *root = json_object();
    TRY(sqzi_export_set(e, root, "version", json_string("1.0")));
    TRY(sqzi_export_set(e, root, "truncation", json_null()));
    TRY(sqzi_export_set(e, root, "padding", json_null()));
    TRY(sqzi_export_set(e, root, "added_tokens", json_incref(added)));
    TRY(sqzi_export_set(e, root, "normalizer",
                        json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer",
                                  "clean_text", t->clean_text, "handle_chinese_chars",
                                  t->handle_chinese_chars, "strip_accents", t->strip_accents,
                                  "lowercase", t->lowercase)));
    TRY(sqzi_export_set(e, root, "pre_tokenizer", json_pack("{s:s}", "type", "BertPreTokenizer")));
    TRY(make_processor(e, t, root));
    TRY(sqzi_export_set(e, root, "decoder",
                        json_pack("{s:s, s:s%, s:b}", "type", "WordPiece", "prefix",
                                  t->prefix.bytes, t->prefix.n, "cleanup", 1)));
    TRY(make_model(e, t, root));
    TRY(sqzi_folder_writer_json(&e->folder, "tokenizer.json", root, e->error));
fail:
    json_decref(root);
    return status;
}

/* ---- the two configurations ---- */

static bool template_is(const sqzi_exporter *e, const tokenizer *t, const char *key,
                        const char *form)
{
    char expected[1024], got[1024];
    size_t n = 0;
    const char *cls = json_string_value(t->special[1]), *sep = json_string_value(t->special[2]);
    const sqzi_gguf_value *value = sqzi_gguf_find(e->model->gguf, key);
    const unsigned char *at = value->data;
    if (!cls || !sep || value->n > 8) return false;
    for (uint64_t i = 0; i < value->n && n < sizeof got; i++) {
        const sqzi_span item = sqzi_gguf_next_string(&at);
        n += (size_t)snprintf(got + n, sizeof got - n, "%.*s ", (int)(item.n > 100 ? 100 : item.n),
                              item.bytes);
    }
    snprintf(expected, sizeof expected, form, cls, sep, sep);
    return n < sizeof got && strcmp(expected, got) == 0;
}

/* BertTokenizer builds itself from a few settings; what it would build otherwise is left to the
 * class that takes tokenizer.json as it stands. */
static bool is_usual(const sqzi_exporter *e, const tokenizer *t)
{
    return t->special[0] && t->clean_text && sqzi_span_is(t->prefix, "##") &&
           t->max_word_chars == 100 &&
           template_is(e, t, "sqz.tokenizer.template.single", "%s:0 $A:0 %s:0 ") &&
           template_is(e, t, "sqz.tokenizer.template.pair", "%s:0 $A:0 %s:0 $B:1 %s:1 ");
}

/* null: the class would have the usual one. */
static sqz_status put_special(const sqzi_exporter *e, const tokenizer *t, json_t *object)
{
    sqz_status status = SQZ_OK;
    for (int k = 0; k < SQZI_SPECIAL_WORDS; k++)
        TRY(sqzi_export_set(e, object, sqzi_special_words[k].key,
                            t->special[k] ? json_incref(t->special[k]) : json_null()));
fail:
    return status;
}

static sqz_status write_configs(sqzi_exporter *e, const tokenizer *t, json_t *by_id)
{
    sqz_status status = SQZ_OK;
    json_t *config = json_object(), *map = json_object();
    TRY(sqzi_export_set(e, config, "tokenizer_class",
                        json_string(is_usual(e, t) ? e->layout->tokenizer_class
                                                   : "PreTrainedTokenizerFast")));
    TRY(sqzi_export_set(e, config, "do_lower_case", json_boolean(t->lowercase)));
    TRY(sqzi_export_set(e, config, "strip_accents", json_boolean(t->strip_accents)));
    TRY(sqzi_export_set(e, config, "tokenize_chinese_chars",
                        json_boolean(t->handle_chinese_chars)));
    TRY(sqzi_export_set(e, config, "model_max_length", json_integer(e->model->info.max_length)));
    TRY(sqzi_export_set(e, config, "model_input_names",
                        !e->layout->has_types ? json_pack("[s, s]", "input_ids", "attention_mask")
                                              : json_pack("[s, s, s]", "input_ids",
                                                          "token_type_ids", "attention_mask")));
    TRY(put_special(e, t, config));
    TRY(sqzi_export_set(e, config, "added_tokens_decoder", json_incref(by_id)));
    TRY(sqzi_folder_writer_json(&e->folder, "tokenizer_config.json", config, e->error));
    TRY(put_special(e, t, map));
    TRY(sqzi_folder_writer_json(&e->folder, "special_tokens_map.json", map, e->error));
fail:
    json_decref(config);
    json_decref(map);
    return status;
}

sqz_status sqzi_export_tokenizer(sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    tokenizer t = {.special = {NULL}};
    json_t *added = json_array(), *by_id = json_object();
    TRY(read_settings(e, &t));
    TRY(read_special(e, &t));
    TRY(find_apart(e, &t));
    TRY(make_all_added(e, &t, added, by_id));
    TRY(write_lines(e, &t));
    TRY(write_json(e, &t, added));
    TRY(write_configs(e, &t, by_id));
fail:
    for (int k = 0; k < SQZI_SPECIAL_WORDS; k++) json_decref(t.special[k]);
    if (t.apart) sqzi_release(e->allocator, t.apart, (size_t)t.pieces->n * sizeof *t.apart);
    json_decref(added);
    json_decref(by_id);
    return status;
}
