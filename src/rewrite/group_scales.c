/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of groups and the scale that they share. The kernel has the error of many steps at once, in
 * the same bits everywhere. */
#include "rewrite/group_scales.h"

#include <assert.h>
#include <math.h>

#include "io/packed_rows.h"
#include "kernel/optim/optim_table.h"

enum {
    GROUP = SQZI_PACKED_GROUP,
    LANES = SQZK_GROUP_LANES,
    STEPS = SQZK_GROUP_STEPS,
    MOST_GROUPS = (1 << 16) / GROUP
};

/* The widest group's multiplier is the largest one divided by this, so that there are as many steps
 * above its own as it takes to meet it. */
static const float room = 1.25f;

/* A row, and what its groups have in common. */
typedef struct row {
    const float *weights;
    size_t n, groups;
    sqzk_optim_table kernels;
    sqzk_group levels;
    float by;                /* the power of two that brings the weights to about 1: no square
                              * overflows */
    float most[MOST_GROUPS]; /* of |weights * by| of each group */
} row;

/* A maximum in lanes is a vector's. */
static float most_of(const float *x, size_t n)
{
    float lanes[LANES] = {0}, most = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            const float size = fabsf(x[i + j]);
            lanes[j] = size > lanes[j] ? size : lanes[j];
        }
    for (; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    for (size_t j = 0; j < LANES; j++) most = lanes[j] > most ? lanes[j] : most;
    return most;
}

static size_t weights_of(const row *r, size_t group)
{
    return r->n - group * GROUP < GROUP ? r->n - group * GROUP : GROUP;
}

static void look_at(row *r)
{
    float most = 0;
    int exponent;
    for (size_t g = 0; g < r->groups; g++) {
        r->most[g] = most_of(r->weights + g * GROUP, weights_of(r, g));
        most = r->most[g] > most ? r->most[g] : most;
    }
    (void)frexpf(most, &exponent);
    r->by = ldexpf(1, exponent < -100 ? 100 : -exponent);
    for (size_t g = 0; g < r->groups; g++) r->most[g] *= r->by;
}

/* The step that cuts nothing off; 0 of zeros. */
static float widest_step(const row *r, size_t group)
{
    return r->most[group] / (r->levels.lowest + r->levels.step * r->levels.top);
}

/* A group, its weights in memory of the caller's. */
static sqzk_group take_group(const row *r, size_t index, float weights[GROUP])
{
    sqzk_group g = r->levels;
    g.weights = weights;
    g.n = weights_of(r, index);
    for (size_t i = 0; i < g.n; i++) weights[i] = r->weights[index * GROUP + i] * r->by;
    return g;
}

/* The first step of the least error. */
static uint32_t first_least(const float errors[STEPS])
{
    float four[4], least;
    uint32_t first = 0;
    for (size_t j = 0; j < 4; j++) {
        four[j] = errors[j];
        for (size_t i = j + 4; i < STEPS; i += 4)
            four[j] = errors[i] < four[j] ? errors[i] : four[j];
    }
    least = four[0] < four[1] ? four[0] : four[1];
    least = four[2] < least ? four[2] : least;
    least = four[3] < least ? four[3] : least;
    while (first + 1 < STEPS && errors[first] > least) first++;
    return first;
}

/* The best of some steps, from the widest down to half of it. */
static float best_step(const row *r, size_t index)
{
    const float widest = widest_step(r, index);
    float weights[GROUP], steps[STEPS], errors[STEPS];
    const sqzk_group g = take_group(r, index, weights);
    for (int i = 0; i < STEPS; i++) steps[i] = widest * (1 - (float)i / (2 * STEPS));
    r->kernels.group_errors(&g, steps, errors);
    return steps[first_least(errors)];
}

/* The largest of the groups' best steps: of groups that could raise it the widest first, and most
 * of the others cannot. */
static float largest_step(const row *r)
{
    float largest = 0;
    size_t first = 0;
    for (size_t g = 1; g < r->groups; g++)
        if (r->most[g] > r->most[first]) first = g;
    for (size_t i = 0; i < r->groups; i++) {
        const size_t g = (first + i) % r->groups;
        if (!(widest_step(r, g) > largest)) continue;
        const float step = best_step(r, g);
        largest = step > largest ? step : largest;
    }
    return largest;
}

/* Steps of all multipliers; behind the largest it stands again. */
typedef struct multiples {
    uint32_t most;
    float steps[48];
} multiples;

static multiples multiples_of(float scale, uint32_t most)
{
    multiples m = {.most = most};
    for (uint32_t i = 0; i < sizeof m.steps / sizeof *m.steps; i++)
        m.steps[i] = scale * (float)(i < most ? i + 1 : most);
    return m;
}

/* The first multiplier of the least error. */
static uint8_t best_multiplier(const row *r, size_t index, const multiples *all)
{
    float weights[GROUP], errors[STEPS], least = INFINITY;
    const sqzk_group g = take_group(r, index, weights);
    uint32_t best = 1;
    for (uint32_t m = 0; m < all->most; m += STEPS) {
        r->kernels.group_errors(&g, all->steps + m, errors);
        const uint32_t i = first_least(errors);
        if (!(errors[i] < least)) continue;
        least = errors[i];
        best = m + i + 1;
    }
    return (uint8_t)best;
}

float sqzi_group_scales(uint32_t features, uint32_t bits, const float *weights, size_t n,
                        uint8_t *multipliers)
{
    if (bits == 8) return sqzi_s8_scale(weights, n);
    const uint32_t most = sqzi_packed_most(bits);
    row r;
    r.weights = weights;
    r.n = n;
    r.groups = sqzi_packed_groups(n);
    r.levels = (sqzk_group){.lowest = (float)sqzi_packed_lowest(bits),
                            .step = (float)sqzi_packed_step(bits),
                            .top = (float)((1u << bits) - 1)};
    assert(r.groups <= MOST_GROUPS);
    sqzk_optim_table_init(&r.kernels, features);
    look_at(&r);
    const float scale = largest_step(&r) * room / (float)most;
    const multiples all = multiples_of(scale, most);
    for (size_t g = 0; g < r.groups; g++)
        multipliers[g] = scale > 0 ? best_multiplier(&r, g, &all) : 1;
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
