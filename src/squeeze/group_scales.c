/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of groups and the scale that they share. The error of a step is a sum in f32 over 32
 * numbers in fixed lanes: the same bits everywhere. */
#include "squeeze/group_scales.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "io/packed_rows.h"

enum { GROUP = SQZI_PACKED_GROUP, LANES = 8, MOST_GROUPS = 1 << 11 };

/* One group, filled up with numbers of no weight. */
typedef struct group {
    float weights[GROUP], variance[GROUP];
} group;

typedef struct levels {
    float lowest, step, n, most; /* levels, and the largest multiplier */
} levels;

static levels levels_of(uint32_t bits)
{
    return (levels){(float)sqzi_packed_lowest(bits), (float)sqzi_packed_step(bits),
                    (float)(1u << bits), (float)sqzi_packed_most(bits)};
}

/* The sum of v (w - step level)^2, each to its nearest level. Adding 2^23 rounds to an integer. */
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
            sums[j] += g->variance[i + j] * off * off;
        }
    for (size_t j = 1; j < LANES; j++) sums[0] += sums[j];
    return sums[0];
}

/* A row, and the powers of two that bring its numbers and variances to about 1, so that no square
 * overflows. */
typedef struct row {
    const float *weights, *variance;
    size_t n;
    float by, variance_by;
} row;

static float power_to_one(const float *x, size_t n)
{
    float most = 0;
    int exponent;
    for (size_t i = 0; x && i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    (void)frexpf(most, &exponent);
    return ldexpf(1, exponent < -100 ? 100 : -exponent);
}

static void take_group(const row *r, size_t index, group *g)
{
    const size_t first = index * GROUP, count = r->n - first < GROUP ? r->n - first : GROUP;
    memset(g, 0, sizeof *g);
    for (size_t i = 0; i < count; i++) {
        g->weights[i] = r->weights[first + i] * r->by;
        g->variance[i] = r->variance ? r->variance[first + i] * r->variance_by : 1;
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

/* The multiplier of a group whose best step is known, and its error. */
static float best_multiplier(const levels *l, const group *g, float scale, float step, uint8_t *m)
{
    const float middle = rintf(step / scale);
    float least = INFINITY;
    for (float i = middle - 1; i <= middle + 1; i++) {
        const float tried = i < 1         ? 1
                            : i > l->most ? l->most
                                          : i,
                    error = error_of(l, g, scale * tried);
        if (error < least) {
            least = error;
            *m = (uint8_t)tried;
        }
    }
    return least;
}

/* The multipliers of a row for a scale, and the error with them. */
static float choose_multipliers(const levels *l, const row *r, float scale, const float *steps,
                                uint8_t *multipliers)
{
    float error = 0;
    group g;
    for (size_t i = 0; i < sqzi_packed_groups(r->n); i++) {
        take_group(r, i, &g);
        error += best_multiplier(l, &g, scale, steps[i], &multipliers[i]);
    }
    return error;
}

float sqzi_group_scales(uint32_t bits, const float *weights, const float *variance, size_t n,
                        uint8_t *multipliers)
{
    /* of the largest multiplier, what is left above the group that needs most */
    static const float rooms[] = {1, 1.1f, 1.25f, 1.4f};
    if (bits == 8) return sqzi_s8_scale(weights, n);
    const levels l = levels_of(bits);
    const row r = {weights, variance, n, power_to_one(weights, n), power_to_one(variance, n)};
    const size_t groups = sqzi_packed_groups(n);
    float steps[MOST_GROUPS], widest = 0, scale = 0, least = INFINITY;
    group g;
    assert(groups <= MOST_GROUPS);
    for (size_t i = 0; i < groups; i++) {
        take_group(&r, i, &g);
        steps[i] = best_step(&l, &g);
        widest = steps[i] > widest ? steps[i] : widest;
    }
    memset(multipliers, 1, groups);
    if (!(widest > 0)) return 0;
    for (size_t k = 0; k < sizeof rooms / sizeof *rooms; k++) {
        const float tried = widest * rooms[k] / l.most,
                    error = choose_multipliers(&l, &r, tried, steps, multipliers);
        if (error < least) {
            least = error;
            scale = tried;
        }
    }
    (void)choose_multipliers(&l, &r, scale, steps, multipliers);
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
