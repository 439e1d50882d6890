/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a model file: description, weights in two passes over the same loading code, texts. */
#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "model/loader.h"
#include "nn/tensor_list.h"

enum { MOST_SPARE = 32 << 20, MOST_GROWTH = 12 }; /* of the packed weights over the file */

enum { BARE_EMBEDDING }; /* of the features, what is asked for again */
static const char *const known_features[] = {"bare_embedding",
                                             "groups",
                                             "low_rank",
                                             "sum",
                                             "permutation",
                                             "reduced_embedding",
                                             "s8",
                                             "bf16",
                                             "exclude_prompt",
                                             "embed_lowercase",
                                             "s4",
                                             "s3",
                                             "s2",
                                             "product_quantised"};

static sqz_status check_requires(sqz_model *model, sqz_error *error)
{
    const sqzi_gguf *gguf = model->gguf;
    sqz_status status = SQZ_OK;
    sqzi_span architecture;
    uint32_t version = 0;
    const sqzi_gguf_value *features;
    TRY(sqzi_gguf_get_string(gguf, "general.architecture", true, &architecture, error));
    FAIL_IF(!sqzi_span_is(architecture, "sqz-encoder"), SQZ_EFORMAT, 0,
            "general.architecture is '%.*s', 'sqz-encoder' expected: not a model of this program",
            (int)(architecture.n > 40 ? 40 : architecture.n), architecture.bytes);
    TRY(sqzi_gguf_get_u32(gguf, "sqz.version", true, &version, error));
    FAIL_IF(version > 1, SQZ_EUNSUPPORTED, 0,
            "sqz.version is %u, this reads 1: use a newer program", version);
    TRY(sqzi_gguf_get_array(gguf, "sqz.requires", SQZI_GGUF_STRING, UINT64_MAX, false, &features,
                            error));
    const unsigned char *at = features ? features->data : NULL;
    for (uint64_t i = 0; features && i < features->n; i++) {
        const sqzi_span feature = sqzi_gguf_next_string(&at);
        bool known = false;
        for (size_t j = 0; j < sizeof known_features / sizeof *known_features; j++) {
            if (!sqzi_span_is(feature, known_features[j])) continue;
            known = true;
            model->encoder.embedding.bare |= j == BARE_EMBEDDING;
        }
        FAIL_IF(!known, SQZ_EUNSUPPORTED, 0,
                "the file requires the feature '%.*s', which this version does not know: use a "
                "newer program",
                (int)(feature.n > 40 ? 40 : feature.n), feature.bytes);
    }
fail:
    return status;
}

/* Every tensor must have been asked for: one that was not is a part of a model that this is not.
 * Reference vectors and the moments of a checkpoint are not weights. */
static sqz_status check_used(const sqzi_loader *loader)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(loader->gguf); i++) {
        const sqzi_gguf_tensor *tensor = sqzi_gguf_tensor_at(loader->gguf, i);
        if (!loader->used[i] && !sqzi_span_begins(tensor->name, "verify.") &&
            !sqzi_span_begins(tensor->name, "optim."))
            return sqzi_fail(
                loader->error, SQZ_EFORMAT, tensor->offset,
                "tensor '%.*s' belongs to no part of the model that the metadata describe",
                (int)tensor->name.n, tensor->name.bytes);
    }
    return SQZ_OK;
}

/* One pass: counts where the arena has no base, packs where it has one. */
static sqz_status load_weights(sqz_model *model, sqzi_arena *arena, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n_tensors = sqzi_gguf_n_tensors(model->gguf);
    sqzi_loader loader = {.model = model, .gguf = model->gguf, .arena = *arena, .error = error};
    loader.used = sqzi_allocate_zeroed(&model->context->allocator, n_tensors, sizeof *loader.used);
    FAIL_IF(!loader.used, SQZ_ENOMEM, 0, "no memory for %u tensors", n_tensors);
    model->head = (sqzi_head){0};
    TRY(sqzi_load_encoder(&loader));
    TRY(sqzi_load_head(&loader));
    TRY(check_used(&loader));
    *arena = loader.arena;
fail:
    sqzi_release(&model->context->allocator, loader.used, n_tensors * sizeof *loader.used);
    sqzi_release(&model->context->allocator, loader.expanded, loader.expanded_bytes);
    return status;
}

/* sqzi_tensor_visitor. */
static void count_parameters(void *user, const sqzi_tensor_entry *entry)
{
    sqz_model_info *info = user;
    const uint64_t n = (uint64_t)entry->rows * (entry->columns ? entry->columns : 1);
    info->n_parameters += n;
    if (entry->part == SQZI_PART_EMBEDDING) info->n_embedding_parameters += n;
}

static sqz_status load_description(sqz_model *model, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t n_blocks = 0, max_length = UINT32_MAX;
    sqz_model_info *info = &model->info;
    TRY(check_requires(model, error));
    TRY(sqzi_gguf_get_u32(model->gguf, "sqz.blocks", true, &n_blocks, error));
    FAIL_IF(n_blocks > 1024, SQZ_ELIMIT, 0, "metadata 'sqz.blocks' is %u, at most 1024 are allowed",
            n_blocks);
    model->encoder.n_blocks = info->n_layers = n_blocks;
    model->encoder.blocks = sqzi_allocate_zeroed(&model->context->allocator, n_blocks,
                                                 sizeof *model->encoder.blocks);
    FAIL_IF(!model->encoder.blocks, SQZ_ENOMEM, 0, "no memory for %u blocks", n_blocks);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    TRY(load_weights(model, &arena, error));
    FAIL_IF(arena.used == SIZE_MAX, SQZ_ELIMIT, 0,
            "the weights do not fit this machine's address space");
    /* Packing fills up to whole panels: a layer of one output takes the room of 64. Real models
     * grow by a few percent. */
    FAIL_IF(arena.used > MOST_SPARE && (arena.used - MOST_SPARE) / MOST_GROWTH > model->map.bytes,
            SQZ_ELIMIT, 0,
            "the weights would take %zu bytes of memory, over %d times the file's %zu", arena.used,
            MOST_GROWTH, model->map.bytes);
    void *block = sqzi_allocate(&model->context->allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for %zu bytes of packed weights", arena.used);
    arena = model->weights = sqzi_arena_over(block, arena.used);
    TRY(load_weights(model, &arena, error));
    sqzi_tensor_list(&model->encoder, &model->head, count_parameters, info);
    TRY(sqzi_gguf_get_u32(model->gguf, "sqz.max_length", false, &max_length, error));
    info->max_length = max_length < info->max_positions ? max_length : info->max_positions;
    bool normalize = false;
    TRY(sqzi_gguf_get_bool(model->gguf, "sqz.normalize", false, &normalize, error));
    info->normalize = normalize;
    info->file_bytes = model->map.bytes;
fail:
    return status;
}

sqz_status sqz_model_open(sqz_context *context, const char *path, sqz_model **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_model *model = NULL;
    FAIL_IF(!context || !path || !out, SQZ_EINVAL, 0, "sqz_model_open: an argument is NULL");
    model = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *model);
    FAIL_IF(!model, SQZ_ENOMEM, 0, "no memory for a model");
    model->context = context;
    TRY(sqzi_file_map_open(path, &model->map, error));
    TRY(sqzi_gguf_open(&context->allocator, path, model->map.data, model->map.bytes, &model->gguf,
                       error));
    status = load_description(model, error);
    if (status == SQZ_OK) status = sqzi_load_texts(model, error);
    if (status == SQZ_OK) status = sqzi_load_tokenizer(model, error);
    if (status != SQZ_OK) {
        sqzi_error_prefix(error, path);
        goto fail;
    }
    *out = model;
    return SQZ_OK;
fail:
    sqz_model_close(model);
    return status;
}

void sqz_model_close(sqz_model *model)
{
    if (!model) return;
    const sqz_allocator *allocator = &model->context->allocator;
    sqzi_release(allocator, model->encoder.blocks,
                 model->encoder.n_blocks * sizeof *model->encoder.blocks);
    sqzi_release(allocator, model->weights.base, model->weights.capacity);
    sqzi_release(allocator, model->strings.base, model->strings.capacity);
    sqzi_tokenizer_close(model->tokenizer);
    sqzi_tokenizer_close(model->lowering_tokenizer);
    sqzi_gguf_close(model->gguf);
    sqzi_file_map_close(&model->map);
    sqzi_release(allocator, model, sizeof *model);
}

const sqz_model_info *sqz_model_get_info(const sqz_model *model)
{
    return &model->info;
}

sqz_context *sqz_model_context(const sqz_model *model)
{
    return model->context;
}

const sqz_tokenizer *sqz_model_tokenizer(const sqz_model *model)
{
    return model->tokenizer;
}

const sqz_tokenizer *sqz_model_embed_tokenizer(const sqz_model *model)
{
    return model->lowering_tokenizer ? model->lowering_tokenizer : model->tokenizer;
}

const char *sqz_model_label(const sqz_model *model, uint32_t k)
{
    return model->labels && k < model->info.n_labels ? model->labels[k] : NULL;
}

const char *sqz_model_prompt_name(const sqz_model *model, uint32_t i)
{
    return i < model->n_prompts ? model->prompt_names[i] : NULL;
}

const char *sqz_model_prompt(const sqz_model *model, const char *name)
{
    if (!name)
        return model->default_prompt < model->n_prompts ? model->prompts[model->default_prompt]
                                                        : NULL;
    for (uint32_t i = 0; i < model->n_prompts; i++)
        if (strcmp(model->prompt_names[i], name) == 0) return model->prompts[i];
    return NULL;
}

const char *sqz_model_role_prompt(const sqz_model *model, sqz_role role)
{
    static const char *const names[2][7] = {
        [SQZ_ROLE_QUERY] = {"query", "search_query", "retrieval.query"},
        [SQZ_ROLE_PASSAGE] = {"document", "passage", "corpus", "search_document",
                              "retrieval.passage", "retrieval.document"}};
    for (const char *const *name = names[role == SQZ_ROLE_PASSAGE]; *name; name++) {
        const char *prompt = sqz_model_prompt(model, *name);
        if (prompt && *prompt) return prompt;
    }
    return "";
}

int sqz_model_metadata(const sqz_model *model, uint32_t i, const char **key, const char **value)
{
    if (i >= sqzi_gguf_n_values(model->gguf)) return 0;
    *key = model->keys[i];
    *value = model->values[i];
    return 1;
}

int sqz_model_text(const sqz_model *model, const char *key, uint32_t i, sqz_text *text)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(model->gguf, key);
    if (!value || value->type != SQZI_GGUF_STRING || i >= value->n) return 0;
    const unsigned char *at = value->data;
    for (; i > 0; i--) (void)sqzi_gguf_next_string(&at);
    const sqzi_span string = sqzi_gguf_next_string(&at);
    *text = (sqz_text){string.bytes, string.n};
    return 1;
}

int sqz_model_tensor(const sqz_model *model, uint32_t i, sqz_tensor_info *tensor)
{
    static const char *const types[] = {
        [SQZI_F32] = "F32", [SQZI_F16] = "F16", [SQZI_BF16] = "BF16",
        [SQZI_S8] = "I8",   [SQZI_I32] = "I32", [SQZI_F64] = "F64"};
    const sqzi_gguf_tensor *from = sqzi_gguf_tensor_at(model->gguf, i);
    if (!from) return 0;
    *tensor = (sqz_tensor_info){.name = model->tensor_names[i],
                                .type = types[from->type],
                                .n_dims = from->n_dims,
                                .bytes = from->bytes,
                                .offset = from->offset};
    for (uint32_t d = 0; d < from->n_dims; d++) tensor->shape[d] = from->shape[d];
    return 1;
}
