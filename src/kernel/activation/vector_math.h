/* SPDX-License-Identifier: Apache-2.0 */
/* exp, tanh and the activations on vectors. Included after a vector_<isa>.h. Coefficients:
 * tools/fit_polynomials.py, which also prints the
 * errors of a float32 evaluation: exp 0.8 ulp (with the steps of its argument 0.97), tanh 1.5 ulp,
 * GELU 1.3 * 2^-24 max(1, |x|), from a table 1.1. */
#ifndef SQZK_VECTOR_MATH_H
#define SQZK_VECTOR_MATH_H

#include "kernel/activation/gelu_quartics.h"
#include "kernel/activation/gelu_table.h"
#include "kernel/kernel.h"

/* exp(x) for x <= 88.7; 0 below -88: a subnormal result costs some CPUs a hundred cycles, and
 * shorter rows are filled up with -inf. From -87.34 to -88 results are subnormal. A NaN stays one.
 * x = n ln2 + r in two steps (Cody and Waite), 2^n is put on at the end. Adding 1.5 * 2^23 rounds
 * to a whole number. */
static inline vec v_exp(vec x)
{
    const vec magic = v_set(0x1.8p23f), one = v_set(1.0f);
    const vec n = v_sub(v_fma(x, v_set(1.44269504f), magic), magic);
    vec r = v_fma(n, v_set(-0.693145752f), x); /* ln2's upper 16 bits: the product is exact */
    r = v_fma(n, v_set(-1.42860677e-6f), r);
    vec p = v_set(0.00139336882f);
    p = v_fma(p, r, v_set(0.00836320501f));
    p = v_fma(p, r, v_set(0.041666463f));
    p = v_fma(p, r, v_set(0.166665763f));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(v_fma(p, r, one), r, one);
    return v_scale2_from(p, n, x, -88.0f);
}

/* 2^t within 2^-18 of itself for t <= 127, for what is rounded to bf16 next; 0 below -125.5. A NaN
 * stays one. */
static inline vec v_exp2_near(vec t)
{
    vec whole;
    const vec r = v_fraction(t, &whole);
    vec p = v_set(0.0135341678f);
    p = v_fma(p, r, v_set(0.0520114601f));
    p = v_fma(p, r, v_set(0.241442755f));
    p = v_fma(p, r, v_set(0.693003833f));
    p = v_fma(p, r, v_set(1.00000262f));
    return v_scale2_from(p, whole, t, -125.5f);
}

/* Odd polynomial below 0.625, else 1 - 2/(exp(2|x|) + 1) with x's sign (of a negative x itself the
 * division would round at 2); past 9.1 float32 has reached 1. */
static inline vec v_tanh(vec x)
{
    const vec bounded = v_min(v_set(9.1f), v_max(v_set(-9.1f), x));
    const vec s = v_mul(bounded, bounded);
    vec p = v_set(-0.00610537967f);
    p = v_fma(p, s, v_set(0.0210040212f));
    p = v_fma(p, s, v_set(-0.0538526103f));
    p = v_fma(p, s, v_set(0.133327842f));
    p = v_fma(p, s, v_set(-0.333333284f));
    const vec small = v_fma(p, v_mul(bounded, s), bounded);
    const vec size = v_abs(bounded), one = v_set(1.0f), two = v_set(2.0f);
    const vec part = v_div(two, v_add(v_exp(v_add(size, size)), one));
    const vec large = v_where_less(bounded, v_set(0.0f), v_sub(part, one), v_sub(one, part));
    return v_where_less(size, v_set(0.625f), small, large);
}

#ifdef V_LOOKUP_32
/* x/2 (1 + erf(x/sqrt2)) as max(x, 0) less an even function, of which 32 quartics lie in registers;
 * past 5.7 it no longer counts. A NaN stays one. */
static inline vec v_gelu(vec x)
{
    const vec size = v_least_magnitude(x, v_set(5.7f)), scale = v_set(5.5f),
              magic = v_set(0x1.8p23f);
    /* at's lower bits: the nearest whole number to 5.5 size */
    const vec at = v_fma(size, scale, magic), u = v_fma(size, scale, v_sub(magic, at));
    vec p = v_lookup_32(sqzk_gelu_quartics[4], at);
#pragma GCC unroll 4
    for (int i = 3; i >= 0; i--) p = v_fma(p, u, v_lookup_32(sqzk_gelu_quartics[i], at));
    return v_sub(v_max(v_set(0.0f), x), p);
}
#else
/* x/2 (1 + erf(x/sqrt2)) as max(x, 0) - |x|/2 E with E = erfc(|x|/sqrt2) = 2^Q(|x|): one
 * exponential and no branch, and where x is negative nothing cancels. At 5.7 E no longer counts. A
 * NaN stays one. */
static inline vec v_gelu(vec x)
{
    static const float log2_erfc[] = {
        2.17176233e-08f, -1.15110576f, -0.459204912f, -0.0525050275f, 0.0070754718f,
        -0.000145870144f, -0.000182547607f, 3.86207466e-05f, -2.77204913e-06f,
    };
    static const float exp2[] = {1.00000012f,   0.693146944f,   0.240221202f,
                                 0.0555071309f, 0.00967554096f, 0.00132764725f};
    const vec size = v_min(v_set(5.7f), v_abs(x));
    vec q = v_set(log2_erfc[8]), p = v_set(exp2[5]);
#pragma GCC unroll 8
    for (int i = 7; i >= 0; i--) q = v_fma(q, size, v_set(log2_erfc[i]));
    const vec n = v_round(q), r = v_sub(q, n);
#pragma GCC unroll 5
    for (int i = 4; i >= 0; i--) p = v_fma(p, r, v_set(exp2[i]));
    return v_fma(v_mul(size, v_set(-0.5f)), v_scale2(p, n), v_max(v_set(0.0f), x));
}
#endif

/* GELU within 2^-20 max(1, |x|), for what is rounded to 8 bits next: where a level can look numbers
 * up in registers, from a table of cubics. */
static inline vec v_gelu_near(vec x)
{
#ifdef V_LOOKUP_32
    /* its lower bits: the nearest whole number to 6 size */
    const vec size = v_least_magnitude(x, v_set(5.24f)),
              at = v_fma(size, v_set(6.0f), v_set(0x1.8p23f));
    vec p = v_fma(v_lookup_32(sqzk_gelu_cubics[3], at), size, v_lookup_32(sqzk_gelu_cubics[2], at));
    p = v_fma(p, size, v_lookup_32(sqzk_gelu_cubics[1], at));
    return v_sub(v_max(v_set(0.0f), x), v_fma(p, size, v_lookup_32(sqzk_gelu_cubics[0], at)));
#else
    return v_gelu(x);
#endif
}

/* Hendrycks and Gimpel's approximation, as Transformers' gelu_new. */
static inline vec v_gelu_tanh(vec x)
{
    const vec cubic = v_fma(v_mul(v_mul(x, x), x), v_set(0.044715f), x);
    const vec half = v_mul(x, v_set(0.5f));
    return v_fma(half, v_tanh(v_mul(cubic, v_set(0.797884561f))), half);
}

static inline vec v_activate(sqzk_activation activation, vec x)
{
    switch (activation) {
    case SQZK_IDENTITY: return x;
    case SQZK_GELU: return v_gelu(x);
    case SQZK_GELU_TANH: return v_gelu_tanh(x);
    /* a NaN stays one: max returns its second operand then */
    case SQZK_RELU: return v_max(v_set(0.0f), x);
    case SQZK_TANH: return v_tanh(x);
    }
    return x;
}

#endif
