/* SPDX-License-Identifier: Apache-2.0 */
/* Every bf16 gemm against a chain of floats summed here in the documented order, from f32, f16 and
 * bf16 weights: the same bits on every level but AMX and Arm's BF16, which have orders of their
 * own; against double within the bound of a chain; awkward sizes and strides, rows that end at
 * unreadable pages, canaries, rows that are not finite. */
#include "kernel/kernel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/half.h"
#include "support/gemms.h"
#include "support/guarded.h"
#include "support/random.h"
#include "support/test.h"

static const uint32_t seed = 21;

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

/* Weights of every type hold the numbers of w16, so that all of them pack to the same panels; f32
 * holds others besides, for rounding. */
typedef struct problem {
    shape s;
    size_t ldx, ldw;
    sqzt_guarded x, w, bias_page;
    sqzi_type type;
    float *rounded_x, *rounded_w, *bias, *residual;
} problem;

/* To 8 significant bits, nearest, ties to even. */
static float rounded(float x)
{
    int exponent;
    const double fraction = frexp((double)x, &exponent);
    return (float)ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static float entry(sqzt_random *random)
{
    /* every fourth number is a tie between two bf16 */
    const float x = (float)sqzt_normal(random);
    return sqzt_below(random, 4)
               ? x
               : sqzi_float_of_bits((sqzi_bits_of_float(x) & 0xFFFF0000u) | 0x8000u);
}

static void put_weight(problem *p, size_t at, float x)
{
    if (p->type == SQZI_F32) ((float *)p->w.p)[at] = x;
    else
        ((uint16_t *)p->w.p)[at] = p->type == SQZI_F16
                                       ? sqzi_to_f16(x)
                                       : (uint16_t)(sqzi_bits_of_float(rounded(x)) >> 16);
}

static problem make(shape s, sqzi_type type)
{
    sqzt_random random = sqzt_random_of(seed + s.m * 31 + s.n * 7 + s.k);
    problem p = {.s = s, .ldx = s.k + 3, .ldw = s.k + 5, .type = type};
    p.x = sqzt_guarded_open(((s.m - 1) * p.ldx + s.k) * sizeof(float));
    p.w = sqzt_guarded_open(((s.n - 1) * p.ldw + s.k) * (type == SQZI_F32 ? 4 : 2));
    p.rounded_x = take(s.m * s.k, sizeof(float));
    p.rounded_w = take(s.n * s.k, sizeof(float));
    p.bias_page = sqzt_guarded_open(s.n * sizeof(float));
    p.bias = p.bias_page.p;
    p.residual = take(s.m * s.n, sizeof(float));
    for (size_t i = 0; i < s.m; i++)
        for (size_t j = 0; j < s.k; j++) {
            const float x = ((float *)p.x.p)[i * p.ldx + j] = entry(&random);
            p.rounded_x[i * s.k + j] = rounded(x);
        }
    for (size_t i = 0; i < s.n; i++)
        for (size_t j = 0; j < s.k; j++) {
            const float x = entry(&random);
            put_weight(&p, i * p.ldw + j, x);
            p.rounded_w[i * s.k + j] = rounded((float)sqzi_load_real(p.w.p, i * p.ldw + j, type));
        }
    for (size_t j = 0; j < s.n; j++) p.bias[j] = (float)sqzt_normal(&random);
    for (size_t i = 0; i < s.m * s.n; i++) p.residual[i] = (float)sqzt_normal(&random);
    return p;
}

static void discard(problem *p)
{
    sqzt_guarded_close(&p->x);
    sqzt_guarded_close(&p->w);
    sqzt_guarded_close(&p->bias_page);
    void *all[] = {p->rounded_x, p->rounded_w, p->residual};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

typedef struct operands {
    sqzt_guarded rows, panels;
    size_t lda;
} operands;

static operands prepare(const sqzk_gemm *gemm, const problem *p)
{
    operands o = {.lda = sqzk_gemm_prepared_bytes(gemm, p->s.k)};
    o.rows = sqzt_guarded_open(p->s.m * o.lda);
    o.panels = sqzt_guarded_open(sqzk_gemm_packed_bytes(gemm, p->s.k, p->s.n));
    /* NaN: one that is left where a zero belongs reaches a sum */
    memset(o.rows.p, 0xFF, o.rows.bytes);
    memset(o.panels.p, 0xFF, o.panels.bytes);
    assert_true(gemm->prepare(&(sqzk_prepare_args){
        .m = p->s.m, .k = p->s.k, .x = p->x.p, .ldx = p->ldx, .out = o.rows.p, .ldo = o.lda}));
    gemm->pack(&(sqzk_pack_args){.n = p->s.n,
                                 .k = p->s.k,
                                 .source = p->w.p,
                                 .n_stride = p->ldw,
                                 .k_stride = 1,
                                 .type = p->type},
               o.panels.p);
    return o;
}

static void release(operands *o)
{
    sqzt_guarded_close(&o->rows);
    sqzt_guarded_close(&o->panels);
}

/* One chain over all of k: of each pair the odd k first. */
static float chain_of_pairs(const float *x, const float *w, size_t n)
{
    float sum = 0;
    for (size_t k = 0; k < n; k += 2) {
        if (k + 1 < n) sum += x[k + 1] * w[k + 1];
        sum += x[k] * w[k];
    }
    return sum;
}

/* AMX: 32 k at a time a chain of the even ones, a chain of the odd ones, their sum to that of the
 * 32 before. */
static float chain_of_tiles(const float *x, const float *w, size_t n)
{
    float sum = 0;
    for (size_t begin = 0; begin < n; begin += 32) {
        float parts[2] = {0, 0};
        for (size_t k = begin; k < n && k < begin + 32; k++) parts[k % 2] += x[k] * w[k];
        sum += parts[0] + parts[1];
    }
    return sum;
}

/* x without the bits a float has no room for, the last bit of what is left set where any of them
 * was, or where `more` says that x itself lacks some. */
static float rounded_to_odd(double x, bool more)
{
    float toward_zero = (float)x;
    if (fabs((double)toward_zero) > fabs(x)) toward_zero = nextafterf(toward_zero, 0);
    const bool inexact = more || (double)toward_zero < x || (double)toward_zero > x;
    return inexact ? sqzi_float_of_bits(sqzi_bits_of_float(toward_zero) | 1) : toward_zero;
}

/* a + b to odd. The sum in double is cut as well where it rounds: Knuth's two-sum gives what it
 * lacks. */
static float add_to_odd(float a, float b)
{
    double sum = (double)a + (double)b;
    const double part = sum - (double)a, rest = ((double)a - (sum - part)) + ((double)b - part);
    if (rest * sum < 0) sum = nextafter(sum, 0); /* it was rounded away from zero */
    return rounded_to_odd(sum, fabs(rest) > 0);
}

/* Arm's BF16: the two products of a pair, then that to the sum; both additions rounded to odd. */
static float chain_to_odd(const float *x, const float *w, size_t n)
{
    float sum = 0;
    for (size_t k = 0; k < n; k += 2)
        sum = add_to_odd(sum, add_to_odd(x[k] * w[k], k + 1 < n ? x[k + 1] * w[k + 1] : 0));
    return sum;
}

/* The sum as documented. *exact is that in double, *size that of the magnitudes. */
static float chain(const sqzk_gemm *gemm, const problem *p, size_t i, size_t j, double *exact,
                   double *size)
{
    const float *x = p->rounded_x + i * p->s.k, *w = p->rounded_w + j * p->s.k;
    *exact = *size = 0;
    for (size_t k = 0; k < p->s.k; k++) {
        *exact += (double)x[k] * (double)w[k];
        *size += fabs((double)x[k] * (double)w[k]);
    }
    switch (gemm->feature) {
    case SQZI_CPU_AMX: return chain_of_tiles(x, w, p->s.k);
    case SQZI_CPU_ARMBF16: return chain_to_odd(x, w, p->s.k);
    default: return chain_of_pairs(x, w, p->s.k);
    }
}

static void check(const sqzk_gemm *gemm, const problem *p, const operands *o, uint32_t beta,
                  const sqzk_epilogue *epilogue)
{
    const size_t ldc = p->s.n + 3;
    sqzt_guarded memory = sqzt_guarded_open(((p->s.m - 1) * ldc + p->s.n) * sizeof(float));
    float *c = memory.p;
    for (size_t i = 0; i < memory.bytes / sizeof *c; i++) c[i] = canary;
    gemm->run(&(sqzk_gemm_args){.m = p->s.m,
                                .n = p->s.n,
                                .k = p->s.k,
                                .a = o->rows.p,
                                .lda = o->lda,
                                .b = o->panels.p,
                                .c = c,
                                .ldc = ldc,
                                .beta = beta,
                                .epilogue = epilogue});
    for (size_t i = 0; i < p->s.m; i++) {
        for (size_t j = 0; j < p->s.n; j++) {
            double exact, size;
            float wanted = chain(gemm, p, i, j, &exact, &size);
            /* a chain of k roundings; of pairs to odd, half as many and one, each up to twice as
             * large */
            assert_true(fabs((double)wanted - exact) <=
                        ((double)p->s.k + (gemm->feature == SQZI_CPU_ARMBF16 ? 2 : 0)) * 0x1p-24 *
                            size);
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
    sqzt_guarded_close(&memory);
}

/* One problem with each beta and epilogue. */
static void check_sums(const sqzk_gemm *gemm, shape s, sqzi_type type)
{
    problem p = make(s, type);
    operands o = prepare(gemm, &p);
    check(gemm, &p, &o, 0, NULL);
    check(gemm, &p, &o, 1, NULL);
    check(gemm, &p, &o, 1, &(sqzk_epilogue){p.bias, p.residual, p.s.n, SQZK_IDENTITY});
    check(gemm, &p, &o, 0, &(sqzk_epilogue){p.bias, p.residual, p.s.n, SQZK_RELU});
    check(gemm, &p, &o, 0, &(sqzk_epilogue){p.bias, p.residual, p.s.n, SQZK_IDENTITY});
    sqzt_check_bf16_outputs(
        gemm,
        (sqzk_gemm_args){
            .m = s.m, .n = s.n, .k = s.k, .a = o.rows.p, .lda = o.lda, .b = o.panels.p},
        p.bias, p.residual);
    check(gemm, &p, &o, 0, &(sqzk_epilogue){p.bias, NULL, 0, SQZK_RELU});
    check(gemm, &p, &o, 1, &(sqzk_epilogue){NULL, p.residual, p.s.n, SQZK_RELU});
    release(&o);
    discard(&p);
}

static const sqzi_type types[] = {SQZI_F32, SQZI_F16, SQZI_BF16};

static void sums_are_the_documented_chains(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));)
        for (size_t s = 0; s < 3 * sizeof shapes / sizeof *shapes; s++)
            check_sums(gemm, shapes[s / 3], types[s % 3]);
}

/* Every m up to two tiles of the tallest kernel and some beyond, every k up to a tile of the
 * deepest and some, n that walks past every width. */
static void sums_are_the_documented_chains_at_every_edge(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));) {
        for (size_t m = 1; m <= 70; m++)
            check_sums(gemm, (shape){m, 1 + m * 11 % 83, 1 + m * 7 % 70}, types[m % 3]);
        for (size_t k = 1; k <= 70; k++)
            check_sums(gemm, (shape){1 + k * 5 % 33, 1 + k * 29 % 67, k}, types[k % 3]);
    }
}

static void the_best_gemm_of_this_machine_is_chosen(void **state)
{
    (void)state;
    sqzk_table table;
    sqzk_table_init(&table, sqzi_cpu_detect());
    assert_ptr_equal(table.gemm_bf16, sqzt_best_gemm(SQZI_BF16));
}

/* Weights that lie two apart, along k or along n, NaN between them, give the panels of those that
 * lie together. */
static void check_spaced(const sqzk_gemm *gemm, const problem *p, const operands *o)
{
    enum { MOST = 2 * 19 * 45 };
    const size_t n = p->s.n, k_dim = p->s.k, strides[2][2] = {{2 * k_dim, 2}, {2, 2 * n}};
    float spaced[MOST], c[2][3 * 19];
    assert_true(2 * n * k_dim <= MOST && p->s.m == 3);
    sqzk_gemm_args args = {.m = 3,
                           .n = n,
                           .k = k_dim,
                           .a = o->rows.p,
                           .lda = o->lda,
                           .b = o->panels.p,
                           .c = c[0],
                           .ldc = n};
    gemm->run(&args);
    args.c = c[1];
    for (size_t way = 0; way < 2; way++) {
        const size_t n_stride = strides[way][0], k_stride = strides[way][1];
        for (size_t at = 0; at < MOST; at++) spaced[at] = NAN;
        for (size_t at = 0; at < n * k_dim; at++)
            spaced[at / k_dim * n_stride + at % k_dim * k_stride] =
                ((float *)p->w.p)[at / k_dim * p->ldw + at % k_dim];
        memset(o->panels.p, 0xFF, o->panels.bytes);
        gemm->pack(&(sqzk_pack_args){.n = n,
                                     .k = k_dim,
                                     .source = spaced,
                                     .n_stride = n_stride,
                                     .k_stride = k_stride,
                                     .type = SQZI_F32},
                   o->panels.p);
        gemm->run(&args);
        assert_memory_equal(c[0], c[1], 3 * n * sizeof c[0][0]);
    }
}

/* A matrix stored [k, n]: the bits of the same numbers stored [n, k]. */
static void check_strides(const sqzk_gemm *gemm, size_t k_dim)
{
    enum { N = 9, K = 45 };
    problem p = make((shape){3, N, k_dim}, SQZI_F32);
    float turned[K * N], c[2][3 * N];
    for (size_t k = 0; k < k_dim; k++)
        for (size_t j = 0; j < N; j++) turned[k * N + j] = ((float *)p.w.p)[j * p.ldw + k];
    operands o = prepare(gemm, &p);
    sqzk_gemm_args args = {.m = 3,
                           .n = N,
                           .k = k_dim,
                           .a = o.rows.p,
                           .lda = o.lda,
                           .b = o.panels.p,
                           .c = c[0],
                           .ldc = N};
    gemm->run(&args);
    memset(o.panels.p, 0xFF, o.panels.bytes);
    gemm->pack(
        &(sqzk_pack_args){
            .n = N, .k = k_dim, .source = turned, .n_stride = 1, .k_stride = N, .type = SQZI_F32},
        o.panels.p);
    args.c = c[1];
    gemm->run(&args);
    assert_memory_equal(c[0], c[1], sizeof c[0]);
    sqzt_guarded guarded = sqzt_guarded_open(k_dim * N * sizeof(uint16_t));
    uint16_t *halves = guarded.p;
    for (size_t at = 0; at < k_dim * N; at++) halves[at] = sqzi_to_bf16(turned[at]);
    memset(o.panels.p, 0xFF, o.panels.bytes);
    gemm->pack(
        &(sqzk_pack_args){
            .n = N, .k = k_dim, .source = halves, .n_stride = 1, .k_stride = N, .type = SQZI_BF16},
        o.panels.p);
    memset(c[1], 0, sizeof c[1]);
    gemm->run(&args);
    assert_memory_equal(c[0], c[1], sizeof c[0]);
    sqzt_guarded_close(&guarded);
    check_spaced(gemm, &p, &o);
    release(&o);
    discard(&p);
}

static void strides_are_honoured(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));) {
        check_strides(gemm, 44);
        check_strides(gemm, 45);
    }
}

/* GELU in the tile, with a residual and without, of whole vectors and of parts: |error| <= 2^-22
 * max(1, |x|) against double, the sums themselves being exact to the bit; a residual is added to
 * the same bits. */
static void check_gelu(const sqzk_gemm *gemm, size_t n)
{
    enum { M = 37 };
    problem p = make((shape){M, n, 96}, SQZI_F32);
    operands o = prepare(gemm, &p);
    sqzt_guarded memory = sqzt_guarded_open(M * n * sizeof(float)),
                 more = sqzt_guarded_open(M * n * sizeof(float));
    float *c = memory.p, *both = more.p;
    sqzk_gemm_args args = {
        .m = M, .n = n, .k = 96, .a = o.rows.p, .lda = o.lda, .b = o.panels.p, .c = c, .ldc = n};
    args.epilogue = &(sqzk_epilogue){p.bias, NULL, 0, SQZK_GELU};
    gemm->run(&args);
    args.c = both;
    args.epilogue = &(sqzk_epilogue){p.bias, p.residual, n, SQZK_GELU};
    gemm->run(&args);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < n; j++) {
            double exact, size;
            const float sum = chain(gemm, &p, i, j, &exact, &size) + p.bias[j], got = c[i * n + j];
            const double x = (double)sum, wanted = 0.5 * x * erfc(-x * 0.70710678118654752440);
            if (!(fabs((double)got - wanted) <= 0x1p-22 * fmax(1, fabs(x))))
                fail_msg("%s: gelu(%.9g) is %.9g, %.9g expected", gemm->name, x, (double)got,
                         wanted);
            if (both[i * n + j] != got + p.residual[i * n + j])
                fail_msg("%s: the residual of (%zu, %zu) is not what is added", gemm->name, i, j);
        }
    sqzt_guarded_close(&memory);
    sqzt_guarded_close(&more);
    release(&o);
    discard(&p);
}

/* The same as bf16. */
static void check_gelu_bf16(const sqzk_gemm *gemm, size_t n)
{
    enum { M = 37 };
    if (!gemm->writes_bf16) return;
    problem p = make((shape){M, n, 96}, SQZI_F32);
    operands o = prepare(gemm, &p);
    sqzt_guarded memory = sqzt_guarded_open(M * n * sizeof(uint16_t));
    const uint16_t *c = memory.p;
    gemm->run(&(sqzk_gemm_args){.m = M,
                                .n = n,
                                .k = 96,
                                .a = o.rows.p,
                                .lda = o.lda,
                                .b = o.panels.p,
                                .c_bf16 = memory.p,
                                .ldc = n,
                                .epilogue = &(sqzk_epilogue){p.bias, NULL, 0, SQZK_GELU}});
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < n; j++) {
            double exact, size;
            const double x = (double)(chain(gemm, &p, i, j, &exact, &size) + p.bias[j]),
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
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));) {
        check_gelu(gemm, 64);
        check_gelu(gemm, 65);
        check_gelu(gemm, 70);
        check_gelu_bf16(gemm, 64);
        check_gelu_bf16(gemm, 71);
    }
}

/* NaN, infinity and subnormal numbers as they are rounded, one at a time, in whole vectors and in
 * what is left of them. */
static void odd_numbers_are_rounded_alike(void **state)
{
    (void)state;
    static const uint32_t bits[] = {0x7FFFFFFFu, 0x7F800001u, 0xFFFFFFFFu, 0xFF800001u,
                                    0x7F800000u, 0xFF800000u, 0x7F7FFFFFu, 0x00000001u,
                                    0x00008000u, 0x00018000u, 0x807FFFFFu, 0x80000000u,
                                    0x3F808000u, 0x3F818000u, 0x3F808001u};
    enum { K = 67 };
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));)
        for (size_t b = 0; b < sizeof bits / sizeof *bits; b++) {
            float x[K];
            uint16_t out[96];
            for (size_t k = 0; k < K; k++) x[k] = sqzi_float_of_bits(bits[b]);
            assert_true(gemm->prepare(&(sqzk_prepare_args){
                .m = 1, .k = K, .x = x, .ldx = K, .out = out, .ldo = sizeof out}));
            for (size_t k = 0; k < 96; k++) {
                uint16_t wanted = k >= K        ? 0
                                  : isnan(x[0]) ? (uint16_t)(bits[b] >> 16 | 0x40)
                                                : sqzi_to_bf16(x[0]);
                /* as its products take it */
                if (gemm->feature == SQZI_CPU_AMX && fpclassify(x[0]) == FP_SUBNORMAL)
                    wanted &= 0x8000;
                if (out[k] != wanted)
                    fail_msg("%s: %08x at %zu becomes %04x, %04x expected", gemm->name,
                             (unsigned)bits[b], k, out[k], wanted);
            }
        }
}

/* A NaN in a row reaches that row's outputs and no other. */
static void a_nan_stays_in_its_row(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));) {
        problem p = make((shape){7, 40, 50}, SQZI_F32);
        ((float *)p.x.p)[3 * p.ldx + 21] = NAN;
        operands o = prepare(gemm, &p);
        float c[7 * 40];
        gemm->run(&(sqzk_gemm_args){.m = 7,
                                    .n = 40,
                                    .k = 50,
                                    .a = o.rows.p,
                                    .lda = o.lda,
                                    .b = o.panels.p,
                                    .c = c,
                                    .ldc = 40});
        for (size_t r = 0; r < 7; r++)
            for (size_t j = 0; j < 40; j++) assert_int_equal(isnan(c[r * 40 + j]) != 0, r == 3);
        release(&o);
        discard(&p);
    }
}

static void bits_do_not_depend_on_cuts_of_m(void **state)
{
    (void)state;
    enum { M = 69 };
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));) {
        problem p = make((shape){M, 90, 130}, SQZI_F32);
        operands o = prepare(gemm, &p);
        float *whole = take(M * 90, sizeof *whole), *parts = take(M * 90, sizeof *parts);
        sqzk_gemm_args args = {.m = M,
                               .n = 90,
                               .k = 130,
                               .a = o.rows.p,
                               .lda = o.lda,
                               .b = o.panels.p,
                               .c = whole,
                               .ldc = 90};
        args.epilogue = &(sqzk_epilogue){p.bias, NULL, 0, SQZK_GELU};
        gemm->run(&args);
        for (size_t row = 0, rows = 1; row < M; row += rows, rows = rows * 2 % 37 + 1) {
            args.m = rows < M - row ? rows : M - row;
            args.a = (const unsigned char *)o.rows.p + row * o.lda;
            args.c = parts + row * 90;
            gemm->run(&args);
        }
        assert_memory_equal(whole, parts, M * 90 * sizeof *whole);
        free(whole);
        free(parts);
        release(&o);
        discard(&p);
    }
}

/* The panels without what fills each up to a multiple of 64 bytes, which no product reads, behind
 * each other. */
static size_t join_panels(const sqzk_gemm *gemm, size_t k, size_t n, const unsigned char *panels,
                          uint16_t *out)
{
    const size_t numbers = (k + gemm->kr - 1) / gemm->kr * gemm->kr * gemm->nr,
                 n_panels = (n + gemm->nr - 1) / gemm->nr;
    for (size_t i = 0; i < n_panels; i++)
        memcpy(out + i * numbers, panels + i * sqzk_gemm_panel_bytes(gemm, k),
               numbers * sizeof *out);
    return n_panels * numbers;
}

/* Whichever way a matrix lies, in f32 or bf16, its panels are the same, and hold zeros besides its
 * numbers: a number of another size, if only a subnormal one, would make products slow. Columns end
 * within a vector, where the whole second one of a panel lies past them, and in a second panel. */
static void panels_hold_nothing_but_the_weights(void **state)
{
    (void)state;
    enum { MOST_N = 45, K = 45, MOST_NUMBERS = 128 * 128 };
    static const size_t columns[] = {9, 19, MOST_N};
    static float numbers[2][MOST_N * K]; /* column after column, and k after k */
    static uint16_t halves[2][MOST_N * K], first[MOST_NUMBERS], got[MOST_NUMBERS];
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_BF16, &i));)
        for (size_t s = 0; s < sizeof columns / sizeof *columns; s++) {
            const size_t n = columns[s];
            for (size_t j = 0; j < n; j++)
                for (size_t k = 0; k < K; k++) {
                    const float number = 1 + (float)((j * K + k) % 255); /* exact in bf16 */
                    numbers[0][j * K + k] = numbers[1][k * n + j] = number;
                    halves[0][j * K + k] = halves[1][k * n + j] = sqzi_to_bf16(number);
                }
            size_t n_numbers = 0, found = 0;
            for (size_t way = 0; way < 4; way++) {
                const bool rows = way % 2, half = way / 2;
                sqzt_guarded panels = sqzt_guarded_open(sqzk_gemm_packed_bytes(gemm, K, n));
                assert_true(panels.bytes <= sizeof got);
                memset(panels.p, 0xFF, panels.bytes);
                gemm->pack(&(sqzk_pack_args){.n = n,
                                             .k = K,
                                             .source = half ? (const void *)halves[rows]
                                                            : numbers[rows],
                                             .n_stride = rows ? 1 : K,
                                             .k_stride = rows ? n : 1,
                                             .type = half ? SQZI_BF16 : SQZI_F32},
                           panels.p);
                n_numbers = join_panels(gemm, K, n, panels.p, way == 0 ? first : got);
                if (way && memcmp(first, got, n_numbers * sizeof *got) != 0)
                    fail_msg("%s, %zu columns: way %zu packs other bytes", gemm->name, n, way);
                sqzt_guarded_close(&panels);
            }
            for (size_t at = 0; at < n_numbers; at++) found += first[at] != 0;
            assert_int_equal(found, n * K);
        }
}

int main(void)
{
    printf("seed %u\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_the_documented_chains),
        cmocka_unit_test(sums_are_the_documented_chains_at_every_edge),
        cmocka_unit_test(the_best_gemm_of_this_machine_is_chosen),
        cmocka_unit_test(strides_are_honoured),
        cmocka_unit_test(gelu_is_applied_in_the_tile),
        cmocka_unit_test(odd_numbers_are_rounded_alike),
        cmocka_unit_test(a_nan_stays_in_its_row),
        cmocka_unit_test(bits_do_not_depend_on_cuts_of_m),
        cmocka_unit_test(panels_hold_nothing_but_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
