/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: which model it is, and the description of the encoder. What this library does not do is refused by name. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

static const char where[] = "config.json";

static sqz_status find_class(sqzi_importer *m)
{
    static const struct {
        const char *ending;
        sqz_head_kind head;
    } known[] = {{"ForSequenceClassification", SQZ_HEAD_SEQUENCE}, {"ForTokenClassification", SQZ_HEAD_TOKEN}, {"ForQuestionAnswering", SQZ_HEAD_QUESTION},
                 {"ForMaskedLM", SQZ_HEAD_MASKED_LM}, {"ForPreTraining", SQZ_HEAD_MASKED_LM}, {"ForMultipleChoice", SQZ_HEAD_MULTIPLE_CHOICE}, {"Model", SQZ_HEAD_NONE}};
    const json_t *names = json_object_get(m->config, "architectures");
    m->class_name = json_string_value(json_array_get(names, 0));
    if (!m->class_name) {
        m->class_name = "Model";
        sqzi_import_note(m, "config.json names no architecture: the encoder alone is read");
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(m->class_name), ending = strlen(known[i].ending);
        if (n < ending || strcmp(m->class_name + n - ending, known[i].ending) != 0) continue;
        if (m->architecture == SQZI_ELECTRA && strcmp(known[i].ending, "ForPreTraining") == 0) break; /* a discriminator */
        m->head = known[i].head;
        return SQZ_OK;
    }
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0, "config.json: the architecture '%s' is not known", m->class_name);
}

static sqz_status find_architecture(sqzi_importer *m)
{
    static const char *const types[] = {"bert", "squeezebert", "distilbert", "electra"};
    const sqz_status status = sqzi_json_string(m->config, where, "model_type", true, &m->model_type, m->error);
    if (status != SQZ_OK) return status;
    for (int i = 0; i < 4; i++)
        if (strcmp(m->model_type, types[i]) == 0) {
            m->architecture = (sqzi_architecture)i;
            return SQZ_OK;
        }
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0, "config.json: model_type '%s' is not known; bert, squeezebert, distilbert and electra are", m->model_type);
}

static sqz_status check_unsupported(const sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *position = "absolute";
    bool decoder = false, cross = false;
    TRY(sqzi_json_string(m->config, where, "position_embedding_type", false, &position, error));
    TRY(sqzi_json_bool(m->config, where, "is_decoder", &decoder, error));
    TRY(sqzi_json_bool(m->config, where, "add_cross_attention", &cross, error));
    FAIL_IF(strcmp(position, "absolute") != 0, SQZ_EUNSUPPORTED, 0, "config.json: position_embedding_type '%s': only absolute positions can be run", position);
    FAIL_IF(decoder || cross, SQZ_EUNSUPPORTED, 0, "config.json: is_decoder or add_cross_attention is set: only encoders can be run");
fail:
    return status;
}

static sqz_status read_activation(sqzi_importer *m)
{
    static const char *const known[][2] = {{"gelu", "gelu"}, {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"}, {"relu", "relu"}};
    const char *name = "gelu";
    const sqz_status status = sqzi_json_string(m->config, where, m->architecture == SQZI_DISTILBERT ? "activation" : "hidden_act", false, &name, m->error);
    if (status != SQZ_OK) return status;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i][0]) == 0) {
            m->activation = known[i][1];
            return SQZ_OK;
        }
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0, "config.json: the activation '%s' cannot be run; gelu, gelu_new, gelu_pytorch_tanh and relu can", name);
}

static sqz_status read_sizes(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const bool distil = m->architecture == SQZI_DISTILBERT;
    TRY(sqzi_json_uint(m->config, where, "vocab_size", true, &m->vocabulary, error));
    TRY(sqzi_json_uint(m->config, where, "max_position_embeddings", true, &m->positions, error));
    TRY(sqzi_json_uint(m->config, where, distil ? "n_layers" : "num_hidden_layers", true, &m->blocks, error));
    TRY(sqzi_json_uint(m->config, where, distil ? "n_heads" : "num_attention_heads", true, &m->heads, error));
    TRY(sqzi_json_uint(m->config, where, distil ? "dim" : "hidden_size", true, &m->width, error));
    TRY(sqzi_json_uint(m->config, where, distil ? "hidden_dim" : "intermediate_size", true, &m->ffn_width, error));
    m->token_types = distil ? 0 : 2;
    if (!distil) TRY(sqzi_json_uint(m->config, where, "type_vocab_size", false, &m->token_types, error));
    m->embedding_width = m->width;
    if (m->architecture == SQZI_ELECTRA || m->architecture == SQZI_SQUEEZEBERT) TRY(sqzi_json_uint(m->config, where, "embedding_size", false, &m->embedding_width, error));
    FAIL_IF(m->architecture == SQZI_SQUEEZEBERT && m->embedding_width != m->width, SQZ_EUNSUPPORTED, 0, "config.json: embedding_size %u differs from hidden_size %u", m->embedding_width, m->width);
    FAIL_IF(m->blocks < 1 || m->blocks > 1024 || m->heads < 1 || m->width < 1 || m->width % m->heads, SQZ_EFORMAT, 0,
            "config.json: %u layers, %u heads and a width of %u: 1 to 1024 layers, and heads that divide the width", m->blocks, m->heads, m->width);
    m->epsilon = 1e-12;
    if (!distil) TRY(sqzi_json_number(m->config, where, "layer_norm_eps", false, &m->epsilon, error));
    m->block_epsilon = m->architecture == SQZI_SQUEEZEBERT ? 1e-12 : m->epsilon; /* SqueezeBERT's blocks never read the config's */
fail:
    return status;
}

static sqz_status read_groups(sqzi_importer *m)
{
    static const char *const keys[] = {"q_groups", "k_groups", "v_groups", "post_attention_groups", "intermediate_groups", "output_groups"};
    static const uint32_t usual[] = {4, 4, 4, 1, 4, 4};
    for (int j = 0; j < 6; j++) {
        m->groups[j] = 1;
        if (m->architecture != SQZI_SQUEEZEBERT) continue;
        m->groups[j] = usual[j];
        const sqz_status status = sqzi_json_uint(m->config, where, keys[j], false, &m->groups[j], m->error);
        if (status != SQZ_OK) return status;
        if (m->groups[j] < 1 || m->width % m->groups[j] || (j > 3 && m->ffn_width % m->groups[j]))
            return sqzi_fail(m->error, SQZ_EFORMAT, 0, "config.json: %s is %u, which does not divide the widths %u and %u", keys[j], m->groups[j], m->width, m->ffn_width);
    }
    return SQZ_OK;
}

enum { MOST_BLOCKS = 1024 };

static void put_same(sqzi_importer *m, const char *key, uint32_t value)
{
    uint32_t values[MOST_BLOCKS];
    for (uint32_t i = 0; i < m->blocks; i++) values[i] = value;
    sqzi_gguf_put_u32s(m->writer, key, values, m->blocks);
}

static void describe_blocks(sqzi_importer *m)
{
    static const char *const linears[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"};
    double epsilon[MOST_BLOCKS];
    sqzi_span activation[MOST_BLOCKS];
    for (uint32_t i = 0; i < m->blocks; i++) {
        epsilon[i] = m->block_epsilon;
        activation[i] = sqzi_span_of(m->activation);
    }
    put_same(m, "sqz.block.heads", m->heads);
    put_same(m, "sqz.block.head_width", m->width / m->heads);
    put_same(m, "sqz.block.ffn_width", m->ffn_width);
    sqzi_gguf_put_f64s(m->writer, "sqz.block.attn_norm_epsilon", epsilon, m->blocks);
    sqzi_gguf_put_f64s(m->writer, "sqz.block.ffn_norm_epsilon", epsilon, m->blocks);
    sqzi_gguf_put_strings(m->writer, "sqz.block.activation", activation, m->blocks);
    for (int j = 0; j < 6; j++) {
        char key[64];
        snprintf(key, sizeof key, "sqz.block.%s.groups", linears[j]);
        if (m->architecture == SQZI_SQUEEZEBERT) put_same(m, key, m->groups[j]);
    }
}

static void describe(sqzi_importer *m)
{
    sqzi_gguf_writer *w = m->writer;
    const char *name = strrchr(m->folder, '/'), *given = json_string_value(json_object_get(m->config, "_name_or_path"));
    const sqzi_span groups = sqzi_span_of("groups");
    sqzi_gguf_put_string(w, "general.architecture", "sqz-encoder");
    sqzi_gguf_put_string(w, "general.name", given && *given ? given : name && name[1] ? name + 1 : m->folder);
    sqzi_gguf_put_u32(w, "sqz.version", 1);
    if (m->architecture == SQZI_SQUEEZEBERT) sqzi_gguf_put_strings(w, "sqz.requires", &groups, 1);
    sqzi_gguf_put_u32(w, "sqz.width", m->width);
    sqzi_gguf_put_u32(w, "sqz.blocks", m->blocks);
    sqzi_gguf_put_u32(w, "sqz.vocabulary", m->vocabulary);
    sqzi_gguf_put_u32(w, "sqz.max_positions", m->positions);
    sqzi_gguf_put_u32(w, "sqz.token_types", m->token_types);
    sqzi_gguf_put_u32(w, "sqz.embedding.width", m->embedding_width);
    sqzi_gguf_put_f64(w, "sqz.embedding.norm_epsilon", m->epsilon);
    describe_blocks(m);
    sqzi_gguf_put_string(w, "sqz.source.model_type", m->model_type);
    sqzi_gguf_put_string(w, "sqz.source.architecture", m->class_name);
}

sqz_status sqzi_import_config(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    TRY(sqzi_json_load(m->folder, "config.json", true, &m->config, error));
    FAIL_IF(!json_is_object(m->config), SQZ_EFORMAT, 0, "%s/config.json is no JSON object", m->folder);
    TRY(find_architecture(m));
    TRY(find_class(m));
    TRY(check_unsupported(m));
    TRY(read_activation(m));
    TRY(read_sizes(m));
    TRY(read_groups(m));
    describe(m);
    char *text = json_dumps(m->config, JSON_COMPACT);
    FAIL_IF(!text, SQZ_ENOMEM, 0, "no memory for the text of config.json");
    sqzi_gguf_put_string(m->writer, "sqz.source.config", text);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
fail:
    return status;
}
