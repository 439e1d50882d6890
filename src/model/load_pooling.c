/* SPDX-License-Identifier: Apache-2.0 */
/* Loading what makes an embedding of hidden states: pooling, the layers behind it, how many numbers
 * are kept (doc/format.md, Texts). */
#include "model/loader.h"

#include <stdio.h>

#include "base/error.h"
#include "model/words.h"

static const double NORM_EPSILON = 1e-5; /* that of torch.nn.LayerNorm */

sqz_status sqzi_load_word(sqzi_loader *loader, const char *key, const char *fallback,
                          const char *const *words, uint32_t *index)
{
    sqzi_span word = sqzi_span_of(fallback);
    const sqz_status status = sqzi_gguf_get_string(loader->gguf, key, false, &word, loader->error);
    if (status != SQZ_OK) return status;
    for (*index = 0; words[*index]; ++*index)
        if (sqzi_span_is(word, words[*index])) return SQZ_OK;
    return sqzi_fail(loader->error, SQZ_EUNSUPPORTED, 0,
                     "metadata '%s' is '%.*s', which this version does not know", key,
                     (int)(word.n > 40 ? 40 : word.n), word.bytes);
}

/* Layer i behind the pooling of embeddings; *width is that of what it reads, then of what it
 * makes. */
static sqz_status load_step(sqzi_loader *loader, uint32_t i, sqzi_span word, uint32_t *width)
{
    static const struct {
        const char *word;
        sqzi_step_kind kind;
        sqzk_activation activation;
    } known[] = {{"dense", SQZI_STEP_DENSE, SQZK_IDENTITY},
                 {"dense_tanh", SQZI_STEP_DENSE, SQZK_TANH},
                 {"dense_relu", SQZI_STEP_DENSE, SQZK_RELU},
                 {"dense_gelu", SQZI_STEP_DENSE, SQZK_GELU},
                 {"normalize", SQZI_STEP_NORMALIZE, SQZK_IDENTITY},
                 {"norm", SQZI_STEP_NORM, SQZK_IDENTITY}};
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqzi_embed_step *step = &loader->model->head.steps[i];
    char name[32], weight[40];
    size_t k = 0;
    while (k < sizeof known / sizeof *known && !sqzi_span_is(word, known[k].word)) k++;
    FAIL_IF(k == sizeof known / sizeof *known, SQZ_EUNSUPPORTED, 0,
            "metadata 'sqz.embed.steps' holds '%.*s', which this version does not know",
            (int)(word.n > 40 ? 40 : word.n), word.bytes);
    *step = (sqzi_embed_step){.kind = known[k].kind, .activation = known[k].activation};
    snprintf(name, sizeof name, "embd_step.%u", (unsigned)i);
    if (step->kind == SQZI_STEP_NORM)
        TRY(sqzi_load_norm(loader, name, *width, NORM_EPSILON, &step->norm));
    if (step->kind == SQZI_STEP_DENSE) {
        snprintf(weight, sizeof weight, "%s.weight", name);
        const sqzi_gguf_tensor *dense = sqzi_load_look(loader, weight);
        FAIL_IF(!dense || dense->n_dims != 2 || dense->shape[0] > SQZI_MAX_WIDTH, SQZ_EFORMAT,
                dense ? dense->offset : 0, "tensor '%s' must be [out, %u]", weight, *width);
        const uint32_t n_out = (uint32_t)dense->shape[0];
        TRY(sqzi_load_linear(loader, name,
                             (sqzi_linear_shape){*width, n_out, 1, 1, NULL, SQZK_IDENTITY}, true,
                             NULL, &step->dense));
        *width = n_out;
    }
    step->n_out = *width;
fail:
    return status;
}

static sqz_status load_steps(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqzi_head *head = &loader->model->head;
    sqz_model_info *info = &loader->model->info;
    const sqzi_gguf_value *words;
    uint32_t width = head->width;
    TRY(sqzi_gguf_get_array(loader->gguf, "sqz.embed.steps", SQZI_GGUF_STRING, UINT64_MAX, false,
                            &words, error));
    const uint64_t n = words ? words->n : 0;
    FAIL_IF(n > SQZI_MAX_STEPS, SQZ_ELIMIT, words->offset,
            "metadata 'sqz.embed.steps' has %llu items, at most %d are allowed",
            (unsigned long long)n, SQZI_MAX_STEPS);
    const unsigned char *at = n ? words->data : NULL;
    for (uint32_t i = 0; i < n; i++) TRY(load_step(loader, i, sqzi_gguf_next_string(&at), &width));
    head->n_steps = info->n_embed_steps = (uint32_t)n;
    head->embedding_width = info->dimensions = width;
    TRY(sqzi_gguf_get_u32(loader->gguf, "sqz.dimensions", false, &info->dimensions, error));
    FAIL_IF(info->dimensions < 1 || info->dimensions > width, SQZ_EFORMAT, 0,
            "metadata 'sqz.dimensions' is %u, 1 to %u are possible", info->dimensions, width);
fail:
    return status;
}

/* How embeddings are pooled, what comes behind, and how two of them are compared. */
sqz_status sqzi_load_pooling(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqz_model_info *info = &loader->model->info;
    uint32_t pool, similarity;
    bool include_prompt = true, lowercase = false;
    TRY(sqzi_load_word(loader, "sqz.pool", "mean", sqzi_pooling_names, &pool));
    info->pooling = (sqz_pooling)pool;
    FAIL_IF(pool < SQZ_POOLING_MEAN || (pool == SQZ_POOLING_POOLER && !info->has_pooler),
            SQZ_EFORMAT, 0, "metadata 'sqz.pool' is '%s', which this model cannot do",
            sqzi_pooling_names[pool]);
    TRY(sqzi_gguf_get_bool(loader->gguf, "sqz.include_prompt", false, &include_prompt, error));
    info->include_prompt = include_prompt;
    TRY(sqzi_gguf_get_bool(loader->gguf, "sqz.embed.lowercase", false, &lowercase, error));
    info->embed_lowercase = lowercase;
    TRY(sqzi_load_word(loader, "sqz.similarity", "cosine", sqzi_similarity_words, &similarity));
    FAIL_IF(!similarity, SQZ_EFORMAT, 0, "metadata 'sqz.similarity' must be a function, not '%s'",
            sqzi_similarity_words[0]);
    info->similarity = (sqz_similarity_kind)similarity;
    TRY(load_steps(loader));
fail:
    return status;
}
