/* SPDX-License-Identifier: Apache-2.0 */
/* Plans under budgets, of errors that are invented and of those that are measured. */
#include "squeeze/squeeze_budget.h"

#include <math.h>
#include <stdio.h>

#include "squeeze/budget_floor.h"
#include "squeeze/budget_items.h"
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

static sqzi_budget_task task_of(budgeted *b, const sqz_squeeze_options *options, uint64_t budget)
{
    return (sqzi_budget_task){.budget = budget,
                              .options = options,
                              .errors = &b->errors,
                              .weights = &b->weights,
                              .bytes_of = bytes_of,
                              .user = b};
}

static sqz_status plan_within(budgeted *b, const sqzi_budget_task *task, sqzi_squeeze_plan *plan,
                              sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqz_status status = sqzi_squeeze_plan_make(b->opened.model, plan, error);
    if (status == SQZ_OK)
        status = sqzi_squeeze_plan_by_hand(b->opened.model, task->options, plan, error);
    return status == SQZ_OK ? sqzi_squeeze_plan_by_budget(task, plan, outcome, error) : status;
}

static sqz_status plan_for(budgeted *b, const sqz_squeeze_options *options, uint64_t budget,
                           sqzi_squeeze_plan *plan, sqzi_budget_outcome *outcome, sqz_error *error)
{
    const sqzi_budget_task task = task_of(b, options, budget);
    return plan_within(b, &task, plan, outcome, error);
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

/* Times of every setting, invented: a block takes more the more heads and neurons it has. */
static void invent_times(budgeted *b, sqzi_budget_task *task, sqzi_time_table *table)
{
    sqz_error error = {0};
    sqzi_squeeze_plan whole;
    sqzi_block_plan shapes[8 * SQZI_BUDGET_SHARES];
    uint32_t n = 0;
    sqzt_assert_ok(sqzi_squeeze_plan_make(b->opened.model, &whole, &error), &error);
    assert_in_range(whole.n_blocks, 1, 4);
    for (uint32_t i = 0; i < whole.n_blocks; i++)
        n += sqzi_setting_shapes(task, &whole.blocks[i], shapes + n);
    sqzt_assert_ok(sqzi_time_table_make(&b->weights,
                                        &(sqzi_time_options){.n_sequences = 1, .length = 4}, shapes,
                                        n, table, &error),
                   &error);
    table->ns[0] = 500;
    for (uint32_t i = 0; i < table->n; i++)
        table->ns[1 + i] = 300 * (float)table->plans[i].heads + (float)table->plans[i].neurons;
    task->times = table;
    task->base_time = sqzi_time_of_blocks(table, whole.blocks, whole.n_blocks);
    sqzi_squeeze_plan_discard(&whole);
}

static double time_of(const sqzi_squeeze_plan *plan)
{
    double ns = 500;
    for (uint32_t i = 0; i < plan->n_blocks; i++)
        ns += 300 * plan->blocks[i].heads + plan->blocks[i].neurons;
    return ns;
}

static void plans_are_within_bytes_and_time_and_change_less_as_time_grows(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    budgeted b;
    sqzi_time_table table;
    sqz_error error = {0};
    const sqz_squeeze_options options = {.budget = 1, .time = 1};
    uint32_t plans = 0;
    open_budgeted(&b);
    for (uint64_t budget = 30000; budget < 70000; budget += 13000) {
        sqzi_budget_task task = task_of(&b, &options, budget);
        double before = INFINITY;
        invent_times(&b, &task, &table);
        for (double share = 0.3; share <= 1; share += 0.1) {
            sqzi_squeeze_plan plan;
            sqzi_budget_outcome outcome = {0};
            uint64_t bytes = 0;
            task.time = share * task.base_time;
            if (plan_within(&b, &task, &plan, &outcome, &error) == SQZ_OK) {
                sqzt_assert_ok(bytes_of(&b, &plan, &bytes, &error), &error);
                assert_int_equal(bytes, outcome.bytes);
                assert_true(bytes <= budget);
                assert_true(fabs(time_of(&plan) - outcome.time) < 0.5);
                assert_true(outcome.time <= task.time + 0.5);
                assert_true(outcome.change <= before * 1.02);
                before = outcome.change;
                plans++;
            }
            sqzi_squeeze_plan_discard(&plan);
        }
        sqzi_time_table_discard(&table);
    }
    assert_true(plans > 12);
    close_budgeted(&b);
}

/* Nothing bounds bytes: what has to do with them alone stays as it was. */
static void time_alone_leaves_numbers_as_they_are(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    budgeted b;
    sqzi_time_table table;
    sqz_error error = {0};
    sqzi_squeeze_plan plan;
    sqzi_budget_outcome outcome = {0};
    const sqz_squeeze_options options = {.time = 1};
    open_budgeted(&b);
    sqzi_budget_task task = task_of(&b, &options, 0);
    invent_times(&b, &task, &table);
    task.time = 0.7 * task.base_time;
    sqzt_assert_ok(plan_within(&b, &task, &plan, &outcome, &error), &error);
    assert_true(time_of(&plan) <= task.time + 0.5 && time_of(&plan) > 0.4 * task.base_time);
    for (uint32_t i = 0; i < plan.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            assert_int_equal(plan.blocks[i].linears[j].storage, SQZI_STORED_F32);
    assert_int_equal(plan.embedding, SQZ_EMBEDDING_KEEP);
    assert_int_equal(plan.word, SQZI_STORED_F32);
    assert_int_equal(plan.position, SQZI_STORED_F32);
    assert_int_equal(plan.others, SQZI_STORED_F32);
    sqzi_squeeze_plan_discard(&plan);
    sqzi_time_table_discard(&table);
    close_budgeted(&b);
}

static void a_time_too_short_says_what_would_do_and_that_does(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    budgeted b;
    sqzi_time_table table;
    sqz_error error = {0};
    sqzi_squeeze_plan plan;
    sqzi_budget_outcome outcome = {0};
    const sqz_squeeze_options options = {.budget = 1, .time = 1};
    open_budgeted(&b);
    sqzi_budget_task task = task_of(&b, &options, 60000);
    invent_times(&b, &task, &table);
    task.time = 0.01 * task.base_time;
    sqzt_assert_fails(plan_within(&b, &task, &plan, &outcome, &error), SQZ_EINVAL, &error,
                      "1 % of the base's cannot be met within 60000 bytes: the least that can is ");
    sqzi_squeeze_plan_discard(&plan);
    double least = 0;
    assert_int_equal(sscanf(strstr(error.text, "can is ") + 7, "%lf", &least), 1);
    for (int enough = 0; enough < 2; enough++) {
        task.time = (least - (enough ? 0 : 0.2)) / 100 * task.base_time;
        assert_int_equal(plan_within(&b, &task, &plan, &outcome, &error) == SQZ_OK, enough);
        sqzi_squeeze_plan_discard(&plan);
    }
    task.budget = 100;
    sqzt_assert_fails(plan_within(&b, &task, &plan, &outcome, &error), SQZ_EINVAL, &error,
                      "a budget of 100 bytes cannot be met: the least that can is");
    sqzi_squeeze_plan_discard(&plan);
    sqzi_time_table_discard(&table);
    close_budgeted(&b);
}

static void the_floor_without_errors_is_the_least_that_errors_end_with(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    budgeted b;
    const sqz_squeeze_options options[] = {
        {.budget = 1},
        {.budget = 1, .depth = 2},
        {.budget = 1, .bits = 4, .neurons = 0.5},
        {.budget = 1, .heads = 0.5, .position_bits = 8},
        {.budget = 1, .embedding = SQZ_EMBEDDING_WIDTH, .embedding_size = 8},
        {.budget = 1, .embedding = SQZ_EMBEDDING_PRODUCT, .embedding_size = 12}};
    open_budgeted(&b);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        uint64_t bytes = 0;
        sqz_error error = {0};
        sqzi_squeeze_plan plan;
        sqzi_budget_outcome outcome = {0};
        sqzi_budget_task task = task_of(&b, &options[i], 1);
        sqzt_assert_fails(plan_within(&b, &task, &plan, &outcome, &error), SQZ_EINVAL, &error,
                          "cannot be met");
        const uint64_t least = error.offset;
        sqzi_squeeze_plan_discard(&plan);
        task.errors = NULL;
        sqzt_assert_ok(sqzi_squeeze_plan_make(b.opened.model, &plan, &error), &error);
        sqzt_assert_ok(sqzi_squeeze_plan_by_hand(b.opened.model, &options[i], &plan, &error),
                       &error);
        sqzt_assert_ok(sqzi_budget_floor(&task, &plan, &bytes, &error), &error);
        if (bytes != least)
            fail_msg("options %zu: %llu bytes, %llu", i, (unsigned long long)bytes,
                     (unsigned long long)least);
        sqzi_squeeze_plan_discard(&plan);
    }
    close_budgeted(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_within_their_budgets_and_change_less_as_these_grow),
        cmocka_unit_test(what_is_named_by_hand_stays_and_a_budget_too_small_says_what_would_do),
        cmocka_unit_test(plans_are_within_bytes_and_time_and_change_less_as_time_grows),
        cmocka_unit_test(the_floor_without_errors_is_the_least_that_errors_end_with),
        cmocka_unit_test(time_alone_leaves_numbers_as_they_are),
        cmocka_unit_test(a_time_too_short_says_what_would_do_and_that_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
