/* SPDX-License-Identifier: Apache-2.0 */
/* One setting for each of some items, so that errors are least and bytes stay within a budget.
 *
 *     minimise  sum of error(i, s_i)    where    sum of bytes(i, s_i) <= budget
 *
 * All choices that no other beats in both sums form a frontier: bytes rise along it and errors
 * fall. It is made once, item after item: the frontier of the first k items, moved by every setting
 * of the next, merged. A budget then takes the last point within it. So a larger budget is never
 * the worse, what was chosen comes back for its own bytes, and what lies between the points of the
 * convex hull, which a Lagrange multiplier would pass over, is found as well.
 *
 * The frontier is exact as long as it has at most SQZI_FRONTIER_POINTS points after every item. A
 * longer one is thinned: cut into that many ranges of equal bytes, each keeps the point of least
 * error, so that an item costs at most one such range of the budget. Its ends stay.
 *
 * Pure: no model, no file. One thread.
 */
#ifndef SQZI_BUDGET_H
#define SQZI_BUDGET_H

#include <stdbool.h>

#include <squeezebert/context.h>

enum { SQZI_FRONTIER_POINTS = 1 << 14 };

typedef struct sqzi_budget_setting {
    double error; /* finite; may be negative */
    uint64_t bytes;
    double time; /* bounded_choice.h reads it; finite, may be negative */
} sqzi_budget_setting;

typedef struct sqzi_budget_item {
    const sqzi_budget_setting *settings; /* [n] in any order */
    uint32_t n;                          /* at least 1 */
} sqzi_budget_item;

typedef struct sqzi_frontier_point {
    double error; /* sums over the items so far */
    uint64_t bytes;
    uint32_t setting, from; /* of this item; the point before this item */
} sqzi_frontier_point;

typedef struct sqzi_frontier {
    const sqz_allocator *allocator;
    uint32_t n_items;
    struct sqzi_frontier_part {
        sqzi_frontier_point *points;
        uint32_t n;
    } * parts; /* [n_items] */
} sqzi_frontier;

typedef struct sqzi_choice {
    double error;
    uint64_t bytes;
    uint64_t next_bytes; /* what the next point needs, 0: this is the best of all */
} sqzi_choice;

/* SQZ_EINVAL: an item without settings; SQZ_ENUMERIC: an error that is not finite; SQZ_ELIMIT: the
 * largest settings' bytes do not fit 64 bits; SQZ_ENOMEM. Discard in any case.
 * Cost: settings of all items times points; memory: 24 bytes a point and item. */
SQZ_NODISCARD sqz_status sqzi_frontier_make(const sqz_allocator *allocator,
                                            const sqzi_budget_item *items, uint32_t n,
                                            sqzi_frontier *frontier, sqz_error *error);
void sqzi_frontier_discard(sqzi_frontier *frontier);

/* chosen [n_items]: a setting of each item. False where not even the least that would do is within
 * the budget: that is then chosen. */
bool sqzi_frontier_choose(const sqzi_frontier *frontier, uint64_t budget, uint32_t *chosen,
                          sqzi_choice *choice);

#endif
