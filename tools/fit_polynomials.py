#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fits the polynomials of src/kernel/activation/vector_math.h and prints them as C, with the error of a float32 evaluation.

Chebyshev interpolation in float64 (near minimax), then the power basis on [-1, 1], where it is well conditioned at these degrees.
Needs numpy and scipy: python3 tools/fit_polynomials.py
"""
import numpy as np
from numpy.polynomial import chebyshev as C
from scipy.special import erf, erfcx


def fit(f, low, high, degree):
    """Coefficients, lowest first, of p(t), t in [-1, 1], x = low + (t + 1)(high - low)/2."""
    nodes = np.cos(np.pi * (np.arange(4096) + 0.5) / 4096)
    x = low + (nodes + 1) * (high - low) / 2
    return C.cheb2poly(C.chebfit(nodes, f(x), degree))


def show(name, coefficients):
    print(f'static const float {name}[] = {{' + ', '.join(f'{np.float32(c):.9g}f' for c in coefficients) + '};')


def horner(coefficients, t):
    c = coefficients.astype(np.float32)
    p = np.full_like(t, c[-1])
    for value in c[-2::-1]: p = (p.astype(np.float64) * t + value).astype(np.float32)  # an fma rounds once
    return p


def main():
    f32 = np.float32
    # erf(x) = x + x * P(x^2), 0 <= x < 0.85; 1 - exp(Q(x)), 0.85 <= x <= 4 (erf(4) rounds to 1)
    edge = 0.85
    p = fit(lambda s: erf(np.sqrt(s)) / np.sqrt(s), 0, edge**2, 5)
    near = np.poly1d(p[::-1])(np.poly1d([2 / edge**2, -1])).coef[::-1]
    near[0] -= 1
    q = fit(lambda x: np.log(erfcx(x)) - x * x, edge, 4, 8)
    far = np.poly1d(q[::-1])(np.poly1d([2 / (4 - edge), -(4 + edge) / (4 - edge)])).coef[::-1]
    x = np.linspace(1e-4, 4, 2000001).astype(f32)
    below = (horner(near, x * x).astype(np.float64) * x + x).astype(f32)
    e = np.where(x < f32(edge), below, f32(1) - np.exp(horner(far, x)))
    exact = erf(x.astype(np.float64))
    show('ERF_NEAR', near); show('ERF_FAR', far); print('// erf: largest relative error in units of 2^-24:', np.max(np.abs(e - exact) / exact) * 2**24)
    # exp(r) = 1 + r + r^2 * P(r), |r| <= ln2/2
    h = np.log(2) / 2 * 1.0005
    p = fit(lambda r: np.where(np.abs(r) < 1e-4, 0.5 + r / 6, (np.expm1(r) - r) / np.where(r == 0, 1, r) ** 2), -h, h, 4)
    scaled = np.array([c / h**i for i, c in enumerate(p)])
    r = np.linspace(-h, h, 1000001).astype(f32)
    e = (horner(scaled, r).astype(np.float64) * (r * r) + r).astype(f32) + f32(1)
    show('EXP', scaled); print('// exp(r): largest relative error in units of 2^-24:', np.max(np.abs(e / np.exp(r.astype(np.float64)) - 1)) * 2**24)
    # tanh(x) = x + x^3 * P(x^2), |x| <= 0.625
    p = fit(lambda s: np.where(s < 1e-6, -1 / 3, (np.tanh(np.sqrt(s)) / np.sqrt(np.maximum(s, 1e-30)) - 1) / np.maximum(s, 1e-30)), 0, 0.390625, 4)
    shift = np.poly1d(p[::-1])(np.poly1d([2 / 0.390625, -1])).coef[::-1]
    x = np.linspace(1e-4, 0.625, 1000001).astype(f32)
    s = x * x
    e = (horner(shift, s).astype(np.float64) * (x * s) + x).astype(f32)
    show('TANH', shift); print('// tanh: largest relative error in units of 2^-24:', np.max(np.abs(e / np.tanh(x.astype(np.float64)) - 1)) * 2**24)


main()
