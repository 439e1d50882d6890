/* SPDX-License-Identifier: Apache-2.0 */
/* What a budget cannot be below, before anything is measured: every part at its smallest setting,
 * and as few blocks as may stay, those that take least. */
#ifndef SQZI_BUDGET_FLOOR_H
#define SQZI_BUDGET_FLOOR_H

#include "squeeze/squeeze_budget.h"

/* *bytes: those of the plan that sqzi_squeeze_plan_by_budget would end with at a budget of 1. Where
 * blocks differ in shape it may be a larger one, as what changes least leaves first.
 *
 * task: budget (above 0), options, weights, bytes_of and user; errors and times are not looked at.
 * by_hand: as there, not changed. Cost: that of bytes_of. SQZ_ENOMEM, and what bytes_of returns. */
SQZ_NODISCARD sqz_status sqzi_budget_floor(const sqzi_budget_task *task,
                                           const sqzi_squeeze_plan *by_hand, uint64_t *bytes,
                                           sqz_error *error);

#endif
