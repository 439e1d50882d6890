/* SPDX-License-Identifier: Apache-2.0 */
/* exp, erf, tanh and the activations on vectors. Included after a vector_<isa>.h. Coefficients: tools/fit_polynomials.py, which also prints the
 * errors of a float32 evaluation: erf 2.2 ulp, exp 1 ulp, tanh 1.5 ulp. */
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

/* erf(x) = x P(x^2/8 - 1) for |x| <= 4, where float32 has reached 1. A NaN stays one. */
static inline vec v_erf(vec x)
{
    static const float coefficients[] = {
        0.353530973f, -0.176576167f, 0.13167733f, -0.107713364f, 0.0901631191f, -0.0746875331f, 0.0602473989f, -0.0460143201f,
        0.0316793434f, -0.0216625314f, 0.0171884838f, -0.0100859068f, 0.00170060073f, -0.00107694208f, 0.0030023111f, -0.00137281511f,
    };
    x = v_min(v_set(4.0f), v_max(v_set(-4.0f), x));
    const vec t = v_fma(x, v_mul(x, v_set(0.125f)), v_set(-1.0f));
    vec p = v_set(coefficients[15]);
#pragma GCC unroll 15
    for (int i = 14; i >= 0; i--) p = v_fma(p, t, v_set(coefficients[i]));
    return v_min(v_set(1.0f), v_max(v_set(-1.0f), v_mul(x, p)));
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
