/* SPDX-License-Identifier: Apache-2.0 */
/* Moments, their Cholesky factor, and the inverse as rows that a gemm multiplies with. */
#include "train/fit_curvature.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

static void lay_out(sqzi_curvature *c, sqzi_arena *arena)
{
    const size_t n = c->n;
    c->moments = sqzi_arena_take(arena, n * n, sizeof *c->moments);
    c->factor = sqzi_arena_take(arena, n * n, sizeof *c->factor);
    c->inverse = sqzi_arena_take(arena, n * n, sizeof *c->inverse);
    c->rows = sqzi_arena_take(arena, c->classes * n, sizeof *c->rows);
    c->product = sqzi_arena_take(arena, c->classes * n, sizeof *c->product);
    c->packed = sqzi_arena_take(arena, 1, sqzk_gemm_packed_bytes(c->gemm, n, n));
}

/* moments += (x, 1) (x, 1)^T, the lower triangle */
static void add_row(sqzi_curvature *c, const sqzi_real *x)
{
    const size_t n = c->n;
    for (size_t i = 0; i < n; i++) {
        const double a = i < n - 1 ? (double)x[i] : 1;
        double *row = c->moments + i * n;
        for (size_t j = 0; j <= i && j < n - 1; j++) row[j] += a * (double)x[j];
    }
    c->moments[n * n - 1] += 1;
}

sqz_status sqzi_curvature_open(const sqz_allocator *allocator, const sqzk_gemm *gemm,
                               const sqzi_real *x, size_t ldx, uint32_t n_rows, uint32_t width,
                               uint32_t classes, sqzi_curvature *c, sqz_error *error)
{
    *c = (sqzi_curvature){.allocator = allocator, .gemm = gemm, .n = width + 1, .classes = classes};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(c, &arena);
    c->block = sqzi_allocate(allocator, arena.used);
    if (!c->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for moments of %u features", width);
    c->bytes = arena.used;
    arena = sqzi_arena_over(c->block, c->bytes);
    lay_out(c, &arena);
    const size_t cells = (size_t)c->n * c->n,
                 taken = n_rows < SQZI_CURVATURE_ROWS ? n_rows : SQZI_CURVATURE_ROWS;
    memset(c->moments, 0, cells * sizeof *c->moments);
    for (size_t r = 0; r < taken; r++) add_row(c, x + r * n_rows / taken * ldx);
    for (size_t i = 0; i < cells; i++) c->moments[i] /= (double)taken;
    return SQZ_OK;
}

void sqzi_curvature_close(sqzi_curvature *c)
{
    if (c->allocator) sqzi_release(c->allocator, c->block, c->bytes);
    *c = (sqzi_curvature){0};
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* factor = L with L L^T = spread S + (decay + a little) I. */
static void factorise(sqzi_curvature *c)
{
    const size_t n = c->n;
    double trace = 0;
    for (size_t i = 0; i < n; i++) trace += c->moments[i * n + i];
    const double little = 1e-6 * c->spread * trace / (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double *l = c->factor;
            const double m = c->spread * c->moments[i * n + j] +
                             (i == j ? little + (i < n - 1 ? c->decay : 0) : 0),
                         rest = m - dot(l + i * n, l + j * n, j);
            l[i * n + j] = i != j ? rest / l[j * n + j] : sqrt(rest > little ? rest : little);
        }
}

/* inverse = L^-T L^-1: the columns of L^-1 first, each a row here, below the diagonal of L. */
static void invert(sqzi_curvature *c)
{
    const size_t n = c->n;
    double *l = c->factor;
    for (size_t i = 0; i < n; i++) {
        double *column = l + i * n; /* the part right of the diagonal is free: L^-1 [., i] */
        const double start = 1 / l[i * n + i];
        for (size_t j = i + 1; j < n; j++) {
            const double sum = l[j * n + i] * start +
                               dot(l + j * n + i + 1, column + i + 1, j - i - 1);
            column[j] = -sum / l[j * n + j];
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++) {
            const double first = (i == j ? 1 / l[i * n + i] : l[i * n + j]) / l[j * n + j];
            c->inverse[i * n + j] = c->inverse[j * n + i] =
                (sqzi_real)(first + dot(l + i * n + j + 1, l + j * n + j + 1, n - j - 1));
        }
}

static void prepare(sqzi_curvature *c, double spread, double decay)
{
    if (c->spread > 0 && c->decay == decay && spread < 4 * c->spread && spread > c->spread / 4)
        return;
    c->spread = spread;
    c->decay = decay;
    factorise(c);
    invert(c);
    c->gemm->pack(&(sqzk_pack_args){.n = c->n,
                                    .k = c->n,
                                    .source = c->inverse,
                                    .n_stride = c->n,
                                    .k_stride = 1,
                                    .type = SQZI_F32},
                  c->packed);
}

void sqzi_curvature_solve(sqzi_curvature *c, double spread, double decay, double *v)
{
    const size_t cells = (size_t)c->classes * c->n;
    double most = 0;
    prepare(c, spread, decay);
    for (size_t i = 0; i < cells; i++) most = fabs(v[i]) > most ? fabs(v[i]) : most;
    if (!(most > 0)) return;
    for (size_t i = 0; i < cells; i++) c->rows[i] = (sqzi_real)(v[i] / most);
    c->gemm->run(&(sqzk_gemm_args){.m = c->classes,
                                   .n = c->n,
                                   .k = c->n,
                                   .a = c->rows,
                                   .lda = c->n * sizeof *c->rows,
                                   .b = c->packed,
                                   .c = c->product,
                                   .ldc = c->n});
    for (size_t i = 0; i < cells; i++) v[i] = (double)c->product[i] * most;
}
