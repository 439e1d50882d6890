/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of groups and the scale that they share. The error of a step is a sum in f32 over 32
 * numbers in fixed lanes: the same bits everywhere. */
#include "squeeze/group_scales.h"

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

/* The sum of (w - step level)^2, each to its nearest level. Adding 2^23 rounds to an integer. */
static float error_of(const levels *l, const group *g, float step)
{
    const float inverse = 1 / (step * l->step), zero = -l->lowest / l->step, top = l->n - 1;
    float sums[LANES] = {0};
    for (size_t i = 0; i < GROUP; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            float code = g->weights[i + j] * inverse + zero;
            code = code < 0 ? 0 : code;
            code = code > top ? top : code;
            code = (code + 0x1p23f) - 0x1p23f;
            const float off = g->weights[i + j] - step * (l->lowest + l->step * code);
            sums[j] += g->there[i + j] * off * off;
        }
    for (size_t j = 1; j < LANES; j++) sums[0] += sums[j];
    return sums[0];
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

/* The best of some steps, from one that cuts nothing off down to half of it; 0 of zeros. */
static float best_step(const levels *l, const group *g)
{
    enum { STEPS = 16 };
    float most = 0, best = 0, least = INFINITY;
    for (size_t i = 0; i < GROUP; i++)
        most = fabsf(g->weights[i]) > most ? fabsf(g->weights[i]) : most;
    const float widest = most / (l->lowest + l->step * (l->n - 1));
    if (!(widest > 0)) return 0;
    for (int i = 0; i < STEPS; i++) {
        const float step = widest * (1 - (float)i / (2 * STEPS)), error = error_of(l, g, step);
        if (error < least) {
            least = error;
            best = step;
        }
    }
    return best;
}

static uint8_t best_multiplier(const levels *l, const group *g, float scale)
{
    float least = INFINITY;
    uint8_t best = 1;
    for (float m = 1; m <= l->most; m++) {
        const float error = error_of(l, g, scale * m);
        if (error < least) {
            least = error;
            best = (uint8_t)m;
        }
    }
    return best;
}

float sqzi_group_scales(uint32_t bits, const float *weights, size_t n, uint8_t *multipliers)
{
    if (bits == 8) return sqzi_s8_scale(weights, n);
    const levels l = levels_of(bits);
    const row r = {weights, n, power_to_one(weights, n)};
    const size_t groups = sqzi_packed_groups(n);
    float widest = 0;
    group g;
    for (size_t i = 0; i < groups; i++) {
        take_group(&r, i, &g);
        const float step = best_step(&l, &g);
        widest = step > widest ? step : widest;
        multipliers[i] = 1;
    }
    const float scale = widest * room / l.most;
    for (size_t i = 0; i < groups && scale > 0; i++) {
        take_group(&r, i, &g);
        multipliers[i] = best_multiplier(&l, &g, scale);
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
