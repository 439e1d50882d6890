/* SPDX-License-Identifier: Apache-2.0 */
/* Layer norm, softmax, activations and conversion on every level of this machine against double:
 * bounds from the roundings, odd lengths and strides, rows that end at unreadable pages, the same
 * bits wherever a number stands. A level that this machine lacks is named. */
#include "kernel/kernel.h"

#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/half.h"
#include "support/guarded.h"
#include "support/random.h"
#include "support/row_levels.h"
#include "support/test.h"

static const uint32_t seed = 22;
static const double u = 0x1p-24;
static const size_t lengths[] = {1,  2,  3,  7,   8,   9,   15,  16,  17,  31,  32,  33,  47,
                                 63, 64, 65, 127, 128, 192, 300, 384, 511, 512, 768, 1000};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* Sums of n numbers carry at most n roundings each. */
static void check_norm_row(const level *l, const sqzk_layer_norm_args *args, const float *x,
                           const float *out)
{
    const double n = (double)args->n;
    double mean = 0, size = 0, variance = 0;
    for (size_t j = 0; j < args->n; j++) mean += (double)x[j] / n, size += fabs((double)x[j]) / n;
    for (size_t j = 0; j < args->n; j++)
        variance += ((double)x[j] - mean) * ((double)x[j] - mean) / n;
    const double scale = 1 / sqrt(variance + (double)args->epsilon), d_mean = (n + 1) * u * size;
    /* d_mean moves the variance by d_mean^2 alone, and each difference by itself and a rounding */
    const double d_scale = (n + 8) * u + scale * scale * d_mean * d_mean + 2 * u * scale * d_mean;
    for (size_t j = 0; j < args->n; j++) {
        const double y = ((double)x[j] - mean) * scale, w = (double)args->weight[j],
                     b = (double)args->bias[j];
        const double wanted = y * w + b, got = (double)out[j];
        const double bound = 1.05 * (fabs(w) * (scale * d_mean + fabs(y) * (d_scale + 4 * u)) +
                                     2 * u * (fabs(y * w) + fabs(b)));
        if (!(fabs(got - wanted) <= bound))
            fail_msg("layer_norm %s, n %zu: [%zu] is %.9g, %.9g +- %.3g expected", l->name, args->n,
                     j, got, wanted, bound);
    }
}

static void layer_norm_keeps_its_bound(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (size_t at = 0; at < N_LENGTHS; at++) {
            const size_t n = lengths[at], ldx = n + 3, ldo = n + 1;
            sqzt_random random = sqzt_random_of(seed + n);
            sqzt_guarded x = rows_of(&random, n, ldx, at % 3 == 1 ? 100 : 0.5, 2),
                         weight = rows_of(&random, n, n, 1, 0.2),
                         bias = rows_of(&random, n, n, 0, 1);
            sqzt_guarded out = rows_of(&random, n, ldo, 0, 0);
            const sqzk_layer_norm_args args = {.m = ROWS,
                                               .n = n,
                                               .x = x.p,
                                               .ldx = ldx,
                                               .weight = (float *)weight.p + (ROWS - 1) * n,
                                               .bias = (float *)bias.p + (ROWS - 1) * n,
                                               .epsilon = 1e-6f,
                                               .out = out.p,
                                               .ldo = ldo};
            l.table.layer_norm(&args);
            const float *y = out.p;
            for (size_t r = 0; r < ROWS; r++)
                check_norm_row(&l, &args, (float *)x.p + r * ldx, y + r * ldo);
            for (size_t r = 0; r + 1 < ROWS; r++) assert_true(isnan(y[r * ldo + n]));
            sqzk_layer_norm_args in_place = args; /* and one row alone: the same bits */
            in_place.m = 1;
            in_place.x = in_place.out = (float *)x.p + ldx;
            l.table.layer_norm(&in_place);
            assert_memory_equal(in_place.out, y + ldo, n * sizeof *y);
            sqzt_guarded *const all[] = {&x, &weight, &bias, &out};
            for (size_t g = 0; g < 4; g++) sqzt_guarded_close(all[g]);
        }
}

/* What an e may be off. */
typedef struct softmax_form {
    double z_roundings; /* in units of u |z| */
    double error;       /* of the exponential, relative */
    double rounding;    /* of its storing, relative, */
    double step;        /* and where it is subnormal */
    /* an e whose z lies below may be 0 instead, and the z that decides is the kernel's */
    double least;
} softmax_form;

/* z is rounded once and an exponential is within 2 ulp. */
static const softmax_form in_f32 = {1, 2 * 2 * 0x1p-24, 0, 0x1p-148, -88};
/* z log2(e) as a power of 2: rounded once, by a factor that is rounded twice; within 2^-18. bf16
 * keeps 8 bits. */
static const softmax_form in_bf16 = {3, 0x1p-18, 0x1p-8, 0x1p-133, -125.5 * 0.6931471805599453};

/* e * inverse against the softmax. What an e is off is also what it adds to the sum, whose
 * additions and inverse are n roundings. */
static void check_softmax_row(const level *l, const float *before, const float *after, size_t n,
                              float scale, float inverse, softmax_form form)
{
    int exponent;
    const bool power_of_2 = frexpf(scale, &exponent) == 0.5f; /* products with it are exact */
    double largest = -INFINITY, sum = 0, total = 0, moved = 0;
    for (size_t j = 0; j < n; j++) largest = fmax(largest, (double)before[j] * (double)scale);
    /* what rounding does to each z: the difference, and before it the two products */
    double off[1024];
    for (size_t j = 0; j < n; j++) {
        const double product = (double)before[j] * (double)scale, z = product - largest;
        off[j] = u *
                 (form.z_roundings * fabs(z) + (power_of_2 ? 0 : fabs(product) + fabs(largest)));
        sum += exp(z);
        moved += exp(z) * off[j];
    }
    for (size_t j = 0; j < n; j++) {
        const double z = (double)before[j] * (double)scale - largest, wanted = exp(z) / sum,
                     got = (double)after[j] * (double)inverse;
        const double bound = 1.05 * (wanted * (off[j] + moved / sum + 2 * form.error +
                                               (double)n * u + 2 * form.rounding) +
                                     form.step * (double)inverse);
        const bool may_be_0 = z < form.least + 1.05 * off[j];
        if (!(fabs(got - wanted) <= bound || (may_be_0 && after[j] == 0)))
            fail_msg("softmax %s, n %zu: [%zu] is %.9g, %.9g +- %.3g expected", l->name, n, j, got,
                     wanted, bound);
        total += got;
    }
    assert_true(fabs(total - 1) <= ((double)n + 8) * u);
}

static void softmax_keeps_its_bound(void **state)
{
    (void)state;
    static const double deviations[] = {1, 30, 400, 0};
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (size_t at = 0; at < N_LENGTHS * 8; at++) {
            const size_t n = lengths[at / 8], ld = n + 5;
            sqzt_random random = sqzt_random_of(seed + n);
            sqzt_guarded x = rows_of(&random, n, ld, at % 3 ? -50 : 50, deviations[at / 2 % 4]),
                         before = sqzt_guarded_open(x.bytes),
                         alone = sqzt_guarded_open(n * sizeof(float));
            memcpy(before.p, x.p, x.bytes);
            float *y = x.p, *last = (float *)before.p + (ROWS - 1) * ld, inverse[ROWS], again;
            const float scale = at % 2 ? 0.125f : 0.17677669f; /* of heads 64 and 32 wide */
            l.table.softmax(&(sqzk_softmax_args){
                .m = ROWS, .n = n, .x = y, .ldx = ld, .scale = scale, .inverse = inverse});
            for (size_t r = 0; r < ROWS; r++)
                check_softmax_row(&l, (float *)before.p + r * ld, y + r * ld, n, scale, inverse[r],
                                  in_f32);
            for (size_t r = 0; r + 1 < ROWS; r++) assert_true(isnan(y[r * ld + n]));
            memcpy(alone.p, last, alone.bytes);
            l.table.softmax(&(sqzk_softmax_args){
                .m = 1, .n = n, .x = alone.p, .ldx = n, .scale = scale, .inverse = &again});
            assert_memory_equal(alone.p, y + (ROWS - 1) * ld, alone.bytes);
            assert_true(again == inverse[ROWS - 1]);
            sqzt_guarded_close(&x);
            sqzt_guarded_close(&before);
            sqzt_guarded_close(&alone);
        }
}

/* One number far above the others: what is not compared with it overflows. */
static void the_largest_is_found_wherever_it_stands(void **state)
{
    (void)state;
    enum { N = 131 };
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (size_t at = 0; at < N; at++) {
            float x[N] = {0}, inverse;
            x[at] = 1000;
            l.table.softmax(&(sqzk_softmax_args){
                .m = 1, .n = N, .x = x, .ldx = N, .scale = 1, .inverse = &inverse});
            for (size_t j = 0; j < N; j++)
                if (x[j] * inverse != (j == at ? 1.0f : 0.0f))
                    fail_msg("softmax %s: %g at %zu with the largest at %zu", l.name,
                             (double)(x[j] * inverse), j, at);
        }
}

/* bf16 keeps 8 bits: an e is off by 2^-8 of itself at most (by 2^-133 where it is subnormal), and
 * so is their sum; what was rounded sums to 1. Zeros follow up to 64 bytes. */
static void softmax_to_bf16_keeps_its_bound(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (size_t at = 0; at < N_LENGTHS * 2; at++) {
            const size_t n = lengths[at / 2], padded = (n + 31) / 32 * 32, ldh = padded + 32;
            sqzt_random random = sqzt_random_of(seed + n);
            sqzt_guarded x = rows_of(&random, n, n + 1, 0, at % 2 ? 4 : 300),
                         before = sqzt_guarded_open(x.bytes),
                         out = sqzt_guarded_open(((ROWS - 1) * ldh + padded) * sizeof(uint16_t));
            memcpy(before.p, x.p, x.bytes);
            uint16_t *halves = out.p;
            float inverse[ROWS], wide[1024];
            memset(halves, 0xA5, out.bytes);
            l.table.softmax(&(sqzk_softmax_args){.m = ROWS,
                                                 .n = n,
                                                 .x = x.p,
                                                 .ldx = n + 1,
                                                 .scale = 0.125f,
                                                 .inverse = inverse,
                                                 .halves = halves,
                                                 .ldh = ldh});
            for (size_t r = 0; r < ROWS; r++, halves += ldh) {
                for (size_t j = 0; j < n; j++) wide[j] = sqzi_from_bf16(halves[j]);
                check_softmax_row(&l, (float *)before.p + r * (n + 1), wide, n, 0.125f, inverse[r],
                                  in_bf16);
                for (size_t j = n; j < padded; j++) assert_int_equal(halves[j], 0);
                for (size_t j = padded; j < ldh && r + 1 < ROWS; j++)
                    assert_int_equal(halves[j], 0xA5A5);
            }
            sqzt_guarded_close(&x);
            sqzt_guarded_close(&before);
            sqzt_guarded_close(&out);
        }
}

static void rows_are_scaled(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (size_t at = 0; at < N_LENGTHS; at++) {
            const size_t n = lengths[at], ld = n + 1;
            sqzt_random random = sqzt_random_of(seed + n);
            sqzt_guarded x = rows_of(&random, n, ld, 0, 1), before = sqzt_guarded_open(x.bytes);
            memcpy(before.p, x.p, x.bytes);
            const float factor[ROWS] = {0.3f, -7, 1e-3f}, *from = before.p, *y = x.p;
            l.table.scale_rows(
                &(sqzk_scale_rows_args){.m = ROWS, .n = n, .x = x.p, .ldx = ld, .factor = factor});
            for (size_t r = 0; r < ROWS; r++)
                for (size_t j = 0; j < n; j++)
                    assert_true(y[r * ld + j] == from[r * ld + j] * factor[r]);
            for (size_t r = 0; r + 1 < ROWS; r++) assert_true(isnan(y[r * ld + n]));
            sqzt_guarded_close(&x);
            sqzt_guarded_close(&before);
        }
}

/* One unit in the last place of a float near y. */
static double ulp(double y)
{
    int exponent;
    frexp(y, &exponent);
    return ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

/* The softmax of {0, x, ...} with scale 1 leaves exp(x) itself where x stood: 0 - the largest - and
 * 1 change no bit. Every 211th float from -88 to -2^-27, past which exp is 1 - 2^-24 or 1; the ends
 * are among them. */
static void check_exp(const level *l, bool in_halves)
{
    enum { N = 1024, STEP = 211 };
    const float edge = -88, tiny = -0x1p-27f;
    uint32_t at, last, checked = 0;
    double worst = 0;
    memcpy(&at, &tiny, sizeof at); /* the bits of negative floats rise with their size */
    memcpy(&last, &edge, sizeof last);
    for (bool more = true; more;) {
        float x[N] = {0}, e[N], inverse;
        uint16_t halves[N];
        for (size_t j = 1; j < N; j++) {
            memcpy(&x[j], &at, sizeof at);
            more = at != last;
            at = last - at < STEP ? last : at + STEP;
        }
        memcpy(e, x, sizeof e);
        l->table.softmax(&(sqzk_softmax_args){.m = 1,
                                              .n = N,
                                              .x = e,
                                              .ldx = N,
                                              .scale = 1,
                                              .inverse = &inverse,
                                              .halves = in_halves ? halves : NULL,
                                              .ldh = N});
        for (size_t j = 0; j < N; j++, checked++) {
            const double wanted = exp((double)x[j]), unit = ulp(wanted),
                         got = (double)(in_halves ? sqzi_from_bf16(halves[j]) : e[j]),
                         error = fabs(got - wanted) / unit;
            /* 2^15: half a bf16's ulp */
            const double inner = in_bf16.error + in_bf16.z_roundings * u * fabs((double)x[j]),
                         limit = in_halves ? 0x1p15 + wanted * inner / unit : 2;
            const bool may_be_0 = in_halves && (double)x[j] < in_bf16.least;
            if (!(error <= limit || (may_be_0 && got == 0)))
                fail_msg("exp %s: exp(%.9g) is %.9g, off by %.6g of %.6g ulp", l->name,
                         (double)x[j], got, error, limit);
            worst = fmax(worst, got == 0 ? 0 : error / limit);
        }
        assert_true((in_halves ? sqzi_from_bf16(halves[0]) : e[0]) == 1);
    }
    printf("exp%s, %s: at worst %.5f of what is allowed, %u numbers\n", in_halves ? " to bf16" : "",
           l->name, worst, checked);
}

static void exp_keeps_2_ulp_and_2_to_the_minus_18_before_bf16(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);) {
        check_exp(&l, false);
        check_exp(&l, true);
    }
}

static double exact(sqzk_activation activation, double x)
{
    switch (activation) {
    case SQZK_IDENTITY: return x;
    case SQZK_GELU: return 0.5 * x * erfc(-x * 0.70710678118654752440);
    case SQZK_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case SQZK_RELU: return x < 0 ? 0 : x;
    case SQZK_TANH: return tanh(x);
    }
    return x;
}

static double allowed(sqzk_activation activation, double x)
{
    switch (activation) {
    case SQZK_GELU: return 0x1p-22 * fmax(1, fabs(x));
    /* the cubic's own three roundings come on top */
    case SQZK_GELU_TANH: return 0x1p-21 * fmax(1, fabs(x));
    case SQZK_TANH: return 2 * ulp(tanh(x));
    default: return 0;
    }
}

static void activations_keep_their_bound(void **state)
{
    (void)state;
    enum { N = 200003 };
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (sqzk_activation activation = SQZK_IDENTITY;
             activation < (sqzk_activation)SQZK_ACTIVATIONS; activation++) {
            sqzt_random random = sqzt_random_of(seed);
            sqzt_guarded x = sqzt_guarded_open(N * sizeof(float)),
                         before = sqzt_guarded_open(N * sizeof(float));
            float *y = x.p, *from = before.p;
            /* evenly over [-12, 12], and every size down to 2^-40 and up to 2^20 */
            for (size_t j = 0; j < N; j++)
                from[j] = j % 2 ? (float)(24 * sqzt_uniform(&random) - 12)
                                : (float)ldexp(sqzt_normal(&random),
                                               (int)sqzt_below(&random, 60) - 40);
            memcpy(y, from, x.bytes);
            l.table.activate(activation, N, y, y);
            double worst = 0;
            for (size_t j = 0; j < N; j++) {
                const double wanted = exact(activation, (double)from[j]),
                             error = fabs((double)y[j] - wanted),
                             bound = allowed(activation, (double)from[j]);
                if (!(error <= bound))
                    fail_msg("activation %d %s: f(%.9g) is %.9g, %.9g +- %.3g expected",
                             (int)activation, l.name, (double)from[j], (double)y[j], wanted, bound);
                if (bound > 0) worst = fmax(worst, error / bound);
            }
            printf("activation %d, %s: at worst %.2f of what is allowed\n", (int)activation, l.name,
                   worst);
            sqzt_guarded_close(&x);
            sqzt_guarded_close(&before);
        }
}

static void an_activation_does_not_see_its_neighbours(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (sqzk_activation activation = SQZK_IDENTITY;
             activation < (sqzk_activation)SQZK_ACTIVATIONS; activation++)
            for (size_t n = 1; n <= 40; n++) {
                sqzt_random random = sqzt_random_of(seed + n);
                sqzt_guarded x = sqzt_guarded_open(n * sizeof(float));
                float *y = x.p, alone[40];
                for (size_t j = 0; j < n; j++) alone[j] = y[j] = (float)(3 * sqzt_normal(&random));
                l.table.activate(activation, n, y, y);
                for (size_t j = 0; j < n; j++)
                    l.table.activate(activation, 1, &alone[j], &alone[j]);
                assert_memory_equal(alone, y, n * sizeof *y);
                sqzt_guarded_close(&x);
            }
}

static void a_nan_stays_one(void **state)
{
    (void)state;
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (sqzk_activation activation = SQZK_IDENTITY;
             activation < (sqzk_activation)SQZK_ACTIVATIONS; activation++) {
            float x[33] = {[0] = NAN, [20] = NAN, [32] = -NAN};
            l.table.activate(activation, 33, x, x);
            for (size_t j = 0; j < 33; j++)
                if (!isnan(x[j]) != !(j == 0 || j == 20 || j == 32))
                    fail_msg("activation %d %s: [%zu] is %.9g", (int)activation, l.name, j,
                             (double)x[j]);
        }
}

static void every_half_is_converted_exactly(void **state)
{
    (void)state;
    level l;
    sqzt_guarded source = sqzt_guarded_open(65536 * sizeof(uint16_t)),
                 out = sqzt_guarded_open(65536 * sizeof(float));
    uint16_t *x = source.p;
    for (uint32_t j = 0; j < 65536; j++) x[j] = (uint16_t)j;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (uint32_t t = 0; t < 2; t++) {
            const sqzi_type type = t ? SQZI_F16 : SQZI_BF16;
            for (size_t cut = 0; cut < 19; cut++) { /* from any place to the unreadable page */
                float *y = (float *)out.p + cut;
                l.table.convert(&(sqzk_convert_args){
                    .n = 65536 - cut, .source = x + cut, .type = type, .scale = NAN, .out = y});
                for (uint32_t j = (uint32_t)cut; j < 65536; j++) {
                    const uint32_t sign = j >> 15, e = t ? j >> 10 & 31 : j >> 7 & 255,
                                   f = t ? j & 1023 : j & 127;
                    const uint32_t bias = t ? 15 : 127, digits = t ? 10 : 7, top = t ? 31 : 255;
                    const double size = e == top ? (f ? NAN : INFINITY)
                                                 : ldexp(e ? f + (1u << digits) : f,
                                                         (int)(e ? e : 1) - (int)(bias + digits));
                    const double got = (double)y[j - cut], wanted = sign ? -size : size;
                    if (isnan(wanted) ? !isnan(got) : memcmp(&wanted, &got, sizeof got) != 0)
                        fail_msg("convert %s: %04x is %.9g, %.9g expected", l.name, j, got, wanted);
                }
            }
        }
    sqzt_guarded_close(&source);
    sqzt_guarded_close(&out);
}

/* Numbers of 8 bits times their scale, and rows of every type added to what stands there: one
 * rounding each, from any place to the unreadable page. */
static void rows_are_converted_and_added(void **state)
{
    (void)state;
    static const sqzi_type types[] = {SQZI_F32, SQZI_F16, SQZI_BF16, SQZI_S8};
    enum { N = 70 };
    level l;
    for (uint32_t i = 0; next_level(&i, &l);)
        for (size_t at = 0; at < 4 * N * 2; at++) {
            const sqzi_type type = types[at / 2 % 4];
            const size_t n = at / 8 + 1, bytes = type == SQZI_F32 ? 4 : type == SQZI_S8 ? 1 : 2;
            const uint32_t beta = at % 2;
            const float scale = type == SQZI_S8 ? 0.0123f : NAN;
            sqzt_random random = sqzt_random_of(seed + at);
            sqzt_guarded source = sqzt_guarded_open(n * bytes),
                         out = sqzt_guarded_open(n * sizeof(float));
            float before[N], *y = out.p;
            for (size_t j = 0; j < n; j++) {
                const float x = (float)sqzt_normal(&random);
                if (type == SQZI_F32) ((float *)source.p)[j] = x;
                else if (type == SQZI_S8)
                    ((int8_t *)source.p)[j] = (int8_t)((int)sqzt_below(&random, 255) - 127);
                else
                    ((uint16_t *)source.p)[j] = type == SQZI_F16 ? sqzi_to_f16(x) : sqzi_to_bf16(x);
                y[j] = before[j] = beta ? (float)sqzt_normal(&random) : NAN;
            }
            l.table.convert(&(sqzk_convert_args){
                .n = n, .source = source.p, .type = type, .scale = scale, .beta = beta, .out = y});
            for (size_t j = 0; j < n; j++) {
                const float x = type == SQZI_S8 ? (float)((int8_t *)source.p)[j] * scale
                                                : sqzi_load_real(source.p, j, type);
                assert_true(y[j] == (beta ? before[j] + x : x));
            }
            sqzt_guarded_close(&source);
            sqzt_guarded_close(&out);
        }
}

int main(void)
{
    printf("seed %u\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_norm_keeps_its_bound),
        cmocka_unit_test(softmax_keeps_its_bound),
        cmocka_unit_test(the_largest_is_found_wherever_it_stands),
        cmocka_unit_test(exp_keeps_2_ulp_and_2_to_the_minus_18_before_bf16),
        cmocka_unit_test(softmax_to_bf16_keeps_its_bound),
        cmocka_unit_test(rows_are_scaled),
        cmocka_unit_test(activations_keep_their_bound),
        cmocka_unit_test(an_activation_does_not_see_its_neighbours),
        cmocka_unit_test(a_nan_stays_one),
        cmocka_unit_test(every_half_is_converted_exactly),
        cmocka_unit_test(rows_are_converted_and_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
