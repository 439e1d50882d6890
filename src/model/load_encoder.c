/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the description and weights of the encoder (doc/format.md). */
#include "model/loader.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "nn/tensor_list.h"

enum {
    MAX_WIDTH = SQZI_MAX_WIDTH,
    MAX_VOCABULARY = 1 << 24,
    MAX_POSITIONS = 1 << 16
};

/* The per-block arrays of the description. */
typedef struct description {
    const sqzi_gguf_value *heads, *head_width, *ffn_width, *attn_epsilon, *ffn_epsilon;
    const unsigned char *activation; /* cursor over strings */
} description;

static sqz_status get_size(sqzi_loader *loader, const char *key, uint32_t limit, uint32_t *out)
{
    const sqz_status status = sqzi_gguf_get_u32(loader->gguf, key, true, out, loader->error);
    if (status != SQZ_OK) return status;
    if (*out < 1 || *out > limit)
        return sqzi_fail(loader->error, *out ? SQZ_ELIMIT : SQZ_EFORMAT, 0,
                         "metadata '%s' is %u, 1 to %u are allowed", key, *out, limit);
    return SQZ_OK;
}

const char *const sqzi_activation_words[SQZK_ACTIVATIONS + 1] = {
#define WORD(NAME, word) [SQZK_##NAME] = word,
    SQZK_ACTIVATION_LIST(WORD)
#undef WORD
};

static sqz_status parse_activation(sqzi_loader *loader, sqzi_span name, sqzk_activation *activation)
{
    char known[96] = "";
    for (uint32_t i = 0; i < SQZK_ACTIVATIONS; i++) {
        if (sqzi_span_is(name, sqzi_activation_words[i])) {
            *activation = (sqzk_activation)i;
            return SQZ_OK;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 sqzi_activation_words[i]);
    }
    return sqzi_fail(loader->error, SQZ_EUNSUPPORTED, 0, "activation '%.*s' is none of %s",
                     (int)(name.n > 40 ? 40 : name.n), name.bytes, known);
}

/* Whether the table is factorised, and its width then, which packed rows do not tell. */
static sqz_status find_factor(sqzi_loader *loader, bool *factorised, uint32_t *width)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    uint32_t bits;
    const sqzi_gguf_tensor *projection = sqzi_stored_tensor(loader->gguf, "token_embd.projection",
                                                            &bits);
    *factorised = projection != NULL;
    if (!projection) return SQZ_OK;
    if (bits) return get_size(loader, "sqz.embedding.factor", MAX_WIDTH, width);
    FAIL_IF(projection->n_dims != 2 || projection->shape[1] > MAX_WIDTH, SQZ_EFORMAT,
            projection->offset, "tensor 'token_embd.projection' must be [E, k]");
    *width = (uint32_t)projection->shape[1];
fail:
    return status;
}

static sqz_status load_embedding(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    const sqz_model_info *info = &loader->model->info;
    sqzi_embedding *embedding = &loader->model->encoder.embedding;
    double epsilon = 0;
    uint32_t word_width = info->embedding_width;
    FAIL_IF(embedding->bare && word_width != info->width, SQZ_EFORMAT, 0,
            "sqz.embedding.width is %u, of a bare embedding it is sqz.width, %u", word_width,
            info->width);
    embedding->width = info->embedding_width;
    TRY(find_factor(loader, &embedding->factorised, &word_width));
    if (embedding->factorised) {
        sqzi_stored projection;
        TRY(sqzi_load_stored(loader, "token_embd.projection", true, info->embedding_width,
                             word_width, &projection));
        embedding->factor =
            (sqzi_linear){.n_in = word_width, .n_out = info->embedding_width, .n_terms = 1};
        TRY(sqzi_load_matrix(
            loader, &projection,
            &(sqzi_matrix_form){.n_in = word_width, .n_out = info->embedding_width, .groups = 1},
            &embedding->factor.terms[0].b));
    }
    TRY(sqzi_load_words(loader, info->vocabulary, word_width, &embedding->word));
    if (!embedding->bare) {
        TRY(sqzi_load_table(loader, "position_embd.weight", info->max_positions,
                            info->embedding_width, &embedding->position));
        TRY(sqzi_gguf_get_f64(loader->gguf, "sqz.embedding.norm_epsilon", true, &epsilon, error));
        TRY(sqzi_load_norm(loader, "token_embd_norm", info->embedding_width, epsilon,
                           &embedding->norm));
    }
    if (info->n_token_types)
        TRY(sqzi_load_table(loader, "token_types.weight", info->n_token_types,
                            info->embedding_width, &embedding->type));
    const sqzi_linear_shape shape = {info->embedding_width, info->width, 1, 1, NULL, SQZK_IDENTITY};
    TRY(sqzi_load_linear(loader, "embd_output", shape, info->embedding_width != info->width,
                         &embedding->projected, &embedding->projection));
fail:
    return status;
}

/* Linear j of block i. */
static sqz_status load_block_linear(sqzi_loader *loader, uint32_t i, uint32_t j,
                                    const uint32_t *order, sqzk_activation input)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    char key[96], full[64];
    const sqzi_gguf_value *groups, *factor_groups;
    const sqzi_encoder *encoder = &loader->model->encoder;
    const uint32_t n_blocks = encoder->n_blocks;
    const char *name = sqzi_block_linear_name(j);
    uint32_t n_in, n_out;
    sqzi_block_linear_sides(&encoder->blocks[i], encoder->width, j, &n_in, &n_out);
    snprintf(key, sizeof key, "sqz.block.%s.groups", name);
    TRY(sqzi_gguf_get_array(loader->gguf, key, SQZI_GGUF_U32, n_blocks, false, &groups, error));
    snprintf(key, sizeof key, "sqz.block.%s.factor_groups", name);
    TRY(sqzi_gguf_get_array(loader->gguf, key, SQZI_GGUF_U32, n_blocks, false, &factor_groups,
                            error));
    const sqzi_linear_shape shape = {n_in,
                                     n_out,
                                     groups ? (uint32_t)sqzi_gguf_uint(groups, i) : 1,
                                     factor_groups ? (uint32_t)sqzi_gguf_uint(factor_groups, i) : 1,
                                     order,
                                     input};
    snprintf(full, sizeof full, "blk.%u.%s", (unsigned)i, name);
    TRY(sqzi_load_linear(loader, full, shape, true, NULL,
                         sqzi_block_linear(&encoder->blocks[i], j)));
fail:
    return status;
}

static sqz_status load_block(sqzi_loader *loader, uint32_t i, description *d)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqzi_block *block = &loader->model->encoder.blocks[i];
    const uint32_t width = loader->model->encoder.width;
    char name[64];
    block->heads = (uint32_t)sqzi_gguf_uint(d->heads, i);
    block->head_width = (uint32_t)sqzi_gguf_uint(d->head_width, i);
    block->ffn_width = (uint32_t)sqzi_gguf_uint(d->ffn_width, i);
    FAIL_IF(block->heads < 1 || block->heads > MAX_WIDTH || block->head_width < 1 ||
                block->head_width > MAX_WIDTH || block->ffn_width < 1 ||
                block->ffn_width > MAX_WIDTH ||
                (uint64_t)block->heads * block->head_width > MAX_WIDTH,
            SQZ_EFORMAT, d->heads->offset,
            "block %u: %u heads of width %u and a feed-forward of %u: each must be 1 to %d", i,
            block->heads, block->head_width, block->ffn_width, MAX_WIDTH);
    TRY(parse_activation(loader, sqzi_gguf_next_string(&d->activation), &block->activation));
    for (uint32_t j = 0; j < SQZI_FFN_DOWN; j++)
        TRY(load_block_linear(loader, i, j, NULL, SQZK_IDENTITY));
    /* only the second linear reads what the first one makes: it can as well take it as it comes */
    const uint32_t *between = block->ffn_up.from;
    TRY(load_block_linear(loader, i, SQZI_FFN_DOWN, between, block->activation));
    if (between) block->ffn_up.from = block->ffn_up.out = NULL;
    snprintf(name, sizeof name, "blk.%u.attn_output_norm", (unsigned)i);
    TRY(sqzi_load_norm(loader, name, width, sqzi_gguf_float(d->attn_epsilon, i),
                       &block->attn_norm));
    snprintf(name, sizeof name, "blk.%u.layer_output_norm", (unsigned)i);
    TRY(sqzi_load_norm(loader, name, width, sqzi_gguf_float(d->ffn_epsilon, i), &block->ffn_norm));
fail:
    return status;
}

static sqz_status load_blocks(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqzi_encoder *encoder = &loader->model->encoder;
    description d;
    const sqzi_gguf_value *activations;
    const uint32_t n = encoder->n_blocks;
    TRY(sqzi_gguf_get_array(loader->gguf, "sqz.block.heads", SQZI_GGUF_U32, n, true, &d.heads,
                            error));
    TRY(sqzi_gguf_get_array(loader->gguf, "sqz.block.head_width", SQZI_GGUF_U32, n, true,
                            &d.head_width, error));
    TRY(sqzi_gguf_get_array(loader->gguf, "sqz.block.ffn_width", SQZI_GGUF_U32, n, true,
                            &d.ffn_width, error));
    TRY(sqzi_gguf_get_array(loader->gguf, "sqz.block.attn_norm_epsilon", SQZI_GGUF_F64, n, true,
                            &d.attn_epsilon, error));
    TRY(sqzi_gguf_get_array(loader->gguf, "sqz.block.ffn_norm_epsilon", SQZI_GGUF_F64, n, true,
                            &d.ffn_epsilon, error));
    TRY(sqzi_gguf_get_array(loader->gguf, "sqz.block.activation", SQZI_GGUF_STRING, n, true,
                            &activations, error));
    d.activation = activations->data;
    for (uint32_t i = 0; i < n; i++) TRY(load_block(loader, i, &d));
fail:
    return status;
}

sqz_status sqzi_load_encoder(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqz_model *model = loader->model;
    sqz_model_info *info = &model->info;
    TRY(get_size(loader, "sqz.width", MAX_WIDTH, &info->width));
    TRY(get_size(loader, "sqz.vocabulary", MAX_VOCABULARY, &info->vocabulary));
    TRY(get_size(loader, "sqz.max_positions", MAX_POSITIONS, &info->max_positions));
    TRY(get_size(loader, "sqz.embedding.width", MAX_WIDTH, &info->embedding_width));
    info->n_token_types = 0;
    TRY(sqzi_gguf_get_u32(loader->gguf, "sqz.token_types", false, &info->n_token_types, error));
    FAIL_IF(info->n_token_types > 256, SQZ_ELIMIT, 0,
            "metadata 'sqz.token_types' is %u, at most 256 are allowed", info->n_token_types);
    model->encoder.kernels = &model->context->kernels;
    model->encoder.width = info->width;
    model->encoder.max_positions = info->max_positions;
    TRY(load_embedding(loader));
    TRY(load_blocks(loader));
fail:
    return status;
}
