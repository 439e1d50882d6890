/* SPDX-License-Identifier: Apache-2.0 */
/* One setting for each of some items, so that errors are least, bytes within one budget and time
 * within another.
 *
 *     minimise  sum of error(i, s_i)    where    sum of bytes(i, s_i) <= bytes
 *                                                sum of time(i, s_i)  <= time
 *
 * Time gets a price: error + price * time is minimised within the bytes, by the frontier of
 * budget.h. A higher price gives a choice of less time. From the choice of least error and that of
 * least time, prices close in on the two choices on both sides of the bound that one price gives,
 * an edge of the convex hull; the better one of those within time is then improved by one setting
 * at a time, as long as bytes and time allow. What is found is within both budgets wherever
 * anything is, and its error at most the hull's edge above the least there is. A choice that is
 * within time at price 0 is the frontier's own.
 *
 * Pure: no model, no file. One thread.
 */
#ifndef SQZI_BOUNDED_CHOICE_H
#define SQZI_BOUNDED_CHOICE_H

#include "squeeze/budget.h"

typedef struct sqzi_bounds {
    uint64_t bytes;
    double time;
    double error; /* INFINITY, or what would not be taken from here on */
} sqzi_bounds;

typedef enum sqzi_bounded_outcome {
    SQZI_BOUNDED_FOUND,
    SQZI_BOUNDED_WORSE, /* nothing below bounds.error; what is chosen means nothing */
    SQZI_BOUNDED_BYTES, /* nothing is within the bytes: the least that could be is chosen */
    SQZI_BOUNDED_TIME   /* nothing is within both: of what is within the bytes the least time */
} sqzi_bounded_outcome;

typedef struct sqzi_bounded_choice {
    sqzi_bounded_outcome outcome;
    double error, time;
    uint64_t bytes;
} sqzi_bounded_choice;

/* chosen [n]: a setting of each item. Errors as sqzi_frontier_make; SQZ_ENUMERIC also: a time is
 * not finite. Cost: ten frontiers or so. */
SQZ_NODISCARD sqz_status sqzi_choose_bounded(const sqz_allocator *allocator,
                                             const sqzi_budget_item *items, uint32_t n,
                                             const sqzi_bounds *bounds, uint32_t *chosen,
                                             sqzi_bounded_choice *choice, sqz_error *error);

#endif
