/* SPDX-License-Identifier: Apache-2.0 */
/* Plans within a time, and within bytes where these are bounded: each number of blocks has the best
 * choice of its items, and the best of these is the plan. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "squeeze/bounded_choice.h"
#include "squeeze/budget_chooser.h"

typedef struct bounds_search {
    const sqzi_chooser *of;
    sqzi_squeeze_plan *plan; /* of whatever is tried */
    uint32_t *tried, *best;  /* [n of all items] */
    uint32_t n_gone;         /* of the best */
    bool found;
    double change, time;  /* of the best, and the time of its items */
    uint64_t bytes;       /* of its file */
    uint64_t least_bytes; /* of a file, where none was within the bytes */
    double least_time;    /* of a model, where none was within both */
} bounds_search;

static double around(const bounds_search *s)
{
    return (double)s->of->task->times->ns[0];
}

static sqz_status file_bytes(const bounds_search *s, uint32_t gone, const uint32_t *chosen,
                             uint64_t *bytes, sqz_error *error)
{
    const sqzi_budget_task *task = s->of->task;
    sqzi_chooser_apply(s->of, gone, chosen, s->plan);
    return task->bytes_of(task->user, s->plan, bytes, error);
}

/* A plan's file has these bytes: it is the best so far, or not. */
static void take(bounds_search *s, uint32_t gone, const sqzi_bounded_choice *choice, uint64_t bytes)
{
    const double change = choice->error + sqzi_chooser_without(s->of, gone);
    const uint64_t budget = s->of->task->budget;
    if ((budget && bytes > budget) || (s->found && change >= s->change)) return;
    s->found = true;
    s->n_gone = gone;
    s->change = change;
    s->time = choice->time;
    s->bytes = bytes;
    memcpy(s->best, s->tried, s->of->all.n * sizeof *s->best);
}

/* What cannot be met says what could. */
static sqz_status take_least(bounds_search *s, uint32_t gone, const sqzi_bounded_choice *choice,
                             sqz_error *error)
{
    uint64_t bytes;
    if (choice->outcome == SQZI_BOUNDED_TIME)
        s->least_time = fmin(s->least_time, around(s) + choice->time);
    if (choice->outcome != SQZI_BOUNDED_BYTES) return SQZ_OK;
    const sqz_status status = file_bytes(s, gone, s->tried, &bytes, error);
    if (status == SQZ_OK && bytes < s->least_bytes) s->least_bytes = bytes;
    return status;
}

/* The items' share of the bytes: what a file has besides them differs by little from plan to
 * plan, so each says what would have suited it, some times. */
static sqz_status try_depth(bounds_search *s, uint32_t gone, sqz_error *error)
{
    enum { ROUNDS = 4, NEAR = 1000 };
    sqz_status status = SQZ_OK;
    const sqzi_budget_task *task = s->of->task;
    const uint32_t n = sqzi_chooser_view(s->of, gone);
    sqzi_bounds bounds = {.bytes = UINT64_MAX, .time = task->time - around(s), .error = INFINITY};
    sqzi_bounded_choice choice;
    uint64_t bytes, first = 0;
    memset(s->tried, 0, s->of->all.n * sizeof *s->tried);
    TRY(file_bytes(s, gone, s->tried, &bytes, error));
    for (uint32_t i = 0; i < n; i++) first += s->of->all.view[i].settings[0].bytes;
    int64_t besides = (int64_t)bytes - (int64_t)first;
    if (s->found) bounds.error = s->change - sqzi_chooser_without(s->of, gone);
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t left = (int64_t)task->budget - besides;
        if (task->budget) bounds.bytes = left > 0 ? (uint64_t)left : 0;
        TRY(sqzi_choose_bounded(s->plan->allocator, s->of->all.view, n, &bounds, s->tried, &choice,
                                error));
        if (choice.outcome != SQZI_BOUNDED_FOUND) return take_least(s, gone, &choice, error);
        TRY(file_bytes(s, gone, s->tried, &bytes, error));
        take(s, gone, &choice, bytes);
        const int64_t now = (int64_t)bytes - (int64_t)choice.bytes, moved = besides - now;
        if (!task->budget || (bytes <= task->budget && moved < (int64_t)(task->budget / NEAR)))
            break;
        besides = now;
    }
    if (bytes < s->least_bytes) s->least_bytes = bytes;
fail:
    return status;
}

static sqz_status say_least(const bounds_search *s, sqz_error *error)
{
    const sqzi_budget_task *task = s->of->task;
    if (task->unmet) *task->unmet = true;
    if (s->least_time < INFINITY) {
        char within[64] = "";
        const double scale = task->time_scale > 0 ? task->time_scale : 1,
                     per_cent = 100 * scale / task->base_time;
        if (task->budget)
            snprintf(within, sizeof within, " within %" PRIu64 " bytes", task->budget);
        return sqzi_fail(error, SQZ_EINVAL, UINT64_MAX,
                         "time: %s %% of the base's cannot be met%s: the least that can is %s %%",
                         SQZI_REAL(4, task->time * per_cent), within,
                         SQZI_REAL(4, ceil(s->least_time * per_cent * 10) / 10));
    }
    return sqzi_fail(error, SQZ_EINVAL, s->least_bytes,
                     "a budget of %" PRIu64 " bytes cannot be met: the least that can is %" PRIu64
                     " bytes",
                     task->budget, s->least_bytes);
}

sqz_status sqzi_chooser_within_time(const sqzi_chooser *of, sqzi_squeeze_plan *plan,
                                    sqzi_budget_outcome *outcome, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    bounds_search s = {.of = of,
                       .plan = plan,
                       .tried = of->all.chosen,
                       .best = of->all.chosen + of->all.n,
                       .least_bytes = UINT64_MAX,
                       .least_time = INFINITY};
    for (uint32_t gone = of->first_depth; gone < of->n_depths; gone++)
        TRY(try_depth(&s, gone, error));
    if (!s.found) return say_least(&s, error);
    sqzi_chooser_apply(of, s.n_gone, s.best, plan);
    *outcome =
        (sqzi_budget_outcome){.bytes = s.bytes, .change = s.change, .time = around(&s) + s.time};
fail:
    return status;
}
