/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of groups and the scale that they share. The error of a step is a sum in f32 over 32
 * numbers in fixed lanes: the same bits everywhere. */
#include "rewrite/group_scales.h"

#include <math.h>
#include <string.h>

#include "io/packed_rows.h"

enum { GROUP = SQZI_PACKED_GROUP, LANES = 8 };

/* The widest group's multiplier is the largest one divided by this, so that there are as many steps
 * above its own as it takes to meet it. */
static const float room = 1.25f;

/* One group, filled up with numbers that count nothing: there is 1 or 0. */
typedef struct group {
    float weights[GROUP], there[GROUP];
} group;

typedef struct levels {
    float lowest, step, n, most; /* levels, and the largest multiplier */
} levels;

static levels levels_of(uint32_t bits)
{
    return (levels){(float)sqzi_packed_lowest(bits), (float)sqzi_packed_step(bits),
                    (float)(1u << bits), (float)sqzi_packed_most(bits)};
}

/* Add (w - step level)^2 of half a group, each to its nearest level. Adding 2^23 rounds to an
 * integer. */
static inline void add_errors(const levels *l, const float *weights, const float *there, float step,
                              float sums[LANES])
{
    const float inverse = 1 / (step * l->step), zero = -l->lowest / l->step, top = l->n - 1;
    for (size_t i = 0; i < GROUP / 2; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            float code = weights[i + j] * inverse + zero;
            code = code < 0 ? 0 : code;
            code = code > top ? top : code;
            code = (code + 0x1p23f) - 0x1p23f;
            const float off = weights[i + j] - step * (l->lowest + l->step * code);
            sums[j] += there[i + j] * off * off;
        }
}

static inline float sum_of(const float sums[LANES])
{
    float sum = sums[0];
    for (size_t j = 1; j < LANES; j++) sum += sums[j];
    return sum;
}

/* The sum over a group, or, where half of it reaches `enough`, that. */
static float error_of(const levels *l, const group *g, float step, float enough)
{
    float sums[LANES] = {0};
    add_errors(l, g->weights, g->there, step, sums);
    const float half = sum_of(sums);
    if (half >= enough) return half;
    add_errors(l, g->weights + GROUP / 2, g->there + GROUP / 2, step, sums);
    return sum_of(sums);
}

/* A row, and the power of two that brings its numbers to about 1, so that no square overflows. */
typedef struct row {
    const float *weights;
    size_t n;
    float by;
} row;

static float power_to_one(const float *x, size_t n)
{
    float most = 0;
    int exponent;
    for (size_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    (void)frexpf(most, &exponent);
    return ldexpf(1, exponent < -100 ? 100 : -exponent);
}

static void take_group(const row *r, size_t index, group *g)
{
    const size_t first = index * GROUP, count = r->n - first < GROUP ? r->n - first : GROUP;
    memset(g, 0, sizeof *g);
    for (size_t i = 0; i < count; i++) {
        g->weights[i] = r->weights[first + i] * r->by;
        g->there[i] = 1;
    }
}

static float most_of(const group *g)
{
    float most = 0;
    for (size_t i = 0; i < GROUP; i++)
        most = fabsf(g->weights[i]) > most ? fabsf(g->weights[i]) : most;
    return most;
}

/* The step that cuts nothing off; 0 of zeros. */
static float widest_step(const levels *l, const group *g)
{
    return most_of(g) / (l->lowest + l->step * (l->n - 1));
}

/* The best of some steps, from the widest down to half of it. */
static float best_step(const levels *l, const group *g, float widest)
{
    enum { STEPS = 16 };
    float best = 0, least = INFINITY;
    for (int i = 0; i < STEPS; i++) {
        const float step = widest * (1 - (float)i / (2 * STEPS)),
                    error = error_of(l, g, step, least);
        if (error < least) {
            least = error;
            best = step;
        }
    }
    return best;
}

/* The largest of the groups' best steps: of groups that could raise it the widest first, and most
 * of the others cannot. */
static float largest_step(const levels *l, const row *r, size_t groups)
{
    float widest = 0, largest = 0;
    size_t first = 0;
    group g;
    for (size_t i = 0; i < groups; i++) {
        take_group(r, i, &g);
        const float step = widest_step(l, &g);
        if (step > widest) {
            widest = step;
            first = i;
        }
    }
    for (size_t i = 0; i < groups; i++) {
        take_group(r, (first + i) % groups, &g);
        widest = widest_step(l, &g);
        if (!(widest > largest)) continue;
        const float step = best_step(l, &g, widest);
        largest = step > largest ? step : largest;
    }
    return largest;
}

/* What this multiplier cuts off the largest weight is an error that all smaller ones make as well,
 * above `least` by far more than any rounding. */
static bool cuts_too_much(const levels *l, float most, float step, float least)
{
    const float cut = most - step * (l->lowest < 0 ? -l->lowest : l->lowest);
    return cut > 0 && cut * cut > 1.01f * least;
}

/* The first multiplier of the least error, looked for from near the widest step on. */
static uint8_t best_multiplier(const levels *l, const group *g, float scale)
{
    const float most = most_of(g), wanted = 0.8f * widest_step(l, g) / scale;
    const uint32_t top = (uint32_t)l->most, middle = wanted < 1         ? 1
                                                     : wanted > l->most ? top
                                                                        : (uint32_t)wanted;
    uint32_t best = middle;
    float least = error_of(l, g, scale * (float)middle, INFINITY);
    for (uint32_t m = middle + 1; m <= top; m++) {
        const float error = error_of(l, g, scale * (float)m, least);
        if (error < least) {
            least = error;
            best = m;
        }
    }
    for (uint32_t m = middle - 1; m > 0 && !cuts_too_much(l, most, scale * (float)m, least); m--) {
        const float error = error_of(l, g, scale * (float)m, INFINITY);
        if (error <= least) {
            least = error;
            best = m;
        }
    }
    return (uint8_t)best;
}

float sqzi_group_scales(uint32_t bits, const float *weights, size_t n, uint8_t *multipliers)
{
    if (bits == 8) return sqzi_s8_scale(weights, n);
    const levels l = levels_of(bits);
    const row r = {weights, n, power_to_one(weights, n)};
    const size_t groups = sqzi_packed_groups(n);
    const float scale = largest_step(&l, &r, groups) * room / l.most;
    group g;
    for (size_t i = 0; i < groups; i++) {
        take_group(&r, i, &g);
        multipliers[i] = scale > 0 ? best_multiplier(&l, &g, scale) : 1;
    }
    return scale / r.by;
}

int sqzi_nearest_integer(uint32_t bits, double x, uint32_t m)
{
    if (bits == 8) {
        const double steps = rint(x);
        return (int)(steps > 127 ? 127 : steps < -127 ? -127 : steps);
    }
    const double lowest = sqzi_packed_lowest(bits), step = sqzi_packed_step(bits),
                 top = (double)((1u << bits) - 1);
    double code = rint((x / m - lowest) / step);
    code = code > top ? top : code < 0 ? 0 : code;
    return (int)(m * (lowest + step * code));
}

void sqzi_integer_row(uint32_t bits, const float *weights, size_t n, float scale,
                      const uint8_t *multipliers, int8_t *integers, sqzi_rounding_error *error)
{
    if (bits == 8) {
        sqzi_s8_row(weights, n, scale, integers, error);
        return;
    }
    const double inverse = scale > 0 ? 1 / (double)scale : 0;
    for (size_t i = 0; i < n; i++)
        integers[i] = (int8_t)sqzi_nearest_integer(bits, (double)weights[i] * inverse,
                                                   multipliers[i / GROUP]);
    sqzi_s8_row_error(weights, n, scale, integers, error);
}
