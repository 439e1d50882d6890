/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: the one the model was imported from, with what the file says now put over it; a new
 * one where the type is another. */
#include <stdio.h>
#include <string.h>

#include "export/exporter.h"

/* What belongs to other weights or to code that the folder does not hold. */
static const char *const dropped[] = {"auto_map", "quantization_config", "pruned_heads"};

static sqz_status set_uint(const sqzi_exporter *e, const char *key, uint32_t value)
{
    return sqzi_export_set(e, e->config, key, json_integer(value));
}

static sqz_status set_string(const sqzi_exporter *e, const char *key, const char *value)
{
    return sqzi_export_set(e, e->config, key, json_string(value));
}

/* Numbers of pieces in a vocabulary that has lost some since. */
static void drop_pieces(sqzi_exporter *e)
{
    static const char *const keys[] = {"pad_token_id", "bos_token_id",          "eos_token_id",
                                       "sep_token_id", "cls_token_id",          "mask_token_id",
                                       "unk_token_id", "decoder_start_token_id"};
    const json_t *size = json_object_get(e->config, "vocab_size");
    if (!size || json_integer_value(size) == (json_int_t)e->model->info.vocabulary) return;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) json_object_del(e->config, keys[i]);
}

static sqz_status begin(sqzi_exporter *e)
{
    const sqzi_span text = sqzi_export_string(e, "sqz.source.config"),
                    type = sqzi_export_string(e, "sqz.source.model_type");
    if (text.n && sqzi_span_is(type, e->layout->model_type)) {
        uint64_t spare = SQZI_JSON_SPARE;
        const sqz_status status = sqzi_json_parse((sqzi_json_text){"metadata 'sqz.source.config'",
                                                                   text.bytes, text.n,
                                                                   e->model->map.bytes, false},
                                                  &spare, &e->config, e->error);
        if (status != SQZ_OK) return status;
        if (!json_is_object(e->config))
            return sqzi_fail(e->error, SQZ_EFORMAT, 0,
                             "metadata 'sqz.source.config' is no JSON object");
    } else {
        e->config = json_object();
        if (!e->config) return sqzi_fail(e->error, SQZ_ENOMEM, 0, "no memory for config.json");
    }
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        json_object_del(e->config, dropped[i]);
    drop_pieces(e);
    return SQZ_OK;
}

static sqz_status put_class(const sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    char name[64];
    json_t *classes = json_array();
    snprintf(name, sizeof name, "%s%s", e->layout->class_prefix, e->ending);
    if (json_array_append_new(classes, json_string(name)) != 0) {
        json_decref(classes);
        return sqzi_fail(e->error, SQZ_ENOMEM, 0, "no memory for config.json");
    }
    TRY(sqzi_export_set(e, e->config, "architectures", classes));
    TRY(set_string(e, "model_type", e->layout->model_type));
    if (!json_object_get(e->config, "_name_or_path")) {
        json_t *given;
        TRY(sqzi_export_text(e, sqzi_export_string(e, "general.name"), "metadata 'general.name'",
                             &given));
        TRY(sqzi_export_set(e, e->config, "_name_or_path", given));
    }
fail:
    return status;
}

static sqz_status put_sizes(const sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &e->model->info;
    const sqzi_layout *l = e->layout;
    TRY(set_uint(e, "vocab_size", info->vocabulary));
    TRY(set_uint(e, "max_position_embeddings", info->max_positions));
    TRY(set_uint(e, e->layout->blocks_key, info->n_layers));
    TRY(set_uint(e, e->layout->width_key, info->width));
    /* without blocks the source's stay; the class wants heads that divide the width all the same */
    const bool blocks = info->n_layers > 0;
    if (blocks || !json_object_get(e->config, l->heads_key))
        TRY(set_uint(e, l->heads_key, e->heads));
    if (blocks) TRY(set_uint(e, l->ffn_key, e->ffn_width));
    if (l->has_types) TRY(set_uint(e, "type_vocab_size", sqzi_export_types(e)));
    if (l->has_epsilon) TRY(sqzi_export_set(e, e->config, "layer_norm_eps", json_real(e->epsilon)));
    if (l->has_embedding_size) TRY(set_uint(e, "embedding_size", info->embedding_width));
    for (int j = 0; l->grouped && blocks && j < SQZI_BLOCK_LINEARS; j++)
        TRY(set_uint(e, sqzi_groups_keys[j].key, e->groups[j]));
fail:
    return status;
}

/* The word that is there is kept where it means the same: "gelu_pytorch_tanh" is "gelu_new". */
static sqz_status put_activation(const sqzi_exporter *e)
{
    const char *word = sqzi_activation_words[e->activation],
               *given = json_string_value(json_object_get(e->config, e->layout->activation_key)),
               *ours = given ? sqzi_our_word(sqzi_activations, given) : NULL;
    const bool free_choice = !e->model->info.n_layers && e->model->head.kind != SQZ_HEAD_MASKED_LM;
    return ours && (free_choice || strcmp(word, ours) == 0)
               ? SQZ_OK
               : set_string(e, e->layout->activation_key, sqzi_their_word(sqzi_activations, word));
}

/* id2label and label2id. Where the source named no labels there are none here either, only their
 * number. */
static sqz_status put_labels(const sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &e->model->info;
    json_t *names = NULL, *ids = NULL, *name = NULL;
    if (info->labels_named) {
        names = json_object();
        ids = json_object();
        for (uint32_t k = 0; k < info->n_labels; k++) {
            char key[16];
            snprintf(key, sizeof key, "%u", (unsigned)k);
            TRY(sqzi_export_text(e, sqzi_span_of(e->model->labels[k]), "a label", &name));
            TRY(sqzi_export_set(e, names, key, name));
            TRY(sqzi_export_set(e, ids, e->model->labels[k], json_integer(k)));
        }
        json_object_del(e->config, "num_labels");
        TRY(sqzi_export_set(e, e->config, "id2label", json_incref(names)));
        TRY(sqzi_export_set(e, e->config, "label2id", json_incref(ids)));
    } else {
        json_object_del(e->config, "id2label");
        json_object_del(e->config, "label2id");
        /* 2 is what an absent number means */
        if (info->n_labels != 2) TRY(set_uint(e, "num_labels", info->n_labels));
    }
fail:
    json_decref(names);
    json_decref(ids);
    return status;
}

static sqz_status put_head(const sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &e->model->info;
    if (info->head == SQZ_HEAD_SEQUENCE || info->head == SQZ_HEAD_TOKEN) TRY(put_labels(e));
    /* labels of an earlier head would be taken for start and end */
    if (info->head == SQZ_HEAD_QUESTION &&
        json_object_size(json_object_get(e->config, "id2label")) != 2) {
        json_object_del(e->config, "id2label");
        json_object_del(e->config, "label2id");
        json_object_del(e->config, "num_labels");
    }
    if (info->head == SQZ_HEAD_MASKED_LM)
        TRY(sqzi_export_set(e, e->config, "tie_word_embeddings", json_boolean(e->tied)));
    if (info->head == SQZ_HEAD_SEQUENCE) {
        const bool usual = info->problem == SQZ_SINGLE_LABEL,
                   named = json_is_string(json_object_get(e->config, "problem_type"));
        /* Transformers refuses the name for one class, and takes its absence for it */
        if (usual && info->n_labels == 1) json_object_del(e->config, "problem_type");
        else if (!usual || named)
            TRY(set_string(e, "problem_type",
                           sqzi_their_word(sqzi_problems, sqz_problem_name(info->problem))));
    }
fail:
    return status;
}

/* Transformers 4 calls it torch_dtype, 5 writes dtype and reads both. */
static sqz_status put_type(const sqzi_exporter *e)
{
    const bool dtype = json_object_get(e->config, "dtype"),
               torch_dtype = json_object_get(e->config, "torch_dtype");
    sqz_status status = dtype ? set_string(e, "dtype", e->weight_type) : SQZ_OK;
    if (status == SQZ_OK && (torch_dtype || !dtype))
        status = set_string(e, "torch_dtype", e->weight_type);
    return status;
}

sqz_status sqzi_export_config(sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    uint32_t padding;
    TRY(begin(e));
    TRY(put_class(e));
    TRY(put_sizes(e));
    TRY(put_activation(e));
    TRY(put_head(e));
    TRY(put_type(e));
    if (sqzi_export_has(e, "tokenizer.ggml.padding_token_id") &&
        !json_object_get(e->config, "pad_token_id")) {
        TRY(sqzi_gguf_get_u32(e->model->gguf, "tokenizer.ggml.padding_token_id", true, &padding,
                              e->error));
        TRY(set_uint(e, "pad_token_id", padding));
    }
    TRY(sqzi_folder_writer_json(&e->folder, "config.json", e->config, e->error));
fail:
    return status;
}
