/* SPDX-License-Identifier: Apache-2.0 */
/* Two loops over the pairs, and a search along a line. */
#include "train/lbfgs.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

enum { MOST_TRIES = 24 };

static void lay_out(sqzi_lbfgs *l, sqzi_arena *arena)
{
    l->s = sqzi_arena_take(arena, l->n, SQZI_LBFGS_PAIRS * sizeof *l->s);
    l->y = sqzi_arena_take(arena, l->n, SQZI_LBFGS_PAIRS * sizeof *l->y);
    l->gradient = sqzi_arena_take(arena, l->n, sizeof *l->gradient);
    l->tried = sqzi_arena_take(arena, l->n, sizeof *l->tried);
    l->tried_gradient = sqzi_arena_take(arena, l->n, sizeof *l->tried_gradient);
    l->way = sqzi_arena_take(arena, l->n, sizeof *l->way);
    l->scaled = sqzi_arena_take(arena, l->n, sizeof *l->scaled);
}

sqz_status sqzi_lbfgs_open(const sqz_allocator *allocator, size_t n, sqzi_lbfgs *l,
                           sqz_error *error)
{
    *l = (sqzi_lbfgs){.allocator = allocator, .n = n};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(l, &arena);
    l->block = sqzi_allocate(allocator, arena.used);
    if (!l->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes of a fit", arena.used);
    l->bytes = arena.used;
    arena = sqzi_arena_over(l->block, l->bytes);
    lay_out(l, &arena);
    return SQZ_OK;
}

void sqzi_lbfgs_close(sqzi_lbfgs *l)
{
    if (l->allocator) sqzi_release(l->allocator, l->block, l->bytes);
    *l = (sqzi_lbfgs){0};
}

void sqzi_lbfgs_forget(sqzi_lbfgs *l)
{
    l->stored = l->next = 0;
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void add(double *to, double factor, const double *what, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] += factor * what[i];
}

static double largest(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

/* way = H0 way, H0 the given scale times what makes it fit the last pair. */
static void scale_way(sqzi_lbfgs *l, const sqzi_objective *o)
{
    const size_t n = l->n;
    double factor = 1;
    if (l->stored) {
        const uint32_t at = (l->next + SQZI_LBFGS_PAIRS - 1) % SQZI_LBFGS_PAIRS;
        const double *y = l->y + at * n;
        memcpy(l->scaled, y, n * sizeof *y);
        if (o->scale) o->scale(o->user, l->scaled);
        factor = 1 / (l->inverse[at] * dot(y, l->scaled, n));
    }
    if (o->scale) o->scale(o->user, l->way);
    for (size_t i = 0; i < n; i++) l->way[i] *= factor;
}

/* way = -H gradient; the slope along it comes back. */
static double find_way(sqzi_lbfgs *l, const sqzi_objective *o)
{
    double alpha[SQZI_LBFGS_PAIRS];
    const size_t n = l->n;
    for (size_t i = 0; i < n; i++) l->way[i] = -l->gradient[i];
    for (uint32_t k = 0; k < l->stored; k++) {
        const uint32_t at = (l->next + SQZI_LBFGS_PAIRS - 1 - k) % SQZI_LBFGS_PAIRS;
        alpha[at] = l->inverse[at] * dot(l->s + at * n, l->way, n);
        add(l->way, -alpha[at], l->y + at * n, n);
    }
    scale_way(l, o);
    for (uint32_t k = l->stored; k-- > 0;) {
        const uint32_t at = (l->next + SQZI_LBFGS_PAIRS - 1 - k) % SQZI_LBFGS_PAIRS;
        add(l->way, alpha[at] - l->inverse[at] * dot(l->y + at * n, l->way, n), l->s + at * n, n);
    }
    return dot(l->way, l->gradient, n);
}

/* A point along the way: its length, value and slope. */
typedef struct point {
    double at, value, slope;
} point;

static point look(sqzi_lbfgs *l, const sqzi_objective *o, const double *w, double at)
{
    memcpy(l->tried, w, l->n * sizeof *w);
    add(l->tried, at, l->way, l->n);
    const double value = o->value(o->user, l->tried, l->tried_gradient);
    return (point){at, value, dot(l->way, l->tried_gradient, l->n)};
}

/* The next length: where the slopes' straight line is 0, well inside what brackets it. */
static double next_length(const point *low, const point *high)
{
    const double secant = low->at - low->slope * (high->at - low->at) / (high->slope - low->slope),
                 width = high->at - low->at;
    if (!(secant > low->at + 0.05 * width)) return low->at + 0.05 * width;
    if (!(secant < high->at - 0.05 * width)) return high->at - 0.05 * width;
    return secant;
}

/* tried and tried_gradient are of the point that comes back; false: there is none. */
static bool search(sqzi_lbfgs *l, const sqzi_objective *o, const double *w, double value,
                   double slope, double first, point *found)
{
    const double most = value + o->noise * fabs(value);
    point low = {0, value, slope}, high = {HUGE_VAL, 0, 0};
    double at = first;
    for (int i = 0; i < MOST_TRIES; i++) {
        const point p = *found = look(l, o, w, at);
        const bool finite = isfinite(p.value) && isfinite(p.slope);
        if (finite && p.value <= most && p.slope >= 0.9 * slope && p.slope <= -0.8 * slope)
            return true;
        if (finite && p.slope < 0 && p.value <= most) {
            low = p;
            at = isfinite(high.at) ? next_length(&low, &high) : 3 * at;
        } else {
            high = p;
            at = finite && p.slope > 0 ? next_length(&low, &high) : low.at + 0.2 * (at - low.at);
        }
    }
    return false;
}

/* The differences of a step, where the function is curved along it. */
static void keep_pair(sqzi_lbfgs *l, const double *w)
{
    const size_t n = l->n;
    double *s = l->s + l->next * n, *y = l->y + l->next * n;
    for (size_t i = 0; i < n; i++) {
        s[i] = l->tried[i] - w[i];
        y[i] = l->tried_gradient[i] - l->gradient[i];
    }
    const double curvature = dot(s, y, n);
    if (!(curvature > 0x1p-52 * dot(y, y, n))) {
        if (l->stored == SQZI_LBFGS_PAIRS) l->stored--; /* its place was the oldest one's */
        return;
    }
    l->inverse[l->next] = 1 / curvature;
    l->next = (l->next + 1) % SQZI_LBFGS_PAIRS;
    if (l->stored < SQZI_LBFGS_PAIRS) l->stored++;
}

/* One step; false: none goes down. */
static bool step(sqzi_lbfgs *l, const sqzi_objective *o, double *w, double *value)
{
    point p;
    for (int again = 0; again < 2; again++) {
        const double slope = find_way(l, o);
        const double first = l->stored || o->scale ? 1 : fmin(1, 1 / sqrt(-slope));
        if (slope < 0 && search(l, o, w, *value, slope, first, &p)) {
            keep_pair(l, w);
            memcpy(w, l->tried, l->n * sizeof *w);
            memcpy(l->gradient, l->tried_gradient, l->n * sizeof *w);
            *value = p.value;
            return true;
        }
        if (!l->stored) break;
        sqzi_lbfgs_forget(l);
    }
    return false;
}

sqzi_lbfgs_result sqzi_lbfgs_run(sqzi_lbfgs *l, const sqzi_objective *o, double *w)
{
    sqzi_lbfgs_result r = {.value = o->value(o->user, w, l->gradient)};
    for (;;) {
        r.gradient = largest(l->gradient, l->n);
        r.end = r.gradient <= o->tolerance                      ? SQZI_LBFGS_CONVERGED
                : r.steps == o->max_steps                       ? SQZI_LBFGS_STEPS
                : r.steps && o->go_on && !o->go_on(o->user, &r) ? SQZI_LBFGS_STOPPED
                : !step(l, o, w, &r.value)                      ? SQZI_LBFGS_STUCK
                                                                : SQZI_LBFGS_GOING;
        if (r.end != SQZI_LBFGS_GOING) return r;
        r.steps++;
    }
}
