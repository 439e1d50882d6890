/* SPDX-License-Identifier: Apache-2.0 */
/* The frontier of errors and bytes, item after item; each point remembers the one it came from. */
#include "squeeze/budget.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

typedef struct sqzi_frontier_part part;
typedef sqzi_frontier_point point;

enum { POINTS = SQZI_FRONTIER_POINTS };

static sqz_status check(const sqzi_budget_item *items, uint32_t n, sqz_error *error)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t most = 0;
        if (items[i].n == 0)
            return sqzi_fail(error, SQZ_EINVAL, i, "budget: item %u has no settings", i);
        for (uint32_t s = 0; s < items[i].n; s++) {
            const sqzi_budget_setting *setting = &items[i].settings[s];
            if (!isfinite(setting->error))
                return sqzi_fail(error, SQZ_ENUMERIC, i,
                                 "budget: the error of item %u at setting %u is not finite", i, s);
            if (setting->bytes > most) most = setting->bytes;
        }
        if (most > UINT64_MAX - total)
            return sqzi_fail(error, SQZ_ELIMIT, i, "budget: the bytes of %u items pass 2^64",
                             i + 1);
        total += most;
    }
    return SQZ_OK;
}

/* The point that setting s of an item makes of point `from`. */
static point moved(const part *before, uint32_t from, const sqzi_budget_setting *setting,
                   uint32_t s)
{
    return (point){.error = before->points[from].error + setting->error,
                   .bytes = before->points[from].bytes + setting->bytes,
                   .setting = s,
                   .from = from};
}

/* Merge what setting s makes of `before` into known, both ascending in bytes; what a cheaper or
 * equal point matches falls away. */
static uint32_t merge(const part *known, const part *before, const sqzi_budget_setting *setting,
                      uint32_t s, point *out)
{
    uint32_t n = 0, a = 0, b = 0;
    while (a < known->n || b < before->n) {
        point next;
        const point ours = b < before->n ? moved(before, b, setting, s) : (point){0};
        const bool take_known = b == before->n ||
                                (a < known->n && (known->points[a].bytes < ours.bytes ||
                                                  (known->points[a].bytes == ours.bytes &&
                                                   known->points[a].error <= ours.error)));
        next = take_known ? known->points[a++] : (b++, ours);
        if (n == 0 || next.error < out[n - 1].error) out[n++] = next;
    }
    return n;
}

/* Another setting is as good in both, and better in one or named first. */
static bool is_beaten(const sqzi_budget_item *item, uint32_t s)
{
    const sqzi_budget_setting *a = &item->settings[s];
    for (uint32_t i = 0; i < item->n; i++) {
        const sqzi_budget_setting *b = &item->settings[i];
        if (b->bytes <= a->bytes && b->error <= a->error &&
            (b->bytes < a->bytes || b->error < a->error || i < s))
            return true;
    }
    return false;
}

/* At most POINTS of n: the first, and the last of each of POINTS - 1 ranges of equal bytes. */
static uint32_t thin(point *points, uint32_t n)
{
    if (n <= POINTS) return n;
    const uint64_t least = points[0].bytes, span = points[n - 1].bytes - least,
                   range = span / (POINTS - 1) + 1;
    uint32_t kept = 1;
    for (uint32_t i = 1; i < n; i++)
        if (i + 1 == n ||
            (points[i].bytes - least) / range != (points[i + 1].bytes - least) / range)
            points[kept++] = points[i];
    return kept;
}

/* scratch: two of 2 POINTS. */
static sqz_status add_item(const sqz_allocator *allocator, const part *before,
                           const sqzi_budget_item *item, point *const scratch[2], part *kept,
                           sqz_error *error)
{
    part now = {scratch[0], 0};
    for (uint32_t s = 0; s < item->n; s++) {
        point *out = scratch[now.points == scratch[0]];
        if (is_beaten(item, s)) continue;
        now.n = thin(out, merge(&now, before, &item->settings[s], s, out));
        now.points = out;
    }
    kept->points = sqzi_allocate(allocator, now.n * sizeof *kept->points);
    if (!kept->points) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a frontier");
    kept->n = now.n;
    memcpy(kept->points, now.points, now.n * sizeof *kept->points);
    return SQZ_OK;
}

sqz_status sqzi_frontier_make(const sqz_allocator *allocator, const sqzi_budget_item *items,
                              uint32_t n, sqzi_frontier *frontier, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    point origin = {0}, *scratch = NULL;
    const part nothing = {&origin, 1};
    *frontier = (sqzi_frontier){.allocator = allocator};
    TRY(check(items, n, error));
    frontier->parts = sqzi_allocate_zeroed(allocator, n, sizeof *frontier->parts);
    scratch = sqzi_allocate_zeroed(allocator, 4 * POINTS, sizeof *scratch);
    if (frontier->parts) frontier->n_items = n;
    FAIL_IF(!frontier->parts || !scratch, SQZ_ENOMEM, 0, "no memory for a frontier");
    for (uint32_t i = 0; i < n; i++)
        TRY(add_item(allocator, i ? &frontier->parts[i - 1] : &nothing, &items[i],
                     (point *[]){scratch, scratch + 2 * POINTS}, &frontier->parts[i], error));
fail:
    sqzi_release(allocator, scratch, 4 * POINTS * sizeof *scratch);
    return status;
}

void sqzi_frontier_discard(sqzi_frontier *frontier)
{
    for (uint32_t i = 0; i < frontier->n_items; i++)
        sqzi_release(frontier->allocator, frontier->parts[i].points,
                     frontier->parts[i].n * sizeof(point));
    sqzi_release(frontier->allocator, frontier->parts, frontier->n_items * sizeof *frontier->parts);
    *frontier = (sqzi_frontier){0};
}

bool sqzi_frontier_choose(const sqzi_frontier *frontier, uint64_t budget, uint32_t *chosen,
                          sqzi_choice *choice)
{
    *choice = (sqzi_choice){0};
    if (frontier->n_items == 0) return true;
    const part *last = &frontier->parts[frontier->n_items - 1];
    uint32_t at = 0;
    while (at + 1 < last->n && last->points[at + 1].bytes <= budget) at++;
    choice->error = last->points[at].error;
    choice->bytes = last->points[at].bytes;
    if (at + 1 < last->n) choice->next_bytes = last->points[at + 1].bytes;
    for (uint32_t i = frontier->n_items; i-- > 0;) {
        const point *p = &frontier->parts[i].points[at];
        chosen[i] = p->setting;
        at = p->from;
    }
    return choice->bytes <= budget;
}
