/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the description and weights of a head (doc/format.md). */
#include "model/loader.h"

#include <math.h>

#include "base/error.h"
#include "model/words.h"

static sqz_status load_output(sqzi_loader *loader, uint32_t n_in, bool tied)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqzi_head *head = &loader->model->head;
    const sqzi_embedding *embedding = &loader->model->encoder.embedding;
    const sqz_model_info *info = &loader->model->info;
    if (!tied) {
        TRY(sqzi_load_linear(loader, "head.output",
                             (sqzi_linear_shape){n_in, head->classes, 1, 1, NULL, SQZK_IDENTITY},
                             true, NULL, &head->output));
        return SQZ_OK;
    }
    FAIL_IF(n_in != info->embedding_width, SQZ_EFORMAT, 0,
            "the head hands %u numbers to a decoder tied to embeddings of width %u", n_in,
            info->embedding_width);
    sqzi_stored table;
    head->tied = true;
    head->factorised = embedding->factorised;
    if (head->factorised) {
        sqzi_stored projection;
        TRY(sqzi_load_stored(loader, "token_embd.projection", true, n_in, embedding->word.width,
                             &projection));
        head->factor = (sqzi_linear){.n_in = n_in, .n_out = embedding->word.width, .n_terms = 1};
        TRY(sqzi_load_matrix(loader, &projection,
                             &(sqzi_matrix_form){.n_in = n_in,
                                                 .n_out = embedding->word.width,
                                                 .groups = 1,
                                                 .transposed = true},
                             &head->factor.terms[0].b));
    }
    head->output =
        (sqzi_linear){.n_in = embedding->word.width, .n_out = info->vocabulary, .n_terms = 1};
    sqzi_matrix *matrix = &head->output.terms[0].b;
    if (embedding->word.parts) {
        TRY(sqzi_load_words_matrix(loader, &embedding->word, matrix));
    } else {
        TRY(sqzi_load_stored(loader, "token_embd.weight", true, info->vocabulary,
                             embedding->word.width, &table));
        TRY(sqzi_load_matrix(loader, &table,
                             &(sqzi_matrix_form){.n_in = embedding->word.width,
                                                 .n_out = info->vocabulary,
                                                 .groups = 1},
                             matrix));
    }
    TRY(sqzi_load_vector(loader, "head.output.bias", false, info->vocabulary, &head->output.bias));
fail:
    return status;
}

/* Classes: as many as the output has rows; the labels, where there are any, must be as many. */
static sqz_status count_classes(sqzi_loader *loader)
{
    sqzi_head *head = &loader->model->head;
    const sqzi_gguf_tensor *weight = sqzi_load_look(loader, "head.output.weight");
    if (!weight) weight = sqzi_load_look(loader, "head.output.b");
    if (head->kind == SQZ_HEAD_MASKED_LM) head->classes = loader->model->info.vocabulary;
    else if (!weight || weight->shape[0] > SQZI_MAX_WIDTH)
        return sqzi_fail(loader->error, SQZ_EFORMAT, 0,
                         "tensor 'head.output.weight' is missing, or has more than %d rows",
                         SQZI_MAX_WIDTH);
    else head->classes = (uint32_t)weight->shape[0];
    if (head->kind == SQZ_HEAD_QUESTION && head->classes != 2)
        return sqzi_fail(loader->error, SQZ_EFORMAT, weight->offset,
                         "a question head has 2 outputs, this one %u", head->classes);
    if (head->kind == SQZ_HEAD_MULTIPLE_CHOICE && head->classes != 1)
        return sqzi_fail(loader->error, SQZ_EFORMAT, weight->offset,
                         "a multiple-choice head has 1 output, this one %u", head->classes);
    return SQZ_OK;
}

static sqz_status load_head_parts(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqzi_head *head = &loader->model->head;
    const uint32_t width = head->width;
    const sqzi_gguf_tensor *dense = sqzi_load_look(loader, "head.dense.weight");
    uint32_t n_in = width, activation;
    bool tied = false;
    double epsilon = 1e-12;
    TRY(count_classes(loader));
    TRY(sqzi_load_word(loader, "sqz.head.activation", "identity", sqzi_activation_words,
                       &activation));
    head->activation = (sqzk_activation)activation;
    if (dense) {
        FAIL_IF(dense->n_dims != 2 || dense->shape[0] > SQZI_MAX_WIDTH, SQZ_EFORMAT, dense->offset,
                "tensor 'head.dense.weight' must be [out, %u]", width);
        n_in = (uint32_t)dense->shape[0];
        TRY(sqzi_load_linear(loader, "head.dense",
                             (sqzi_linear_shape){width, n_in, 1, 1, NULL, SQZK_IDENTITY}, true,
                             &head->has_dense, &head->dense));
    }
    head->has_norm = sqzi_load_find(loader, "head.norm.weight") != NULL;
    FAIL_IF(head->has_norm && !head->has_dense, SQZ_EFORMAT, 0,
            "'head.norm' stands without 'head.dense'");
    TRY(sqzi_gguf_get_f64(loader->gguf, "sqz.head.norm_epsilon", false, &epsilon, error));
    if (head->has_norm) TRY(sqzi_load_norm(loader, "head.norm", n_in, epsilon, &head->norm));
    TRY(sqzi_gguf_get_bool(loader->gguf, "sqz.head.tied", false, &tied, error));
    TRY(load_output(loader, n_in, tied));
fail:
    return status;
}

/* What becomes of the logits of a classifier. */
static sqz_status load_scores(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqz_model_info *info = &loader->model->info;
    info->temperature = 1;
    info->threshold = -HUGE_VAL;
    TRY(sqzi_gguf_get_f64(loader->gguf, "sqz.head.temperature", false, &info->temperature, error));
    TRY(sqzi_gguf_get_f64(loader->gguf, "sqz.head.threshold", false, &info->threshold, error));
    FAIL_IF(!(info->temperature >= 1e-3 && info->temperature <= 1e3) ||
                !(info->threshold <= 1e9) ||
                (loader->model->head.kind != SQZ_HEAD_SEQUENCE &&
                 (info->temperature != 1 || info->threshold > -HUGE_VAL)),
            SQZ_EFORMAT, 0,
            "'sqz.head.temperature' is not from 0.001 to 1000, 'sqz.head.threshold' above 1e9, or "
            "the head classifies no texts");
fail:
    return status;
}

sqz_status sqzi_load_head(sqzi_loader *loader)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = loader->error;
    sqz_model *model = loader->model;
    sqzi_head *head = &model->head;
    uint32_t kind, problem, pool;
    head->width = model->encoder.width;
    TRY(sqzi_load_word(loader, "sqz.head.kind", "none", sqzi_head_words, &kind));
    TRY(sqzi_load_word(loader, "sqz.head.problem", "single_label", sqzi_problem_words, &problem));
    TRY(sqzi_load_word(loader, "sqz.head.pool", "none", sqzi_pooling_names, &pool));
    head->kind = (sqz_head_kind)kind;
    head->pooling = (sqz_pooling)pool;
    TRY(sqzi_load_linear(loader, "pooler",
                         (sqzi_linear_shape){head->width, head->width, 1, 1, NULL, SQZK_IDENTITY},
                         false, &head->has_pooler, &head->pooler));
    FAIL_IF(head->pooling == SQZ_POOLING_POOLER && !head->has_pooler, SQZ_EFORMAT, 0,
            "the head reads the pooler, which has no tensors");
    const bool whole = head->kind == SQZ_HEAD_SEQUENCE || head->kind == SQZ_HEAD_MULTIPLE_CHOICE;
    FAIL_IF(head->kind != SQZ_HEAD_NONE && whole == (head->pooling <= SQZ_POOLING_NONE),
            SQZ_EFORMAT, 0, "a head '%s' cannot read '%s' (sqz.head.pool)", sqzi_head_words[kind],
            sqzi_pooling_names[pool]);
    if (head->kind != SQZ_HEAD_NONE) TRY(load_head_parts(loader));
    model->info.head = head->kind;
    model->info.problem = (sqz_problem)problem;
    model->info.n_labels = head->classes;
    model->info.has_pooler = head->has_pooler;
    TRY(load_scores(loader));
    TRY(sqzi_load_pooling(loader));
fail:
    return status;
}
