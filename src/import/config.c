/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: which model it is, and the description of the encoder. What this library does not do
 * is refused by name. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "data/point_locale.h"
#include "import/importer.h"

static sqz_status read_activation(sqzi_importer *m)
{
    const char *name = "gelu";
    const sqz_status status = sqzi_json_string(m->config, m->config_file, m->layout->activation_key,
                                               false, &name, m->error);
    if (status != SQZ_OK) return status;
    m->activation = sqzi_our_word(sqzi_activations, name);
    if (m->activation) return SQZ_OK;
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "%s: the activation '%s' cannot be run; gelu, gelu_new, gelu_pytorch_tanh and "
                     "relu can",
                     m->config_file, name);
}

/* A size under its key; where that is absent the default stays, and `absent` names it. */
static sqz_status read_size(const sqzi_importer *m, const char *key, uint32_t standard,
                            uint32_t *out, sqzi_name_list *absent)
{
    char text[96];
    *out = standard;
    const json_t *value = json_object_get(m->config, key);
    if (!value || json_is_null(value)) {
        snprintf(text, sizeof text, "%s = %u", key, (unsigned)standard);
        sqzi_list_name(absent, text);
    }
    return sqzi_json_uint(m->config, m->config_file, key, false, out, m->error);
}

/* Where a configuration takes BERT's names of these three as well, they count. */
static sqz_status read_bert_sizes(sqzi_importer *m)
{
    static const char *const keys[] = {"num_hidden_layers", "num_attention_heads", "hidden_size"};
    uint32_t *const sizes[] = {&m->blocks, &m->heads, &m->width};
    for (int i = 0; i < 3 && m->layout->takes_bert_sizes; i++) {
        const sqz_status status = sqzi_json_uint(m->config, m->config_file, keys[i], false,
                                                 sizes[i], m->error);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

static sqz_status check_sizes(const sqzi_importer *m)
{
    if (!m->layout->projected && m->embedding_width != m->width)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "%s: embedding_size %u differs from hidden_size %u", m->config_file,
                         m->embedding_width, m->width);
    if (m->blocks > 1024 || m->heads < 1 || m->width < 1 || m->width % m->heads)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: %u layers, %u heads and a width of %u: 0 to 1024 layers, and heads "
                         "that divide the width",
                         m->config_file, m->blocks, m->heads, m->width);
    return SQZ_OK;
}

static sqz_status read_sizes(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    sqzi_name_list absent = {0};
    const sqzi_layout *l = m->layout;
    TRY(read_size(m, "vocab_size", 30522, &m->vocabulary, &absent));
    TRY(read_size(m, "max_position_embeddings", 512, &m->positions, &absent));
    TRY(read_size(m, l->blocks_key, l->usual.blocks, &m->blocks, &absent));
    TRY(read_size(m, l->heads_key, l->usual.heads, &m->heads, &absent));
    TRY(read_size(m, l->width_key, l->usual.width, &m->width, &absent));
    TRY(read_size(m, l->ffn_key, l->usual.ffn_width, &m->ffn_width, &absent));
    TRY(read_bert_sizes(m));
    if (l->has_types) TRY(read_size(m, "type_vocab_size", 2, &m->token_types, &absent));
    m->embedding_width = m->width;
    /* SqueezeBERT's can only be its width, whatever the class takes where it is absent */
    if (l->projected)
        TRY(read_size(m, "embedding_size", l->usual.embedding_width, &m->embedding_width, &absent));
    else if (l->has_embedding_size)
        TRY(sqzi_json_uint(m->config, m->config_file, "embedding_size", false, &m->embedding_width,
                           error));
    TRY(check_sizes(m));
    m->epsilon = 1e-12;
    if (l->has_epsilon)
        TRY(sqzi_json_number(m->config, m->config_file, "layer_norm_eps", false, &m->epsilon,
                             error));
    FAIL_IF(!(m->epsilon >= 0 && m->epsilon < 1), SQZ_EFORMAT, 0,
            "%s: layer_norm_eps is %s: from 0 to 1 is what a norm can add", m->config_file,
            SQZI_REAL(6, m->epsilon));
    m->block_epsilon = l->block_epsilon > 0 ? l->block_epsilon : m->epsilon;
    if (absent.n)
        sqzi_import_note(m, "%s leaves out what the class of %s takes so: %s", m->config_file,
                         m->model_type, sqzi_listed(&absent));
fail:
    return status;
}

static sqz_status read_groups(sqzi_importer *m)
{
    const sqzi_block sizes = {
        .heads = m->heads, .head_width = m->width / m->heads, .ffn_width = m->ffn_width};
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        const sqzi_groups_key *key = &sqzi_groups_keys[j];
        uint32_t n_in, n_out;
        m->groups[j] = 1;
        if (!m->layout->grouped) continue;
        m->groups[j] = key->usual;
        const sqz_status status = sqzi_json_uint(m->config, m->config_file, key->key, false,
                                                 &m->groups[j], m->error);
        if (status != SQZ_OK) return status;
        sqzi_block_linear_sides(&sizes, m->width, j, &n_in, &n_out);
        if (m->groups[j] < 1 || n_in % m->groups[j] || n_out % m->groups[j])
            return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                             "%s: %s is %u, which does not divide the widths %u and %u",
                             m->config_file, key->key, m->groups[j], n_in, n_out);
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
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        char key[64];
        snprintf(key, sizeof key, "sqz.block.%s.groups", sqzi_block_linear_name(j));
        if (m->layout->grouped) put_same(m, key, m->groups[j]);
    }
}

static void describe(sqzi_importer *m)
{
    sqzi_gguf_writer *w = m->writer;
    if (m->layout->grouped) m->features[m->n_features++] = "groups";
    if (m->options.type == SQZ_IMPORT_BF16) m->features[m->n_features++] = "bf16";
    sqzi_gguf_put_string(w, "general.architecture", "sqz-encoder");
    sqzi_gguf_put_u32(w, "sqz.version", 1);
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
    TRY(sqzi_json_load(m->transformer, m->config_file, true, &m->config, error));
    FAIL_IF(!json_is_object(m->config), SQZ_EFORMAT, 0, "%s/%s is no JSON object", m->transformer,
            m->config_file);
    TRY(sqzi_import_model_class(m));
    TRY(sqzi_import_check_keys(m));
    TRY(read_activation(m));
    TRY(read_sizes(m));
    TRY(read_groups(m));
    sqzi_import_tell_keys(m);
    describe(m);
    const sqzi_point_locale locale = sqzi_point_locale_begin();
    char *text = json_dumps(m->config, JSON_COMPACT);
    sqzi_point_locale_end(locale);
    FAIL_IF(!text, SQZ_ENOMEM, 0, "no memory for the text of config.json");
    sqzi_gguf_put_string(m->writer, "sqz.source.config", text);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
fail:
    return status;
}
