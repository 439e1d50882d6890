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
    if (!(o->time > 0)) return SQZ_OK;
    if (model->encoder.n_blocks == 0)
        return sqzi_fail(error, SQZ_EINVAL, 0, "time: the model has no blocks that could be fewer");
    return sqzi_timed_shape(model, &n, &length, error);
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

static void note(sqzi_squeeze_time *time, const sqzi_time_table *table)
{
    time->cached &= table->cached;
    time->useless |= table->useless;
}

sqz_status sqzi_squeeze_time_forecast(const sqzi_squeeze_plan *plan, sqzi_squeeze_time *time,
                                      sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_time_table *known = &time->table;
    const sqz_model *model = known->weights->model;
    sqzi_time_table table = {0};
    sqzi_squeeze_plan whole = {0};
    const size_t most = model->encoder.n_blocks + (size_t)plan->n_blocks,
                 bytes = most * sizeof(sqzi_block_plan);
    sqzi_block_plan *blocks = sqzi_allocate(plan->allocator, bytes);
    FAIL_IF(!blocks, SQZ_ENOMEM, 0, "no memory for %zu blocks", most);
    TRY(sqzi_squeeze_plan_make(model, &whole, error));
    memcpy(blocks, whole.blocks, whole.n_blocks * sizeof *blocks);
    memcpy(blocks + whole.n_blocks, plan->blocks, plan->n_blocks * sizeof *blocks);
    TRY(sqzi_time_table_make(known->weights, &known->options, blocks, (uint32_t)most, &table,
                             error));
    note(time, &table);
    time->forecast_ns = time->base_ns * sqzi_time_of_blocks(&table, plan->blocks, plan->n_blocks) /
                        sqzi_time_of_blocks(&table, whole.blocks, whole.n_blocks);
fail:
    sqzi_time_table_discard(&table);
    sqzi_squeeze_plan_discard(&whole);
    sqzi_release(plan->allocator, blocks, bytes);
    return status;
}

/* How far a sum of halves is from a plan of such blocks. */
static sqz_status find_scale(sqzi_budget_task *task, const sqzi_squeeze_plan *by_hand,
                             sqzi_squeeze_time *time, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_squeeze_plan first = {0};
    sqzi_budget_outcome outcome;
    TRY(sqzi_squeeze_plan_make(task->weights->model, &first, error));
    sqzi_squeeze_plan_copy(by_hand, &first);
    TRY(sqzi_squeeze_plan_by_budget(task, &first, &outcome, error));
    TRY(sqzi_squeeze_time_forecast(&first, time, error));
    task->time_scale = time->forecast_ns / outcome.time;
    task->time /= task->time_scale;
fail:
    sqzi_squeeze_plan_discard(&first);
    return status;
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
    time->cached = true;
    note(time, &time->table);
    time->base_ns = sqzi_time_of_blocks(&time->table, whole.blocks, whole.n_blocks);
    task->times = &time->table;
    task->base_time = time->base_ns;
    task->time = o->time * time->base_ns;
    task->time_scale = 1;
    status = find_scale(task, plan, time, error);
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
    result->times_cached = time->cached;
    result->cache_useless |= time->useless;
    if (!(time->measured[0] > 0)) return;
    result->measured_base_ms = time->measured[0] / 1e6;
    result->measured_share = time->measured[1] / time->measured[0];
}
