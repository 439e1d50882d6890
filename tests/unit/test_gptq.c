/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding by the covariance of the inputs: moments against sums in double, every chosen integer
 * against the definition. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/packed_rows.h"
#include "rewrite/group_scales.h"
#include "support/planned.h"
#include "support/random.h"

static const double u = 0x1p-24;

/* Rows in three parts, one a single row; sums of at most 133 products in f32, whatever their order,
 * are within 133 u of the terms' magnitudes, the mean's square and the last rounding add little: 4
 * u. */
static void moments_are_covariances(void **state)
{
    (void)state;
    enum { GROUPS = 2, N = 301, ROWS = 133, WIDTH = GROUPS * N };
    sqzt_planned p;
    sqzt_plan(&sqzt_tiny_forms[0].tiny, &p);
    sqzt_random random = sqzt_random_of(3);
    sqzi_moments m = {.groups = GROUPS,
                      .n = N,
                      .squares = sqzt_take(GROUPS * N * N, sizeof(sqzi_real))};
    sqzi_real *columns = sqzt_take(WIDTH * SQZI_MOMENT_ROWS, sizeof *columns);
    float *x = sqzt_take(ROWS * WIDTH, sizeof *x);
    double *mean = sqzt_take(WIDTH, sizeof *mean);
    const size_t packed_bytes = sqzi_moments_packed_bytes(p.context->kernels.gemm_f32, &m),
                 parts[] = {0, 128, 129, ROWS};
    void *packed = sqzt_take(packed_bytes, 1);
    for (size_t i = 0; i < ROWS * WIDTH; i++) {
        x[i] = (float)(sqzt_normal(&random) + 0.5 * sin((double)(i % WIDTH)));
        mean[i % WIDTH] += (double)x[i] / ROWS;
    }
    for (size_t part = 0; part < 3; part++) {
        const size_t rows = parts[part + 1] - parts[part];
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < WIDTH; j++)
                columns[j * SQZI_MOMENT_ROWS + r] = x[(parts[part] + r) * WIDTH + j];
        sqzi_moments_add(p.context->kernels.gemm_f32, &m, columns, rows, packed);
    }
    sqzi_moments_centre(&m, mean, ROWS);
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) {
                double wanted = -mean[g * N + i] * mean[g * N + j], most = fabs(wanted);
                for (size_t r = 0; r < ROWS; r++) {
                    const double term = (double)x[r * WIDTH + g * N + i] *
                                        (double)x[r * WIDTH + g * N + j] / ROWS;
                    wanted += term;
                    most += fabs(term);
                }
                const double got = (double)m.squares[(g * N + i) * N + j];
                if (!(fabs(got - wanted) <= (ROWS + 4) * u * most))
                    fail_msg("group %zu, (%zu, %zu): %g, %g expected", g, i, j, got, wanted);
            }
    sqzt_release(m.squares, GROUPS * N * N, sizeof(sqzi_real));
    sqzt_release(columns, WIDTH * SQZI_MOMENT_ROWS, sizeof *columns);
    sqzt_release(x, ROWS * WIDTH, sizeof *x);
    sqzt_release(mean, WIDTH, sizeof *mean);
    sqzt_release(packed, packed_bytes, 1);
    sqzt_discard_plan(&p);
}

static sqzi_quantized *find(sqzt_planned *p, const char *name)
{
    for (uint32_t i = 0; i < p->plan.n; i++)
        if (strcmp(p->plan.tensors[i].name, name) == 0) return &p->plan.tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* A covariance whose correlations are 0.5^|i - j|, of eigenvalues within 1/3 .. 3, and whose
 * variances differ by some hundred: none is another's. */
static double correlation(size_t i, size_t j)
{
    return pow(0.5, fabs((double)i - (double)j));
}

static double deviation(size_t g, size_t i)
{
    return 0.1 + (double)((i * 37 + g * 11) % 101) / 50;
}

/* In double: what the definition (gptq.h) wants of number i, in steps of the scale, when
 * all inputs of larger variance are rounded as they are. */
typedef struct definition {
    size_t n;
    size_t *order; /* inputs by ascending variance */
    double *r;     /* [n, n] upper */
} definition;

static definition define(size_t g, size_t n)
{
    definition d = {n, sqzt_take(n, sizeof *d.order), sqzt_take(n * n, sizeof *d.r)};
    double mean = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        for (size_t j = 0; j < n; j++)
            at += deviation(g, j) < deviation(g, i) ||
                  (deviation(g, j) <= deviation(g, i) && j < i);
        d.order[at] = i;
        mean += deviation(g, i) * deviation(g, i) / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++) {
            double c = correlation(d.order[i], d.order[j]) * deviation(g, d.order[i]) *
                       deviation(g, d.order[j]);
            if (i == j) c += 0.01 * c + 1e-6 * mean;
            for (size_t k = 0; k < i; k++) c -= d.r[k * n + i] * d.r[k * n + j];
            d.r[i * n + j] = i == j ? sqrt(c) : c / d.r[i * n + i];
        }
    return d;
}

/* What integers a row may have: bits 8, or packed rows with a multiplier a group. */
typedef struct grid {
    uint32_t bits;
    const uint8_t *multipliers;
} grid;

static void check_row(const definition *d, const float *w, float scale, grid of, const int8_t *q,
                      const char *name, size_t row)
{
    const size_t n = d->n;
    for (size_t i = 0; i < n; i++) {
        double wanted = (double)w[d->order[i]], norm = 0;
        for (size_t j = i + 1; j < n; j++) {
            const double off = (double)w[d->order[j]] - (double)scale * q[d->order[j]];
            wanted += d->r[i * n + j] / d->r[i * n + i] * off;
            norm += off * off;
        }
        /* A Cholesky factor in f32 is that of a matrix off by (n + 1) u of its diagonal; what
         * follows from it is off by the condition number, 9, times that, of the errors' norm, and
         * the sum rounds n times more. */
        const double steps = wanted / (double)scale,
                     slack = 9 * (2 * (double)n + 1) * u * (sqrt((double)n * norm) + fabs(wanted)) /
                             (double)scale;
        const bool packed = of.bits < 8;
        const int m = packed ? of.multipliers[d->order[i] / 32] : 1,
                  step = packed ? m * sqzi_packed_step(of.bits) : 1,
                  lowest = packed ? m * sqzi_packed_lowest(of.bits) : -127,
                  top = packed ? lowest + step * ((1 << of.bits) - 1) : 127;
        const bool fits = fabs(steps - q[d->order[i]]) <= 0.5 * step + slack,
                   cut = (q[d->order[i]] == lowest && steps < lowest) ||
                         (q[d->order[i]] == top && steps > top);
        if (!fits && !cut)
            fail_msg("%s, row %zu, input %zu: %d, %g expected (slack %g)", name, row, d->order[i],
                     q[d->order[i]], steps, slack);
    }
}

/* Dense and grouped matrices, with more inputs than the block of the factorisation and fewer. */
static void every_integer_is_the_nearest_to_what_the_later_ones_leave(void **state)
{
    (void)state;
    static const uint32_t widths[] = {200, 64, 8};
    for (size_t at = 0; at < 3; at++) {
        const uint32_t groups = 1 + (uint32_t)at % 2;
        sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
        tiny.ffn_width = widths[at] * groups;
        tiny.width = 24;
        tiny.groups[5] = groups;
        sqzt_planned p;
        sqz_error error = {0};
        sqzt_plan(&tiny, &p);
        sqzi_quantized *t = find(&p, "blk.0.ffn_down.weight");
        const size_t n = widths[at], rows = tiny.width;
        sqzi_moments c = {.groups = groups,
                          .n = (uint32_t)n,
                          .squares = sqzt_take(groups * n * n, sizeof(sqzi_real))};
        for (size_t g = 0; g < groups; g++)
            for (size_t i = 0; i < n * n; i++)
                c.squares[g * n * n + i] = (sqzi_real)(correlation(i / n, i % n) *
                                                       deviation(g, i / n) * deviation(g, i % n));
        sqzt_assert_ok(sqzi_gptq(p.context->kernels.gemm_f32, &c, t, &error), &error);
        size_t differ = 0;
        for (size_t g = 0; g < groups; g++) {
            definition d = define(g, n);
            for (size_t r = g * rows / groups; r < (g + 1) * rows / groups; r++) {
                const float *w = (const float *)t->from->data + r * n;
                check_row(&d, w, t->scale[r], (grid){8, NULL}, t->chosen + r * n, t->name, r);
                for (size_t i = 0; i < n; i++)
                    differ += t->chosen[r * n + i] != (int)rintf(w[i] / t->scale[r]);
            }
            sqzt_release(d.order, n, sizeof *d.order);
            sqzt_release(d.r, n * n, sizeof *d.r);
        }
        assert_true(differ > rows * n / 10); /* the neighbours had a say */
        sqzt_release(c.squares, groups * n * n, sizeof(sqzi_real));
        sqzt_discard_plan(&p);
    }
}

/* The same for rows of 4, 3 and 2 bits with multipliers, the covariance read in another order. */
static void every_level_is_the_nearest_to_what_the_later_ones_leave(void **state)
{
    (void)state;
    enum { N = 200, ROWS = 24, GROUPS = (N + 31) / 32 };
    sqzt_planned p;
    sqzt_plan(&sqzt_tiny_forms[0].tiny, &p);
    sqzt_random random = sqzt_random_of(4);
    float *w = sqzt_take(ROWS * N, sizeof *w), scale[ROWS];
    sqzi_real *c = sqzt_take(N * N, sizeof *c);
    uint8_t *multipliers = sqzt_take(ROWS * GROUPS, 1);
    int8_t *q = sqzt_take(ROWS * N, 1);
    uint32_t order[N];
    for (size_t i = 0; i < N; i++) order[i] = (uint32_t)((i * 77 + 5) % N);
    for (size_t i = 0; i < ROWS * N; i++) w[i] = (float)sqzt_normal(&random);
    for (size_t i = 0; i < N * N; i++)
        c[order[i / N] * N + order[i % N]] = (sqzi_real)(correlation(i / N, i % N) *
                                                         deviation(0, i / N) * deviation(0, i % N));
    for (uint32_t bits = 2; bits <= 4; bits++) {
        sqz_error error = {0};
        definition d = define(0, N);
        for (size_t r = 0; r < ROWS; r++)
            scale[r] = sqzi_group_scales(0, bits, w + r * N, N, multipliers + r * GROUPS);
        const sqzi_rounding_task task = {.name = "packed",
                                         .rows = ROWS,
                                         .n = N,
                                         .weights = w,
                                         .covariance = c,
                                         .ld = N,
                                         .order = order,
                                         .bits = bits,
                                         .scale = scale,
                                         .multipliers = multipliers,
                                         .integers = q};
        sqzt_assert_ok(sqzi_gptq_round(p.context->kernels.gemm_f32, &sqzi_default_allocator, &task,
                                       &error),
                       &error);
        for (size_t r = 0; r < ROWS; r++)
            check_row(&d, w + r * N, scale[r], (grid){bits, multipliers + r * GROUPS}, q + r * N,
                      "packed", r);
        sqzt_release(d.order, N, sizeof *d.order);
        sqzt_release(d.r, N * N, sizeof *d.r);
    }
    sqzt_release(w, ROWS * N, sizeof *w);
    sqzt_release(c, N * N, sizeof *c);
    sqzt_release(multipliers, ROWS * GROUPS, 1);
    sqzt_release(q, ROWS * N, 1);
    sqzt_discard_plan(&p);
}

static void inputs_that_never_vary_or_vary_alone_are_rounded_for_themselves(void **state)
{
    (void)state;
    for (int varied = 0; varied < 2; varied++) {
        sqzt_planned p;
        sqz_error error = {0};
        sqzt_plan(&sqzt_tiny_forms[0].tiny, &p);
        sqzi_quantized *t = find(&p, "blk.0.attn_q.weight");
        const size_t n = (size_t)t->from->shape[1];
        sqzi_moments c = {.groups = 1,
                          .n = (uint32_t)n,
                          .squares = sqzt_take(n * n, sizeof(sqzi_real))};
        for (size_t i = 0; varied && i < n; i++) c.squares[i * n + i] = (sqzi_real)(1 + i % 3);
        sqzt_assert_ok(sqzi_gptq(p.context->kernels.gemm_f32, &c, t, &error), &error);
        for (size_t i = 0; i < t->from->n; i++) {
            const double steps = (double)((const float *)t->from->data)[i] /
                                 (double)t->scale[i / n];
            /* the weight in steps is a quotient of floats: at most 127, rounded once */
            assert_true(fabs(steps - t->chosen[i]) <= 0.5 + 127 * u);
        }
        sqzt_release(c.squares, n * n, sizeof(sqzi_real));
        sqzt_discard_plan(&p);
    }
}

static void a_covariance_that_is_not_finite_is_refused(void **state)
{
    (void)state;
    sqzt_planned p;
    sqz_error error = {0};
    sqzt_plan(&sqzt_tiny_forms[0].tiny, &p);
    sqzi_quantized *t = find(&p, "blk.0.attn_q.weight");
    const size_t n = (size_t)t->from->shape[1];
    sqzi_moments c = {.groups = 1,
                      .n = (uint32_t)n,
                      .squares = sqzt_take(n * n, sizeof(sqzi_real))};
    c.squares[n + 1] = (sqzi_real)INFINITY;
    assert_int_equal(sqzi_gptq(p.context->kernels.gemm_f32, &c, t, &error), SQZ_ENUMERIC);
    assert_non_null(strstr(error.text, "blk.0.attn_q.weight"));
    sqzt_release(c.squares, n * n, sizeof(sqzi_real));
    sqzt_discard_plan(&p);
}

static bool is_float(const sqzt_tiny *tiny)
{
    return tiny->type == SQZI_F32 && !tiny->parts && !tiny->poison && !tiny->drop && !tiny->extra;
}

/* A X A' of covariances X in double, from the weights as the file will hold them; three roundings a
 * term of two sums of n terms: (2 n + 3) u. */
static void a_factor_hands_its_covariances_on(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        if (!is_float(&form->tiny) || !form->tiny.rank) continue;
        sqzt_planned p;
        sqz_error error = {0};
        sqzt_plan(&form->tiny, &p);
        const sqzi_bias_correction *c = NULL;
        for (uint32_t i = 0; i < p.corrections.n && !c; i++)
            c = p.corrections.list[i].a ? &p.corrections.list[i] : NULL;
        assert_non_null(c);
        const size_t groups = c->of_a.groups, n = c->of_a.n,
                     rank = (size_t)c->a->from->shape[0] / groups;
        sqzi_moments outer = {.groups = (uint32_t)groups,
                              .n = (uint32_t)n,
                              .squares = sqzt_take(groups * n * n, sizeof(sqzi_real))};
        sqzi_moments inner = {.groups = (uint32_t)groups,
                              .n = (uint32_t)rank,
                              .squares = sqzt_take(groups * rank * rank, sizeof(sqzi_real))};
        for (size_t i = 0; i < groups * n * n; i++)
            outer.squares[i] = (sqzi_real)(correlation(i / n % n, i % n) *
                                           deviation(i / n / n, i / n % n) *
                                           deviation(i / n / n, i % n));
        sqzt_assert_ok(sqzi_moments_through(p.context->kernels.gemm_f32, &outer, c->a, &inner,
                                            &error),
                       &error);
        double *rows = sqzt_take(groups * rank * n, sizeof *rows);
        for (size_t r = 0; r < groups * rank; r++) {
            const double *row;
            sqzt_assert_ok(sqzi_quantize_row(c->a, r, NULL, &row, &error), &error);
            memcpy(rows + r * n, row, n * sizeof *rows);
        }
        for (size_t g = 0; g < groups; g++)
            for (size_t at = 0; at < rank * rank; at++) {
                const double *a = rows + (g * rank + at / rank) * n,
                             *b = rows + (g * rank + at % rank) * n;
                double wanted = 0, most = 0;
                for (size_t i = 0; i < n * n; i++) {
                    const double term = a[i / n] * (double)outer.squares[g * n * n + i] * b[i % n];
                    wanted += term;
                    most += fabs(term);
                }
                const double got = (double)inner.squares[g * rank * rank + at];
                if (!(fabs(got - wanted) <= (2 * (double)n + 3) * u * most))
                    fail_msg("%s, group %zu, %zu: %g, %g expected", form->name, g, at, got, wanted);
            }
        sqzt_release(rows, groups * rank * n, sizeof *rows);
        sqzt_release(outer.squares, groups * n * n, sizeof(sqzi_real));
        sqzt_release(inner.squares, groups * rank * rank, sizeof(sqzi_real));
        sqzt_discard_plan(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_covariances),
        cmocka_unit_test(every_integer_is_the_nearest_to_what_the_later_ones_leave),
        cmocka_unit_test(every_level_is_the_nearest_to_what_the_later_ones_leave),
        cmocka_unit_test(inputs_that_never_vary_or_vary_alone_are_rounded_for_themselves),
        cmocka_unit_test(a_covariance_that_is_not_finite_is_refused),
        cmocka_unit_test(a_factor_hands_its_covariances_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
