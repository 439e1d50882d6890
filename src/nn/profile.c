/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: stopwatches summed up, work counted. */
#include "nn/profile.h"

#include <string.h>

void sqzi_profile_watch(sqzi_workspace *workspace, bool on)
{
    for (uint32_t i = 0; i < workspace->members; i++) {
        memset(&workspace->scratch[i].watch, 0, sizeof workspace->scratch[i].watch);
        workspace->scratch[i].watch.on = on;
    }
}

static void add_matrix(sqz_stage_profile *stage, const sqzi_matrix *matrix, uint64_t rows)
{
    stage->multiply_adds += rows * ((uint64_t)matrix->n_in * matrix->n_out / matrix->groups);
    stage->weight_bytes += (uint64_t)matrix->groups * matrix->group_bytes;
}

static void add_linear(sqz_stage_profile *stage, const sqzi_linear *linear, uint64_t rows)
{
    for (uint32_t i = 0; i < linear->n_terms; i++) {
        if (linear->terms[i].a.packed) add_matrix(stage, &linear->terms[i].a, rows);
        add_matrix(stage, &linear->terms[i].b, rows);
    }
}

static void add_block(sqz_profile *profile, const sqzi_block *block, uint64_t rows,
                      uint64_t squares)
{
    sqz_stage_profile *stages = profile->stages;
    add_linear(&stages[SQZ_STAGE_QKV], &block->attn_q, rows);
    add_linear(&stages[SQZ_STAGE_QKV], &block->attn_k, rows);
    add_linear(&stages[SQZ_STAGE_QKV], &block->attn_v, rows);
    stages[SQZ_STAGE_ATTENTION].multiply_adds += 2 * squares * block->heads * block->head_width;
    add_linear(&stages[SQZ_STAGE_ATTENTION_OUTPUT], &block->attn_output, rows);
    add_linear(&stages[SQZ_STAGE_FFN_UP], &block->ffn_up, rows);
    add_linear(&stages[SQZ_STAGE_FFN_DOWN], &block->ffn_down, rows);
}

void sqzi_profile_add_run(sqz_profile *profile, const sqzi_workspace *workspace,
                          const sqzi_encoder *encoder, const sqzi_batch *batch)
{
    for (uint32_t i = 0; i < workspace->members; i++)
        for (uint32_t s = 0; s < SQZ_STAGES; s++) {
            profile->stages[s].calls += workspace->scratch[i].watch.calls[s];
            profile->stages[s].ns += workspace->scratch[i].watch.ns[s];
        }
    uint64_t squares = 0;
    for (uint32_t b = 0; b < batch->n_sequences; b++) {
        const uint64_t length = batch->first[b + 1] - batch->first[b];
        squares += length * length;
    }
    const sqzi_embedding *embedding = &encoder->embedding;
    if (embedding->factorised)
        add_linear(&profile->stages[SQZ_STAGE_EMBEDDING], &embedding->factor, batch->n_tokens);
    if (embedding->projected)
        add_linear(&profile->stages[SQZ_STAGE_EMBEDDING], &embedding->projection, batch->n_tokens);
    for (uint32_t i = 0; i < encoder->n_blocks; i++)
        add_block(profile, &encoder->blocks[i], batch->n_tokens, squares);
}

void sqzi_profile_add_head(sqz_profile *profile, const sqzi_head *head, uint32_t n, uint64_t ns)
{
    sqz_stage_profile *stage = &profile->stages[SQZ_STAGE_HEAD];
    stage->calls++;
    stage->ns += ns;
    if (head->pooling == SQZ_POOLING_POOLER) add_linear(stage, &head->pooler, n);
    if (head->has_dense) add_linear(stage, &head->dense, n);
    if (head->factorised) add_linear(stage, &head->factor, n);
    add_linear(stage, &head->output, n);
}
