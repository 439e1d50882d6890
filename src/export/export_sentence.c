/* SPDX-License-Identifier: Apache-2.0 */
/* The files of sentence-transformers, each where the model file has what it would say. */
#include <stdio.h>
#include <string.h>

#include "export/exporter.h"

enum { PATH = 32 };

/* The module `type` as the next of a list, in the folder N_TYPE; it is called N, or what is given.
 */
static sqz_status add_module(const sqzi_exporter *e, json_t *modules, const char *type,
                             const char *given, char path[PATH])
{
    const int i = (int)json_array_size(modules);
    char name[16], full[64];
    snprintf(name, sizeof name, "%d", i);
    if (given) snprintf(name, sizeof name, "%s", given);
    snprintf(full, sizeof full, "sentence_transformers.models.%s", type);
    snprintf(path, PATH, "%d_%s", i, type);
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

static sqz_status write_pooling(sqzi_exporter *e, sqz_pooling mode, const char *path)
{
    sqz_status status = SQZ_OK;
    json_t *config = json_object();
    const char *pool = sqz_pooling_name(mode);
    TRY(sqzi_export_set(e, config, "word_embedding_dimension", json_integer(e->model->info.width)));
    for (const sqzi_word_pair *pair = sqzi_pooling_modes; pair->ours; pair++)
        TRY(sqzi_export_set(e, config, pair->theirs, json_boolean(strcmp(pool, pair->ours) == 0)));
    TRY(sqzi_export_set(e, config, "include_prompt",
                        json_boolean(e->head_beside || e->model->info.include_prompt)));
    TRY(write_settings(e, path, config));
fail:
    json_decref(config);
    return status;
}

/* A Dense or LayerNorm module; `activation` of a Dense one, `name` as add_module has it. */
static sqz_status write_layer(sqzi_exporter *e, json_t *modules, const sqzi_export_layer *layer,
                              const char *activation, const char *name)
{
    sqz_status status = SQZ_OK;
    char path[PATH];
    json_t *config = layer->linear ? json_pack("{s:i, s:i, s:b, s:s}", "in_features",
                                               (int)layer->linear->n_in, "out_features",
                                               (int)layer->linear->n_out, "bias", 1,
                                               "activation_function", activation)
                                   : json_pack("{s:i}", "dimension", (int)layer->norm->n);
    TRY(add_module(e, modules, layer->linear ? "Dense" : "LayerNorm", name, path));
    TRY(write_settings(e, path, config));
    TRY(sqzi_export_module(e, layer, path));
fail:
    json_decref(config);
    return status;
}

/* Step i behind the pooling. */
static sqz_status write_step(sqzi_exporter *e, json_t *modules, uint32_t i)
{
    char path[PATH], name[32];
    const sqzi_embed_step *step = &e->model->head.steps[i];
    snprintf(name, sizeof name, "embd_step.%u", (unsigned)i);
    switch (step->kind) {
    case SQZI_STEP_NORMALIZE: return add_module(e, modules, "Normalize", NULL, path);
    case SQZI_STEP_NORM:
        return write_layer(e, modules, &(sqzi_export_layer){name, NULL, &step->norm}, NULL, NULL);
    default:
        return write_layer(e, modules, &(sqzi_export_layer){name, &step->dense, NULL},
                           sqzi_export_dense_word(step->activation), NULL);
    }
}

/* A head that no class has: what it reads, and its layers. */
static sqz_status write_head(sqzi_exporter *e, json_t *modules)
{
    sqz_status status = SQZ_OK;
    const sqzi_head *head = &e->model->head;
    const bool pooler = head->pooling == SQZ_POOLING_POOLER;
    const struct {
        bool there;
        sqzi_export_layer layer;
        sqzk_activation activation;
    } layers[] = {{pooler, {NULL, &head->pooler, NULL}, SQZK_TANH},
                  {head->has_dense, {NULL, &head->dense, NULL}, head->activation},
                  {head->has_norm, {NULL, NULL, &head->norm}, SQZK_IDENTITY},
                  {true, {NULL, &head->output, NULL}, SQZK_IDENTITY}};
    char path[PATH];
    TRY(add_module(e, modules, "Pooling", NULL, path));
    TRY(write_pooling(e, pooler ? SQZ_POOLING_CLS : head->pooling, path));
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const sqzi_word_pair *name = &sqzi_head_modules[i];
        sqzi_export_layer layer = layers[i].layer;
        layer.name = name->ours;
        if (layers[i].there)
            TRY(write_layer(e, modules, &layer, sqzi_export_dense_word(layers[i].activation),
                            name->theirs));
    }
fail:
    return status;
}

static sqz_status write_embedding(sqzi_exporter *e, json_t *modules)
{
    sqz_status status = SQZ_OK;
    char path[PATH];
    TRY(add_module(e, modules, "Pooling", NULL, path));
    TRY(write_pooling(e, e->model->info.pooling, path));
    for (uint32_t i = 0; i < e->model->head.n_steps; i++) TRY(write_step(e, modules, i));
    if (e->model->info.normalize) TRY(add_module(e, modules, "Normalize", NULL, path));
fail:
    return status;
}

static sqz_status write_modules(sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    const sqz_model *model = e->model;
    char path[PATH];
    json_t *modules = json_array(), *sentence = NULL;
    TRY(add_module(e, modules, "Transformer", NULL, path));
    TRY((e->head_beside ? write_head : write_embedding)(e, modules));
    TRY(sqzi_folder_writer_json(&e->folder, "modules.json", modules, error));
    sentence = json_pack("{s:i, s:b}", "max_seq_length", (int)model->info.max_length,
                         "do_lower_case", !e->head_beside && model->info.embed_lowercase);
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
    if (e->head_beside) {
        /* a default prompt would be put before what is classified */
        if (any)
            sqzi_export_note(e, "not written: how texts are embedded, since a folder's "
                                "modules are either that or a head");
        return write_modules(e);
    }
    if (e->model->info.pooling == SQZ_POOLING_POOLER) {
        sqzi_export_note(e, "not written: pooling by the pooler, which sentence-transformers does "
                            "not have, nor what is behind it");
        return SQZ_OK;
    }
    const sqz_status status = any ? write_modules(e) : SQZ_OK;
    return status == SQZ_OK && more ? write_config(e) : status;
}
