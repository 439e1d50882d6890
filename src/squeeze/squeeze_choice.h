/* SPDX-License-Identifier: Apache-2.0 */
/* The plan for a budget: several are made, each is tried as a whole, and the best is taken.
 *
 * Changes that are measured one by one do not quite add up where there are many. So the first plan
 * is the one of the least sum (squeeze_budget.h); others let changes of one kind count for more or
 * for less, again and again from the best so far. Each is measured (plan_trial.h). At most
 * SQZI_PLANS_TRIED are.
 */
#ifndef SQZI_SQUEEZE_CHOICE_H
#define SQZI_SQUEEZE_CHOICE_H

#include "squeeze/plan_trial.h"
#include "squeeze/squeeze_budget.h"

enum { SQZI_PLANS_TRIED = 8 };

/* Fill in a plan that was made by hand. trial NULL: the first is taken, its change as foretold;
 * else outcome->change is measured. `step` as in sqzi_squeeze_run, after each trial,
 * SQZI_PLANS_TRIED times in all. Errors as sqzi_squeeze_plan_by_budget and sqzi_plan_trial_run;
 * SQZ_ECANCELLED. */
SQZ_NODISCARD sqz_status sqzi_squeeze_choose(const sqzi_budget_task *task, sqzi_plan_trial *trial,
                                             int (*step)(void *user), void *user,
                                             sqzi_squeeze_plan *plan, sqzi_budget_outcome *outcome,
                                             sqz_error *error);

#endif
