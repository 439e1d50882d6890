/* SPDX-License-Identifier: Apache-2.0 */
/* What sentence-transformers keeps beside a model: length, lowering, prompts and how embeddings are
 * compared. As there, a folder without modules.json is a plain model: pooled by mean, and none of
 * these files is read. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "import/importer.h"
#include "model/words.h"

static const char config_file[] = "config_sentence_transformers.json",
                  modules_file[] = "modules.json";

/* Whether a key stands in a list ended by NULL. */
static bool stands_in(const char *const *list, const char *key)
{
    while (*list && strcmp(*list, key) != 0) list++;
    return *list != NULL;
}

/* null, false, "", {} and []: what asks for nothing. */
static bool is_empty(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && !json_string_length(value)) ||
           (json_is_object(value) && !json_object_size(value)) ||
           (json_is_array(value) && !json_array_size(value));
}

/* What a Transformer is loaded with: what changes no number is passed over. */
static sqz_status check_arguments(const sqzi_importer *m, const char *file, const char *key,
                                  const json_t *given, double *length)
{
    static const char *const harmless[] = {"attn_implementation",
                                           "torch_dtype",
                                           "dtype",
                                           "add_pooling_layer",
                                           "low_cpu_mem_usage",
                                           "device_map",
                                           "trust_remote_code",
                                           "use_safetensors",
                                           "use_fast",
                                           "revision",
                                           "cache_dir",
                                           "padding_side",
                                           NULL};
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)given, name, value) {
        if (stands_in(harmless, name) || is_empty(value)) continue;
        if (strcmp(name, "model_max_length") == 0 && json_is_number(value)) {
            *length = json_number_value(value);
            continue;
        }
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0, "%s: %s has '%s', which cannot be run",
                         file, key, name);
    }
    return SQZ_OK;
}

/* What the Transformer makes of a text: the usual thing or nothing that can be run. */
static sqz_status check_output(const sqzi_importer *m, const char *file, const char *key,
                               const json_t *value)
{
    static const char *const usual[] = {"feature-extraction", "sequence-classification",
                                        "token_embeddings", "scores", NULL};
    const json_t *text = json_object_get(value, "text");
    const char *word = json_string_value(value),
               *method = json_string_value(json_object_get(text, "method")),
               *output = json_string_value(json_object_get(text, "method_output_name"));
    const bool forward = json_object_size(value) == 1 && json_object_size(text) == 2 && method &&
                         strcmp(method, "forward") == 0 && output &&
                         (strcmp(output, "last_hidden_state") == 0 ||
                          strcmp(output, "logits") == 0);
    if (forward || (word && stands_in(usual, word))) return SQZ_OK;
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0, "%s: %s asks for what cannot be run%s%s", file,
                     key, word ? ": " : "", word ? word : "");
}

static sqz_status check_sentence_key(const sqzi_importer *m, const char *file, const char *key,
                                     const json_t *value, double *length)
{
    static const char *const
        read[] = {"max_seq_length", "do_lower_case", "unpad_inputs", NULL},
        *const arguments[] = {"model_args",       "tokenizer_args", "config_args", "model_kwargs",
                              "processor_kwargs", "config_kwargs",  NULL},
        *const outputs[] = {"transformer_task", "modality_config", "module_output_name", NULL};
    if (stands_in(read, key) || is_empty(value)) return SQZ_OK;
    if (stands_in(outputs, key)) return check_output(m, file, key, value);
    if (stands_in(arguments, key) && json_is_object(value))
        return check_arguments(m, file, key, value, length);
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "%s: '%s' is set, and what it asks for cannot be run", file, key);
}

/* The first of the files that says anything; length stays where none gives one. */
static sqz_status read_sentence_config(sqzi_importer *m, double *length)
{
    static const char *const types[] = {"bert",   "roberta",     "distilbert", "camembert",
                                        "albert", "xlm-roberta", "xlnet"};
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    json_t *config = NULL, *value;
    char file[48];
    const char *key;
    double given = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types && !json_object_size(config); i++) {
        json_decref(config);
        config = NULL;
        snprintf(file, sizeof file, "sentence_%s_config.json", types[i]);
        TRY(sqzi_json_load(m->transformer, file, false, &config, error));
        FAIL_IF(config && !json_is_object(config), SQZ_EFORMAT, 0, "%s is no JSON object", file);
    }
    TRY(sqzi_json_number(config, file, "max_seq_length", false, &given, error));
    TRY(sqzi_json_bool(config, file, "do_lower_case", &m->lower_texts, error));
    json_object_foreach (config, key, value) TRY(check_sentence_key(m, file, key, value, &given));
    FAIL_IF(given < 0 || (given == 0 && json_is_number(json_object_get(config, "max_seq_length"))),
            SQZ_EFORMAT, 0, "%s: max_seq_length is %s, at least 1 expected", file,
            SQZI_REAL(6, given));
    if (given > 0) *length = given;
fail:
    json_decref(config);
    return status;
}

/* The sentence's length before the tokenizer's before the number of positions, which is also the
 * most. Old files hold 1e30 for "none". */
static sqz_status read_length(sqzi_importer *m, bool sentence)
{
    static const char file[] = "tokenizer_config.json";
    json_t *tokenizer = NULL;
    double length = 0;
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    TRY(sqzi_json_load(m->transformer, file, false, &tokenizer, error));
    TRY(sqzi_json_number(tokenizer, file, "max_len", false, &length, error));
    TRY(sqzi_json_number(tokenizer, file, "model_max_length", false, &length, error));
    if (sentence) TRY(read_sentence_config(m, &length));
    if (!(length >= 1 && length < m->positions)) length = m->positions;
    sqzi_gguf_put_u32(m->writer, "sqz.max_length", (uint32_t)length);
fail:
    json_decref(tokenizer);
    return status;
}

/* Query and document are there in any case, empty where the file does not name them. */
static sqz_status read_prompts(sqzi_importer *m, const json_t *config)
{
    enum { MOST = 64 };
    json_t *prompt, *given = json_object_get(config, "prompts");
    sqzi_span names[MOST], texts[MOST];
    const char *name, *chosen = NULL;
    size_t n = 0;
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    FAIL_IF(given && !json_is_object(given), SQZ_EFORMAT, 0, "%s: prompts is no JSON object",
            config_file);
    json_object_foreach (given, name, prompt) {
        FAIL_IF(n == MOST || !(json_is_string(prompt) || json_is_null(prompt)), SQZ_EFORMAT, 0,
                "%s: the prompt '%s' is no string, or the 65th", config_file, name);
        names[n] = sqzi_span_of(name);
        texts[n++] = json_is_null(prompt)
                         ? sqzi_span_of("")
                         : (sqzi_span){json_string_value(prompt), json_string_length(prompt)};
    }
    TRY(sqzi_json_string(config, config_file, "default_prompt_name", false, &chosen, error));
    const bool named = chosen && json_object_get(given, chosen);
    FAIL_IF(chosen && !named && strcmp(chosen, "query") != 0 && strcmp(chosen, "document") != 0,
            SQZ_EFORMAT, 0, "%s: default_prompt_name is '%s', which is none of the prompts",
            config_file, chosen);
    if (n) {
        sqzi_gguf_put_strings(m->writer, "sqz.prompts.names", names, n);
        sqzi_gguf_put_strings(m->writer, "sqz.prompts.texts", texts, n);
    }
    if (named) sqzi_gguf_put_string(m->writer, "sqz.prompts.default", chosen);
fail:
    return status;
}

/* A cross encoder's classes are those of its head; a prompt before its texts has no place here. */
static sqz_status check_type(const sqzi_importer *m, const json_t *config, bool *sentence)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *type = "SentenceTransformer", *prompt = NULL;
    TRY(sqzi_json_string(config, config_file, "model_type", false, &type, error));
    TRY(sqzi_json_string(config, config_file, "default_prompt_name", false, &prompt, error));
    *sentence = strcmp(type, "SentenceTransformer") == 0;
    FAIL_IF(!*sentence && strcmp(type, "CrossEncoder") != 0, SQZ_EUNSUPPORTED, 0,
            "%s: a %s cannot be run; SentenceTransformer and CrossEncoder can", config_file, type);
    FAIL_IF(!*sentence && prompt, SQZ_EUNSUPPORTED, 0,
            "%s: the default prompt '%s' of a CrossEncoder cannot be run", config_file, prompt);
fail:
    return status;
}

static void tell_unknown(const sqzi_importer *m, const json_t *config)
{
    static const char *const read[] = {
        "__version__",  "prompts",      "default_prompt_name", "similarity_fn_name",   "model_type",
        "truncate_dim", "requirements", "activation_fn",       "keep_in_fp32_modules", NULL};
    char names[256] = "";
    size_t used = 0;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)config, key, value)
        if (!stands_in(read, key) && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                                     key);
    if (used) sqzi_import_note(m, "not read in %s: %s", config_file, names);
}

static sqz_status read_config(sqzi_importer *m, const json_t *config, uint32_t *n_kept)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *similarity = NULL;
    bool sentence;
    TRY(check_type(m, config, &sentence));
    tell_unknown(m, config);
    if (!sentence) return SQZ_OK;
    TRY(read_prompts(m, config));
    TRY(sqzi_json_uint(config, config_file, "truncate_dim", false, n_kept, error));
    TRY(sqzi_json_string(config, config_file, "similarity_fn_name", false, &similarity, error));
    FAIL_IF(similarity && !stands_in(sqzi_similarity_words + 1, similarity), SQZ_EUNSUPPORTED, 0,
            "%s: similarity_fn_name '%s' cannot be run; cosine, dot, euclidean and manhattan can",
            config_file, similarity);
    if (similarity) sqzi_gguf_put_string(m->writer, "sqz.similarity", similarity);
fail:
    return status;
}

/* Files that are there and say nothing, since modules.json is not. */
static void tell_unread(const sqzi_importer *m)
{
    static const char *const files[] = {"config_sentence_transformers.json",
                                        "sentence_bert_config.json", "1_Pooling/config.json"};
    char path[SQZI_JSON_PATH];
    sqz_error ignored;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (sqzi_join_path(m->folder, files[i], path, &ignored) == SQZ_OK && sqzi_file_exists(path))
            sqzi_import_note(m,
                             "%s is not read: without modules.json this is a plain model, pooled "
                             "by mean, as in sentence-transformers",
                             files[i]);
}

sqz_status sqzi_import_texts(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    json_t *modules = NULL, *config = NULL;
    uint32_t n_kept = 0;
    sqz_error *error = m->error;
    TRY(sqzi_json_load(m->folder, modules_file, false, &modules, error));
    if (modules) {
        TRY(sqzi_json_load(m->folder, config_file, false, &config, error));
        FAIL_IF(config && !json_is_object(config), SQZ_EFORMAT, 0, "%s is no JSON object",
                config_file);
        TRY(read_config(m, config, &n_kept));
        TRY(sqzi_import_modules(m, modules, n_kept));
    } else {
        tell_unread(m);
    }
    TRY(read_length(m, modules != NULL));
fail:
    json_decref(modules);
    json_decref(config);
    return status;
}
