/* SPDX-License-Identifier: Apache-2.0 */
/* What sentence-transformers keeps beside a model: pooling, normalisation, length and prompts. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

static sqz_status read_pooling(sqzi_importer *m, const char *path)
{
    char name[256];
    json_t *pooling = NULL;
    const char *chosen = NULL, *key;
    const json_t *value;
    snprintf(name, sizeof name, "%.200s/config.json", path);
    sqz_status status = sqzi_json_load(m->folder, name, true, &pooling, m->error);
    json_object_foreach(pooling, key, value)
    {
        if (strncmp(key, "pooling_mode_", 13) != 0 || !json_is_true(value)) continue;
        const char *mode = sqzi_our_word(sqzi_pooling_modes, key);
        if (!mode || chosen) {
            status = sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                               "%s: '%s' is set: mean or cls alone can be run", name, key);
            break;
        }
        chosen = mode;
    }
    if (status == SQZ_OK && chosen) sqzi_gguf_put_string(m->writer, "sqz.pool", chosen);
    json_decref(pooling);
    return status;
}

static sqz_status read_modules(sqzi_importer *m)
{
    json_t *modules = NULL;
    sqz_status status = sqzi_json_load(m->folder, "modules.json", false, &modules, m->error);
    size_t i;
    const json_t *module;
    bool normalize = false;
    json_array_foreach(modules, i, module)
    {
        const char *type = json_string_value(json_object_get(module, "type")),
                   *path = json_string_value(json_object_get(module, "path"));
        const char *name = type && strrchr(type, '.') ? strrchr(type, '.') + 1
                           : type                     ? type
                                                      : "none";
        if (status != SQZ_OK) break;
        if (strcmp(name, "Transformer") == 0) continue;
        if (strcmp(name, "Pooling") == 0 && path && !strstr(path, ".."))
            status = read_pooling(m, path);
        else if (strcmp(name, "Normalize") == 0) normalize = true;
        else
            status = sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                               "modules.json: the module '%s' cannot be run; Transformer, Pooling "
                               "and Normalize can",
                               name);
    }
    if (status == SQZ_OK && modules) sqzi_gguf_put_bool(m->writer, "sqz.normalize", normalize);
    json_decref(modules);
    return status;
}

/* sentence_bert_config.json before tokenizer_config.json before the number of positions. */
static sqz_status read_length(sqzi_importer *m)
{
    json_t *sentence = NULL, *tokenizer = NULL;
    double length = 0;
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    TRY(sqzi_json_load(m->transformer, "sentence_bert_config.json", false, &sentence, error));
    TRY(sqzi_json_load(m->transformer, "tokenizer_config.json", false, &tokenizer, error));
    TRY(sqzi_json_number(tokenizer, "tokenizer_config.json", "model_max_length", false, &length,
                         error));
    TRY(sqzi_json_number(sentence, "sentence_bert_config.json", "max_seq_length", false, &length,
                         error));
    /* old files hold 1e30 for "none" */
    if (!(length >= 1 && length < m->positions)) length = m->positions;
    sqzi_gguf_put_u32(m->writer, "sqz.max_length", (uint32_t)length);
fail:
    json_decref(sentence);
    json_decref(tokenizer);
    return status;
}

static sqz_status read_prompts(sqzi_importer *m)
{
    enum { MOST = 64 };
    static const char file[] = "config_sentence_transformers.json";
    json_t *config = NULL, *prompt;
    sqzi_span names[MOST], texts[MOST];
    const char *name, *chosen = NULL;
    size_t n = 0;
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    TRY(sqzi_json_load(m->folder, file, false, &config, error));
    json_object_foreach(json_object_get(config, "prompts"), name, prompt)
    {
        FAIL_IF(n == MOST || !json_is_string(prompt), SQZ_EFORMAT, 0,
                "%s: the prompt '%s' is no string, or the 65th", file, name);
        names[n] = sqzi_span_of(name);
        texts[n++] = sqzi_span_of(json_string_value(prompt));
    }
    TRY(sqzi_json_string(config, file, "default_prompt_name", false, &chosen, error));
    if (n) {
        sqzi_gguf_put_strings(m->writer, "sqz.prompts.names", names, n);
        sqzi_gguf_put_strings(m->writer, "sqz.prompts.texts", texts, n);
    }
    if (n && chosen) sqzi_gguf_put_string(m->writer, "sqz.prompts.default", chosen);
fail:
    json_decref(config);
    return status;
}

sqz_status sqzi_import_texts(sqzi_importer *m)
{
    sqz_status status = read_modules(m);
    if (status == SQZ_OK) status = read_length(m);
    return status == SQZ_OK ? read_prompts(m) : status;
}
