/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json. BertTokenizer takes its vocabulary and no more; TokenizersBackend all of it
 * (tokenizer_files.c has the rule). Either way the whole file must be of BERT's kind: a key or a
 * type that is not known is refused by name, what is absent has the default of its class. */
#include <stdio.h>
#include <string.h>

#include "import/tokenizer_draft.h"

static const char file[] = "tokenizer.json";

/* The type, or `usual` where none is said. */
static const char *type_of(const json_t *object, const char *usual)
{
    const json_t *type = json_object_get(object, "type");
    return type ? json_string_value(type) : usual;
}

/* Not taken by BertTokenizer: a stranger is told, a known one's keys are looked at. */
static bool is_left_out(const sqzi_importer *m, const char *part, json_t *object, const char *usual)
{
    const char *type = type_of(object, usual);
    if (!json_is_object(object)) return true;
    if (type && strcmp(type, usual) == 0) return false;
    sqzi_import_note(m,
                     "tokenizer.json: the %s '%.60s' is not used, as Transformers does not: "
                     "BertTokenizer makes its own",
                     part, type ? type : "none");
    return true;
}

/* ---- normalizer ---- */

typedef struct normalizer {
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
} normalizer;

static sqz_status read_bert_normalizer(const sqzi_importer *m, json_t *object, normalizer *n)
{
    static const char *const known[] = {"type",          "clean_text", "handle_chinese_chars",
                                        "strip_accents", "lowercase",  NULL};
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    *n = (normalizer){true, true, true, true};
    TRY(sqzi_check_keys(m, "tokenizer.json: the normalizer", object, known));
    TRY(sqzi_json_bool(object, file, "clean_text", &n->clean_text, error));
    TRY(sqzi_json_bool(object, file, "handle_chinese_chars", &n->handle_chinese_chars, error));
    TRY(sqzi_json_bool(object, file, "lowercase", &n->lowercase, error));
    n->strip_accents = n->lowercase; /* null means: as lowercase */
    TRY(sqzi_json_bool(object, file, "strip_accents", &n->strip_accents, error));
fail:
    return status;
}

/* Nothing, BertNormalizer, Lowercase, or a Sequence of these in this order: what the four settings
 * can say to the letter. NFD with StripAccents is something else than strip_accents: it takes
 * spacing and enclosing marks away as well. */
static sqz_status read_normalizer(const sqzi_importer *m, json_t *object, normalizer *n)
{
    static const char *const sequence_keys[] = {"type", "normalizers", NULL},
                             *const lowercase_keys[] = {"type", NULL};
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *type = type_of(object, "BertNormalizer");
    json_t *parts = json_object_get(object, "normalizers"), *part;
    size_t i;
    if (!object || json_is_null(object)) return SQZ_OK;
    if (type && strcmp(type, "BertNormalizer") == 0) return read_bert_normalizer(m, object, n);
    if (type && strcmp(type, "Lowercase") == 0) {
        n->lowercase = true;
        return sqzi_check_keys(m, "tokenizer.json: the normalizer", object, lowercase_keys);
    }
    FAIL_IF(!type || strcmp(type, "Sequence") != 0 || !json_is_array(parts), SQZ_EUNSUPPORTED, 0,
            "tokenizer.json: the normalizer is '%.60s'; BertNormalizer, Lowercase, and a Sequence "
            "of the two can be run",
            type ? type : "none");
    TRY(sqzi_check_keys(m, "tokenizer.json: the normalizer", object, sequence_keys));
    json_array_foreach (parts, i, part) {
        const char *name = type_of(part, "BertNormalizer");
        FAIL_IF(!name || strcmp(name, "Sequence") == 0 ||
                    (i > 0 && strcmp(name, "BertNormalizer") == 0),
                SQZ_EUNSUPPORTED, 0,
                "tokenizer.json: part %zu of the normalizer's Sequence is '%.60s': BertNormalizer "
                "must come first, Lowercase may follow",
                i, name ? name : "none");
        TRY(read_normalizer(m, part, n));
    }
fail:
    return status;
}

/* What BertTokenizer does not take is looked at all the same: a difference is told. */
static sqz_status compare_normalizer(const sqzi_tokenizer_draft *d, json_t *object)
{
    normalizer n;
    if (is_left_out(d->importer, "normalizer", object, "BertNormalizer")) return SQZ_OK;
    const sqz_status status = read_bert_normalizer(d->importer, object, &n);
    if (status != SQZ_OK) return status;
    const struct {
        const char *name;
        bool theirs, used;
    } settings[] = {{"lowercase", n.lowercase, d->lowercase},
                    {"strip_accents", n.strip_accents, d->strip_accents},
                    {"handle_chinese_chars", n.handle_chinese_chars, d->handle_chinese_chars},
                    {"clean_text", n.clean_text, d->clean_text}};
    char names[128] = "";
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (settings[i].theirs != settings[i].used) {
            const size_t at = strlen(names);
            snprintf(names + at, sizeof names - at, "%s%s %s", at ? ", " : "", settings[i].name,
                     settings[i].used ? "true" : "false");
        }
    if (names[0])
        sqzi_import_note(d->importer,
                         "the normaliser has %s by tokenizer_config.json or, where that is silent, "
                         "BertTokenizer's default; what tokenizer.json says there does not count, "
                         "in Transformers neither",
                         names);
    return SQZ_OK;
}

/* ---- pre-tokenizer, decoder ---- */

static sqz_status check_pre_tokenizer(const sqzi_importer *m, json_t *object)
{
    static const char *const known[] = {"type", NULL};
    const char *type = type_of(object, NULL);
    json_t *parts = json_object_get(object, "pretokenizers");
    if (type && strcmp(type, "Sequence") == 0 && json_array_size(parts) == 1)
        return check_pre_tokenizer(m, json_array_get(parts, 0));
    if (!type || strcmp(type, "BertPreTokenizer") != 0)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "tokenizer.json: the pre_tokenizer is '%.60s'; BertPreTokenizer, and a "
                         "Sequence of it alone, can be run",
                         type ? type : "none");
    return sqzi_check_keys(m, "tokenizer.json: the pre_tokenizer", object, known);
}

/* It changes no id: it only makes text of pieces. */
static sqz_status check_decoder(const sqzi_importer *m, json_t *object)
{
    static const char *const known[] = {"type", "prefix", "cleanup", NULL};
    const char *type = type_of(object, "WordPiece");
    json_t *parts = json_object_get(object, "decoders");
    if (!object || json_is_null(object)) return SQZ_OK;
    if (type && strcmp(type, "Sequence") == 0 && json_array_size(parts) == 1)
        return check_decoder(m, json_array_get(parts, 0));
    if (!type || strcmp(type, "WordPiece") != 0)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "tokenizer.json: the decoder is '%.60s'; WordPiece can be run",
                         type ? type : "none");
    return sqzi_check_keys(m, "tokenizer.json: the decoder", object, known);
}

/* ---- model ---- */

/* Before tokenizers 0.9 the model had no type: told by its keys, as that package does. */
static const char *model_type(const json_t *model)
{
    const char *type = type_of(model, "");
    if (!type || *type) return type;
    return json_object_get(model, "merges")                      ? "BPE"
           : json_is_array(json_object_get(model, "vocab"))      ? "Unigram"
           : json_object_get(model, "max_input_chars_per_word")  ? "WordPiece"
           : json_object_get(model, "continuing_subword_prefix") ? "WordPiece"
                                                                 : "WordLevel";
}

static sqz_status check_model(const sqzi_importer *m, json_t *model)
{
    static const char *const known[] = {
        "type",  "unk_token", "continuing_subword_prefix", "max_input_chars_per_word",
        "vocab", NULL};
    static const char *const kinds[][2] = {
        {"Unigram", "SentencePiece's, the kind of XLM-RoBERTa, ALBERT and T5"},
        {"BPE", "the kind of RoBERTa and GPT-2"},
        {"WordLevel", "whole words"}};
    const char *type = model_type(model), *kind = "not known";
    if (type && strcmp(type, "WordPiece") == 0)
        return sqzi_check_keys(m, "tokenizer.json: the model", model, known);
    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i][0]) == 0) kind = kinds[i][1];
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "tokenizer.json: the tokenizer is a %.60s (%s), not BERT's WordPiece: a model "
                     "with this tokenizer cannot be run",
                     type ? type : "none", kind);
}

static sqz_status read_vocabulary(sqzi_tokenizer_draft *d, json_t *vocabulary)
{
    const char *text;
    json_t *id;
    json_object_foreach (vocabulary, text, id) {
        if (!json_is_integer(id))
            return sqzi_fail(d->importer->error, SQZ_EFORMAT, 0,
                             "tokenizer.json: the id of the piece '%.60s' is no number", text);
        const sqz_status status = sqzi_tokenizer_draft_piece(d, sqzi_span_of(text),
                                                             json_integer_value(id));
        if (status != SQZ_OK) return status;
    }
    return json_is_object(vocabulary)
               ? SQZ_OK
               : sqzi_fail(d->importer->error, SQZ_EFORMAT, 0,
                           "tokenizer.json: model.vocab is missing, or no object");
}

static sqz_status read_added(sqzi_tokenizer_draft *d, json_t *tokens)
{
    sqz_status status = SQZ_OK;
    size_t i;
    json_t *value;
    json_array_foreach (tokens, i, value) {
        sqzi_new_token token;
        TRY(sqzi_read_token(d->importer, "tokenizer.json: added_tokens", value, &token));
        TRY(sqzi_tokenizer_draft_add(d, &token));
    }
fail:
    return status;
}

static sqz_status take_settings(sqzi_tokenizer_draft *d, json_t *root)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = d->importer->error;
    const json_t *model = json_object_get(root, "model");
    const char *prefix = "##";
    normalizer n = {false, false, false, false};
    TRY(read_normalizer(d->importer, json_object_get(root, "normalizer"), &n));
    d->clean_text = n.clean_text;
    d->handle_chinese_chars = n.handle_chinese_chars;
    d->strip_accents = n.strip_accents;
    d->lowercase = n.lowercase;
    d->special[0] = "[UNK]";
    TRY(sqzi_json_string(model, file, "unk_token", false, &d->special[0], error));
    TRY(sqzi_json_string(model, file, "continuing_subword_prefix", false, &prefix, error));
    TRY(sqzi_json_uint(model, file, "max_input_chars_per_word", false, &d->max_word_chars, error));
    d->prefix = sqzi_span_of(prefix);
    TRY(read_added(d, json_object_get(root, "added_tokens")));
fail:
    return status;
}

sqz_status sqzi_read_tokenizer_json(sqzi_tokenizer_draft *d, json_t *root, bool as_it_stands)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    const sqzi_importer *m = d->importer;
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    FAIL_IF(!json_is_object(root), SQZ_EFORMAT, 0, "tokenizer.json: no JSON object");
    FAIL_IF(!json_is_object(json_object_get(root, "model")), SQZ_EFORMAT, 0,
            "%s/%s: 'model' is missing: this is no tokenizer that the `tokenizers` package wrote",
            m->transformer, d->source);
    TRY(sqzi_check_keys(m, "tokenizer.json", root, known));
    json_t *pre_tokenizer = json_object_get(root, "pre_tokenizer"),
           *decoder = json_object_get(root, "decoder"),
           *processor = json_object_get(root, "post_processor");
    TRY(check_model(m, json_object_get(root, "model")));
    if (as_it_stands || !is_left_out(m, "pre_tokenizer", pre_tokenizer, "BertPreTokenizer"))
        TRY(check_pre_tokenizer(m, pre_tokenizer));
    if (as_it_stands || !is_left_out(m, "decoder", decoder, "WordPiece"))
        TRY(check_decoder(m, decoder));
    if (!as_it_stands) TRY(sqzi_check_processor(m, processor));
    TRY(read_vocabulary(d, json_object_get(json_object_get(root, "model"), "vocab")));
    TRY(as_it_stands ? take_settings(d, root)
                     : compare_normalizer(d, json_object_get(root, "normalizer")));
fail:
    return status;
}
