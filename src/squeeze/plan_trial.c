/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's blocks and tables in the place of the model's. */
#include "squeeze/plan_trial.h"

#include "base/error.h"
#include "squeeze/embedding_levers.h"
#include "squeeze/round_weights.h"
#include "squeeze/squeeze_levers.h"

sqz_status sqzi_plan_trial_open(const sqz_model *model, const sqzi_statistics *statistics,
                                const sqzi_setting_errors *errors, const sqzi_sequences *sequences,
                                const uint32_t *blocks, uint32_t n, sqzi_plan_trial *t,
                                sqz_error *error)
{
    *t = (sqzi_plan_trial){.model = model, .statistics = statistics, .errors = errors};
    return sqzi_trial_open(model, sequences, blocks, n, &t->trial, error);
}

void sqzi_plan_trial_close(sqzi_plan_trial *t)
{
    if (t->trial.model) sqzi_trial_close(&t->trial);
}

/* Those of the plan; others are left out. */
static sqz_status set_blocks(sqzi_plan_trial *t, const sqzi_squeeze_plan *plan,
                             sqzi_weights *weights, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_squeeze_run run = {
        .weights = weights, .plan = plan, .statistics = t->statistics, .errors = t->errors};
    TRY(sqzi_squeeze_blocks(&run, error));
    for (uint32_t i = 0; i < t->model->encoder.n_blocks; i++) sqzi_trial_leave_out(&t->trial, i);
    for (uint32_t i = 0; i < plan->n_blocks; i++)
        TRY(sqzi_trial_set_block(&t->trial, plan->blocks[i].source, &weights->blocks[i], error));
fail:
    return status;
}

static size_t numbers_of(const sqzi_weight_matrix *table)
{
    return (size_t)table->rows * table->columns;
}

static sqz_status read_table(const sqzi_weights *w, sqzi_storage storage, sqzi_weight_matrix *table,
                             float *values, sqz_error *error)
{
    const sqz_status status = sqzi_weights_round_matrix(w, storage, NULL, NULL, table, NULL, error);
    if (status == SQZ_OK) sqzi_weight_matrix_written(table, values);
    return status;
}

/* The draft of so many parts, or NULL. */
static const sqzi_weight_product *draft_of(const sqzi_plan_trial *t, const sqzi_squeeze_plan *plan)
{
    for (uint32_t i = 0; i < t->errors->n_products; i++)
        if (plan->embedding == SQZ_EMBEDDING_PRODUCT &&
            t->errors->products[i].draft.parts == plan->embedding_size)
            return &t->errors->products[i].draft;
    return NULL;
}

sqz_status sqzi_plan_trial_run(sqzi_plan_trial *t, const sqzi_squeeze_plan *plan, double *change,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &t->model->context->allocator;
    const sqzi_weight_product *draft = draft_of(t, plan);
    sqzi_weights weights;
    float *values = NULL;
    size_t bytes = 0;
    TRY(sqzi_weights_of(t->model, &weights, error));
    sqzi_weight_matrix *word = &weights.word, *position = &weights.position;
    bytes = (numbers_of(word) + numbers_of(position)) * sizeof *values;
    values = sqzi_allocate(allocator, bytes);
    FAIL_IF(!values, SQZ_ENOMEM, 0, "no memory for the tables of a plan");
    TRY(set_blocks(t, plan, &weights, error));
    if (draft) sqzi_weight_product_values(draft, word->rows, word->columns, values);
    else TRY(read_table(&weights, plan->word, word, values, error));
    TRY(read_table(&weights, plan->position, position, values + numbers_of(word), error));
    sqzi_trial_set_tables(&t->trial, values, values + numbers_of(word));
    sqzi_trial_run(&t->trial, 0, change);
fail:
    sqzi_trial_reset(&t->trial);
    sqzi_release(allocator, values, bytes);
    sqzi_weights_discard(&weights);
    return status;
}
