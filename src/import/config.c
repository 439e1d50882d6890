/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: which model it is, and the description of the encoder. What this library does not do
 * is refused by name. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

static const char where[] = "config.json";

static sqz_status find_class(sqzi_importer *m)
{
    const json_t *names = json_object_get(m->config, "architectures");
    m->class_name = json_string_value(json_array_get(names, 0));
    if (!m->class_name) {
        m->class_name = "Model";
        sqzi_import_note(m, "config.json names no architecture: the encoder alone is read");
    }
    for (const sqzi_class_ending *known = sqzi_class_endings; known->ending; known++) {
        const size_t n = strlen(m->class_name), ending = strlen(known->ending);
        if (n < ending || strcmp(m->class_name + n - ending, known->ending) != 0) continue;
        /* a discriminator */
        if (m->architecture == SQZI_ELECTRA && strcmp(known->ending, "ForPreTraining") == 0) break;
        m->head = known->head;
        return SQZ_OK;
    }
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "config.json: the architecture '%s' is not known", m->class_name);
}

static sqz_status find_architecture(sqzi_importer *m)
{
    const sqz_status status = sqzi_json_string(m->config, where, "model_type", true, &m->model_type,
                                               m->error);
    if (status != SQZ_OK) return status;
    for (int i = 0; i < SQZI_ARCHITECTURES; i++)
        if (strcmp(m->model_type, sqzi_layouts[i].model_type) == 0) {
            m->architecture = (sqzi_architecture)i;
            m->layout = &sqzi_layouts[i];
            return SQZ_OK;
        }
    return sqzi_fail(
        m->error, SQZ_EUNSUPPORTED, 0,
        "config.json: model_type '%s' is not known; bert, squeezebert, distilbert and electra are",
        m->model_type);
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
    FAIL_IF(strcmp(position, "absolute") != 0, SQZ_EUNSUPPORTED, 0,
            "config.json: position_embedding_type '%s': only absolute positions can be run",
            position);
    FAIL_IF(decoder || cross, SQZ_EUNSUPPORTED, 0,
            "config.json: is_decoder or add_cross_attention is set: only encoders can be run");
fail:
    return status;
}

static sqz_status read_activation(sqzi_importer *m)
{
    const char *name = "gelu";
    const sqz_status status = sqzi_json_string(m->config, where, m->layout->activation_key, false,
                                               &name, m->error);
    if (status != SQZ_OK) return status;
    m->activation = sqzi_our_word(sqzi_activations, name);
    if (m->activation) return SQZ_OK;
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                     "config.json: the activation '%s' cannot be run; gelu, gelu_new, "
                     "gelu_pytorch_tanh and relu can",
                     name);
}

static sqz_status read_sizes(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const bool distil = m->architecture == SQZI_DISTILBERT;
    TRY(sqzi_json_uint(m->config, where, "vocab_size", true, &m->vocabulary, error));
    TRY(sqzi_json_uint(m->config, where, "max_position_embeddings", true, &m->positions, error));
    TRY(sqzi_json_uint(m->config, where, m->layout->blocks_key, true, &m->blocks, error));
    TRY(sqzi_json_uint(m->config, where, m->layout->heads_key, true, &m->heads, error));
    TRY(sqzi_json_uint(m->config, where, m->layout->width_key, true, &m->width, error));
    TRY(sqzi_json_uint(m->config, where, m->layout->ffn_key, true, &m->ffn_width, error));
    m->token_types = distil ? 0 : 2;
    if (!distil)
        TRY(sqzi_json_uint(m->config, where, "type_vocab_size", false, &m->token_types, error));
    m->embedding_width = m->width;
    if (m->architecture == SQZI_ELECTRA || m->architecture == SQZI_SQUEEZEBERT)
        TRY(sqzi_json_uint(m->config, where, "embedding_size", false, &m->embedding_width, error));
    FAIL_IF(m->architecture == SQZI_SQUEEZEBERT && m->embedding_width != m->width, SQZ_EUNSUPPORTED,
            0, "config.json: embedding_size %u differs from hidden_size %u", m->embedding_width,
            m->width);
    FAIL_IF(m->blocks < 1 || m->blocks > 1024 || m->heads < 1 || m->width < 1 ||
                m->width % m->heads,
            SQZ_EFORMAT, 0,
            "config.json: %u layers, %u heads and a width of %u: 1 to 1024 layers, and heads that "
            "divide the width",
            m->blocks, m->heads, m->width);
    m->epsilon = 1e-12;
    if (!distil)
        TRY(sqzi_json_number(m->config, where, "layer_norm_eps", false, &m->epsilon, error));
    /* SqueezeBERT's blocks never read the config's */
    m->block_epsilon = m->architecture == SQZI_SQUEEZEBERT ? 1e-12 : m->epsilon;
fail:
    return status;
}

static sqz_status read_groups(sqzi_importer *m)
{
    for (int j = 0; j < SQZI_LINEARS; j++) {
        m->groups[j] = 1;
        if (m->architecture != SQZI_SQUEEZEBERT) continue;
        m->groups[j] = sqzi_usual_groups[j];
        const sqz_status status = sqzi_json_uint(m->config, where, sqzi_groups_keys[j], false,
                                                 &m->groups[j], m->error);
        if (status != SQZ_OK) return status;
        if (m->groups[j] < 1 || m->width % m->groups[j] || (j > 3 && m->ffn_width % m->groups[j]))
            return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                             "config.json: %s is %u, which does not divide the widths %u and %u",
                             sqzi_groups_keys[j], m->groups[j], m->width, m->ffn_width);
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
    for (int j = 0; j < SQZI_LINEARS; j++) {
        char key[64];
        snprintf(key, sizeof key, "sqz.block.%s.groups", sqzi_block_parts[j]);
        if (m->architecture == SQZI_SQUEEZEBERT) put_same(m, key, m->groups[j]);
    }
}

static void describe(sqzi_importer *m)
{
    sqzi_gguf_writer *w = m->writer;
    const char *name = strrchr(m->folder, '/'),
               *given = json_string_value(json_object_get(m->config, "_name_or_path"));
    if (m->architecture == SQZI_SQUEEZEBERT) m->features[m->n_features++] = "groups";
    if (m->options.type == SQZ_IMPORT_BF16) m->features[m->n_features++] = "bf16";
    sqzi_gguf_put_string(w, "general.architecture", "sqz-encoder");
    sqzi_gguf_put_string(w, "general.name",
                         given && *given   ? given
                         : name && name[1] ? name + 1
                                           : m->folder);
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
    TRY(sqzi_json_load(m->folder, "config.json", true, &m->config, error));
    FAIL_IF(!json_is_object(m->config), SQZ_EFORMAT, 0, "%s/config.json is no JSON object",
            m->folder);
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
