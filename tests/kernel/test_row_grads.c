/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels of gradients on every level of this machine: those that only add and choose have
 * the portable kernels' bits, the others keep bounds from their roundings against double. Odd
 * lengths and strides, rows that end at unreadable pages, the same bits wherever a row stands and
 * in place. */
#include "kernel/grad/grad_table.h"

#include <math.h>
#include <stdio.h>

#include "support/guarded.h"
#include "support/random.h"
#include "support/row_levels.h"
#include "support/test.h"

static const double u = 0x1p-24;
static const size_t lengths[] = {1,  2,  3,  7,   8,   9,   15,  16,  17,  31,  32,  33,  47,
                                 63, 64, 65, 127, 128, 192, 300, 384, 511, 512, 768, 1000};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* The gradients' kernels of a level in turn, and its own for the forward. */
static bool next_grads(uint32_t *i, level *l, sqzk_grad_table *grads)
{
    if (!next_level(i, l)) return false;
    sqzk_grad_table_init(grads, l->features);
    assert_string_equal(grads->rows_level, l->name);
    return true;
}

static void expect_nans(const float *x, size_t n, size_t ld)
{
    for (size_t r = 0; r + 1 < ROWS; r++)
        for (size_t j = n; j < ld; j++) assert_true(isnan(x[r * ld + j]));
}

/* What rounding may do to a row's numbers: to x^ by mean and scale, to sums of n numbers by n
 * additions. */
static void check_norm_row(const level *l, const sqzk_layer_norm_grad_args *args, const float *x,
                           const float *dy, const float *dx)
{
    const double n = (double)args->n, roundings = (n + 8) * u;
    double mean = 0, size = 0, variance = 0, sum = 0, with = 0, sizes = 0, with_sizes = 0;
    for (size_t j = 0; j < args->n; j++) mean += (double)x[j] / n, size += fabs((double)x[j]) / n;
    for (size_t j = 0; j < args->n; j++)
        variance += ((double)x[j] - mean) * ((double)x[j] - mean) / n;
    const double scale = 1 / sqrt(variance + (double)args->epsilon), off = scale * roundings * size;
    for (size_t j = 0; j < args->n; j++) {
        const double g = (double)dy[j] * (double)args->weight[j],
                     normed = ((double)x[j] - mean) * scale;
        sum += g / n;
        with += g * normed / n;
        sizes += fabs(g) / n;
        with_sizes += fabs(g) * (fabs(normed) + off) / n;
    }
    for (size_t j = 0; j < args->n; j++) {
        const double g = (double)dy[j] * (double)args->weight[j],
                     normed = ((double)x[j] - mean) * scale,
                     wanted = scale * (g - sum - normed * with);
        const double bound = scale * (roundings * (fabs(g) + 2 * sizes) +
                                      3 * roundings * (fabs(normed) + off) * with_sizes +
                                      off * (fabs(with) + fabs(normed) * sizes + with_sizes)) +
                             2 * roundings * fabs(wanted);
        if (!(fabs((double)dx[j] - wanted) <= bound))
            fail_msg("layer_norm_grad %s, n %zu: [%zu] is %.9g, %.9g +- %.3g expected", l->name,
                     args->n, j, (double)dx[j], wanted, bound);
    }
}

/* d weight and d bias of the rows, each a chain over them. */
static void check_norm_sums(const level *l, const sqzk_layer_norm_grad_args *args)
{
    const double n = (double)args->n;
    for (size_t j = 0; j < args->n; j++) {
        double d_weight = 0, d_bias = 0, bound = 0, bias_bound = 0;
        for (size_t r = 0; r < args->m; r++) {
            const float *x = args->x + r * args->ldx;
            const double dy = (double)args->dy[r * args->lddy + j];
            double mean = 0, size = 0, variance = 0;
            for (size_t i = 0; i < args->n; i++)
                mean += (double)x[i] / n, size += fabs((double)x[i]) / n;
            for (size_t i = 0; i < args->n; i++)
                variance += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
            const double scale = 1 / sqrt(variance + (double)args->epsilon),
                         normed = ((double)x[j] - mean) * scale;
            d_weight += dy * normed;
            d_bias += dy;
            bound += (n + 12) * u * fabs(dy) * (fabs(normed) + scale * size);
            bias_bound += 3 * u * fabs(dy);
        }
        if (!(fabs((double)args->d_weight[j] - d_weight) <= 1.05 * bound &&
              fabs((double)args->d_bias[j] - d_bias) <= bias_bound))
            fail_msg("layer_norm_grad %s, n %zu: d weight [%zu] is %.9g, d bias %.9g; %.9g +- %.3g "
                     "and %.9g expected",
                     l->name, args->n, j, (double)args->d_weight[j], (double)args->d_bias[j],
                     d_weight, bound, d_bias);
    }
}

static void layer_norm_grad_keeps_its_bound(void **state)
{
    (void)state;
    level l;
    sqzk_grad_table grads;
    for (uint32_t i = 0; next_grads(&i, &l, &grads);)
        for (size_t at = 0; at < N_LENGTHS; at++) {
            const size_t n = lengths[at], ldx = n + 3, lddy = n + 2, lddx = n + 1;
            sqzt_random random = sqzt_random_of(22 + n);
            sqzt_guarded x = rows_of(&random, n, ldx, at % 3 == 1 ? 100 : 0.5, 2),
                         dy = rows_of(&random, n, lddy, 0.1, 1),
                         dx = rows_of(&random, n, lddx, 0, 0),
                         weight = rows_of(&random, n, n, 1, 0.2),
                         sums = rows_of(&random, n, n, 9, 0);
            const sqzk_layer_norm_grad_args args = {.m = ROWS,
                                                    .n = n,
                                                    .x = x.p,
                                                    .ldx = ldx,
                                                    .weight = (float *)weight.p + (ROWS - 1) * n,
                                                    .epsilon = 1e-6f,
                                                    .dy = dy.p,
                                                    .lddy = lddy,
                                                    .dx = dx.p,
                                                    .lddx = lddx,
                                                    .d_weight = (float *)sums.p + n,
                                                    .d_bias = (float *)sums.p + 2 * n};
            grads.layer_norm_grad(&args);
            for (size_t r = 0; r < ROWS; r++)
                check_norm_row(&l, &args, args.x + r * ldx, args.dy + r * lddy, args.dx + r * lddx);
            check_norm_sums(&l, &args);
            expect_nans(dx.p, n, lddx);
            sqzk_layer_norm_grad_args alone = args; /* in place, nothing summed: the same bits */
            alone.m = 1;
            alone.x = args.x + ldx;
            alone.dy = alone.dx = (float *)dy.p + lddy;
            alone.d_weight = alone.d_bias = NULL;
            grads.layer_norm_grad(&alone);
            assert_memory_equal(alone.dx, args.dx + lddx, n * sizeof(float));
            sqzt_guarded *const all[] = {&x, &dy, &dx, &weight, &sums};
            for (size_t g = 0; g < sizeof all / sizeof *all; g++) sqzt_guarded_close(all[g]);
        }
}

/* A row of p: exponentials over their sum. */
static void make_softmax(float *p, size_t n)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += exp((double)p[j]);
    for (size_t j = 0; j < n; j++) p[j] = (float)(exp((double)p[j]) / sum);
}

static void drop_some(sqzt_random *random, const float *x, float *out, size_t n)
{
    for (size_t j = 0; j < n; j++) out[j] = sqzt_below(random, 4) == 0 ? 0 : x[j] * 1.25f;
}

static void check_softmax_row(const level *l, size_t n, const float *p, const float *q,
                              const float *dp, const float *add, const float *got)
{
    double sum = 0, size = 0;
    for (size_t j = 0; j < n; j++) {
        sum += (double)q[j] * (double)dp[j];
        size += fabs((double)q[j] * (double)dp[j]);
    }
    for (size_t j = 0; j < n; j++) {
        const double own = (double)p[j], kept = (double)q[j] * (double)dp[j],
                     more = add ? (double)add[j] : 0, wanted = 0.125 * (kept - own * sum + more);
        const double bound = 0.125 * (own * ((double)n + 4) * u * size +
                                      4 * u * (fabs(kept) + own * fabs(sum) + fabs(more)));
        if (!(fabs((double)got[j] - wanted) <= bound))
            fail_msg("softmax_grad %s, n %zu: [%zu] is %.9g, %.9g +- %.3g expected", l->name, n, j,
                     (double)got[j], wanted, bound);
    }
}

static void softmax_grad_keeps_its_bound(void **state)
{
    (void)state;
    level l;
    sqzk_grad_table grads;
    for (uint32_t i = 0; next_grads(&i, &l, &grads);)
        for (size_t at = 0; at < 4 * N_LENGTHS; at++) {
            const size_t n = lengths[at / 4], ldp = n + 1, lddp = n + 2, ldadd = n + 3;
            sqzt_random random = sqzt_random_of(23 + n);
            sqzt_guarded p = rows_of(&random, n, ldp, 0, 3), dp = rows_of(&random, n, lddp, 0, 1),
                         add = rows_of(&random, n, ldadd, 0, 1),
                         dropped = sqzt_guarded_open(p.bytes), before = sqzt_guarded_open(dp.bytes);
            for (size_t r = 0; r < ROWS; r++) make_softmax((float *)p.p + r * ldp, n);
            drop_some(&random, p.p, dropped.p, p.bytes / sizeof(float));
            memcpy(before.p, dp.p, dp.bytes);
            const sqzk_softmax_grad_args args = {.m = ROWS,
                                                 .n = n,
                                                 .p = p.p,
                                                 .dropped = at / 2 % 2 ? dropped.p : NULL,
                                                 .ldp = ldp,
                                                 .dp = dp.p,
                                                 .lddp = lddp,
                                                 .scale = 0.125f,
                                                 .add = at % 2 ? add.p : NULL,
                                                 .ldadd = ldadd};
            grads.softmax_grad(&args);
            const float *from = before.p, *q = args.dropped ? args.dropped : args.p;
            for (size_t r = 0; r < ROWS; r++)
                check_softmax_row(&l, n, args.p + r * ldp, q + r * ldp, from + r * lddp,
                                  args.add ? args.add + r * ldadd : NULL, args.dp + r * lddp);
            expect_nans(dp.p, n, lddp);
            sqzk_softmax_grad_args alone = args;
            alone.m = 1;
            alone.dp = (float *)before.p + lddp;
            alone.p += ldp;
            if (alone.dropped) alone.dropped += ldp;
            if (alone.add) alone.add += ldadd;
            grads.softmax_grad(&alone);
            assert_memory_equal(alone.dp, args.dp + lddp, n * sizeof(float));
            sqzt_guarded *const all[] = {&p, &dp, &add, &dropped, &before};
            for (size_t g = 0; g < sizeof all / sizeof *all; g++) sqzt_guarded_close(all[g]);
        }
}

static double exact_slope(sqzk_activation activation, bool of_outputs, double x)
{
    switch (activation) {
    case SQZK_IDENTITY: return 1;
    case SQZK_GELU:
        return 0.5 * erfc(-x * 0.70710678118654752440) +
               x * 0.39894228040143267794 * exp(-0.5 * x * x);
    case SQZK_GELU_TANH: {
        const double a = fmin(12, fmax(-12, x)),
                     t = tanh(0.79788456080286535588 * (a + 0.044715 * a * a * a));
        return 0.5 * (1 + t) +
               0.5 * a * (1 - t * t) * 0.79788456080286535588 * (1 + 3 * 0.044715 * a * a);
    }
    case SQZK_RELU: return x > 0;
    case SQZK_TANH: {
        const double y = of_outputs ? x : tanh(x);
        return 1 - y * y;
    }
    }
    return 1;
}

static double allowed(sqzk_activation activation)
{
    switch (activation) {
    case SQZK_GELU:
    case SQZK_TANH: return 0x1p-22;
    case SQZK_GELU_TANH: return 0x1p-20;
    default: return 0;
    }
}

/* Evenly over [-12, 12], every size down to 2^-40 and up to 2^20; results of tanh within -1 and
 * 1. */
static void slopes_keep_their_bound(void **state)
{
    (void)state;
    enum { N = 100003 };
    level l;
    sqzk_grad_table grads;
    for (uint32_t i = 0; next_grads(&i, &l, &grads);)
        for (uint32_t a = 0; a < 2 * (uint32_t)SQZK_ACTIVATIONS; a++) {
            const sqzk_activation activation = (sqzk_activation)(a / 2);
            const bool of_outputs = a % 2;
            if (of_outputs && (activation == SQZK_GELU || activation == SQZK_GELU_TANH)) continue;
            sqzt_random random = sqzt_random_of(24);
            sqzt_guarded x = sqzt_guarded_open(N * sizeof(float)),
                         dy = sqzt_guarded_open(N * sizeof(float)),
                         before = sqzt_guarded_open(N * sizeof(float));
            float *from = x.p, *out = dy.p, *kept = before.p;
            for (size_t j = 0; j < N; j++) {
                from[j] = of_outputs ? (float)(2 * sqzt_uniform(&random) - 1)
                          : j % 2    ? (float)(24 * sqzt_uniform(&random) - 12)
                                     : (float)ldexp(sqzt_normal(&random),
                                                    (int)sqzt_below(&random, 60) - 40);
                out[j] = kept[j] = (float)sqzt_normal(&random);
            }
            grads.activate_grad(
                &(sqzk_activate_grad_args){activation, of_outputs, N, from, out, out});
            double worst = 0;
            for (size_t j = 0; j < N; j++) {
                const double slope = exact_slope(activation, of_outputs, (double)from[j]),
                             wanted = slope * (double)kept[j],
                             error = fabs((double)out[j] - wanted),
                             bound = fabs((double)kept[j]) * allowed(activation) + u * fabs(wanted);
                if (!(error <= bound))
                    fail_msg("slope of %d %s: at %.9g times %.9g it is %.9g, %.9g +- %.3g expected",
                             (int)activation, l.name, (double)from[j], (double)kept[j],
                             (double)out[j], wanted, bound);
                if (bound > 0) worst = fmax(worst, error / bound);
            }
            printf("slope of %d%s, %s: at worst %.2f of what is allowed\n", (int)activation,
                   of_outputs ? " from its result" : "", l.name, worst);
            sqzt_guarded_close(&x);
            sqzt_guarded_close(&dy);
            sqzt_guarded_close(&before);
        }
}

static void a_slope_does_not_see_its_neighbours_and_keeps_a_nan(void **state)
{
    (void)state;
    level l;
    sqzk_grad_table grads;
    for (uint32_t i = 0; next_grads(&i, &l, &grads);)
        for (sqzk_activation a = SQZK_IDENTITY; a < (sqzk_activation)SQZK_ACTIVATIONS; a++)
            for (size_t n = 1; n <= 40; n++) {
                sqzt_random random = sqzt_random_of(25 + n);
                sqzt_guarded x = sqzt_guarded_open(n * sizeof(float)),
                             dy = sqzt_guarded_open(n * sizeof(float));
                float *from = x.p, *out = dy.p, alone[40], nan;
                for (size_t j = 0; j < n; j++) {
                    from[j] = (float)(3 * sqzt_normal(&random));
                    alone[j] = out[j] = (float)sqzt_normal(&random);
                }
                from[n / 2] = n % 2 ? NAN : from[n / 2];
                grads.activate_grad(&(sqzk_activate_grad_args){a, false, n, from, out, out});
                for (size_t j = 0; j < n; j++) {
                    grads.activate_grad(
                        &(sqzk_activate_grad_args){a, false, 1, &from[j], &alone[j], &alone[j]});
                    nan = out[j];
                    if (isnan(from[j]) && a != SQZK_IDENTITY) assert_true(isnan(nan));
                    else assert_memory_equal(&alone[j], &out[j], sizeof(float));
                }
                sqzt_guarded_close(&x);
                sqzt_guarded_close(&dy);
            }
}

/* [rows, n], NaN between the rows, up to an unreadable page. */
static sqzt_guarded many_rows(sqzt_random *random, size_t rows, size_t n, size_t ld)
{
    sqzt_guarded g = sqzt_guarded_open(((rows - 1) * ld + n) * sizeof(float));
    float *x = g.p;
    for (size_t i = 0; i < g.bytes / sizeof *x; i++)
        x[i] = i % ld < n ? (float)sqzt_normal(random) : NAN;
    return g;
}

static void sums_of_rows_have_the_portable_bits(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 63, 64, 65, 130, 200}, chains[] = {1, 7, 64};
    level l;
    sqzk_grad_table grads, portable;
    sqzk_grad_table_init(&portable, 0);
    for (uint32_t i = 0; next_grads(&i, &l, &grads);)
        for (size_t at = 0; at < N_LENGTHS * 21; at++) {
            const size_t n = lengths[at / 21], m = rows[at % 7], chain = chains[at / 7 % 3];
            sqzt_random random = sqzt_random_of(26 + n);
            sqzt_guarded x = many_rows(&random, m, n, n + 3), out = many_rows(&random, 1, n, n),
                         wanted = sqzt_guarded_open(out.bytes);
            memcpy(wanted.p, out.p, out.bytes);
            sqzk_sum_rows_args args = {m, n, x.p, n + 3, chain, at % 2 != 0, out.p};
            grads.sum_rows(&args);
            args.out = wanted.p;
            portable.sum_rows(&args);
            assert_memory_equal(out.p, wanted.p, out.bytes);
            /* one column, chain by chain, in double */
            double sum = 0, size = 0;
            for (size_t r = 0; r < m; r++) {
                sum += (double)args.x[r * args.ldx];
                size += fabs((double)args.x[r * args.ldx]);
            }
            if (!args.beta)
                assert_true(fabs(sum - (double)args.out[0]) <= (double)(m + 1) * u * size);
            sqzt_guarded_close(&x);
            sqzt_guarded_close(&out);
            sqzt_guarded_close(&wanted);
        }
}

/* Whole chains one behind the other, the second call onto the first. */
static void sums_of_rows_may_be_cut_between_chains(void **state)
{
    (void)state;
    enum { M = 300, N = 70, FIRST = 128 };
    level l;
    sqzk_grad_table grads;
    for (uint32_t i = 0; next_grads(&i, &l, &grads);) {
        sqzt_random random = sqzt_random_of(27);
        sqzt_guarded x = many_rows(&random, M, N, N);
        float whole[N], parts[N];
        const float *from = x.p;
        grads.sum_rows(&(sqzk_sum_rows_args){M, N, from, N, 64, false, whole});
        grads.sum_rows(&(sqzk_sum_rows_args){FIRST, N, from, N, 64, false, parts});
        grads.sum_rows(&(sqzk_sum_rows_args){M - FIRST, N, from + FIRST * N, N, 64, true, parts});
        assert_memory_equal(whole, parts, sizeof whole);
        sqzt_guarded_close(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layer_norm_grad_keeps_its_bound),
                                       cmocka_unit_test(softmax_grad_keeps_its_bound),
                                       cmocka_unit_test(slopes_keep_their_bound),
                                       cmocka_unit_test(
                                           a_slope_does_not_see_its_neighbours_and_keeps_a_nan),
                                       cmocka_unit_test(sums_of_rows_have_the_portable_bits),
                                       cmocka_unit_test(sums_of_rows_may_be_cut_between_chains)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
