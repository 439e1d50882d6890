/* SPDX-License-Identifier: Apache-2.0 */
/* The optimiser's kernels, by every level of this CPU: the bits of a plain loop of what
 * optim_table.h writes, at every length around a vector, with whatever numbers come; nothing read
 * or written elsewhere. */
#include "kernel/optim/optim_table.h"

#include "support/guarded.h"
#include "support/random.h"
#include "support/row_levels.h"
#include "support/test.h"

enum { ARRAYS = 4, MOST = 70 }; /* w, m, v, the gradient */

/* Numbers of ordinary size; some are 0, subnormal, large or not finite. v is no less than 0. */
static void fill(float *x, size_t n, size_t array, sqzt_random *random)
{
    static const float special[] = {0, -0.0f, 1e-40f, 1e-22f, 1e19f, INFINITY, NAN};
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)sqzt_normal(random);
        if (sqzt_below(random, 6) == 0)
            x[i] = special[sqzt_below(random, sizeof special / sizeof *special)];
        if (array == 2) x[i] = fabsf(x[i]);
    }
}

/* Every operation is rounded to float: volatile keeps the compiler from doing two at once. */
static void expect_adamw(const sqzk_adamw_args *a, size_t i, const float *before)
{
    const volatile float g = a->scale * a->gradient[i], kept = before[0] * a->keep;
    const volatile float off = g - before[1], moved = off * a->one_minus_beta1,
                         mean = before[1] + moved, old = before[2] * a->beta2, square = g * g,
                         part = square * a->one_minus_beta2, v = old + part, root = sqrtf(v),
                         corrected = root / a->correction, divisor = corrected + a->epsilon,
                         quotient = mean / divisor, step = a->step * quotient, w = kept - step;
    const float wanted[] = {w, mean, v}, found[] = {a->w[i], a->m[i], a->v[i]};
    for (size_t k = 0; k < 3; k++)
        if (isnan(wanted[k]) ? !isnan(found[k])
                             : memcmp(&wanted[k], &found[k], sizeof *wanted) != 0)
            fail_msg("number %zu of %zu, array %zu: %.9g, %.9g was wanted", i, a->n, k,
                     (double)found[k], (double)wanted[k]);
}

static void check_adamw(const sqzk_optim_table *kernels, size_t n, sqzt_random *random)
{
    sqzt_guarded array[ARRAYS];
    float before[ARRAYS - 1][MOST], copy[MOST];
    for (size_t k = 0; k < ARRAYS; k++) {
        array[k] = sqzt_guarded_open(n * sizeof(float));
        fill(array[k].p, n, k, random);
        if (k + 1 < ARRAYS) memcpy(before[k], array[k].p, n * sizeof(float));
        else memcpy(copy, array[k].p, n * sizeof(float));
    }
    const sqzk_adamw_args args = {.n = n,
                                  .w = array[0].p,
                                  .m = array[1].p,
                                  .v = array[2].p,
                                  .gradient = array[3].p,
                                  .scale = 0.37f,
                                  .keep = 0.999f,
                                  .one_minus_beta1 = 0.1f,
                                  .beta2 = 0.999f,
                                  .one_minus_beta2 = 0.001f,
                                  .step = 0.011f,
                                  .correction = 0.3f,
                                  .epsilon = 1e-6f};
    kernels->adamw(&args);
    for (size_t i = 0; i < n; i++)
        expect_adamw(&args, i, (const float[]){before[0][i], before[1][i], before[2][i]});
    assert_memory_equal(copy, array[3].p, n * sizeof(float));
    for (size_t k = 0; k < ARRAYS; k++) sqzt_guarded_close(&array[k]);
}

static void every_level_takes_the_step_to_the_bit(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);) {
        sqzk_optim_table kernels;
        sqzt_random random = sqzt_random_of(7);
        sqzk_optim_table_init(&kernels, l.features);
        assert_string_equal(kernels.level, l.name);
        for (size_t n = 1; n <= MOST; n++)
            for (size_t times = 0; times < 8; times++) check_adamw(&kernels, n, &random);
    }
}

static void check_squares(const sqzk_optim_table *kernels, size_t n, sqzt_random *random)
{
    sqzt_guarded x = sqzt_guarded_open(n * sizeof(float));
    double lane[SQZK_SQUARES_LANES] = {0}, sum = 0;
    float *numbers = x.p;
    for (size_t i = 0; i < n; i++) numbers[i] = (float)(1e3 * sqzt_normal(random));
    for (size_t i = 0; i < n; i++) {
        const volatile double square = (double)numbers[i] * (double)numbers[i];
        lane[i % SQZK_SQUARES_LANES] += square;
    }
    for (size_t i = 0; i < SQZK_SQUARES_LANES; i++) sum += lane[i];
    const double found = kernels->squares(numbers, n);
    if (memcmp(&found, &sum, sizeof sum) != 0)
        fail_msg("%s, %zu numbers: %.17g, %.17g was wanted", kernels->level, n, found, sum);
    sqzt_guarded_close(&x);
}

static void squares_are_added_lane_by_lane(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);) {
        sqzk_optim_table kernels;
        sqzt_random random = sqzt_random_of(9);
        sqzk_optim_table_init(&kernels, l.features);
        for (size_t n = 1; n <= 300; n++) check_squares(&kernels, n, &random);
        check_squares(&kernels, 4096, &random);
    }
}

/* The definition, each operation rounded to float. */
static float group_error(const sqzk_group *g, float step)
{
    const volatile float width = step * g->step, inverse = 1 / width, zero = -g->lowest / g->step;
    volatile float sum = 0;
    for (size_t lane = 0; lane < SQZK_GROUP_LANES; lane++) {
        volatile float of_lane = 0;
        for (size_t i = lane; i < g->n; i += SQZK_GROUP_LANES) {
            const volatile float scaled = g->weights[i] * inverse, at = scaled + zero,
                                 code = rintf(fminf(fmaxf(at, 0), g->top)),
                                 meant = g->lowest + g->step * code, near = step * meant,
                                 off = g->weights[i] - near, square = off * off;
            of_lane += square;
        }
        sum += of_lane;
    }
    return sum;
}

/* Of 4, 3 and 2 bits; weights and steps of one size, halves of a step among them. */
static void check_group(const sqzk_optim_table *kernels, size_t n, sqzt_random *random)
{
    static const sqzk_group forms[] = {{.lowest = -8, .step = 1, .top = 15},
                                       {.lowest = -4, .step = 1, .top = 7},
                                       {.lowest = -3, .step = 2, .top = 3}};
    sqzk_group g = forms[sqzt_below(random, 3)];
    sqzt_guarded weights = sqzt_guarded_open(n * sizeof(float)),
                 steps = sqzt_guarded_open(SQZK_GROUP_STEPS * sizeof(float)),
                 errors = sqzt_guarded_open(SQZK_GROUP_STEPS * sizeof(float));
    const float *step = steps.p, *found = errors.p;
    for (size_t i = 0; i < n; i++)
        ((float *)weights.p)[i] = sqzt_below(random, 4) ? (float)sqzt_normal(random)
                                                        : 0.125f * (float)sqzt_below(random, 9);
    for (size_t t = 0; t < SQZK_GROUP_STEPS; t++)
        ((float *)steps.p)[t] = t ? (float)(0.01 + sqzt_uniform(random)) : 0.25f;
    g.weights = weights.p;
    g.n = n;
    kernels->group_errors(&g, step, errors.p);
    for (size_t t = 0; t < SQZK_GROUP_STEPS; t++)
        if (found[t] != group_error(&g, step[t]))
            fail_msg("%s, %zu weights, step %.9g: %.9g, %.9g was wanted", kernels->level, n,
                     (double)step[t], (double)found[t], (double)group_error(&g, step[t]));
    sqzt_guarded_close(&weights);
    sqzt_guarded_close(&steps);
    sqzt_guarded_close(&errors);
}

static void errors_of_a_group_are_added_lane_by_lane(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);) {
        sqzk_optim_table kernels;
        sqzt_random random = sqzt_random_of(11);
        sqzk_optim_table_init(&kernels, l.features);
        for (size_t n = 1; n <= 32; n++)
            for (size_t times = 0; times < 12; times++) check_group(&kernels, n, &random);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_takes_the_step_to_the_bit),
        cmocka_unit_test(squares_are_added_lane_by_lane),
        cmocka_unit_test(errors_of_a_group_are_added_lane_by_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
