/* SPDX-License-Identifier: Apache-2.0 */
/* The files of sentence-transformers, each where the model file has what it would say. */
#include <stdio.h>
#include <string.h>

#include "export/exporter.h"

/* The module `type` as the next of a list, in the folder N_TYPE. */
static sqz_status add_module(sqzi_exporter *e, json_t *modules, const char *type, char path[32])
{
    const int i = (int)json_array_size(modules);
    char name[16], full[64];
    snprintf(name, sizeof name, "%d", i);
    snprintf(full, sizeof full, "sentence_transformers.models.%s", type);
    snprintf(path, 32, "%d_%s", i, type);
    json_t *one = json_pack("{s:i, s:s, s:s, s:s}", "idx", i, "name", name, "path", i ? path : "",
                            "type", full);
    return json_array_append_new(modules, one) == 0
               ? SQZ_OK
               : sqzi_fail(e->error, SQZ_ENOMEM, 0, "no memory for modules.json");
}

static sqz_status write_settings(sqzi_exporter *e, const char *path, json_t *settings)
{
    char file[48];
    snprintf(file, sizeof file, "%s/config.json", path);
    return sqzi_folder_writer_json(&e->folder, file, settings, e->error);
}

static sqz_status write_pooling(sqzi_exporter *e, const char *path)
{
    sqz_status status = SQZ_OK;
    json_t *config = json_object();
    const char *pool = sqz_pooling_name(e->model->info.pooling);
    TRY(sqzi_export_set(e, config, "word_embedding_dimension", json_integer(e->model->info.width)));
    for (const sqzi_word_pair *pair = sqzi_pooling_modes; pair->ours; pair++)
        TRY(sqzi_export_set(e, config, pair->theirs, json_boolean(strcmp(pool, pair->ours) == 0)));
    TRY(sqzi_export_set(e, config, "include_prompt", json_boolean(e->model->info.include_prompt)));
    TRY(write_settings(e, path, config));
fail:
    json_decref(config);
    return status;
}

/* Step i of `width` numbers, whose word is `word`. */
static sqz_status write_step(sqzi_exporter *e, json_t *modules, uint32_t i, sqzi_span word,
                             uint32_t width)
{
    sqz_status status = SQZ_OK;
    json_t *config = NULL;
    char path[32];
    const sqzi_embed_step *step = &e->model->head.steps[i];
    const sqzi_word_pair *pair = sqzi_dense_words;
    switch (step->kind) {
    case SQZI_STEP_NORMALIZE: return add_module(e, modules, "Normalize", path);
    case SQZI_STEP_NORM:
        TRY(add_module(e, modules, "LayerNorm", path));
        config = json_pack("{s:i}", "dimension", (int)width);
        break;
    case SQZI_STEP_DENSE:
        while (pair->ours && !sqzi_span_is(word, pair->ours)) pair++;
        if (!pair->ours)
            return sqzi_fail(e->error, SQZ_EUNSUPPORTED, 0,
                             "step %u behind the pooling, %.*s, is no Dense module of "
                             "sentence-transformers",
                             i, (int)word.n, word.bytes);
        TRY(add_module(e, modules, "Dense", path));
        config = json_pack("{s:i, s:i, s:b, s:s}", "in_features", (int)width, "out_features",
                           (int)step->n_out, "bias", 1, "activation_function", pair->theirs);
        break;
    }
    TRY(write_settings(e, path, config));
    TRY(sqzi_export_step(e, i, path));
fail:
    json_decref(config);
    return status;
}

static sqz_status write_modules(sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    const sqz_model *model = e->model;
    const sqzi_gguf_value *words = sqzi_gguf_find(model->gguf, "sqz.embed.steps");
    const unsigned char *at = words ? words->data : NULL;
    uint32_t width = model->info.width;
    char path[32];
    json_t *modules = json_array(), *sentence = NULL;
    TRY(add_module(e, modules, "Transformer", path));
    TRY(add_module(e, modules, "Pooling", path));
    TRY(write_pooling(e, path));
    for (uint32_t i = 0; i < model->head.n_steps; i++) {
        TRY(write_step(e, modules, i, sqzi_gguf_next_string(&at), width));
        width = model->head.steps[i].n_out;
    }
    if (model->info.normalize) TRY(add_module(e, modules, "Normalize", path));
    TRY(sqzi_folder_writer_json(&e->folder, "modules.json", modules, error));
    sentence = json_pack("{s:i, s:b}", "max_seq_length", (int)model->info.max_length,
                         "do_lower_case", model->info.embed_lowercase);
    FAIL_IF(!sentence, SQZ_ENOMEM, 0, "no memory for sentence_bert_config.json");
    TRY(sqzi_folder_writer_json(&e->folder, "sentence_bert_config.json", sentence, error));
fail:
    json_decref(modules);
    json_decref(sentence);
    return status;
}

/* Prompts, and what else is told of the embeddings. */
static sqz_status write_config(sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    const sqz_model *model = e->model;
    json_t *config = json_object(), *prompts = json_object(), *text = NULL;
    for (uint32_t i = 0; i < model->n_prompts; i++) {
        FAIL_IF(!sqzi_export_is_text(sqzi_span_of(model->prompt_names[i])), SQZ_EFORMAT, i,
                "the name of prompt %u is no UTF-8: JSON cannot hold it", i);
        TRY(sqzi_export_text(e, sqzi_span_of(model->prompts[i]), "a prompt", &text));
        TRY(sqzi_export_set(e, prompts, model->prompt_names[i], text));
    }
    TRY(sqzi_export_set(e, config, "prompts", json_incref(prompts)));
    TRY(sqzi_export_set(e, config, "default_prompt_name",
                        model->default_prompt < model->n_prompts
                            ? json_string(model->prompt_names[model->default_prompt])
                            : json_null()));
    if (model->info.dimensions != model->head.embedding_width)
        TRY(sqzi_export_set(e, config, "truncate_dim", json_integer(model->info.dimensions)));
    if (sqzi_export_has(e, "sqz.similarity"))
        TRY(sqzi_export_set(e, config, "similarity_fn_name",
                            json_string(sqz_similarity_name(model->info.similarity))));
    TRY(sqzi_folder_writer_json(&e->folder, "config_sentence_transformers.json", config, e->error));
fail:
    json_decref(config);
    json_decref(prompts);
    return status;
}

sqz_status sqzi_export_texts(sqzi_exporter *e)
{
    static const char *const keys[] = {"sqz.pool",          "sqz.normalize",
                                       "sqz.embed.steps",   "sqz.embed.lowercase",
                                       "sqz.dimensions",    "sqz.similarity",
                                       "sqz.prompts.names", "sqz.include_prompt"};
    bool any = false, more = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        any |= sqzi_export_has(e, keys[i]);
        more |= i >= 4 && sqzi_export_has(e, keys[i]);
    }
    if (e->model->info.pooling == SQZ_POOLING_POOLER) {
        sqzi_export_note(e, "not written: pooling by the pooler, which sentence-transformers does "
                            "not have, nor what is behind it");
        return SQZ_OK;
    }
    const sqz_status status = any ? write_modules(e) : SQZ_OK;
    return status == SQZ_OK && more ? write_config(e) : status;
}
