/* SPDX-License-Identifier: Apache-2.0 */
/* Eigenvalues of a symmetric matrix by Jacobi's rotations: slow, simple, and no code in common with
 * LAPACK. */
#ifndef SQZT_JACOBI_H
#define SQZT_JACOBI_H

#include <math.h>
#include <stddef.h>

static inline void sqzt_jacobi_turn(size_t n, double *a, size_t p, size_t q)
{
    const double off = a[p * n + q];
    if (off == 0) return;
    const double theta = (a[q * n + q] - a[p * n + p]) / (2 * off),
                 t = (theta < 0 ? -1 : 1) / (fabs(theta) + hypot(theta, 1)), c = 1 / hypot(t, 1),
                 s = t * c;
    for (size_t k = 0; k < n; k++) {
        const double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (size_t k = 0; k < n; k++) {
        const double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
}

/* values [n] descending; a [n, n] is used up. 30 sweeps are more than any matrix has needed. */
static inline void sqzt_jacobi(size_t n, double *a, double *values)
{
    for (int sweep = 0; sweep < 30; sweep++)
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++) sqzt_jacobi_turn(n, a, p, q);
    for (size_t i = 0; i < n; i++) {
        const double value = a[i * n + i];
        size_t j = i;
        for (; j > 0 && values[j - 1] < value; j--) values[j] = values[j - 1];
        values[j] = value;
    }
}

#endif
