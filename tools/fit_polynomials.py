#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fits the polynomials of src/kernel/activation/vector_math.h and those of src/kernel/grad, and
prints them as C, with the error of a float32 evaluation.

Chebyshev interpolation in float64 (near minimax), then the power basis on [-1, 1], where it is well
conditioned at these degrees. Needs numpy and scipy: python3 tools/fit_polynomials.py
"""
import numpy as np
from numpy.polynomial import chebyshev as C
from scipy.special import log_ndtr, ndtr


def fit(f, low, high, degree):
    """Coefficients, lowest first, of p(t), t in [-1, 1], x = low + (t + 1)(high - low)/2."""
    nodes = np.cos(np.pi * (np.arange(4096) + 0.5) / 4096)
    x = low + (nodes + 1) * (high - low) / 2
    return C.cheb2poly(C.chebfit(nodes, f(x), degree))


def least_largest(f, weight, low, high, degree):
    """As fit, but with the least largest weighted error: least squares whose weights grow where the
    error is large (Lawson)."""
    nodes = np.cos(np.pi * (np.arange(3000) + 0.5) / 3000)
    x = low + (nodes + 1) * (high - low) / 2
    basis, y, w, share, best = C.chebvander(nodes, degree), f(x), weight(x), np.full(
        3000, 1 / 3000), (np.inf, None)
    for _ in range(400):
        scale = np.sqrt(share) * w
        c = np.linalg.lstsq(basis * scale[:, None], y * scale, rcond=None)[0]
        error = np.abs(basis @ c - y) * w
        best = min(best, (error.max(), tuple(c)))
        share *= error + 1e-30
        share /= share.sum()
    return C.cheb2poly(np.array(best[1]))


def show(name, coefficients):
    texts = (f'{np.float32(c):.9g}' for c in coefficients)
    print(f'static const float {name}[] = {{' +
          ', '.join((t if '.' in t or 'e' in t else t + '.0') + 'f' for t in texts) + '};')


def horner(coefficients, t):
    c = coefficients.astype(np.float32)
    p = np.full_like(t, c[-1])
    # an fma rounds once
    for value in c[-2::-1]: p = (p.astype(np.float64) * t + value).astype(np.float32)
    return p


def gelu_table():
    """max(x, 0) - GELU(x) = |x| erfc(|x|/sqrt2) / 2 around 0, 1/6, 2/6 ... 31/6 as cubics in |x|;
    past 5.24 the last one's end is near enough."""
    f32, table = np.float32, []
    for i in range(32):
        low, high = max(0, i - 0.5) / 6, (i + 0.5) / 6
        # around 0 with the factor x taken out, so that 0 becomes 0
        c = fit(lambda x: ndtr(-x), low, high,
                2) if i == 0 else fit(lambda x: x * ndtr(-x), low, high, 3)
        c = np.poly1d(c[::-1])(
            np.poly1d([2 / (high - low), -(high + low) / (high - low)])).coef[::-1]
        table.append(np.concatenate(([0], c)) if i == 0 else c)
    table = np.array(table).astype(f32)
    x = np.linspace(-16, 16, 4000001).astype(f32)
    size = np.minimum(np.abs(x), f32(5.24)).astype(np.float64)
    c, wide = table[np.rint(size * 6).astype(int)], x.astype(np.float64)
    p = c[:, 3]
    for k in (2, 1, 0): p = (p * size + c[:, k]).astype(f32)  # an fma rounds once
    error = np.abs(np.maximum(x, 0) - p - wide * ndtr(wide)) / np.maximum(1, np.abs(wide))
    for k in range(4): show(f'GELU_NEAR_{k}', table[:, k])
    print('// GELU, near: largest error in units of 2^-20 max(1, |x|):', np.max(error) * 2**20)


def gelu_quartics():
    """The same for f32, around 0, 2/11, 4/11 ... 62/11, as quartics in the distance from there in
    units of 2/11; what 5.7 leaves no longer counts."""
    f32, table = np.float32, []
    for i in range(32):
        low, high = max(0, i - 0.5) / 5.5, (i + 0.5) / 5.5
        c = fit(lambda x: ndtr(-x), low, high,
                3) if i == 0 else fit(lambda x: x * ndtr(-x), low, high, 4)
        u = np.poly1d([4, -1]) if i == 0 else np.poly1d([2, 0])  # t of fit from the distance
        c = np.poly1d(c[::-1])(u).coef[::-1]
        table.append(np.concatenate(([0], c / 5.5)) if i == 0 else c)
    table = np.array(table).astype(f32)
    x = np.linspace(-16, 16, 4000001).astype(f32)
    size = np.minimum(np.abs(x), f32(5.7)).astype(np.float64)
    at = np.rint(size * 5.5)
    u = (size * 5.5 - at).astype(f32).astype(np.float64)
    c, wide = table[at.astype(int)], x.astype(np.float64)
    p = c[:, 4]
    for k in (3, 2, 1, 0): p = (p * u + c[:, k]).astype(f32)  # an fma rounds once
    error = np.abs((np.maximum(x, 0) - p).astype(np.float64) - wide * ndtr(wide)) / np.maximum(
        1, np.abs(wide))
    for k in range(5): show(f'GELU_{k}', table[:, k])
    print('// GELU from quartics: largest error in units of 2^-24 max(1, |x|):',
          np.max(error) * 2**24)


def gelu_slope():
    """GELU'(-s) = exp(-s^2/2) P(s) for s >= 0, and GELU'(s) = 1 - GELU'(-s); what 6.5 leaves no
    longer counts. P(s) = exp(s^2/2) ndtr(-s) - s / sqrt(2 pi)."""
    f32, edge = np.float32, 6.5
    c = least_largest(lambda s: np.exp(log_ndtr(-s) + s * s / 2) - s / np.sqrt(2 * np.pi),
                      lambda s: np.exp(-s * s / 2), 0, edge, 11)
    c = np.poly1d(c[::-1])(np.poly1d([2 / edge, -1])).coef[::-1]
    x = np.linspace(-16, 16, 4000001).astype(f32)
    size = np.minimum(np.abs(x), f32(edge))
    e = np.exp(((size * size).astype(f32) * f32(-0.5)).astype(np.float64)).astype(f32)
    h = (e * horner(c, size)).astype(f32)
    wide = x.astype(np.float64)
    wanted = ndtr(wide) + wide * np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi)
    show('GELU_SLOPE', c)
    print('// slope of GELU: largest error in units of 2^-24:',
          np.max(np.abs(np.where(x < 0, h, f32(1) - h) - wanted)) * 2**24)


def gelu_slope_quartics():
    """GELU'(-s) for s >= 0 around 0, 1/5, 2/5 ... 31/5, as quartics in the distance from there in
    units of 1/5; what 6.25 leaves no longer counts."""
    f32, table = np.float32, []
    for i in range(32):
        low, high = (i - 0.5) / 5, (i + 0.5) / 5
        table.append(fit(lambda s: ndtr(-s) - s * np.exp(-s * s / 2) / np.sqrt(2 * np.pi), low,
                         high, 4) * 2.0 ** np.arange(5))
    table = np.array(table).astype(f32)
    x = np.linspace(-16, 16, 4000001).astype(f32)
    size = np.minimum(np.abs(x), f32(6.25)).astype(np.float64)
    at = np.rint(size * 5)
    u = (size * 5 - at).astype(f32).astype(np.float64)
    c, wide = table[at.astype(int)], x.astype(np.float64)
    p = c[:, 4]
    for k in (3, 2, 1, 0): p = (p * u + c[:, k]).astype(f32)  # an fma rounds once
    wanted = ndtr(wide) + wide * np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi)
    for k in range(5): show(f'GELU_SLOPE_{k}', table[:, k])
    print('// slope of GELU from quartics: largest error in units of 2^-24:',
          np.max(np.abs(np.where(x < 0, p, f32(1) - p) - wanted)) * 2**24)


def main():
    f32 = np.float32
    gelu_table()
    gelu_quartics()
    gelu_slope()
    gelu_slope_quartics()
    # erfc(x/sqrt2) = 2^Q(x), 0 <= x <= 5.7, and 2^r = P(r), |r| <= 1/2: what counts is the absolute
    # error of erfc, the relative one of 2^r
    edge = 5.7
    q = least_largest(lambda x: log_ndtr(-x) / np.log(2) + 1, lambda x: np.log(2) * 2 * ndtr(-x), 0,
                      edge, 8)
    q = np.poly1d(q[::-1])(np.poly1d([2 / edge, -1])).coef[::-1]
    p = least_largest(np.exp2, lambda r: np.exp2(-r), -0.5, 0.5, 5) * 2.0 ** np.arange(6)
    x = np.linspace(-8, 8, 4000001).astype(f32)
    size = np.minimum(np.abs(x), f32(edge))
    e = horner(q, size)
    n = np.round(e)
    e = np.ldexp(horner(p, e - n), n.astype(int)).astype(f32)
    y = (np.maximum(x, 0).astype(np.float64) - (size * f32(0.5)).astype(np.float64) * e).astype(f32)
    wide = x.astype(np.float64)
    error = np.abs(y - wide * ndtr(wide)) / np.maximum(1, np.abs(wide))
    show('LOG2_ERFC', q)
    show('EXP2', p)
    print('// GELU: largest error in units of 2^-24 max(1, |x|):', np.max(error) * 2**24)
    # exp(r) = 1 + r + r^2 * P(r), |r| <= ln2/2, as one chain of fused multiply-adds whose last two
    # add 1
    h = np.log(2) / 2 * 1.0005
    p = fit(lambda r: np.where(np.abs(r) < 1e-4, 0.5 + r / 6,
                               (np.expm1(r) - r) / np.where(r == 0, 1, r) ** 2), -h, h, 4)
    scaled = np.array([c / h**i for i, c in enumerate(p)])
    r = np.linspace(-h, h, 1000001).astype(f32)
    e, wanted = horner(np.concatenate(((1, 1), scaled)), r), np.exp(r.astype(np.float64))
    show('EXP', scaled)
    print('// exp(r): largest error in ulp:',
          np.max(np.abs(e - wanted) / np.spacing(wanted.astype(f32))))
    # 2^r, 0 <= r <= 1, before it is rounded to bf16
    p = least_largest(np.exp2, lambda r: np.exp2(-r), 0, 1, 4)
    p = np.poly1d(p[::-1])(np.poly1d([2, -1])).coef[::-1]
    r = np.linspace(0, 1, 1000001).astype(f32)
    show('EXP2_NEAR', p)
    print('// 2^r, near: largest relative error in units of 2^-18:',
          np.max(np.abs(horner(p, r) / np.exp2(r.astype(np.float64)) - 1)) * 2**18)
    # tanh(x) = x + x^3 * P(x^2), |x| <= 0.625
    p = fit(lambda s: np.where(s < 1e-6, -1 / 3, (np.tanh(np.sqrt(s)) / np.sqrt(
        np.maximum(s, 1e-30)) - 1) / np.maximum(s, 1e-30)), 0, 0.390625, 4)
    shift = np.poly1d(p[::-1])(np.poly1d([2 / 0.390625, -1])).coef[::-1]
    x = np.linspace(1e-4, 0.625, 1000001).astype(f32)
    s = x * x
    e = (horner(shift, s).astype(np.float64) * (x * s) + x).astype(f32)
    show('TANH', shift)
    print('// tanh: largest relative error in units of 2^-24:',
          np.max(np.abs(e / np.tanh(x.astype(np.float64)) - 1)) * 2**24)


main()
