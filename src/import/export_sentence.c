/* SPDX-License-Identifier: Apache-2.0 */
/* The files of sentence-transformers, each where the model file has what it would say. */
#include <stdio.h>
#include <string.h>

#include "import/exporter.h"

static json_t *module(int i, const char *path, const char *type)
{
    char name[16], full[64];
    snprintf(name, sizeof name, "%d", i);
    snprintf(full, sizeof full, "sentence_transformers.models.%s", type);
    return json_pack("{s:i, s:s, s:s, s:s}", "idx", i, "name", name, "path", path, "type", full);
}

static sqz_status write_pooling(sqzi_exporter *e, sqzi_span pool)
{
    sqz_status status = SQZ_OK;
    json_t *config = json_object();
    TRY(sqzi_export_set(e, config, "word_embedding_dimension", json_integer(e->model->info.width)));
    for (const sqzi_word_pair *pair = sqzi_pooling_modes; pair->ours; pair++)
        TRY(sqzi_export_set(e, config, pair->theirs, json_boolean(sqzi_span_is(pool, pair->ours))));
    TRY(sqzi_folder_writer_json(&e->folder, "1_Pooling/config.json", config, e->error));
fail:
    json_decref(config);
    return status;
}

static sqz_status write_modules(sqzi_exporter *e, sqzi_span pool)
{
    int n = 1;
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    bool normalize = false;
    json_t *modules = json_array(), *sentence = NULL;
    TRY(sqzi_gguf_get_bool(e->model->gguf, "sqz.normalize", false, &normalize, error));
    int failed = json_array_append_new(modules, module(0, "", "Transformer"));
    if (pool.n) failed |= json_array_append_new(modules, module(n++, "1_Pooling", "Pooling"));
    if (normalize)
        failed |= json_array_append_new(modules, module(n, pool.n ? "2_Normalize" : "1_Normalize",
                                                        "Normalize"));
    FAIL_IF(failed, SQZ_ENOMEM, 0, "no memory for modules.json");
    TRY(sqzi_folder_writer_json(&e->folder, "modules.json", modules, error));
    if (pool.n) TRY(write_pooling(e, pool));
    sentence = json_pack("{s:i, s:b}", "max_seq_length", (int)e->model->info.max_length,
                         "do_lower_case", 0);
    FAIL_IF(!sentence, SQZ_ENOMEM, 0, "no memory for sentence_bert_config.json");
    TRY(sqzi_folder_writer_json(&e->folder, "sentence_bert_config.json", sentence, error));
fail:
    json_decref(modules);
    json_decref(sentence);
    return status;
}

static sqz_status write_prompts(sqzi_exporter *e)
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
    TRY(sqzi_folder_writer_json(&e->folder, "config_sentence_transformers.json", config, e->error));
fail:
    json_decref(config);
    json_decref(prompts);
    return status;
}

sqz_status sqzi_export_texts(sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    const sqzi_span pool = sqzi_export_string(e, "sqz.pool");
    if (sqzi_span_is(pool, "pooler"))
        sqzi_export_note(
            e, "not written: pooling by the pooler, which sentence-transformers does not have");
    else if (pool.n || sqzi_export_has(e, "sqz.normalize")) status = write_modules(e, pool);
    return status == SQZ_OK && e->model->n_prompts ? write_prompts(e) : status;
}
