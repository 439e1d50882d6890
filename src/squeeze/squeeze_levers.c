/* SPDX-License-Identifier: Apache-2.0 */
/* Block by block: what a lever takes away is gone before the next one looks. */
#include "squeeze/squeeze_levers.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/embedding_levers.h"
#include "squeeze/groups_lever.h"
#include "squeeze/neurons.h"
#include "squeeze/parts.h"
#include "squeeze/rank_lever.h"
#include "squeeze/round_weights.h"

/* ---- heads and neurons ---- */

/* A block on the way: what each of its inputs was found to be, or NULL. */
typedef struct block_run {
    const sqzi_squeeze_run *run;
    uint32_t i, source;
    const sqzi_input_statistics *read[SQZI_BLOCK_INPUTS];
    sqzi_input_statistics left[SQZI_BLOCK_INPUTS]; /* without what has left, or n 0 */
} block_run;

static void begin_block(const sqzi_squeeze_run *run, uint32_t i, block_run *b)
{
    *b = (block_run){.run = run, .i = i, .source = run->plan->blocks[i].source};
    for (int j = 0; j < SQZI_BLOCK_INPUTS && run->statistics->n_blocks; j++) {
        const sqzi_input_statistics *of = &run->statistics->blocks[b->source][j];
        if (of->n) b->read[j] = of;
    }
}

static void end_block(block_run *b)
{
    const sqz_allocator *allocator = &b->run->weights->model->context->allocator;
    for (int j = 0; j < SQZI_BLOCK_INPUTS; j++)
        sqzi_input_statistics_discard(allocator, &b->left[j]);
}

/* All but `keep` of the block's heads or neurons go; `input` is what the linear behind them
 * reads. */
static sqz_status remove_some(block_run *b, sqzi_removed what, uint32_t keep, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_squeeze_run *run = b->run;
    sqzi_weights *w = run->weights;
    const sqz_allocator *allocator = &w->model->context->allocator;
    const bool neurons = what == SQZI_REMOVE_NEURONS;
    const uint32_t input = neurons ? SQZI_INPUT_FFN_DOWN : SQZI_INPUT_ATTN_OUTPUT,
                   j = neurons ? SQZI_FFN_DOWN : SQZI_ATTN_OUTPUT;
    const sqzi_weight_linear *reader = &w->blocks[b->i].linears[j];
    const size_t bytes = reader->n_in * sizeof(uint32_t);
    const sqzi_removal *known = run->errors ? &run->errors->blocks[b->source].removals[what] : NULL;
    const sqzi_remove_options options = {.keep = keep,
                                         .plain = run->plan->plain,
                                         .removal = known && known->n_units ? known : NULL};
    double lost = 0;
    uint32_t *kept = sqzi_allocate(allocator, bytes);
    FAIL_IF(!kept, SQZ_ENOMEM, 0, "no memory for what stays of a block");
    TRY((neurons ? sqzi_squeeze_neurons : sqzi_squeeze_heads)(
        w, b->i, b->read[input], &options, kept, run->report ? &lost : NULL, error));
    if (run->report) run->report->blocks[b->source][j].error += lost;
    TRY(sqzi_input_statistics_kept(allocator, b->read[input], kept, reader->n_in, &b->left[input],
                                   error));
    b->read[input] = &b->left[input];
fail:
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
                                 const sqzi_input_statistics *read, sqzi_squeeze_part *part,
                                 sqzi_weight_linear *linear, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_weights *w = run->weights;
    const bool plain = run->plan->plain;
    sqzi_layer_target target = {0};
    double share = 0;
    const bool whole = plan->groups < 2 && plan->rank == 0;
    if (whole && plan->storage == SQZI_STORED_F32) return SQZ_OK;
    if (whole && !part)
        return sqzi_weights_round_linear(w, plan->storage, plain ? NULL : read, linear, error);
    TRY(sqzi_layer_target_make(w, linear, read, &target, error));
    TRY(change_form(run, plan, &target, linear, error));
    TRY(sqzi_weights_round_linear(w, plan->storage, plain ? NULL : read, linear, error));
    TRY(correct(w, &target, !plain && read, linear, &share, error));
    if (part) part->error += share;
fail:
    if (status != SQZ_OK && part) sqzi_error_prefix(error, part->name);
    sqzi_layer_target_discard(&target);
    return status;
}

/* ---- blocks ---- */

static sqz_status squeeze_block(const sqzi_squeeze_run *run, uint32_t i, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_block_plan *plan = &run->plan->blocks[i];
    sqzi_weight_block *block = &run->weights->blocks[i];
    block_run b;
    begin_block(run, i, &b);
    if (plan->heads < block->heads) TRY(remove_some(&b, SQZI_REMOVE_HEADS, plan->heads, error));
    if (plan->neurons < block->ffn_width)
        TRY(remove_some(&b, SQZI_REMOVE_NEURONS, plan->neurons, error));
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        TRY(squeeze_linear(run, &plan->linears[j], b.read[sqzi_block_input_of(j)],
                           run->report ? &run->report->blocks[plan->source][j] : NULL,
                           &block->linears[j], error));
fail:
    end_block(&b);
    return status;
}

static sqz_status keep_blocks(const sqzi_squeeze_run *run, sqz_error *error)
{
    const sqzi_squeeze_plan *plan = run->plan;
    uint32_t *order;
    const sqz_status status = sqzi_squeeze_plan_blocks(plan, &order, error);
    if (status != SQZ_OK) return status;
    sqzi_weights_keep_blocks(run->weights, order, plan->n_blocks);
    sqzi_release(plan->allocator, order, plan->n_made * sizeof *order);
    return SQZ_OK;
}

typedef struct batch {
    const sqzi_squeeze_run *run;
    uint32_t first;
} batch;

/* sqzi_part_job */
static sqz_status squeeze_part(void *argument, uint32_t part, sqz_error *error)
{
    const batch *b = argument;
    return squeeze_block(b->run, b->first + part, error);
}

static sqz_status step(const sqzi_squeeze_run *run, uint32_t done, sqz_error *error)
{
    if (!run->step || run->step(run->user) == 0) return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped after %u of %u blocks", done,
                     run->plan->n_blocks);
}

sqz_status sqzi_squeeze_blocks(const sqzi_squeeze_run *run, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_context *context = run->weights->model->context;
    const uint32_t n = run->plan->n_blocks, members = sqzi_thread_pool_size(context->pool);
    TRY(keep_blocks(run, error));
    for (uint32_t i = 0; i < n; i += members) {
        const uint32_t some = n - i < members ? n - i : members;
        TRY(sqzi_run_parts(context, some, squeeze_part, &(batch){run, i}, error));
        for (uint32_t done = i; done < i + some; done++) TRY(step(run, done + 1, error));
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
    const uint64_t *counts = !plan->plain ? run->statistics->word_counts : NULL;
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
        TRY(squeeze_linear(run, &projection, read->n ? read : NULL, part, &w->projection, error));
    }
    TRY(squeeze_others(run, error));
fail:
    return status;
}

sqz_status sqzi_squeeze_run_levers(const sqzi_squeeze_run *run, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_squeeze_blocks(run, error));
    TRY(squeeze_tables(run, error));
    TRY(step(run, run->plan->n_blocks, error));
fail:
    return status;
}
