/* SPDX-License-Identifier: Apache-2.0 */
/* exp, erf, tanh and the activations on vectors. Included after a vector_<isa>.h. Coefficients: tools/fit_polynomials.py, which also prints the
 * errors of a float32 evaluation: erf 1.7 ulp, exp 1 ulp, tanh 1.5 ulp. */
#ifndef SQZK_VECTOR_MATH_H
#define SQZK_VECTOR_MATH_H

#include "kernel/kernel.h"

/* exp(x) for x <= 88.7; exactly 0 from about -103.98 down. A NaN stays one. x = n ln2 + r in two steps (Cody and Waite), 2^n is put on at the end. */
static inline vec v_exp(vec x)
{
    x = v_max(v_set(-104.0f), x);
    const vec n = v_round(v_mul(x, v_set(1.44269504f)));
    vec r = v_fma(n, v_set(-0.693145752f), x); /* ln2's upper 16 bits: the product is exact */
    r = v_fma(n, v_set(-1.42860677e-6f), r);
    vec p = v_set(0.00139336882f);
    p = v_fma(p, r, v_set(0.00836320501f));
    p = v_fma(p, r, v_set(0.041666463f));
    p = v_fma(p, r, v_set(0.166665763f));
    p = v_fma(p, r, v_set(0.5f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1.0f));
    return v_scale2(p, n);
}

/* erf: x + x P(x^2) for |x| < 0.85, else 1 - exp(Q(|x|)) with x's sign: past the middle the rounding of one polynomial would be several times
 * that of the result, and GELU would carry it on. At 4 float32 has reached 1. A NaN stays one. */
static inline vec v_erf(vec x)
{
    static const float near[] = {0.128379166f, -0.376125753f, 0.112827599f, -0.0268041641f, 0.00505362824f, -0.000632905576f};
    static const float far[] = {
        0.000292056735f, -1.13012242f, -0.632010818f, -0.109910607f, 0.0263272859f,
        -0.00472739246f, 0.000590102922f, -4.52825916e-05f, 1.59888566e-06f,
    };
    const vec size = v_min(v_set(4.0f), v_abs(x)), square = v_mul(size, size);
    vec p = v_set(near[5]), q = v_set(far[8]);
#pragma GCC unroll 5
    for (int i = 4; i >= 0; i--) p = v_fma(p, square, v_set(near[i]));
#pragma GCC unroll 8
    for (int i = 7; i >= 0; i--) q = v_fma(q, size, v_set(far[i]));
    const vec low = v_fma(p, size, size), high = v_sub(v_set(1.0f), v_exp(q));
    const vec y = v_where_less(size, v_set(0.85f), low, high);
    return v_where_less(x, v_set(0.0f), v_sub(v_set(0.0f), y), y);
}

/* Odd polynomial below 0.625, else 1 - 2/(exp(2|x|) + 1) with x's sign (of a negative x itself the division would round at 2);
 * past 9.1 float32 has reached 1. */
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

static inline vec v_gelu(vec x)
{
    const vec half = v_mul(x, v_set(0.5f));
    return v_fma(half, v_erf(v_mul(x, v_set(0.707106781f))), half);
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
    case SQZK_RELU: return v_max(v_set(0.0f), x); /* a NaN stays one: max returns its second operand then */
    case SQZK_TANH: return v_tanh(x);
    }
    return x;
}

#endif
