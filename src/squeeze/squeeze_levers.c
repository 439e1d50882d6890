/* SPDX-License-Identifier: Apache-2.0 */
/* Block by block: what a lever takes away is gone before the next one looks. */
#include "squeeze/squeeze_levers.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/embedding_levers.h"
#include "squeeze/groups_lever.h"
#include "squeeze/neurons.h"
#include "squeeze/rank_lever.h"
#include "squeeze/round_weights.h"

/* ---- heads and neurons ---- */

/* What an input was found to be, or NULL. */
static sqzi_input_statistics *input_of(const sqzi_squeeze_run *run, uint32_t source, uint32_t j)
{
    if (run->statistics->n_blocks == 0) return NULL;
    sqzi_input_statistics *s = &run->statistics->blocks[source][j];
    return s->n ? s : NULL;
}

typedef sqz_status remove_units(sqzi_weights *weights, uint32_t block,
                                const sqzi_input_statistics *input,
                                const sqzi_remove_options *options, uint32_t *kept, double *lost,
                                sqz_error *error);

/* All but `keep` of block i's heads or neurons go, `input` is what the linear behind them reads. */
static sqz_status remove_some(const sqzi_squeeze_run *run, uint32_t i, uint32_t keep,
                              sqzi_block_input input, remove_units *remove, sqz_error *error)
{
    sqzi_weights *w = run->weights;
    const sqz_allocator *allocator = &w->model->context->allocator;
    const uint32_t source = w->blocks[i].source,
                   j = input == SQZI_INPUT_FFN_DOWN ? SQZI_FFN_DOWN : SQZI_ATTN_OUTPUT;
    sqzi_input_statistics *read = input_of(run, source, input);
    const size_t bytes = w->blocks[i].linears[j].n_in * sizeof(uint32_t);
    double lost = 0;
    uint32_t *kept = sqzi_allocate(allocator, bytes);
    if (!kept) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for what stays of a block");
    const sqz_status status =
        remove(w, i, read, &(sqzi_remove_options){.keep = keep, .plain = run->plan->plain}, kept,
               &lost, error);
    if (status == SQZ_OK) {
        sqzi_input_statistics_keep(read, kept, w->blocks[i].linears[j].n_in);
        run->report->blocks[source][j].error += lost;
    }
    sqzi_release(allocator, kept, bytes);
    return status;
}

/* ---- a linear ---- */

/* order in counts of `of`: of[relative[i]] = order[i]. */
static void count_in(const uint32_t *of, const uint32_t *order, uint32_t n, uint32_t *inverse,
                     uint32_t *relative)
{
    for (uint32_t i = 0; i < n; i++) inverse[of ? of[i] : i] = i;
    for (uint32_t i = 0; i < n; i++) relative[i] = inverse[order ? order[i] : i];
}

/* The bias and the error that are left, once the integers are chosen. */
static sqz_status correct(const sqzi_weights *w, const sqzi_layer_target *target, bool with_bias,
                          sqzi_weight_linear *linear, double *share, sqz_error *error)
{
    const sqz_allocator *allocator = &w->model->context->allocator;
    const uint32_t n = linear->n_in, m = linear->n_out, most = n > m ? n : m;
    const size_t bytes = ((size_t)n + m + most) * sizeof(uint32_t);
    uint32_t *in = sqzi_allocate(allocator, bytes), *out = in ? in + n : NULL;
    if (!in) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the order of a linear");
    count_in(target->in, linear->in, n, out + m, in);
    count_in(target->out, linear->out, m, out + m, out);
    const sqz_status status = sqzi_layer_correct(w, target, in, out, with_bias, linear, share,
                                                 error);
    sqzi_release(allocator, in, bytes);
    return status;
}

static sqz_status change_form(const sqzi_squeeze_run *run, const sqzi_linear_plan *plan,
                              const sqzi_layer_target *target, sqzi_weight_linear *linear,
                              sqz_error *error)
{
    const bool plain = run->plan->plain;
    double ignored;
    if (plan->groups > 1)
        return sqzi_fit_groups(run->weights, target,
                               &(sqzi_groups){plan->groups, plan->rank, plain}, linear, &ignored,
                               error);
    if (plan->rank)
        return sqzi_fit_rank(run->weights, target, plan->rank, plain, linear, &ignored, error);
    return SQZ_OK;
}

static sqz_status squeeze_linear(const sqzi_squeeze_run *run, const sqzi_linear_plan *plan,
                                 const sqzi_input_statistics *read, const char *name,
                                 sqzi_weight_linear *linear, double *error_found, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_weights *w = run->weights;
    const bool plain = run->plan->plain;
    sqzi_layer_target target = {0};
    double share = 0;
    if (plan->groups < 2 && plan->rank == 0 && plan->storage == SQZI_STORED_F32) return SQZ_OK;
    TRY(sqzi_layer_target_make(w, linear, read, &target, error));
    TRY(change_form(run, plan, &target, linear, error));
    TRY(sqzi_weights_round_linear(w, plan->storage, plain ? NULL : read, linear, error));
    TRY(correct(w, &target, !plain && read, linear, &share, error));
    *error_found += share;
fail:
    if (status != SQZ_OK) sqzi_error_prefix(error, name);
    sqzi_layer_target_discard(&target);
    return status;
}

/* ---- blocks ---- */

static sqz_status squeeze_block(const sqzi_squeeze_run *run, uint32_t i, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_block_plan *plan = &run->plan->blocks[i];
    sqzi_weight_block *block = &run->weights->blocks[i];
    if (plan->heads < block->heads)
        TRY(remove_some(run, i, plan->heads, SQZI_INPUT_ATTN_OUTPUT, sqzi_squeeze_heads, error));
    if (plan->neurons < block->ffn_width)
        TRY(remove_some(run, i, plan->neurons, SQZI_INPUT_FFN_DOWN, sqzi_squeeze_neurons, error));
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        sqzi_squeeze_part *part = &run->report->blocks[plan->source][j];
        TRY(squeeze_linear(run, &plan->linears[j],
                           input_of(run, plan->source, sqzi_block_input_of(j)), part->name,
                           &block->linears[j], &part->error, error));
    }
fail:
    return status;
}

/* ---- tables ---- */

/* To nearest; *error squared. */
static sqz_status round_table(const sqzi_weights *w, sqzi_storage storage,
                              sqzi_weight_matrix *matrix, double *found, sqz_error *error)
{
    *found = 0;
    if (storage == SQZI_STORED_F32 || matrix->rows == 0) return SQZ_OK;
    const sqz_status status = sqzi_weights_round_matrix(w, storage, NULL, NULL, matrix, found,
                                                        error);
    *found *= *found;
    return status;
}

static sqz_status squeeze_words(const sqzi_squeeze_run *run, sqz_error *error)
{
    const sqzi_squeeze_plan *plan = run->plan;
    sqzi_weights *w = run->weights;
    const bool counted = run->statistics->n_blocks && !plan->plain;
    const uint64_t *counts = counted ? run->statistics->word_counts : NULL;
    double *found = &run->report->tables[SQZI_TABLE_WORD].error, rounded = 0;
    sqz_status status = SQZ_OK;
    if (plan->embedding == SQZ_EMBEDDING_PRODUCT)
        return sqzi_squeeze_product(w, counts, plan->embedding_size, found, error);
    if (plan->embedding == SQZ_EMBEDDING_WIDTH)
        status = sqzi_squeeze_width(w, counts, plan->embedding_size, found, error);
    if (status == SQZ_OK) status = round_table(w, plan->word, &w->word, &rounded, error);
    *found += rounded;
    if (status == SQZ_OK) status = round_table(w, plan->factor, &w->factor, &rounded, error);
    return status;
}

/* To nearest: they are small, and read what no observer sees. */
static sqz_status squeeze_others(const sqzi_squeeze_run *run, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_weights *w = run->weights;
    for (uint32_t i = 0; i < w->n_others && status == SQZ_OK; i++) {
        sqzi_weight_linear *linear = &w->others[i].linear;
        if (run->plan->drop_pooler && strcmp(w->others[i].name, "pooler") == 0)
            sqzi_weight_linear_drop(w, linear);
        else status = sqzi_weights_round_linear(w, run->plan->others, NULL, linear, error);
    }
    return status;
}

static sqz_status squeeze_tables(const sqzi_squeeze_run *run, sqz_error *error)
{
    sqzi_weights *w = run->weights;
    const sqzi_squeeze_plan *plan = run->plan;
    sqz_status status = SQZ_OK;
    TRY(squeeze_words(run, error));
    TRY(round_table(w, plan->position, &w->position,
                    &run->report->tables[SQZI_TABLE_POSITION].error, error));
    if (w->projection.n_terms) {
        const sqzi_linear_plan projection = {.groups = 1, .storage = plan->projection};
        const sqzi_input_statistics *read = &run->statistics->projection;
        sqzi_squeeze_part *part = &run->report->tables[SQZI_TABLE_PROJECTION];
        TRY(squeeze_linear(run, &projection, read->n ? read : NULL, part->name, &w->projection,
                           &part->error, error));
    }
    TRY(squeeze_others(run, error));
fail:
    return status;
}

static sqz_status step(const sqzi_squeeze_run *run, uint32_t done, sqz_error *error)
{
    if (!run->step || run->step(run->user) == 0) return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped after %u of %u blocks", done,
                     run->plan->n_blocks);
}

static sqz_status keep_blocks(const sqzi_squeeze_run *run, sqz_error *error)
{
    const sqzi_squeeze_plan *plan = run->plan;
    const size_t bytes = plan->n_made * sizeof(uint32_t);
    uint32_t *order = sqzi_allocate(plan->allocator, bytes);
    if (!order) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an order of blocks");
    for (uint32_t i = 0; i < plan->n_blocks; i++) order[i] = plan->blocks[i].source;
    sqzi_weights_keep_blocks(run->weights, order, plan->n_blocks);
    sqzi_release(plan->allocator, order, bytes);
    return SQZ_OK;
}

sqz_status sqzi_squeeze_run_levers(const sqzi_squeeze_run *run, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(keep_blocks(run, error));
    for (uint32_t i = 0; i < run->plan->n_blocks; i++) {
        TRY(squeeze_block(run, i, error));
        TRY(step(run, i + 1, error));
    }
    TRY(squeeze_tables(run, error));
    TRY(step(run, run->plan->n_blocks, error));
fail:
    return status;
}
