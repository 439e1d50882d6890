/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of tokenizer_config.json that are no tokens. do_basic_tokenize, never_split,
 * clean_text, padding_side and the like change nothing in Transformers 5, and nothing here. */
#include <string.h>

#include "import/tokenizer_draft.h"

static const char file[] = "tokenizer_config.json";

sqz_status sqzi_read_bert_settings(sqzi_tokenizer_draft *d, json_t *config)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = d->importer->error;
    TRY(sqzi_json_bool(config, file, "do_lower_case", &d->lowercase, error));
    d->strip_accents = d->lowercase;
    TRY(sqzi_json_bool(config, file, "strip_accents", &d->strip_accents, error));
    TRY(sqzi_json_bool(config, file, "tokenize_chinese_chars", &d->handle_chinese_chars, error));
fail:
    return status;
}

/* Which end of a long text is kept: the config's word before tokenizer.json's. */
static sqz_status check_side(const sqzi_importer *m, const sqzi_tokenizer_files *files)
{
    static const char key[] = "truncation_side";
    const char *side = "right",
               *text = json_string_value(
                   json_object_get(json_object_get(files->json, "truncation"), "direction"));
    if (text) side = strcmp(text, "Left") == 0 ? "left" : "right";
    const sqz_status status = sqzi_json_string(files->config, file, key, false, &side, m->error);
    if (status != SQZ_OK || strcmp(side, "right") == 0) return status;
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "%s/%s: the truncation side is '%.60s': texts that are too long would be cut "
                     "at their beginning, which cannot be done here; 'right' can",
                     m->transformer, json_object_get(files->config, key) ? file : "tokenizer.json",
                     side);
}

/* Token types reach the model only if model_input_names has them. Without them it takes 0. */
static sqz_status read_input_names(sqzi_tokenizer_draft *d, json_t *config,
                                   sqzi_tokenizer_kind kind)
{
    const json_t *names = json_object_get(config, "model_input_names"), *name;
    size_t i;
    bool types = kind == SQZI_TOKENIZER_BERT;
    if (json_is_array(names)) {
        types = false;
        json_array_foreach (names, i, name) {
            const char *text = json_string_value(name);
            types |= text && strcmp(text, "token_type_ids") == 0;
        }
    } else if (names && !json_is_null(names))
        return sqzi_fail(d->importer->error, SQZ_EFORMAT, 0, "%s: model_input_names is no list",
                         file);
    if (types || !d->importer->layout->has_types) return SQZ_OK;
    d->types = false;
    sqzi_import_note(d->importer,
                     "the second text of a pair has token type 0, as Transformers has it: "
                     "%s names no token_type_ids among model_input_names",
                     file);
    return SQZ_OK;
}

sqz_status sqzi_read_common_settings(sqzi_tokenizer_draft *d, const sqzi_tokenizer_files *files,
                                     sqzi_tokenizer_kind kind)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = d->importer->error;
    bool split = false;
    TRY(sqzi_json_bool(files->config, file, "split_special_tokens", &split, error));
    FAIL_IF(split, SQZ_EUNSUPPORTED, 0,
            "%s/%s: split_special_tokens is true: special tokens in a text would be text; say so "
            "when tokenising instead, and set it to false here",
            d->importer->transformer, file);
    FAIL_IF(json_array_size(json_object_get(files->config, "init_inputs")) > 0, SQZ_EUNSUPPORTED, 0,
            "%s/%s: init_inputs holds arguments without names, which cannot be told apart",
            d->importer->transformer, file);
    TRY(check_side(d->importer, files));
    TRY(read_input_names(d, files->config, kind));
fail:
    return status;
}
