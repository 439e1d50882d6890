/* SPDX-License-Identifier: Apache-2.0 */
/* A walk from plan to plan, each made by a sum in which kinds of change count differently. */
#include "squeeze/squeeze_choice.h"

#include "base/error.h"

/* How often a kind counts after a move. */
typedef struct move {
    sqzi_change_kind kind;
    double times;
} move;

static const move moves[] = {
    {SQZI_CHANGE_NEURONS, 2}, {SQZI_CHANGE_INT3, 2},     {SQZI_CHANGE_WORDS, 2},
    {SQZI_CHANGE_HEADS, 2},   {SQZI_CHANGE_LAYERS, 0.5},
};

typedef struct walk {
    sqzi_budget_task task; /* of the best so far */
    sqzi_plan_trial *trial;
    const sqzi_squeeze_plan *by_hand;
    sqzi_squeeze_plan tried;
    sqzi_squeeze_plan *best;
    sqzi_budget_outcome *outcome;
    uint32_t n_tried;
} walk;

static sqz_status try_plan(walk *w, const sqzi_budget_task *task, bool *better, sqz_error *error)
{
    sqz_error why = {0};
    sqzi_budget_outcome outcome;
    sqzi_budget_task within = *task;
    bool unmet = false;
    within.unmet = &unmet;
    *better = false;
    sqzi_squeeze_plan_copy(w->by_hand, &w->tried);
    sqz_status status = sqzi_squeeze_plan_by_budget(&within, &w->tried, &outcome, &why);
    if (unmet && w->n_tried) return SQZ_OK; /* of this sum alone: its rounds came to nothing */
    if (unmet && task->unmet) *task->unmet = true;
    FAIL_IF(status != SQZ_OK, status, why.offset, "%s", why.text);
    if (w->n_tried && sqzi_squeeze_plan_is(&w->tried, w->best)) return SQZ_OK;
    if (w->trial) TRY(sqzi_plan_trial_run(w->trial, &w->tried, &outcome.change, error));
    if (w->n_tried++ == 0 || outcome.change < w->outcome->change) {
        sqzi_squeeze_plan_copy(&w->tried, w->best);
        *w->outcome = outcome;
        w->task = *task;
        *better = true;
    }
fail:
    return status;
}

/* Each move from the best so far; a move that was good is made again. */
static sqz_status walk_on(walk *w, int (*step)(void *user), void *user, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = sizeof moves / sizeof *moves;
    for (uint32_t i = 0, m = 0; i + 1 < SQZI_PLANS_TRIED; i++) {
        if (m < n && w->trial) {
            bool better;
            sqzi_budget_task task = w->task;
            task.counts[moves[m].kind] *= moves[m].times;
            TRY(try_plan(w, &task, &better, error));
            m += !better;
        }
        FAIL_IF(step && step(user) != 0, SQZ_ECANCELLED, 0, "stopped after %u plans", w->n_tried);
    }
fail:
    return status;
}

sqz_status sqzi_squeeze_choose(const sqzi_budget_task *task, sqzi_plan_trial *trial,
                               int (*step)(void *user), void *user, sqzi_squeeze_plan *plan,
                               sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model *model = task->weights->model;
    sqzi_squeeze_plan by_hand = {0};
    walk w = {.trial = trial, .by_hand = &by_hand, .best = plan, .outcome = outcome};
    bool better;
    sqzi_budget_task first = *task;
    for (int k = 0; k < SQZI_CHANGE_KINDS; k++) first.counts[k] = 1;
    TRY(sqzi_squeeze_plan_make(model, &by_hand, error));
    TRY(sqzi_squeeze_plan_make(model, &w.tried, error));
    sqzi_squeeze_plan_copy(plan, &by_hand);
    TRY(try_plan(&w, &first, &better, error));
    TRY(walk_on(&w, step, user, error));
fail:
    sqzi_squeeze_plan_discard(&w.tried);
    sqzi_squeeze_plan_discard(&by_hand);
    return status;
}
