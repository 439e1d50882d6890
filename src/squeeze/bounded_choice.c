/* SPDX-License-Identifier: Apache-2.0 */
/* A price of time, closed in upon from both sides. */
#include "squeeze/bounded_choice.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* What one price gives. */
typedef struct side {
    uint32_t *chosen; /* [n] */
    double error, time;
    uint64_t bytes;
    bool met; /* within the bytes */
} side;

typedef struct search {
    const sqz_allocator *allocator;
    const sqzi_budget_item *items;
    uint32_t n;
    const sqzi_bounds *bounds;
    sqzi_budget_item *view;
    sqzi_budget_setting *priced; /* of all items */
    side least_error, within, tried;
    void *memory;
    size_t memory_bytes;
} search;

static bool is_within(const search *s, double time)
{
    return time <= s->bounds->time + fabs(s->bounds->time) * 1e-9;
}

static void add_up(const search *s, side *to)
{
    to->error = to->time = 0;
    to->bytes = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const sqzi_budget_setting *of = &s->items[i].settings[to->chosen[i]];
        to->error += of->error;
        to->time += of->time;
        to->bytes += of->bytes;
    }
}

/* The least weight * error + price * time within the bytes. */
static sqz_status at_price(const search *s, double weight, double price, side *to, sqz_error *error)
{
    sqzi_budget_setting *priced = s->priced;
    sqzi_frontier frontier;
    sqzi_choice ignored;
    for (uint32_t i = 0; i < s->n; i++) {
        s->view[i] = (sqzi_budget_item){priced, s->items[i].n};
        for (uint32_t k = 0; k < s->items[i].n; k++, priced++) {
            const sqzi_budget_setting *from = &s->items[i].settings[k];
            *priced = *from;
            priced->error = weight * from->error + price * from->time;
        }
    }
    const sqz_status status = sqzi_frontier_make(s->allocator, s->view, s->n, &frontier, error);
    if (status == SQZ_OK) {
        to->met = sqzi_frontier_choose(&frontier, s->bounds->bytes, to->chosen, &ignored);
        add_up(s, to);
    }
    sqzi_frontier_discard(&frontier);
    return status;
}

static void swap(side *a, side *b)
{
    const side kept = *a;
    *a = *b;
    *b = kept;
}

/* Least time, of such least error: errors weigh so little that they move it by a millionth. */
static double little(const search *s)
{
    double errors = 0, times = 0;
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; k < s->items[i].n; k++) {
            errors = fmax(errors, fabs(s->items[i].settings[k].error));
            times = fmax(times, fabs(s->items[i].settings[k].time));
        }
    return errors > 0 ? 1e-6 * times / errors / s->n : 0;
}

/* Between two choices, one within time, the price that makes them equal gives one below their line,
 * until none lies there. What stays above every choice of its price bounds the least error from
 * below. */
static sqz_status close_in(search *s, sqzi_bounded_choice *choice, sqz_error *error)
{
    enum { STEPS = 24 };
    for (int step = 0; step < STEPS; step++) {
        const side *lo = &s->least_error, *hi = &s->within;
        const double price = (hi->error - lo->error) / (lo->time - hi->time);
        if (!(price > 0)) break;
        const sqz_status status = at_price(s, 1, price, &s->tried, error);
        if (status != SQZ_OK) return status;
        const double now = s->tried.error + price * s->tried.time,
                     line = hi->error + price * hi->time;
        if (now - price * s->bounds->time >= s->bounds->error) {
            choice->outcome = SQZI_BOUNDED_WORSE;
            return SQZ_OK;
        }
        if (!(now < line - 1e-9 * fabs(line))) break;
        swap(&s->tried, is_within(s, s->tried.time) ? &s->within : &s->least_error);
    }
    return SQZ_OK;
}

/* The setting of one item that lowers the error most within both budgets, again and again. */
static void improve(const search *s, side *at)
{
    for (bool better = true; better;) {
        uint32_t item = 0, setting = 0;
        double most = 0;
        for (uint32_t i = 0; i < s->n; i++) {
            const sqzi_budget_setting *all = s->items[i].settings, *from = &all[at->chosen[i]];
            for (uint32_t k = 0; k < s->items[i].n; k++) {
                const double gain = from->error - all[k].error;
                if (!(gain > most) || at->bytes - from->bytes + all[k].bytes > s->bounds->bytes ||
                    !is_within(s, at->time - from->time + all[k].time))
                    continue;
                most = gain;
                item = i;
                setting = k;
            }
        }
        better = most > 0;
        if (better) at->chosen[item] = setting;
        add_up(s, at);
    }
}

static sqz_status find(search *s, sqzi_bounded_choice *choice, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(at_price(s, 1, 0, &s->least_error, error));
    swap(&s->within, &s->least_error);
    choice->outcome = SQZI_BOUNDED_BYTES;
    if (!s->within.met) return SQZ_OK;
    choice->outcome = SQZI_BOUNDED_WORSE;
    if (s->within.error >= s->bounds->error) return SQZ_OK;
    choice->outcome = SQZI_BOUNDED_FOUND;
    if (is_within(s, s->within.time)) return SQZ_OK;
    swap(&s->within, &s->least_error);
    TRY(at_price(s, little(s), 1, &s->within, error));
    choice->outcome = SQZI_BOUNDED_TIME;
    if (!is_within(s, s->within.time)) return SQZ_OK;
    choice->outcome = SQZI_BOUNDED_FOUND;
    TRY(close_in(s, choice, error));
    if (choice->outcome == SQZI_BOUNDED_FOUND) improve(s, &s->within);
fail:
    return status;
}

static void lay_out(search *s, size_t n_settings, sqzi_arena *arena)
{
    side *const sides[] = {&s->least_error, &s->within, &s->tried};
    s->view = sqzi_arena_take(arena, s->n, sizeof *s->view);
    s->priced = sqzi_arena_take(arena, n_settings, sizeof *s->priced);
    for (int i = 0; i < 3; i++)
        sides[i]->chosen = sqzi_arena_take(arena, s->n, sizeof *sides[i]->chosen);
}

static sqz_status check(const search *s, size_t *n_settings, sqz_error *error)
{
    *n_settings = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        *n_settings += s->items[i].n;
        for (uint32_t k = 0; k < s->items[i].n; k++)
            if (!isfinite(s->items[i].settings[k].time))
                return sqzi_fail(error, SQZ_ENUMERIC, i,
                                 "budget: the time of item %u at setting %u is not finite", i, k);
    }
    return SQZ_OK;
}

sqz_status sqzi_choose_bounded(const sqz_allocator *allocator, const sqzi_budget_item *items,
                               uint32_t n, const sqzi_bounds *bounds, uint32_t *chosen,
                               sqzi_bounded_choice *choice, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    search s = {.allocator = allocator, .items = items, .n = n, .bounds = bounds};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    size_t n_settings;
    *choice = (sqzi_bounded_choice){0};
    TRY(check(&s, &n_settings, error));
    lay_out(&s, n_settings, &arena);
    s.memory_bytes = arena.used;
    s.memory = sqzi_allocate(allocator, s.memory_bytes);
    FAIL_IF(!s.memory, SQZ_ENOMEM, 0, "no memory for the settings of %u items", n);
    arena = sqzi_arena_over(s.memory, s.memory_bytes);
    lay_out(&s, n_settings, &arena);
    TRY(find(&s, choice, error));
    memcpy(chosen, s.within.chosen, n * sizeof *chosen);
    choice->error = s.within.error;
    choice->time = s.within.time;
    choice->bytes = s.within.bytes;
fail:
    sqzi_release(allocator, s.memory, s.memory_bytes);
    return status;
}
