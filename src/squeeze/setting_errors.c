/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of all settings: each lever is done as it will be, tried, and undone. */
#include "squeeze/setting_errors.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/embedding_levers.h"
#include "squeeze/layer_target.h"
#include "squeeze/parts.h"
#include "squeeze/round_weights.h"

const sqzi_storage sqzi_storages[SQZI_TABLE_STORAGES] = {SQZI_STORED_S8, SQZI_STORED_S4,
                                                         SQZI_STORED_S3, SQZI_STORED_S2};
enum { TRIED = SQZI_LINEAR_STORAGES - 1 }; /* the storage that runs */

typedef struct gathering {
    const sqz_model *model;
    const sqzi_statistics *statistics;
    const sqzi_setting_errors_options *options;
    const uint32_t *blocks; /* [n] or NULL */
    uint32_t n;
    sqzi_weights weights; /* the model's, restored after each trial */
    sqzi_weights spare;   /* the model's, whose neurons and heads go */
    sqzi_trial trial;
    sqzi_setting_errors *out;
} gathering;

static sqz_status step(const gathering *g, sqz_error *error)
{
    if (!g->options->step || g->options->step(g->options->user) == 0) return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped while errors of settings were measured");
}

static sqz_status try_block(gathering *g, uint32_t i, const sqzi_weight_block *block,
                            double *change, sqz_error *error)
{
    const sqz_status status = sqzi_trial_set_block(&g->trial, i, block, error);
    if (status == SQZ_OK) sqzi_trial_run(&g->trial, 1 + i, change);
    sqzi_trial_reset(&g->trial);
    return status;
}

static uint32_t block_at(const gathering *g, uint32_t k)
{
    return g->blocks ? g->blocks[k] : k;
}

/* ---- bits ---- */

static void unround(const sqzi_weights *w, sqzi_weight_linear *linear)
{
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        sqzi_weight_matrix_unround(w, &linear->terms[t].a);
        sqzi_weight_matrix_unround(w, &linear->terms[t].b);
    }
}

/* The relative errors at all storages, and the change at the one that is tried. */
static sqz_status round_and_try(gathering *g, uint32_t i, uint32_t j,
                                const sqzi_layer_target *target, double *relative, double *change,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_weight_linear *linear = &g->weights.blocks[i].linears[j];
    const sqzi_input_statistics *read = &g->statistics->blocks[i][sqzi_block_input_of(j)];
    for (uint32_t s = 0; s < SQZI_LINEAR_STORAGES; s++) {
        TRY(sqzi_weights_round_linear(&g->weights, sqzi_storages[s], read, linear, error));
        TRY(sqzi_layer_correct(&g->weights, target, NULL, NULL, true, linear, &relative[s], error));
        if (s == TRIED) TRY(try_block(g, i, &g->weights.blocks[i], change, error));
    }
fail:
    unround(&g->weights, linear);
    return status;
}

static sqz_status gather_bits(gathering *g, uint32_t i, uint32_t j, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &g->model->context->allocator;
    sqzi_weight_linear *linear = &g->weights.blocks[i].linears[j];
    const size_t bytes = linear->n_out * sizeof *linear->bias;
    const bool biased = linear->bias != NULL;
    double relative[SQZI_LINEAR_STORAGES] = {0}, change = 0;
    sqzi_layer_target target = {0};
    float *bias = sqzi_allocate(allocator, bytes);
    FAIL_IF(!bias, SQZ_ENOMEM, 0, "no memory for a bias");
    if (biased) memcpy(bias, linear->bias, bytes);
    TRY(sqzi_layer_target_make(&g->weights, linear,
                               &g->statistics->blocks[i][sqzi_block_input_of(j)], &target, error));
    status = round_and_try(g, i, j, &target, relative, &change, error);
    if (biased) {
        memcpy(linear->bias, bias, bytes);
    } else {
        sqzi_release(allocator, linear->bias, linear->bias ? bytes : 0);
        linear->bias = NULL;
    }
    for (uint32_t s = 0; s < SQZI_LINEAR_STORAGES && relative[TRIED] > 0; s++)
        g->out->blocks[i].bits[j][s] = change * relative[s] / relative[TRIED];
fail:
    sqzi_layer_target_discard(&target);
    sqzi_release(allocator, bias, bytes);
    return status;
}

/* ---- neurons and heads ---- */

/* The model's block with what is left of one lever. */
static sqzi_weight_block with_removed(const gathering *g, uint32_t i, sqzi_removed what)
{
    const sqzi_weight_block *left = &g->spare.blocks[i];
    sqzi_weight_block block = g->weights.blocks[i];
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        if ((j >= SQZI_FFN_UP) == (what == SQZI_REMOVE_NEURONS))
            block.linears[j] = left->linears[j];
    if (what == SQZI_REMOVE_NEURONS) block.ffn_width = left->ffn_width;
    else block.heads = left->heads;
    return block;
}

static const sqzi_input_statistics *read_by(const gathering *g, uint32_t i, sqzi_removed what)
{
    return &g->statistics->blocks[i][what == SQZI_REMOVE_NEURONS ? SQZI_INPUT_FFN_DOWN
                                                                 : SQZI_INPUT_ATTN_OUTPUT];
}

/* sqzi_part_job: the orders of a block. A lever that does not fit the block's linears is one that
 * cannot be chosen. */
static sqz_status find_orders(void *argument, uint32_t part, sqz_error *error)
{
    const gathering *g = argument;
    const uint32_t i = block_at(g, part);
    sqz_status status = SQZ_OK;
    for (int w = 0; w < 2 && status == SQZ_OK; w++) {
        const sqzi_removed what = w ? SQZI_REMOVE_HEADS : SQZI_REMOVE_NEURONS;
        sqzi_removal *removal = &g->out->blocks[i].removals[what];
        if (w ? g->options->no_heads : g->options->no_neurons) continue;
        status = sqzi_removal_make(&g->weights, i, what, false, read_by(g, i, what), removal,
                                   error);
        if (status != SQZ_EUNSUPPORTED) continue;
        sqzi_removal_discard(removal);
        status = SQZ_OK;
    }
    return status;
}

static sqz_status gather_removal(gathering *g, uint32_t i, sqzi_removed what, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool neurons = what == SQZI_REMOVE_NEURONS;
    const sqzi_input_statistics *read = read_by(g, i, what);
    const sqzi_removal *removal = &g->out->blocks[i].removals[what];
    if (removal->n_units == 0) return SQZ_OK;
    const uint32_t keep = removal->n_units / 2 / removal->multiple * removal->multiple;
    if (keep == 0) return status;
    const sqzi_remove_options options = {.keep = keep, .removal = removal};
    const double relative = sqzi_removal_error(removal, keep);
    double change = 0;
    TRY((neurons ? sqzi_squeeze_neurons : sqzi_squeeze_heads)(&g->spare, i, read, &options, NULL,
                                                              NULL, error));
    const sqzi_weight_block block = with_removed(g, i, what);
    TRY(try_block(g, i, &block, &change, error));
    if (relative > 0) g->out->blocks[i].change[what] = change / relative;
fail:
    return status;
}

/* ---- tables ---- */

/* Every storage of a table runs. */
static sqz_status gather_table(gathering *g, sqzi_weight_matrix *table, bool words, double *changes,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &g->model->context->allocator;
    const size_t bytes = (size_t)table->rows * table->columns * sizeof(float);
    float *values = sqzi_allocate(allocator, bytes);
    FAIL_IF(!values, SQZ_ENOMEM, 0, "no memory for a table");
    for (uint32_t s = 0; s < SQZI_TABLE_STORAGES; s++) {
        TRY(sqzi_weights_round_matrix(&g->weights, sqzi_storages[s], NULL, NULL, table, NULL,
                                      error));
        sqzi_weight_matrix_written(table, values);
        sqzi_trial_set_tables(&g->trial, words ? values : NULL, words ? NULL : values);
        sqzi_trial_run(&g->trial, 0, &changes[s]);
        sqzi_trial_reset(&g->trial);
    }
fail:
    sqzi_weight_matrix_unround(&g->weights, table);
    sqzi_release(allocator, values, bytes);
    return status;
}

uint32_t sqzi_product_sizes(const sqzi_weights *weights, uint32_t sizes[SQZI_MOST_PRODUCTS])
{
    static const uint32_t parts[] = {96, 64, 48, 32, 24, 16, 12};
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const uint32_t fit = sqzi_squeeze_product_parts(weights, parts[i]);
        if (!n || fit < sizes[n - 1]) sizes[n++] = fit;
    }
    return n;
}

/* Drafts of the table in codes, each tried. */
static sqz_status gather_products(gathering *g, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t sizes[SQZI_MOST_PRODUCTS];
    sqzi_setting_errors *out = g->out;
    const sqz_allocator *allocator = &g->model->context->allocator;
    const sqzi_weight_matrix *word = &g->weights.word;
    const size_t bytes = (size_t)word->rows * word->columns * sizeof(float);
    float *values = sqzi_allocate(allocator, bytes);
    FAIL_IF(!values, SQZ_ENOMEM, 0, "no memory for a table");
    for (uint32_t i = 0, n = sqzi_product_sizes(&g->weights, sizes); i < n; i++) {
        sqzi_product_error *product = &out->products[i];
        TRY(sqzi_squeeze_product_draft(&g->weights, g->statistics->word_counts, sizes[i],
                                       &product->draft, error));
        out->n_products++;
        sqzi_weight_product_values(&product->draft, word->rows, word->columns, values);
        sqzi_trial_set_tables(&g->trial, values, NULL);
        sqzi_trial_run(&g->trial, 0, &product->change);
        sqzi_trial_reset(&g->trial);
    }
fail:
    sqzi_release(allocator, values, bytes);
    return status;
}

static sqz_status gather_tables(gathering *g, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    g->out->n_words = g->weights.word.rows;
    g->out->word_width = g->weights.word.columns;
    TRY(gather_table(g, &g->weights.position, false, g->out->positions, error));
    TRY(gather_table(g, &g->weights.word, true, g->out->words, error));
    if (!g->options->no_products) status = gather_products(g, error);
fail:
    return status;
}

/* ---- layers ---- */

/* Alone each block changes so much; they go from the least on, one after the other. */
static void gather_layers(gathering *g)
{
    sqzi_setting_errors *out = g->out;
    if (g->options->no_layers) return;
    for (uint32_t k = 0; k < g->n; k++) {
        double alone;
        uint32_t at = k;
        const uint32_t i = block_at(g, k);
        sqzi_trial_leave_out(&g->trial, i);
        sqzi_trial_run(&g->trial, 1 + i, &alone);
        sqzi_trial_reset(&g->trial);
        for (; at > 0 && out->without[at - 1] > alone; at--) {
            out->without[at] = out->without[at - 1];
            out->order[at] = out->order[at - 1];
        }
        out->without[at] = alone;
        out->order[at] = i;
    }
    out->n_order = g->n;
    for (uint32_t i = 0, first = out->n_blocks; i < g->n; i++) {
        first = out->order[i] < first ? out->order[i] : first;
        sqzi_trial_leave_out(&g->trial, out->order[i]);
        sqzi_trial_run(&g->trial, 1 + first, &out->without[i]);
    }
    sqzi_trial_reset(&g->trial);
}

/* ---- all ---- */

/* The first sequences that are enough; they share the memory of all. */
static sqzi_sequences first_of(const sqzi_sequences *all)
{
    const uint32_t *first = (const uint32_t *)(const void *)all->first.data;
    sqzi_sequences some = *all;
    for (some.n = 0; some.n < all->n && first[some.n] < SQZI_TRIAL_TOKENS;) some.n++;
    some.ids.used = first[some.n] * sizeof *first;
    return some;
}

static sqz_status gather(gathering *g, const sqzi_sequences *sequences, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_weights_of(g->model, &g->weights, error));
    TRY(sqzi_weights_of(g->model, &g->spare, error));
    TRY(sqzi_trial_open(g->model, sequences, g->blocks, g->n, &g->trial, error));
    TRY(sqzi_run_parts(g->model->context, g->n, find_orders, g, error));
    for (uint32_t k = 0; k < g->n; k++) {
        const uint32_t i = block_at(g, k);
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS && !g->options->no_bits; j++)
            TRY(gather_bits(g, i, j, error));
        TRY(step(g, error));
        TRY(gather_removal(g, i, SQZI_REMOVE_NEURONS, error));
        TRY(gather_removal(g, i, SQZI_REMOVE_HEADS, error));
        TRY(step(g, error));
    }
    gather_layers(g);
    if (!g->options->no_tables) TRY(gather_tables(g, error));
    status = step(g, error);
fail:
    return status;
}

sqz_status sqzi_setting_errors_make(const sqz_model *model, const sqzi_statistics *statistics,
                                    const sqzi_sequences *sequences, const uint32_t *blocks,
                                    uint32_t n_blocks, const sqzi_setting_errors_options *options,
                                    sqzi_setting_errors *out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &model->context->allocator;
    const uint32_t n = model->encoder.n_blocks;
    const sqzi_sequences some = first_of(sequences);
    gathering g = {.model = model,
                   .statistics = statistics,
                   .options = options,
                   .blocks = blocks,
                   .n = blocks ? n_blocks : n,
                   .out = out};
    *out = (sqzi_setting_errors){.allocator = allocator, .n_blocks = n};
    out->blocks = sqzi_allocate_zeroed(allocator, n, sizeof *out->blocks);
    out->order = sqzi_allocate_zeroed(allocator, n, sizeof *out->order);
    out->without = sqzi_allocate_zeroed(allocator, n, sizeof *out->without);
    FAIL_IF(!out->blocks || !out->order || !out->without, SQZ_ENOMEM, 0,
            "no memory for the errors of %u blocks", n);
    status = gather(&g, &some, error);
fail:
    if (g.trial.model) sqzi_trial_close(&g.trial);
    sqzi_weights_discard(&g.spare);
    sqzi_weights_discard(&g.weights);
    return status;
}

void sqzi_setting_errors_discard(sqzi_setting_errors *e)
{
    if (!e->allocator) return;
    for (uint32_t i = 0; i < e->n_products; i++)
        sqzi_weight_product_drop(e->allocator, e->n_words, e->word_width, &e->products[i].draft);
    for (uint32_t i = 0; i < e->n_blocks && e->blocks; i++)
        for (int what = 0; what < 2; what++) sqzi_removal_discard(&e->blocks[i].removals[what]);
    sqzi_release(e->allocator, e->blocks, e->n_blocks * sizeof *e->blocks);
    sqzi_release(e->allocator, e->order, e->n_blocks * sizeof *e->order);
    sqzi_release(e->allocator, e->without, e->n_blocks * sizeof *e->without);
    *e = (sqzi_setting_errors){0};
}
