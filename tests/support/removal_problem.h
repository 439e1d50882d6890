/* SPDX-License-Identifier: Apache-2.0 */
/* A linear over rows of inputs that lean on each other, and what is left of it without some of
 * them, by elimination. */
#ifndef SQZT_REMOVAL_PROBLEM_H
#define SQZT_REMOVAL_PROBLEM_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "support/random.h"
#include "support/test.h"

enum { MOST = 160 };

typedef struct problem {
    uint32_t m, n, rows;
    double *x;       /* [rows, n] */
    double *w;       /* [m, n] */
    double *moments; /* [n, n] centred, with `damping` on the diagonal */
    double *mean;    /* [n] */
} problem;

static inline double *take(size_t n)
{
    double *memory = calloc(n, sizeof *memory);
    assert_non_null(memory);
    return memory;
}

/* Inputs that lean on each other and on a mean; column `dead` never varies, column `twin` is the
 * one before it. Numbers >= n: none. */
static inline problem make(uint32_t m, uint32_t n, double damping, uint32_t dead, uint32_t twin)
{
    problem p = {.m = m, .n = n, .rows = 3 * n + 5};
    sqzt_random random = sqzt_random_of(n + 17 * m);
    p.x = take((size_t)p.rows * n);
    p.w = take((size_t)m * n);
    p.moments = take((size_t)n * n);
    p.mean = take(n);
    for (size_t i = 0; i < (size_t)m * n; i++) p.w[i] = sqzt_normal(&random);
    for (size_t r = 0; r < p.rows; r++) {
        const double common = sqzt_normal(&random);
        for (size_t j = 0; j < n; j++)
            p.x[r * n + j] = sqzt_normal(&random) * (1 + (double)(j % 7)) + 1.5 * common +
                             0.3 * (double)j;
        if (dead < n) p.x[r * n + dead] = 0.75;
        if (twin < n) p.x[r * n + twin] = p.x[r * n + twin - 1];
        for (size_t j = 0; j < n; j++) p.mean[j] += p.x[r * n + j] / p.rows;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t r = 0; r < p.rows; r++)
                sum += (p.x[r * n + i] - p.mean[i]) * (p.x[r * n + j] - p.mean[j]);
            p.moments[i * n + j] = sum / p.rows + (i == j ? damping : 0);
        }
    return p;
}

static inline void discard(problem *p)
{
    free(p->x);
    free(p->w);
    free(p->moments);
    free(p->mean);
}

/* The rows of b [m, n] become those of b A^-1, by elimination with pivots, a symmetric [n, n]. */
static inline void solve(size_t n, const double *a, size_t m, double *b)
{
    double *lu = take(n * n);
    memcpy(lu, a, n * n * sizeof *lu);
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k; i < n; i++)
            if (fabs(lu[i * n + k]) > fabs(lu[pivot * n + k])) pivot = i;
        for (size_t j = 0; j < n; j++) {
            const double swap = lu[k * n + j];
            lu[k * n + j] = lu[pivot * n + j];
            lu[pivot * n + j] = swap;
        }
        for (size_t r = 0; r < m; r++) {
            const double swap = b[r * n + k];
            b[r * n + k] = b[r * n + pivot];
            b[r * n + pivot] = swap;
        }
        for (size_t i = k + 1; i < n; i++) {
            const double by = lu[i * n + k] / lu[k * n + k];
            for (size_t j = k; j < n; j++) lu[i * n + j] -= by * lu[k * n + j];
            for (size_t r = 0; r < m; r++) b[r * n + i] -= by * b[r * n + k];
        }
    }
    for (size_t r = 0; r < m; r++)
        for (size_t k = n; k-- > 0;) {
            for (size_t j = k + 1; j < n; j++) b[r * n + k] -= lu[k * n + j] * b[r * n + j];
            b[r * n + k] /= lu[k * n + k];
        }
    free(lu);
}

/* min over W' of tr((W - W'P) H (W - W'P)') = tr(W H W') - tr(Z H_SS^-1 Z'), Z = (W H)[:, S]. */
static inline double error_without(const problem *p, const bool *gone)
{
    const size_t n = p->n;
    size_t kept[MOST], k = 0;
    double all = 0, explained = 0;
    double *z = take(p->m * n), *solved = take(p->m * n), *h = take(n * n);
    for (size_t j = 0; j < n; j++)
        if (!gone[j]) kept[k++] = j;
    for (size_t r = 0; r < p->m; r++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++) sum += p->w[r * n + i] * p->moments[i * n + j];
            all += sum * p->w[r * n + j];
            for (size_t c = 0; c < k; c++)
                if (kept[c] == j) z[r * k + c] = solved[r * k + c] = sum;
        }
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) h[i * k + j] = p->moments[kept[i] * n + kept[j]];
    solve(k, h, p->m, solved);
    for (size_t i = 0; i < p->m * k; i++) explained += z[i] * solved[i];
    free(z);
    free(solved);
    free(h);
    return all - explained;
}

#endif
