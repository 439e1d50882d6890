/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks a squeeze has to know the times of, and the new file beside its base. */
#include "squeeze/squeeze_time.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/budget_items.h"
#include "squeeze/quantized_model.h"
#include "squeeze/timed_run.h"

sqz_status sqzi_squeeze_time_check(const sqz_model *model, const sqz_squeeze_options *o,
                                   sqz_error *error)
{
    uint32_t n = o->at_batch, length = o->at_length;
    return o->time > 0 ? sqzi_timed_shape(model, &n, &length, error) : SQZ_OK;
}

/* Blocks of the model as they are; then every setting of those of the plan. */
static uint32_t list_blocks(const sqzi_budget_task *task, const sqzi_squeeze_plan *plan,
                            const sqzi_squeeze_plan *whole, sqzi_block_plan *blocks)
{
    uint32_t n = whole->n_blocks;
    memcpy(blocks, whole->blocks, n * sizeof *blocks);
    for (uint32_t i = 0; i < plan->n_blocks; i++)
        n += sqzi_setting_shapes(task, &plan->blocks[i], blocks + n);
    return n;
}

sqz_status sqzi_squeeze_time_make(sqzi_budget_task *task, const sqzi_squeeze_plan *plan,
                                  sqzi_squeeze_time *time, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_squeeze_options *o = task->options;
    const sqz_model *model = task->weights->model;
    const size_t most = model->encoder.n_blocks + 2 * SQZI_BUDGET_SHARES * (size_t)plan->n_blocks,
                 bytes = most * sizeof(sqzi_block_plan);
    sqzi_time_options options = {.integers = o->bits || o->budget,
                                 .n_sequences = o->at_batch,
                                 .length = o->at_length,
                                 .folder = o->cache};
    sqzi_squeeze_plan whole = {0};
    sqzi_block_plan *blocks = sqzi_allocate(plan->allocator, bytes);
    FAIL_IF(!blocks, SQZ_ENOMEM, 0, "no memory for %zu blocks", most);
    TRY(sqzi_timed_shape(model, &options.n_sequences, &options.length, error));
    TRY(sqzi_squeeze_plan_make(model, &whole, error));
    const uint32_t n = list_blocks(task, plan, &whole, blocks);
    TRY(sqzi_time_table_make(task->weights, &options, blocks, n, &time->table, error));
    time->base_ns = sqzi_time_of_blocks(&time->table, whole.blocks, whole.n_blocks);
    task->times = &time->table;
    task->base_time = time->base_ns;
    task->time = o->time * time->base_ns;
fail:
    sqzi_squeeze_plan_discard(&whole);
    sqzi_release(plan->allocator, blocks, bytes);
    return status;
}

void sqzi_squeeze_time_discard(sqzi_squeeze_time *time)
{
    sqzi_time_table_discard(&time->table);
}

/* Blocks of bf16 would run in bf16, and those of the new file do not. */
static bool runs_in_bf16(const sqz_model *model)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++)
        if (sqzi_gguf_tensor_at(model->gguf, i)->type == SQZI_BF16) return true;
    return false;
}

sqz_status sqzi_squeeze_time_measure(const sqz_model *model, const char *path, const char *out,
                                     const char *made, sqzi_squeeze_time *time, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_time_options *o = &time->table.options;
    sqz_model *base = NULL, *now = NULL;
    TRY(sqz_model_open(model->context, made, &now, error));
    if (o->integers)
        TRY(sqzi_quantized_open(model->context, path, SQZ_QUANTIZE_S8, out, &base, error));
    else if (runs_in_bf16(model)) TRY(sqzi_floats_open(model, out, &base, error));
    TRY(sqzi_time_models(base ? base : model, now, o->n_sequences, o->length, time->measured,
                         error));
fail:
    sqz_model_close(base);
    sqz_model_close(now);
    return status;
}

void sqzi_squeeze_time_tell(const sqzi_squeeze_time *time, sqz_squeeze_result *result)
{
    if (!time->table.weights) return;
    result->base_ms = time->base_ns / 1e6;
    result->time_share = time->forecast_ns / time->base_ns;
    result->times_cached = time->table.cached;
    result->cache_useless |= time->table.useless;
    if (time->measured[0] == 0) return;
    result->measured_base_ms = (double)time->measured[0] / 1e6;
    result->measured_share = (double)time->measured[1] / (double)time->measured[0];
}
