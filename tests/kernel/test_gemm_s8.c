/* SPDX-License-Identifier: Apache-2.0 */
/* Every s8 gemm against integers summed here: exact bits of rows, scales and products on every
 * level, awkward sizes and strides, rows that end at
 * unreadable pages, canaries around C, ties, saturating patterns, outliers, rows that are zero,
 * tiny or not finite, signed rows and unsigned ones. A level that this machine lacks is named. */
#include "kernel/kernel.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/half.h"
#include "support/gemms.h"
#include "support/guarded.h"
#include "support/random.h"
#include "support/test.h"

static const uint32_t seed = 20;

static const shape shapes[] = {
    {1, 1, 1},
    {1, 2, 3},
    {2, 15, 4},
    {3, 16, 5},
    {5, 17, 7},
    {6, 31, 63},
    {7, 64, 64},
    {8, 65, 65},
    {11, 63, 127},
    /* AMX: strips, and groups of columns */
    {12, 48, 1},
    {13, 80, 2},
    {16, 192, 192},
    {17, 129, 191},
    {4, 100, 256},
    {23, 7, 300},
    {1, 192, 768},
    {6, 64, 1537},
    {9, 33, 3072},
    {70, 200, 1040},
};

/* One problem in memory: x [m, ldx], w [n, ldw], with bias and residual. */
typedef struct problem {
    shape s;
    bool is_unsigned; /* x + zero_point is never negative */
    float zero_point;
    size_t ldx, ldw;
    sqzt_guarded x, w, bias_page;
    float *scale, *bias, *residual;
    int *q;             /* [m, k] as it should be, the largest number of a row unbroken */
    float *row_scale;   /* [m] */
} problem;

/* Row kinds: plain numbers; all the largest, signs mixed; halves that tie; zeros; one number so
 * small that its inverse overflows; subnormal. */
static float entry(sqzt_random *random, size_t row, size_t i)
{
    switch (row % 6) {
    case 1: return sqzt_below(random, 2) ? 3.7f : -3.7f;
    case 2:
        return i == 0 ? 127.0f : i == 1 ? -127.0f : (float)sqzt_below(random, 126) - 63.0f + 0.5f;
    case 3: return row % 12 == 3 ? 0.0f : i % 7 == 0 ? -0.0f : (float)sqzt_normal(random) * 1e-30f;
    case 4: return i == 0 ? 1e-37f : i == 1 ? -1e-37f : 1e-38f;
    case 5: return (float)sqzt_normal(random) * 1e20f;
    default: return (float)sqzt_normal(random);
    }
}

/* What a row becomes, in the plainest words. */
static void quantise_row(const problem *p, const float *x, int *q, float *scale)
{
    const size_t k = p->s.k;
    const float zero_point = p->is_unsigned ? p->zero_point : 0, steps = p->is_unsigned ? 255 : 127;
    size_t largest = 0;
    float rest = 0;
    for (size_t i = 0; i < k; i++) largest = fabsf(x[i]) > fabsf(x[largest]) ? i : largest;
    for (size_t i = 0; i < k; i++) rest = i == largest ? rest : fmaxf(rest, fabsf(x[i]));
    const float most = fabsf(x[largest]);
    const bool has_outlier = rest <= most * 0.8f && !(p->is_unsigned && x[largest] < 0);
    const float a = has_outlier
                        ? fmaxf(rest + zero_point, (most + zero_point) / (p->is_unsigned ? 3 : 5))
                        : most + zero_point,
                inverse = a > 0 ? steps / a : 0.0f,
                sign = has_outlier && x[largest] < 0 ? -1.0f : 1.0f;
    const bool zero = a <= 0 || isinf(inverse);
    *scale = zero ? 0.0f : sign * (a / steps);
    for (size_t i = 0; i < k; i++)
        q[i] = zero ? 0 : (int)nearbyintf((x[i] + zero_point) * (sign * inverse));
}

static signed char byte_of(const problem *p, int q)
{
    const int signed_q = p->is_unsigned ? q - 128 : q;
    return (signed char)(signed_q > 127 ? 127 : signed_q);
}

static problem make_rows(shape s, bool is_unsigned)
{
    sqzt_random random = sqzt_random_of(seed + s.m * 31 + s.n * 7 + s.k);
    problem p = {
        .s = s, .is_unsigned = is_unsigned, .zero_point = 0.17f, .ldx = s.k + 3, .ldw = s.k + 5};
    p.x = sqzt_guarded_open(((s.m - 1) * p.ldx + s.k) * sizeof(float));
    p.w = sqzt_guarded_open((s.n - 1) * p.ldw + s.k);
    p.scale = take(s.n, sizeof *p.scale);
    p.bias_page = sqzt_guarded_open(s.n * sizeof(float));
    p.bias = p.bias_page.p;
    p.residual = take(s.m * s.n, sizeof *p.residual);
    p.q = take(s.m * s.k, sizeof *p.q);
    p.row_scale = take(s.m, sizeof *p.row_scale);
    float *x = p.x.p;
    signed char *w = p.w.p;
    for (size_t i = 0; i < s.m; i++) {
        for (size_t j = 0; j < s.k; j++)
            x[i * p.ldx + j] = is_unsigned ? fabsf(entry(&random, i, j)) - p.zero_point
                                           : entry(&random, i, j);
        quantise_row(&p, x + i * p.ldx, p.q + i * s.k, &p.row_scale[i]);
    }
    for (size_t j = 0; j < s.n; j++) {
        for (size_t i = 0; i < s.k; i++) /* every third column saturates: +-127 alone */
            w[j * p.ldw + i] = j % 3 == 0 ? (sqzt_below(&random, 2) ? 127 : -127)
                                          : (signed char)((int)sqzt_below(&random, 255) - 127);
        p.scale[j] = 0.001f + (float)sqzt_uniform(&random);
        p.bias[j] = (float)sqzt_normal(&random);
    }
    for (size_t i = 0; i < s.m * s.n; i++) p.residual[i] = (float)sqzt_normal(&random);
    return p;
}

static problem make(shape s)
{
    return make_rows(s, false);
}

static void discard(problem *p)
{
    sqzt_guarded_close(&p->x);
    sqzt_guarded_close(&p->w);
    sqzt_guarded_close(&p->bias_page);
    void *all[] = {p->scale, p->residual, p->q, p->row_scale};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Prepared rows and packed panels of one gemm, each ending at an unreadable page. */
typedef struct operands {
    sqzt_guarded rows, panels;
    size_t lda;
    sqzk_s8_row *s8_rows;
} operands;

static void prepare_rows(const sqzk_gemm *gemm, const problem *p, const operands *o)
{
    assert_true(gemm->prepare(&(sqzk_prepare_args){.m = p->s.m,
                                                   .k = p->s.k,
                                                   .x = p->x.p,
                                                   .ldx = p->ldx,
                                                   .out = o->rows.p,
                                                   .ldo = o->lda,
                                                   .s8_rows = o->s8_rows,
                                                   .unsigned_rows = p->is_unsigned,
                                                   .zero_point = p->zero_point}));
}

static operands prepare(const sqzk_gemm *gemm, const problem *p)
{
    operands o = {.lda = sqzk_gemm_prepared_bytes(gemm, p->s.k)};
    o.rows = sqzt_guarded_open(p->s.m * o.lda);
    o.panels = sqzt_guarded_open(sqzk_gemm_packed_bytes(gemm, p->s.k, p->s.n));
    o.s8_rows = take(p->s.m, sizeof *o.s8_rows);
    prepare_rows(gemm, p, &o);
    gemm->pack(&(sqzk_pack_args){.n = p->s.n,
                                 .k = p->s.k,
                                 .source = p->w.p,
                                 .n_stride = p->ldw,
                                 .k_stride = 1,
                                 .type = SQZI_S8,
                                 .scale = p->scale,
                                 .unsigned_rows = p->is_unsigned},
               o.panels.p);
    return o;
}

static void release(operands *o)
{
    sqzt_guarded_close(&o->rows);
    sqzt_guarded_close(&o->panels);
    free(o->s8_rows);
}

static float product(const problem *p, size_t i, size_t j)
{
    const signed char *w = (const signed char *)p->w.p + j * p->ldw;
    const int *q = p->q + i * p->s.k;
    int64_t sum = 0;
    for (size_t k = 0; k < p->s.k; k++) sum += (int64_t)q[k] * w[k];
    assert_in_range((uint64_t)(sum + INT32_MAX), 0, 2 * (uint64_t)INT32_MAX);
    const float factor = p->row_scale[i] * p->scale[j];
    return (float)(int32_t)sum * factor;
}

static sqzt_guarded blank(shape s, size_t ldc)
{
    sqzt_guarded c = sqzt_guarded_open(((s.m - 1) * ldc + s.n) * sizeof(float));
    for (size_t i = 0; i < c.bytes / sizeof(float); i++) ((float *)c.p)[i] = canary;
    return c;
}

static void compare(const sqzk_gemm *gemm, const problem *p, const float *c, size_t ldc,
                    uint32_t beta, const sqzk_epilogue *epilogue)
{
    for (size_t i = 0; i < p->s.m; i++) {
        for (size_t j = 0; j < p->s.n; j++) {
            float wanted = product(p, i, j);
            if (beta) wanted = canary + wanted;
            if (epilogue && epilogue->bias) wanted += p->bias[j];
            if (epilogue && epilogue->activation == SQZK_RELU) wanted = wanted < 0 ? 0 : wanted;
            if (epilogue && epilogue->residual) wanted += p->residual[i * p->s.n + j];
            if (memcmp(&wanted, &c[i * ldc + j], sizeof wanted) != 0)
                fail_msg("%s, %zu x %zu x %zu: (%zu, %zu) is %.9g, exactly %.9g expected",
                         gemm->name, p->s.m, p->s.n, p->s.k, i, j, (double)c[i * ldc + j],
                         (double)wanted);
        }
        for (size_t j = p->s.n; j < ldc && i + 1 < p->s.m; j++)
            assert_memory_equal(&c[i * ldc + j], &canary, sizeof canary);
    }
}

static sqzk_gemm_args args_of(const problem *p, const operands *o, float *c, size_t ldc)
{
    return (sqzk_gemm_args){.m = p->s.m,
                            .n = p->s.n,
                            .k = p->s.k,
                            .a = o->rows.p,
                            .lda = o->lda,
                            .s8_rows = o->s8_rows,
                            .unsigned_rows = p->is_unsigned,
                            .b = o->panels.p,
                            .c = c,
                            .ldc = ldc};
}

/* One problem with each beta and epilogue. */
static void check_products(const sqzk_gemm *gemm, shape s, bool is_unsigned)
{
    problem p = make_rows(s, is_unsigned);
    operands o = prepare(gemm, &p);
    const sqzk_epilogue plain = {p.bias, p.residual, p.s.n, SQZK_IDENTITY},
                        relu = {p.bias, p.residual, p.s.n, SQZK_RELU};
    const sqzk_epilogue bias = {p.bias, NULL, 0, SQZK_RELU},
                        residual = {NULL, p.residual, p.s.n, SQZK_RELU};
    const sqzk_epilogue *const epilogues[] = {NULL,  NULL,  &plain, &plain,
                                              &relu, &relu, &bias,  &residual};
    for (uint32_t e = 0; e < sizeof epilogues / sizeof *epilogues; e++) {
        const size_t ldc = p.s.n + 3;
        sqzt_guarded c = blank(p.s, ldc);
        sqzk_gemm_args args = args_of(&p, &o, c.p, ldc);
        args.beta = e & 1;
        args.epilogue = epilogues[e];
        gemm->run(&args);
        compare(gemm, &p, c.p, ldc, args.beta, args.epilogue);
        sqzt_guarded_close(&c);
    }
    sqzt_check_bf16_outputs(gemm, args_of(&p, &o, NULL, 0), p.bias, p.residual);
    release(&o);
    discard(&p);
}

static void products_are_exact(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));)
        for (size_t s = 0; s < 2 * sizeof shapes / sizeof *shapes; s++)
            check_products(gemm, shapes[s / 2], s % 2);
}

/* Every m up to two tiles of the tallest kernel and some beyond, every k up to a tile of the
 * deepest and some, n that walks past every width. */
static void products_are_exact_at_every_edge(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));) {
        for (size_t m = 1; m <= 70; m++)
            check_products(gemm, (shape){m, 1 + m * 11 % 83, 1 + m * 7 % 70}, m % 2);
        for (size_t k = 1; k <= 70; k++)
            check_products(gemm, (shape){1 + k * 5 % 33, 1 + k * 29 % 67, k}, k % 2 == 0);
    }
}

static void the_best_gemm_of_this_machine_is_chosen(void **state)
{
    (void)state;
    sqzk_table table;
    sqzk_table_init(&table, sqzi_cpu_detect());
    const sqzk_gemm *last = NULL, *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));) last = gemm;
    assert_ptr_equal(table.gemm_s8, last);
}

static void check_rows(const sqzk_gemm *gemm, const problem *p, const operands *o)
{
    const int flip = ((const unsigned char *)o->rows.p)[0] ^ (unsigned char)byte_of(p, p->q[0]);
    assert_true(flip == 0 || flip == 128);
    for (size_t r = 0; r < p->s.m; r++) {
        assert_memory_equal(&o->s8_rows[r].scale, &p->row_scale[r], sizeof(float));
        for (size_t k = 0; k < p->s.k; k++) {
            const signed char q = (signed char)(((const unsigned char *)o->rows.p)[r * o->lda + k] ^
                                                flip),
                              wanted = byte_of(p, p->q[r * p->s.k + k]);
            if (q != wanted)
                fail_msg("%s: row %zu, number %zu is %d, %d expected", gemm->name, r, k, q, wanted);
        }
    }
}

/* Rows as bytes: the same integers whether stored signed or with 128 added, the same bits of
 * scales. */
static void rows_are_exact(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));)
        for (size_t s = 0; s < 2 * sizeof shapes / sizeof *shapes; s++) {
            problem p = make_rows(shapes[s / 2], s % 2);
            operands o = prepare(gemm, &p);
            check_rows(gemm, &p, &o);
            unsigned char *rows = take(o.rows.bytes, 1);
            memcpy(rows, o.rows.p, o.rows.bytes);
            memset(o.rows.p, 0xA5, o.rows.bytes); /* what fills a row up is written as well */
            prepare_rows(gemm, &p, &o);
            assert_memory_equal(rows, o.rows.p, o.rows.bytes);
            free(rows);
            release(&o);
            discard(&p);
        }
}

/* The rows of a problem anew: numbers up to 1, but `factor` at `place` and `again` at another,
 * unless that is 0. */
static void plant(problem *p, float factor, size_t place, float again, size_t other)
{
    sqzt_random random = sqzt_random_of(seed + place);
    for (size_t r = 0; r < p->s.m; r++) {
        float *x = (float *)p->x.p + r * p->ldx;
        for (size_t j = 0; j < p->s.k; j++) x[j] = 2 * (float)sqzt_uniform(&random) - 1;
        x[(place + r) % p->s.k] = factor;
        if (again != 0) x[(other + r) % p->s.k] = again;
        for (size_t j = 0; p->is_unsigned && j < p->s.k; j++) x[j] = fabsf(x[j]) - p->zero_point;
        quantise_row(p, x, p->q + r * p->s.k, &p->row_scale[r]);
    }
}

static void check_planted(const sqzk_gemm *gemm, problem *p)
{
    operands o = prepare(gemm, p);
    sqzt_guarded c = blank(p->s, p->s.n);
    sqzk_gemm_args args = args_of(p, &o, c.p, p->s.n);
    check_rows(gemm, p, &o);
    gemm->run(&args);
    compare(gemm, p, c.p, p->s.n, 0, NULL);
    sqzt_guarded_close(&c);
    release(&o);
}

/* The largest number of a row wherever it stands, of either sign, up to far above the rest; and two
 * of a size, in the same lane of every vector and in others; and one exactly as far above the next
 * as it must be to be an outlier. */
static void outliers_are_exact(void **state)
{
    (void)state;
    static const float factors[] = {1.01f, 1.9f, 2.1f, 3, 4.9f, 5.1f, 20, 1000};
    /* signed and unsigned */
    static const size_t ks[] = {1, 1, 2, 2, 5, 5, 64, 64, 65, 65, 192, 192, 300, 300};
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));)
        for (size_t at = 0; at < sizeof ks / sizeof *ks; at++) {
            const size_t k = ks[at], places[] = {0, k / 2, k - 1}, others[] = {1, 16, 64, 128};
            problem p = make_rows((shape){9, 70, k}, at % 2); /* a place and the eight after it */
            for (size_t f = 0; f < 2 * sizeof factors / sizeof *factors; f++)
                for (size_t place = 0; place < 3; place++) {
                    const float factor = f % 2 ? -factors[f / 2] : factors[f / 2];
                    plant(&p, factor, places[place], 0, 0);
                    check_planted(gemm, &p);
                    plant(&p, factor, places[place], f % 4 < 2 ? factor : -factor,
                          places[place] + others[f % 4]);
                    check_planted(gemm, &p);
                }
            plant(&p, 2, 0, 2 * 0.8f, k / 3);
            check_planted(gemm, &p);
            discard(&p);
        }
}

static void weights_of_any_stride_pack_alike(void **state)
{
    (void)state;
    enum { N = 37, K = 71 };
    const sqzk_gemm *gemm;
    signed char w[N * K], turned[2 * N * K];
    float scale[N];
    sqzt_random random = sqzt_random_of(seed);
    for (size_t at = 0; at < N * K; at++)
        turned[2 * (at % K * N + at / K)] = w[at] = (signed char)((int)sqzt_below(&random, 255) -
                                                                  127);
    for (size_t j = 0; j < N; j++) scale[j] = (float)sqzt_uniform(&random);
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));) {
        const size_t bytes = sqzk_gemm_packed_bytes(gemm, K, N);
        void *panels[2] = {take(bytes, 1), take(bytes, 1)};
        memset(panels[1], 0xA5, bytes);
        gemm->pack(&(sqzk_pack_args){.n = N,
                                     .k = K,
                                     .source = w,
                                     .n_stride = K,
                                     .k_stride = 1,
                                     .type = SQZI_S8,
                                     .scale = scale},
                   panels[0]);
        gemm->pack(&(sqzk_pack_args){.n = N,
                                     .k = K,
                                     .source = turned,
                                     .n_stride = 2,
                                     .k_stride = 2 * N,
                                     .type = SQZI_S8,
                                     .scale = scale},
                   panels[1]);
        assert_memory_equal(panels[0], panels[1], bytes);
        for (int side = 0; side < 2; side++) free(panels[side]);
    }
}

static void a_row_that_is_not_finite_is_refused(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));)
        for (size_t k = 1; k < 70; k += 17)
            for (size_t at = 0; at < 2 * k; at++)
                for (size_t b = 0; b < 4; b++) {
                    float x[140];
                    sqzk_s8_row s8_rows[2];
                    unsigned char rows[2][128];
                    for (size_t j = 0; j < 2 * k; j++) x[j] = 1.0f;
                    const sqzk_prepare_args args = {.m = 2,
                                                    .k = k,
                                                    .x = x,
                                                    .ldx = k,
                                                    .out = rows,
                                                    .ldo = 128,
                                                    .s8_rows = s8_rows,
                                                    .unsigned_rows = k % 2,
                                                    .zero_point = 0.17f};
                    assert_true(gemm->prepare(&args));
                    x[at] = bad[b];
                    if (gemm->prepare(&args))
                        fail_msg("%s: k = %zu: %g at %zu is accepted", gemm->name, k,
                                 (double)bad[b], at);
                    x[at] = b % 2 ? -FLT_MAX : FLT_MAX; /* the largest number is finite */
                    if (!gemm->prepare(&args))
                        fail_msg("%s: k = %zu: %g at %zu is refused", gemm->name, k, (double)x[at],
                                 at);
                }
}

/* Any cut of m, and cuts of n at panels, give the bits of the whole. */
static void bits_do_not_depend_on_cuts(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));) {
        problem p = make((shape){69, 200, 130});
        operands o = prepare(gemm, &p);
        sqzk_epilogue epilogue = {p.bias, p.residual, p.s.n, SQZK_GELU};
        float *whole = take(p.s.m * p.s.n, sizeof *whole),
              *parts = take(p.s.m * p.s.n, sizeof *parts);
        sqzk_gemm_args args = args_of(&p, &o, whole, p.s.n);
        args.epilogue = &epilogue;
        gemm->run(&args);
        sqzt_random random = sqzt_random_of(seed);
        for (size_t row = 0, rows; row < p.s.m; row += rows) {
            rows = 1 + (size_t)sqzt_below(&random, 37);
            if (rows > p.s.m - row) rows = p.s.m - row;
            for (size_t column = 0; column < p.s.n; column += gemm->nr) {
                const size_t n = p.s.n - column < gemm->nr ? p.s.n - column : gemm->nr;
                sqzk_epilogue part = {p.bias + column, p.residual + row * p.s.n + column, p.s.n,
                                      SQZK_GELU};
                sqzk_gemm_args cut = args;
                cut.m = rows;
                cut.n = n;
                cut.a = (const unsigned char *)o.rows.p + row * o.lda;
                cut.s8_rows = o.s8_rows + row;
                cut.b = (const unsigned char *)o.panels.p +
                        column / gemm->nr * sqzk_gemm_panel_bytes(gemm, p.s.k);
                cut.c = parts + row * p.s.n + column;
                cut.epilogue = &part;
                gemm->run(&cut);
            }
        }
        assert_memory_equal(whole, parts, p.s.m * p.s.n * sizeof *whole);
        free(whole);
        free(parts);
        release(&o);
        discard(&p);
    }
}

/* GELU in the tile: |error| <= 2^-20 max(1, |x|) against double: what follows rounds it to 8
 * bits. */
static void check_gelu(const sqzk_gemm *gemm, size_t n)
{
    problem p = make((shape){13, n, 96});
    operands o = prepare(gemm, &p);
    sqzt_guarded memory = sqzt_guarded_open(p.s.m * n * sizeof(float)),
                 more = sqzt_guarded_open(p.s.m * n * sizeof(float));
    const float *c = memory.p, *both = more.p;
    sqzk_gemm_args args = args_of(&p, &o, memory.p, n);
    args.epilogue = &(sqzk_epilogue){p.bias, NULL, 0, SQZK_GELU};
    gemm->run(&args);
    args.c = more.p;
    args.epilogue = &(sqzk_epilogue){p.bias, p.residual, n, SQZK_GELU};
    gemm->run(&args);
    for (size_t at = 0; at < p.s.m * n; at++) assert_true(both[at] == c[at] + p.residual[at]);
    for (size_t r = 0; r < p.s.m; r++)
        for (size_t j = 0; j < n; j++) {
            const double x = (double)(product(&p, r, j) + p.bias[j]),
                         wanted = 0.5 * x * (1 + erf(x * 0.70710678118654752440));
            const double bound = 0x1p-20 * fmax(1, fabs(x));
            if (!(fabs(wanted - (double)c[r * n + j]) <= bound))
                fail_msg("%s: gelu(%.9g) is %.9g, %.9g expected", gemm->name, x,
                         (double)c[r * n + j], wanted);
        }
    sqzt_guarded_close(&memory);
    sqzt_guarded_close(&more);
    release(&o);
    discard(&p);
}

/* The same as bf16. */
static void check_gelu_bf16(const sqzk_gemm *gemm, size_t n)
{
    enum { M = 13 };
    if (!gemm->writes_bf16) return;
    problem p = make((shape){M, n, 96});
    operands o = prepare(gemm, &p);
    sqzt_guarded memory = sqzt_guarded_open(M * n * sizeof(uint16_t));
    const uint16_t *c = memory.p;
    gemm->run(&(sqzk_gemm_args){.m = M,
                                .n = n,
                                .k = 96,
                                .a = o.rows.p,
                                .lda = o.lda,
                                .s8_rows = o.s8_rows,
                                .b = o.panels.p,
                                .c_bf16 = memory.p,
                                .ldc = n,
                                .epilogue = &(sqzk_epilogue){p.bias, NULL, 0, SQZK_GELU}});
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < n; j++) {
            const double x = (double)(product(&p, i, j) + p.bias[j]),
                         wanted = 0.5 * x * erfc(-x * 0.70710678118654752440),
                         got = (double)sqzi_from_bf16(c[i * n + j]);
            if (!(fabs(got - wanted) <= sqzt_gelu_bf16_bound(x, wanted)))
                fail_msg("%s: gelu(%.9g) is %.9g as bf16, %.9g expected", gemm->name, x, got,
                         wanted);
        }
    sqzt_guarded_close(&memory);
    release(&o);
    discard(&p);
}

static void gelu_is_applied_in_the_tile(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_S8, &i));) {
        check_gelu(gemm, 64);
        check_gelu(gemm, 65); /* one column past whole vectors: nothing is written behind it */
        check_gelu(gemm, 70);
        check_gelu(gemm, 72); /* a panel that is full for a vector of 8 or 16 and no more */
        check_gelu(gemm, 80);
        check_gelu_bf16(gemm, 64);
        check_gelu_bf16(gemm, 71);
    }
}

int main(void)
{
    printf("seed %u\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_exact),
        cmocka_unit_test(outliers_are_exact),
        cmocka_unit_test(products_are_exact),
        cmocka_unit_test(products_are_exact_at_every_edge),
        cmocka_unit_test(the_best_gemm_of_this_machine_is_chosen),
        cmocka_unit_test(weights_of_any_stride_pack_alike),
        cmocka_unit_test(a_row_that_is_not_finite_is_refused),
        cmocka_unit_test(bits_do_not_depend_on_cuts),
        cmocka_unit_test(gelu_is_applied_in_the_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
