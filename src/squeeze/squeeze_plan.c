/* SPDX-License-Identifier: Apache-2.0 */
/* A plan that leaves everything as it is, and what a plan asks of texts. */
#include "squeeze/squeeze_plan.h"

#include <string.h>

#include "base/error.h"

sqzi_storage sqzi_storage_of_bits(uint32_t bits)
{
    switch (bits) {
    case 8: return SQZI_STORED_S8;
    case 4: return SQZI_STORED_S4;
    case 3: return SQZI_STORED_S3;
    case 2: return SQZI_STORED_S2;
    default: return SQZI_STORED_F32;
    }
}

const char *sqzi_storage_name(sqzi_storage storage)
{
    switch (storage) {
    case SQZI_STORED_F32: return "F32";
    case SQZI_STORED_S8: return "int8";
    case SQZI_STORED_S4: return "int4";
    case SQZI_STORED_S3: return "int3";
    case SQZI_STORED_S2: return "int2";
    }
    return "";
}

sqz_status sqzi_squeeze_plan_make(const sqz_model *model, sqzi_squeeze_plan *plan, sqz_error *error)
{
    const sqz_allocator *allocator = &model->context->allocator;
    const uint32_t n = model->encoder.n_blocks;
    *plan = (sqzi_squeeze_plan){.allocator = allocator, .n_blocks = n, .n_made = n};
    plan->blocks = sqzi_allocate_zeroed(allocator, n, sizeof *plan->blocks);
    if (!plan->blocks)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a plan of %u blocks", n);
    for (uint32_t i = 0; i < n; i++) {
        sqzi_block_plan *b = &plan->blocks[i];
        b->source = i;
        b->heads = model->encoder.blocks[i].heads;
        b->neurons = model->encoder.blocks[i].ffn_width;
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) b->linears[j].groups = 1;
    }
    return SQZ_OK;
}

void sqzi_squeeze_plan_copy(const sqzi_squeeze_plan *from, sqzi_squeeze_plan *plan)
{
    sqzi_block_plan *blocks = plan->blocks;
    *plan = *from;
    plan->blocks = blocks;
    memcpy(blocks, from->blocks, from->n_blocks * sizeof *blocks);
}

bool sqzi_squeeze_plan_is(const sqzi_squeeze_plan *a, const sqzi_squeeze_plan *b)
{
    return a->n_blocks == b->n_blocks && a->embedding == b->embedding &&
           a->embedding_size == b->embedding_size && a->word == b->word &&
           a->position == b->position &&
           memcmp(a->blocks, b->blocks, a->n_blocks * sizeof *a->blocks) == 0;
}

sqz_status sqzi_squeeze_plan_blocks(const sqzi_squeeze_plan *plan, uint32_t **blocks,
                                    sqz_error *error)
{
    *blocks = sqzi_allocate(plan->allocator, plan->n_made * sizeof **blocks);
    if (!*blocks) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a list of blocks");
    for (uint32_t i = 0; i < plan->n_blocks; i++) (*blocks)[i] = plan->blocks[i].source;
    return SQZ_OK;
}

void sqzi_squeeze_plan_discard(sqzi_squeeze_plan *plan)
{
    if (!plan->allocator) return;
    sqzi_release(plan->allocator, plan->blocks, plan->n_made * sizeof *plan->blocks);
    *plan = (sqzi_squeeze_plan){0};
}

bool sqzi_squeeze_pooler_is_idle(const sqz_model *model)
{
    const sqzi_head *head = &model->head;
    return head->has_pooler && model->info.pooling != SQZ_POOLING_POOLER &&
           (head->kind == SQZ_HEAD_NONE || head->pooling != SQZ_POOLING_POOLER);
}

static bool block_reads(const sqz_model *model, const sqzi_block_plan *b, bool plain)
{
    const sqzi_block *from = &model->encoder.blocks[b->source];
    if (b->heads < from->heads || b->neurons < from->ffn_width) return true;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS && !plain; j++) {
        const sqzi_linear_plan *l = &b->linears[j];
        if (l->groups > 1 || l->rank || l->storage != SQZI_STORED_F32) return true;
    }
    return false;
}

bool sqzi_squeeze_plan_reads(const sqz_model *model, const sqzi_squeeze_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_blocks; i++)
        if (block_reads(model, &plan->blocks[i], plan->plain)) return true;
    return plan->static_width ||
           (!plan->plain &&
            (plan->embedding != SQZ_EMBEDDING_KEEP ||
             (model->encoder.embedding.projected && plan->projection != SQZI_STORED_F32)));
}

sqz_status sqzi_squeeze_check_source(const sqz_model *model, sqz_error *error)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(model->gguf, i);
        if (t->type == SQZI_S8)
            return sqzi_fail(error, SQZ_EUNSUPPORTED, t->offset,
                             "tensor '%.*s' is I8 already: squeeze the float model that this one "
                             "was made from",
                             (int)t->name.n, t->name.bytes);
    }
    return SQZ_OK;
}
