/* SPDX-License-Identifier: Apache-2.0 */
/* The choice among plans that are tried as a whole. */
#include "squeeze/squeeze_choice.h"

#include <math.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/plan_bytes.h"
#include "support/opened.h"
#include "support/test.h"

enum { BUDGET = 30000 };

typedef struct subject {
    sqzt_opened opened;
    sqzi_sequences sequences;
    sqzi_statistics statistics;
    sqzi_weights weights;
    sqzi_setting_errors errors;
    sqzi_plan_trial trial;
    sqz_squeeze_options options;
    uint32_t steps, last;
    uint32_t files, last_file; /* asked for the bytes of; behind the last one all are too large */
} subject;

static void open_subject(subject *s)
{
    sqz_error error = {0};
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.positions = SQZI_CALIBRATION_LENGTH;
    tiny.head = NULL;
    tiny.ffn_width = 256;
    *s = (subject){.last = UINT32_MAX, .last_file = UINT32_MAX};
    s->opened = sqzt_open_tiny(&tiny, 1,
                               &(sqz_session_options){.max_tokens = 1, .max_sequences = 1});
    const sqz_model *model = s->opened.model;
    sqzt_assert_ok(sqzi_sequences_random(model, &s->sequences, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(model, &s->weights, &error), &error);
    sqzt_assert_ok(sqzi_statistics_make(model, &s->sequences, NULL, 0, NULL, NULL, &s->statistics,
                                        &error),
                   &error);
    sqzt_assert_ok(sqzi_setting_errors_make(model, &s->statistics, &s->sequences, NULL, 0,
                                            &(sqzi_setting_errors_options){0}, &s->errors, &error),
                   &error);
    sqzt_assert_ok(sqzi_plan_trial_open(model, &s->statistics, &s->errors, &s->sequences, NULL, 0,
                                        &s->trial, &error),
                   &error);
}

static void close_subject(subject *s)
{
    sqzi_plan_trial_close(&s->trial);
    sqzi_setting_errors_discard(&s->errors);
    sqzi_statistics_discard(&s->statistics);
    sqzi_weights_discard(&s->weights);
    sqzi_sequences_discard(&s->sequences);
    sqzt_close(&s->opened);
}

static sqz_status bytes_of(void *user, const sqzi_squeeze_plan *plan, uint64_t *bytes,
                           sqz_error *error)
{
    subject *s = user;
    *bytes = BUDGET + 1;
    if (++s->files > s->last_file) return SQZ_OK;
    return sqzi_plan_bytes(&s->weights, plan, &(sqzi_step){.history = "h", .suffix = "-s"}, bytes,
                           error);
}

static int count_step(void *user)
{
    subject *s = user;
    return ++s->steps > s->last;
}

static sqzi_budget_task task_of(subject *s)
{
    return (sqzi_budget_task){.budget = BUDGET,
                              .options = &s->options,
                              .errors = &s->errors,
                              .weights = &s->weights,
                              .bytes_of = bytes_of,
                              .user = s};
}

static void what_is_taken_is_measured_and_no_worse_than_the_least_sum(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    subject s;
    sqz_error error = {0};
    sqzi_squeeze_plan first, chosen;
    sqzi_budget_outcome outcome, of_first;
    double change, change_of_first;
    open_subject(&s);
    const sqzi_budget_task task = task_of(&s);
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &first, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &chosen, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_plan_by_budget(&task, &first, &of_first, &error), &error);
    sqzt_assert_ok(sqzi_plan_trial_run(&s.trial, &first, &change_of_first, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_choose(&task, &s.trial, count_step, &s, &chosen, &outcome, &error),
                   &error);
    sqzt_assert_ok(sqzi_plan_trial_run(&s.trial, &chosen, &change, &error), &error);
    assert_true(change > 0 && outcome.change == change && change <= change_of_first);
    assert_true(outcome.bytes <= BUDGET);
    assert_int_equal(s.steps, SQZI_PLANS_TRIED - 1);
    sqzi_squeeze_plan_discard(&chosen);
    sqzi_squeeze_plan_discard(&first);
    close_subject(&s);
}

static void a_later_sum_within_nothing_leaves_the_first_plan(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    subject s;
    bool unmet = false;
    sqz_error error = {0};
    sqzi_squeeze_plan first, chosen;
    sqzi_budget_outcome outcome;
    open_subject(&s);
    sqzi_budget_task task = task_of(&s);
    task.unmet = &unmet;
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &first, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &chosen, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_plan_by_budget(&task, &first, &outcome, &error), &error);
    s.last_file = s.files;
    s.files = 0;
    sqzt_assert_ok(sqzi_squeeze_choose(&task, &s.trial, NULL, NULL, &chosen, &outcome, &error),
                   &error);
    assert_true(s.files > s.last_file && sqzi_squeeze_plan_is(&chosen, &first) && !unmet);
    s.files = s.last_file;
    sqzt_assert_fails(sqzi_squeeze_choose(&task, &s.trial, NULL, NULL, &chosen, &outcome, &error),
                      SQZ_EINVAL, &error, "cannot be met");
    assert_true(unmet);
    sqzi_squeeze_plan_discard(&chosen);
    sqzi_squeeze_plan_discard(&first);
    close_subject(&s);
}

static void without_trials_the_least_sum_is_taken(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    subject s;
    sqz_error error = {0};
    sqzi_squeeze_plan first, chosen;
    sqzi_budget_outcome outcome, of_first;
    open_subject(&s);
    const sqzi_budget_task task = task_of(&s);
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &first, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &chosen, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_plan_by_budget(&task, &first, &of_first, &error), &error);
    sqzt_assert_ok(sqzi_squeeze_choose(&task, NULL, NULL, NULL, &chosen, &outcome, &error), &error);
    assert_true(sqzi_squeeze_plan_is(&chosen, &first) && outcome.change == of_first.change);
    sqzi_squeeze_plan_discard(&chosen);
    sqzi_squeeze_plan_discard(&first);
    close_subject(&s);
}

static void a_step_stops_the_choice(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    subject s;
    sqz_error error = {0};
    sqzi_squeeze_plan chosen;
    sqzi_budget_outcome outcome;
    open_subject(&s);
    const sqzi_budget_task task = task_of(&s);
    s.last = 2;
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &chosen, &error), &error);
    sqzt_assert_fails(sqzi_squeeze_choose(&task, &s.trial, count_step, &s, &chosen, &outcome,
                                          &error),
                      SQZ_ECANCELLED, &error, "stopped after");
    assert_int_equal(s.steps, 3);
    sqzi_squeeze_plan_discard(&chosen);
    close_subject(&s);
}

/* A plan that leaves all as it is changes next to nothing, one without a block what errors say. */
static void trials_run_the_plan_they_are_given(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    subject s;
    sqz_error error = {0};
    sqzi_squeeze_plan plan;
    double change;
    open_subject(&s);
    sqzt_assert_ok(sqzi_squeeze_plan_make(s.opened.model, &plan, &error), &error);
    sqzt_assert_ok(sqzi_plan_trial_run(&s.trial, &plan, &change, &error), &error);
    assert_true(change < 1e-9);
    const uint32_t gone = s.errors.order[0];
    for (uint32_t i = gone; i + 1 < plan.n_blocks; i++) plan.blocks[i] = plan.blocks[i + 1];
    plan.n_blocks--;
    sqzt_assert_ok(sqzi_plan_trial_run(&s.trial, &plan, &change, &error), &error);
    assert_true(fabs(change - s.errors.without[0]) < 1e-6 * (1 + change));
    sqzi_squeeze_plan_discard(&plan);
    close_subject(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_is_measured_and_no_worse_than_the_least_sum),
        cmocka_unit_test(a_later_sum_within_nothing_leaves_the_first_plan),
        cmocka_unit_test(without_trials_the_least_sum_is_taken),
        cmocka_unit_test(a_step_stops_the_choice),
        cmocka_unit_test(trials_run_the_plan_they_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
