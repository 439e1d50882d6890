/* SPDX-License-Identifier: Apache-2.0 */
/* Plans under budgets, of errors that are invented and of those that are measured. */
#include "squeeze/squeeze_budget.h"

#include <math.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/plan_bytes.h"
#include "support/opened.h"
#include "support/test.h"

typedef struct budgeted {
    sqzt_opened opened;
    sqzi_sequences sequences;
    sqzi_statistics statistics;
    sqzi_weights weights;
    sqzi_setting_errors errors;
    sqzi_step step;
} budgeted;

static void open_budgeted(budgeted *b)
{
    sqz_error error = {0};
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.positions = SQZI_CALIBRATION_LENGTH;
    tiny.head = NULL;
    tiny.ffn_width = 256;
    const sqzi_setting_errors_options all = {0};
    *b = (budgeted){.step = {.history = "squeezed", .suffix = "-s"}};
    b->opened = sqzt_open_tiny(&tiny, 1,
                               &(sqz_session_options){.max_tokens = 1, .max_sequences = 1});
    const sqz_model *model = b->opened.model;
    sqzt_assert_ok(sqzi_sequences_random(model, &b->sequences, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(model, &b->weights, &error), &error);
    sqzt_assert_ok(sqzi_statistics_make(model, &b->sequences, NULL, 0, NULL, NULL, &b->statistics,
                                        &error),
                   &error);
    sqzt_assert_ok(sqzi_setting_errors_make(model, &b->statistics, &b->sequences, NULL, 0, &all,
                                            &b->errors, &error),
                   &error);
}

static void close_budgeted(budgeted *b)
{
    sqzi_setting_errors_discard(&b->errors);
    sqzi_statistics_discard(&b->statistics);
    sqzi_weights_discard(&b->weights);
    sqzi_sequences_discard(&b->sequences);
    sqzt_close(&b->opened);
}

static sqz_status bytes_of(void *user, const sqzi_squeeze_plan *plan, uint64_t *bytes,
                           sqz_error *error)
{
    const budgeted *b = user;
    return sqzi_plan_bytes(&b->weights, plan, &b->step, bytes, error);
}

static sqz_status plan_for(budgeted *b, const sqz_squeeze_options *options, uint64_t budget,
                           sqzi_squeeze_plan *plan, sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqz_status status = sqzi_squeeze_plan_make(b->opened.model, plan, error);
    if (status == SQZ_OK) status = sqzi_squeeze_plan_by_hand(b->opened.model, options, plan, error);
    return status == SQZ_OK
               ? sqzi_squeeze_plan_by_budget(&(sqzi_budget_task){.budget = budget,
                                                                 .options = options,
                                                                 .errors = &b->errors,
                                                                 .weights = &b->weights,
                                                                 .bytes_of = bytes_of,
                                                                 .user = b},
                                             plan, outcome, error)
               : status;
}

/* What is measured: fewer bits and fewer neurons change more, everything changes something. */
static void errors_rise_as_bits_neurons_and_blocks_fall(budgeted *b)
{
    for (uint32_t i = 0; i < b->errors.n_blocks; i++) {
        const sqzi_block_errors *of = &b->errors.blocks[i];
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            assert_true(of->bits[j][0] < of->bits[j][1] && of->bits[j][1] < of->bits[j][2] &&
                        of->bits[j][0] > 0);
        assert_true(of->change[SQZI_REMOVE_NEURONS] > 0 && of->change[SQZI_REMOVE_HEADS] > 0);
    }
    for (uint32_t s = 1; s < SQZI_TABLE_STORAGES; s++)
        assert_true(b->errors.words[s] > b->errors.words[s - 1]);
    assert_int_equal(b->errors.n_order, b->errors.n_blocks);
    assert_true(b->errors.without[1] > 0);
}

static void plans_are_within_their_budgets_and_change_less_as_these_grow(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    budgeted b;
    sqz_error error = {0};
    const sqz_squeeze_options options = {.budget = 1};
    double before = INFINITY;
    uint32_t plans = 0;
    open_budgeted(&b);
    errors_rise_as_bits_neurons_and_blocks_fall(&b);
    for (uint64_t budget = 20000; budget < 80000; budget += 1777) {
        sqzi_squeeze_plan plan;
        sqzi_budget_outcome outcome = {0};
        uint64_t bytes = 0;
        const sqz_status status = plan_for(&b, &options, budget, &plan, &outcome, &error);
        if (status == SQZ_OK) {
            sqzt_assert_ok(bytes_of(&b, &plan, &bytes, &error), &error);
            assert_int_equal(bytes, outcome.bytes);
            assert_true(bytes <= budget);
            assert_true(outcome.change <= before * 1.001);
            before = outcome.change;
            plans++;
        } else assert_int_equal(status, SQZ_EINVAL);
        sqzi_squeeze_plan_discard(&plan);
    }
    assert_true(plans > 10);
    close_budgeted(&b);
}

static void what_is_named_by_hand_stays_and_a_budget_too_small_says_what_would_do(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    budgeted b;
    sqz_error error = {0};
    const sqz_squeeze_options options = {.budget = 1,
                                         .bits = 4,
                                         .neurons = 0.5,
                                         .layers = (const uint32_t[]){1},
                                         .n_layers = 1,
                                         .embedding_bits = 3};
    sqzi_squeeze_plan plan;
    sqzi_budget_outcome outcome = {0};
    open_budgeted(&b);
    sqzt_assert_ok(plan_for(&b, &options, 1 << 20, &plan, &outcome, &error), &error);
    assert_int_equal(plan.n_blocks, 1);
    assert_int_equal(plan.blocks[0].source, 1);
    assert_int_equal(plan.blocks[0].neurons, 128);
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        assert_int_equal(plan.blocks[0].linears[j].storage, SQZI_STORED_S4);
    assert_int_equal(plan.embedding, SQZ_EMBEDDING_KEEP);
    assert_int_equal(plan.word, SQZI_STORED_S3);
    sqzi_squeeze_plan_discard(&plan);
    sqzt_assert_fails(plan_for(&b, &options, 100, &plan, &outcome, &error), SQZ_EINVAL, &error,
                      "the least that can is");
    sqzi_squeeze_plan_discard(&plan);
    close_budgeted(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_within_their_budgets_and_change_less_as_these_grow),
        cmocka_unit_test(what_is_named_by_hand_stays_and_a_budget_too_small_says_what_would_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
