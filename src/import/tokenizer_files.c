/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json, or vocab.txt with tokenizer_config.json, to the metadata of a model file. Padding
 * and truncation of tokenizer.json are not read: there is no padding here, and the length comes
 * from elsewhere. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

typedef struct settings {
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
    const char *prefix, *unknown;
    uint32_t max_word_chars;
    sqzi_span *pieces; /* [n] */
    bool *apart;       /* [n] an added token that model.vocab lacks */
    uint32_t n;
} settings;

static const char file[] = "tokenizer.json";

static sqz_status check_type(const sqzi_importer *m, const json_t *parent, const char *part,
                             const char *wanted)
{
    const char *type = json_string_value(json_object_get(json_object_get(parent, part), "type"));
    if (type && strcmp(type, wanted) == 0) return SQZ_OK;
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "tokenizer.json: the %s is '%s'; %s is what can be run", part,
                     type ? type : "none", wanted);
}

/* The spelling of every id; ids must be below the vocabulary and come once. */
static sqz_status place(const sqzi_importer *m, settings *s, const char *text, json_int_t id)
{
    if (id < 0 || id >= (json_int_t)m->vocabulary)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: the piece '%.60s' has the id %lld, config.json says vocab_size %u",
                         m->transformer, text, (long long)id, m->vocabulary);
    sqzi_span *piece = &s->pieces[id];
    if (piece->n && strcmp(piece->bytes, text) != 0)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: the pieces '%.60s' and '%.60s' share the id %lld", m->transformer,
                         piece->bytes, text, (long long)id);
    *piece = sqzi_span_of(text);
    if ((uint32_t)id >= s->n) s->n = (uint32_t)id + 1;
    return SQZ_OK;
}

static sqz_status read_normalizer(const sqzi_importer *m, const json_t *root, settings *s)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const json_t *normalizer = json_object_get(root, "normalizer");
    TRY(check_type(m, root, "normalizer", "BertNormalizer"));
    TRY(check_type(m, root, "pre_tokenizer", "BertPreTokenizer"));
    TRY(check_type(m, root, "model", "WordPiece"));
    TRY(sqzi_json_bool(normalizer, file, "clean_text", &s->clean_text, error));
    TRY(sqzi_json_bool(normalizer, file, "handle_chinese_chars", &s->handle_chinese_chars, error));
    TRY(sqzi_json_bool(normalizer, file, "lowercase", &s->lowercase, error));
    s->strip_accents = s->lowercase; /* null means: as lowercase */
    TRY(sqzi_json_bool(normalizer, file, "strip_accents", &s->strip_accents, error));
fail:
    return status;
}

static sqz_status read_model(const sqzi_importer *m, const json_t *root, settings *s)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const json_t *model = json_object_get(root, "model"), *token;
    json_t *id, *vocabulary = json_object_get(model, "vocab");
    const char *text;
    size_t i;
    TRY(sqzi_json_string(model, file, "continuing_subword_prefix", false, &s->prefix, error));
    TRY(sqzi_json_string(model, file, "unk_token", false, &s->unknown, error));
    TRY(sqzi_json_uint(model, file, "max_input_chars_per_word", false, &s->max_word_chars, error));
    FAIL_IF(!json_is_object(vocabulary), SQZ_EFORMAT, 0, "tokenizer.json: model.vocab is missing");
    json_object_foreach(vocabulary, text, id)
    {
        FAIL_IF(!json_is_integer(id), SQZ_EFORMAT, 0,
                "tokenizer.json: the id of the piece '%.60s' is no number", text);
        TRY(place(m, s, text, json_integer_value(id)));
    }
    json_array_foreach(json_object_get(root, "added_tokens"), i, token)
    {
        const char *content = json_string_value(json_object_get(token, "content"));
        FAIL_IF(!content || !json_is_integer(json_object_get(token, "id")), SQZ_EFORMAT, 0,
                "tokenizer.json: added token %zu has no content or no id", i);
        const json_int_t number = json_integer_value(json_object_get(token, "id"));
        const bool fresh = number >= (json_int_t)s->n || (number >= 0 && s->pieces[number].n == 0);
        TRY(place(m, s, content, number));
        s->apart[number] |= fresh;
    }
fail:
    return status;
}

enum { MOST_ADDED = 65536, MOST_ITEMS = 64 };

static sqz_status put_added(const sqzi_importer *m, const settings *s, const json_t *tokens)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const size_t n = json_array_size(tokens),
                 bytes = n * (2 * sizeof(uint32_t) + sizeof(sqzi_span));
    size_t i;
    const json_t *token;
    sqzi_span *texts = NULL;
    FAIL_IF(n > MOST_ADDED, SQZ_ELIMIT, 0,
            "tokenizer.json: %zu added tokens, at most %d are allowed", n, MOST_ADDED);
    texts = sqzi_allocate_zeroed(m->source.allocator, n, bytes / (n ? n : 1));
    FAIL_IF(!texts, SQZ_ENOMEM, 0, "no memory for %zu added tokens", n);
    uint32_t *ids = (uint32_t *)(void *)(texts + n), *bits = ids + n;
    json_array_foreach(tokens, i, token)
    {
        texts[i] = sqzi_span_of(json_string_value(json_object_get(token, "content")));
        ids[i] = (uint32_t)json_integer_value(json_object_get(token, "id"));
        for (uint32_t k = 0; k < SQZI_ADDED_FLAGS; k++)
            if (json_is_true(json_object_get(token, sqzi_added_flags[k]))) bits[i] |= 1u << k;
        if (s->apart[ids[i]]) bits[i] |= SQZI_ADDED_APART;
    }
    sqzi_gguf_put_u32s(m->writer, "sqz.tokenizer.added.ids", ids, n);
    sqzi_gguf_put_strings(m->writer, "sqz.tokenizer.added.texts", texts, n);
    sqzi_gguf_put_u32s(m->writer, "sqz.tokenizer.added.flags", bits, n);
fail:
    if (texts) sqzi_release(m->source.allocator, texts, bytes);
    return status;
}

static sqz_status put_template(const sqzi_importer *m, const json_t *processor, const char *name)
{
    char key[64], texts[MOST_ITEMS][272];
    sqzi_span items[MOST_ITEMS];
    size_t i, n = 0;
    const json_t *item;
    json_array_foreach(json_object_get(processor, name), i, item)
    {
        const json_t *special = json_object_get(item, "SpecialToken"),
                     *part = special ? special : json_object_get(item, "Sequence");
        const char *id = json_string_value(json_object_get(part, "id"));
        const json_int_t type = json_integer_value(json_object_get(part, "type_id"));
        if (n == MOST_ITEMS || !id || strlen(id) > 256 || type < 0 || type > 1)
            return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                             "tokenizer.json: item %zu of the template '%s' cannot be run", i,
                             name);
        snprintf(texts[n], sizeof texts[n], "%s%s:%d", special ? "" : "$", id, (int)type);
        items[n] = sqzi_span_of(texts[n]);
        n++;
    }
    snprintf(key, sizeof key, "sqz.tokenizer.template.%s", name);
    if (n == 0)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "tokenizer.json: the post-processor has no template '%s'", name);
    sqzi_gguf_put_strings(m->writer, key, items, n);
    return SQZ_OK;
}

/* BertProcessing is the usual template with its two tokens named. */
static sqz_status put_bert_template(const sqzi_importer *m, const char *cls, const char *sep)
{
    char first[272], last[272], second[272];
    if (strlen(cls) > 256 || strlen(sep) > 256)
        return sqzi_fail(m->error, SQZ_ELIMIT, 0, "%s: a special token longer than 256 bytes",
                         m->transformer);
    snprintf(first, sizeof first, "%s:0", cls);
    snprintf(last, sizeof last, "%s:0", sep);
    snprintf(second, sizeof second, "%s:1", sep);
    const sqzi_span items[] = {sqzi_span_of(first), sqzi_span_of("$A:0"), sqzi_span_of(last),
                               sqzi_span_of("$B:1"), sqzi_span_of(second)};
    sqzi_gguf_put_strings(m->writer, "sqz.tokenizer.template.single", items, 3);
    sqzi_gguf_put_strings(m->writer, "sqz.tokenizer.template.pair", items, 5);
    return SQZ_OK;
}

static sqz_status read_processor(const sqzi_importer *m, const json_t *root)
{
    const json_t *processor = json_object_get(root, "post_processor");
    const char *type = json_string_value(json_object_get(processor, "type"));
    if (type && strcmp(type, "BertProcessing") == 0) {
        const char *cls = json_string_value(json_array_get(json_object_get(processor, "cls"), 0)),
                   *sep = json_string_value(json_array_get(json_object_get(processor, "sep"), 0));
        return cls && sep ? put_bert_template(m, cls, sep)
                          : sqzi_fail(m->error, SQZ_EFORMAT, 0,
                                      "tokenizer.json: BertProcessing without its cls and sep");
    }
    if (!type || strcmp(type, "TemplateProcessing") != 0)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "tokenizer.json: the post_processor is '%s'; TemplateProcessing and "
                         "BertProcessing can be run",
                         type ? type : "none");
    const sqz_status status = put_template(m, processor, "single");
    return status == SQZ_OK ? put_template(m, processor, "pair") : status;
}

/* What the tokenizer would refuse when the finished file is opened is refused here, where the
 * source can be named. */
static sqz_status check_pieces(const sqzi_importer *m, const settings *s, const char *source)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    sqzi_vocabulary vocabulary = {0};
    uint32_t unknown = 0;
    while (unknown < s->n && !sqzi_span_is(s->pieces[unknown], s->unknown)) unknown++;
    FAIL_IF(unknown == s->n, SQZ_EFORMAT, 0,
            "%s/%s: the vocabulary has no unknown token: '%.60s' must be one of its %u pieces",
            m->transformer, source, s->unknown, s->n);
    status = sqzi_vocabulary_open(m->source.allocator, s->pieces, s->n, s->apart,
                                  sqzi_span_of(s->prefix), &vocabulary, error);
    if (status == SQZ_OK) sqzi_vocabulary_close(m->source.allocator, &vocabulary);
    else {
        sqzi_error_prefix(error, source);
        sqzi_error_prefix(error, m->transformer);
    }
fail:
    return status;
}

static void put_settings(const sqzi_importer *m, const settings *s)
{
    sqzi_gguf_writer *w = m->writer;
    sqzi_gguf_put_string(w, "tokenizer.ggml.model", "bert");
    sqzi_gguf_put_strings(w, "tokenizer.ggml.tokens", s->pieces, s->n);
    sqzi_gguf_put_bool(w, "sqz.tokenizer.clean_text", s->clean_text);
    sqzi_gguf_put_bool(w, "sqz.tokenizer.handle_chinese_chars", s->handle_chinese_chars);
    sqzi_gguf_put_bool(w, "sqz.tokenizer.strip_accents", s->strip_accents);
    /* sentence-transformers puts a Lowercase before the normaliser: the same, since accents and
     * letters are each stripped and lowered by themselves */
    sqzi_gguf_put_bool(w, "sqz.tokenizer.lowercase", s->lowercase || m->lower_texts);
    sqzi_gguf_put_string(w, "sqz.tokenizer.prefix", s->prefix);
    sqzi_gguf_put_u32(w, "sqz.tokenizer.max_word_chars", s->max_word_chars);
    for (uint32_t i = 0; i < s->n; i++) {
        char key[64];
        for (int k = 0; k < SQZI_SPECIAL_WORDS; k++)
            if (sqzi_span_is(s->pieces[i], k == 0 ? s->unknown : sqzi_special_words[k].spelling)) {
                snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", sqzi_special_words[k].gguf);
                sqzi_gguf_put_u32(w, key, i);
            }
    }
}

static sqz_status import_json(const sqzi_importer *m, const json_t *root, settings *s)
{
    sqz_status status = SQZ_OK;
    TRY(read_normalizer(m, root, s));
    TRY(read_model(m, root, s));
    TRY(check_pieces(m, s, file));
    put_settings(m, s);
    TRY(put_added(m, s, json_object_get(root, "added_tokens")));
    TRY(read_processor(m, root));
fail:
    return status;
}

/* One piece a line. `text` gets a NUL at the end of each. */
static sqz_status read_lines(const sqzi_importer *m, char *text, size_t bytes, settings *s)
{
    json_int_t id = 0;
    for (size_t begin = 0; begin < bytes; id++) {
        char *end = memchr(text + begin, '\n', bytes - begin);
        const size_t stop = end ? (size_t)(end - text) : bytes;
        text[stop] = '\0';
        if (stop > begin && text[stop - 1] == '\r') text[stop - 1] = '\0';
        if (strlen(text + begin) != stop - begin && text[stop - 1] != '\0')
            return sqzi_fail(m->error, SQZ_EFORMAT, begin,
                             "%s/vocab.txt: line %lld holds a NUL byte", m->transformer,
                             (long long)id + 1);
        const sqz_status status = place(m, s, text + begin, id);
        if (status != SQZ_OK) return status;
        begin = stop + 1;
    }
    return SQZ_OK;
}

static sqz_status put_usual_added(const sqzi_importer *m, const settings *s)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    sqzi_span texts[5];
    uint32_t ids[5], flags[5];
    size_t n = 0;
    for (uint32_t i = 0; i < s->n; i++)
        for (int k = 0; k < 5; k++)
            if (n < 5 && sqzi_span_is(s->pieces[i], names[k])) {
                texts[n] = s->pieces[i];
                ids[n] = i;
                flags[n++] = 1;
            }
    sqzi_gguf_put_u32s(m->writer, "sqz.tokenizer.added.ids", ids, n);
    sqzi_gguf_put_strings(m->writer, "sqz.tokenizer.added.texts", texts, n);
    sqzi_gguf_put_u32s(m->writer, "sqz.tokenizer.added.flags", flags, n);
    return put_bert_template(m, "[CLS]", "[SEP]");
}

static sqz_status import_lines(const sqzi_importer *m, settings *s)
{
    static const char config_file[] = "tokenizer_config.json";
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    char path[SQZI_JSON_PATH], *text = NULL;
    sqzi_file_map map = {NULL, 0};
    json_t *config = NULL;
    TRY(sqzi_json_load(m->transformer, config_file, false, &config, error));
    TRY(sqzi_json_bool(config, config_file, "do_lower_case", &s->lowercase, error));
    s->strip_accents = s->lowercase;
    TRY(sqzi_json_bool(config, config_file, "strip_accents", &s->strip_accents, error));
    TRY(sqzi_json_bool(config, config_file, "tokenize_chinese_chars", &s->handle_chinese_chars,
                       error));
    TRY(sqzi_json_string(config, config_file, "unk_token", false, &s->unknown, error));
    TRY(sqzi_join_path(m->transformer, "vocab.txt", path, error));
    TRY(sqzi_file_map_open(path, &map, error));
    FAIL_IF(map.bytes > 256u << 20, SQZ_ELIMIT, 0, "%s has %zu bytes, at most 256 MiB are read",
            path, map.bytes);
    text = sqzi_allocate(m->source.allocator, map.bytes + 1);
    FAIL_IF(!text, SQZ_ENOMEM, 0, "no memory for %zu bytes of vocabulary", map.bytes);
    if (map.bytes) memcpy(text, map.data, map.bytes);
    TRY(read_lines(m, text, map.bytes, s));
    TRY(check_pieces(m, s, "vocab.txt"));
    put_settings(m, s);
    TRY(put_usual_added(m, s));
fail:
    if (text) sqzi_release(m->source.allocator, text, map.bytes + 1);
    sqzi_file_map_close(&map);
    json_decref(config);
    return status;
}

sqz_status sqzi_import_tokenizer(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    json_t *root = NULL;
    settings s = {true, true, true, true, "##", "[UNK]", 100, NULL, NULL, 0};
    FAIL_IF(m->vocabulary > 1u << 24, SQZ_ELIMIT, 0,
            "config.json: vocab_size is %u, at most 2^24 are allowed", m->vocabulary);
    s.pieces = sqzi_allocate_zeroed(m->source.allocator, m->vocabulary, sizeof *s.pieces);
    s.apart = sqzi_allocate_zeroed(m->source.allocator, m->vocabulary, sizeof *s.apart);
    FAIL_IF(!s.pieces || !s.apart, SQZ_ENOMEM, 0, "no memory for %u pieces", m->vocabulary);
    TRY(sqzi_json_load(m->transformer, file, false, &root, error));
    status = root ? import_json(m, root, &s) : import_lines(m, &s);
fail:
    sqzi_release(m->source.allocator, s.pieces, m->vocabulary * sizeof *s.pieces);
    sqzi_release(m->source.allocator, s.apart, m->vocabulary * sizeof *s.apart);
    json_decref(root);
    return status;
}
