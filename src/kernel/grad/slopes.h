/* SPDX-License-Identifier: Apache-2.0 */
/* Slopes of the activations on vectors: within 2^-22 of GELU's, 2^-20 of its tanh form's, 2^-22 of
 * tanh's. Included after a vector_<isa>.h. Coefficients: tools/fit_polynomials.py. */
#ifndef SQZK_SLOPES_H
#define SQZK_SLOPES_H

#include "kernel/activation/vector_math.h"
#include "kernel/grad/gelu_slope_quartics.h"

#ifdef V_LOOKUP_32
/* The slope at -s from 32 quartics, and 1 less it that at s; past 6.25 it no longer counts. A NaN
 * stays one. */
static inline vec gelu_slope(vec x)
{
    const vec size = v_min(v_set(6.25f), v_abs(x)), scale = v_set(5.0f), magic = v_set(0x1.8p23f);
    /* at's lower bits: the nearest whole number to 5 size */
    const vec at = v_fma(size, scale, magic), u = v_fma(size, scale, v_sub(magic, at));
    vec p = v_lookup_32(sqzk_gelu_slope_quartics[4], at);
#pragma GCC unroll 4
    for (int i = 3; i >= 0; i--) p = v_fma(p, u, v_lookup_32(sqzk_gelu_slope_quartics[i], at));
    return v_where_less(x, v_set(0.0f), p, v_sub(v_set(1.0f), p));
}
#else
/* exp(-s^2/2) P(s) is the slope at -s, and 1 less it that at s; past 6.5 it no longer counts. A NaN
 * stays one. */
static inline vec gelu_slope(vec x)
{
    static const float p_of[] = {0.49999997f,      -0.797882855f,   0.249972567f,
                                 -0.13280578f,     0.0619239323f,   -0.0254718177f,
                                 0.00900384784f,   -0.0025900905f,  0.000563652837f,
                                 -8.47710107e-05f, 7.70878069e-06f, -3.15543133e-07f};
    const vec size = v_min(v_set(6.5f), v_abs(x));
    vec p = v_set(p_of[11]);
#pragma GCC unroll 11
    for (int i = 10; i >= 0; i--) p = v_fma(p, size, v_set(p_of[i]));
    const vec below = v_mul(v_exp(v_mul(v_mul(size, size), v_set(-0.5f))), p);
    return v_where_less(x, v_set(0.0f), below, v_sub(v_set(1.0f), below));
}
#endif

/* x/2 (1 + t) with t = tanh(r (x + c x^3)): (1 + t)/2 + x/2 (1 - t)(1 + t) r (1 + 3 c x^2). Past 10
 * t has reached 1, and 0 must not meet infinity. */
static inline vec gelu_tanh_slope(vec x)
{
    const vec a = v_min(v_set(10.0f), v_max(v_set(-10.0f), x)), s = v_mul(a, a), one = v_set(1.0f),
              t = v_tanh(v_mul(v_fma(v_mul(s, a), v_set(0.044715f), a), v_set(0.797884561f)));
    const vec half = v_mul(v_add(one, t), v_set(0.5f)),
              inner = v_fma(s, v_set(0.107032418f), v_set(0.797884561f)); /* 3 c r, r */
    return v_fma(v_mul(v_mul(a, half), v_sub(one, t)), inner, half);
}

static inline vec tanh_slope(vec y)
{
    const vec one = v_set(1.0f);
    return v_mul(v_sub(one, y), v_add(one, y));
}

/* 1 above 0, 0 below and at 0, a NaN stays one. */
static inline vec relu_slope(vec x)
{
    const vec zero = v_set(0.0f), one = v_set(1.0f);
    return v_where_less(zero, x, one, v_min(zero, v_max(zero, x)));
}

/* Of the output where of_outputs says so. */
static inline vec v_slope(sqzk_activation activation, bool of_outputs, vec x)
{
    switch (activation) {
    case SQZK_IDENTITY: return v_set(1.0f);
    case SQZK_GELU: return gelu_slope(x);
    case SQZK_GELU_TANH: return gelu_tanh_slope(x);
    case SQZK_RELU: return relu_slope(x);
    case SQZK_TANH: return tanh_slope(of_outputs ? x : v_tanh(x));
    }
    return v_set(1.0f);
}

#endif
