/* SPDX-License-Identifier: Apache-2.0 */
/* What choosers of plans share, whatever is bounded: items of each number of blocks that have left,
 * and the plan that a choice of their settings is. */
#ifndef SQZI_BUDGET_CHOOSER_H
#define SQZI_BUDGET_CHOOSER_H

#include "squeeze/budget_items.h"

typedef struct sqzi_chooser {
    const sqzi_budget_task *task;
    sqzi_squeeze_plan by_hand;
    sqzi_setting_items all;
    uint32_t first_depth, n_depths; /* blocks that may have left, up to n_depths - 1: one stays */
} sqzi_chooser;

/* SQZ_ENOMEM. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_chooser_open(const sqzi_budget_task *task,
                                           const sqzi_squeeze_plan *plan, sqzi_chooser *chooser,
                                           sqz_error *error);
void sqzi_chooser_close(sqzi_chooser *chooser);

/* The items of a model that so many blocks have left, to all.view; how many. */
uint32_t sqzi_chooser_view(const sqzi_chooser *chooser, uint32_t n_gone);
/* Bytes of blocks that are no item's, about; what it changes that they are gone. */
uint64_t sqzi_chooser_overhead(const sqzi_chooser *chooser, uint32_t n_gone);
double sqzi_chooser_without(const sqzi_chooser *chooser, uint32_t n_gone);
/* The plan of a setting of each item. */
void sqzi_chooser_apply(const sqzi_chooser *chooser, uint32_t n_gone, const uint32_t *chosen,
                        sqzi_squeeze_plan *plan);

/* ---- squeeze_bounds.c ---- */

/* sqzi_squeeze_plan_by_budget where time is bounded. */
SQZ_NODISCARD sqz_status sqzi_chooser_within_time(const sqzi_chooser *chooser,
                                                  sqzi_squeeze_plan *plan,
                                                  sqzi_budget_outcome *outcome, sqz_error *error);

#endif
