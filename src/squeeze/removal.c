/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which inputs go. M = H^-1 and Q = W'W of the inputs that are left are kept as they
 * were when a chunk began, in their upper triangles, and beside them the rows that the chunk has
 * taken from them since:
 *
 *   M = M0 - sum over rows u of u u'        Q = Q0 - sum over rows (u, r) of u r' + r u'
 *
 * For a unit B with M_BB = L L', G = L^-1 Q_BB L^-T: its rows are u = L^-1 M_B: and r = L^-1 Q_B: -
 * G u / 2, its loss is the trace of G. A step reads its unit's rows of M0 and Q0 and the chunk's
 * rows, which a cache holds; the two large updates are made a chunk at a time, and what is gone is
 * then taken out of both.
 */
#include "squeeze/removal.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/dense_algebra.h"

enum { CHUNK = 64, STRIP = 256 };

typedef struct ordering {
    size_t stride;  /* of rows of everything: the n that there were */
    size_t n, unit; /* inputs that are left in the matrices; of a unit */
    size_t n_units; /* that are left in the matrices, some of them gone */
    size_t groups, per_group;
    double *m, *q; /* [n, stride] */
    double *u, *r; /* [rows, stride] of this chunk */
    size_t rows, most;
    double *dm, *dq;       /* [n_units, unit, unit] of every unit, as they are now */
    double *factor, *work; /* [unit, unit] L; G */
    uint32_t *number;      /* [n_units] what was its place at the beginning */
    bool *gone;            /* [n_units] */
    uint32_t *taken;       /* [groups] */
} ordering;

static void lay_out(ordering *o, sqzi_arena *arena)
{
    const size_t square = o->unit * o->unit;
    o->u = sqzi_arena_take(arena, o->most * o->stride, sizeof *o->u);
    o->r = sqzi_arena_take(arena, o->most * o->stride, sizeof *o->r);
    o->dm = sqzi_arena_take(arena, o->n_units * square, sizeof *o->dm);
    o->dq = sqzi_arena_take(arena, o->n_units * square, sizeof *o->dq);
    o->factor = sqzi_arena_take(arena, square, sizeof *o->factor);
    o->work = sqzi_arena_take(arena, square, sizeof *o->work);
    o->number = sqzi_arena_take(arena, o->n_units, sizeof *o->number);
    o->gone = sqzi_arena_take(arena, o->n_units, sizeof *o->gone);
    o->taken = sqzi_arena_take(arena, o->groups, sizeof *o->taken);
}

/* L of a small symmetric matrix, in its lower triangle; false where it has none. */
static bool factor_small(double *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (size_t k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
            if (i == j && !(sum > 0 && isfinite(sum))) return false;
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    return true;
}

/* X = L^-1 X for rows of n numbers. */
static void solve_rows(const double *l, size_t unit, double *x, size_t stride, size_t n)
{
    for (size_t i = 0; i < unit; i++) {
        double *row = x + i * stride;
        const double by = 1 / l[i * unit + i];
        for (size_t k = 0; k < i; k++) {
            const double *above = x + k * stride, factor = l[i * unit + k];
            for (size_t j = 0; j < n; j++) row[j] -= factor * above[j];
        }
        for (size_t j = 0; j < n; j++) row[j] *= by;
    }
}

/* G of unit b, L in o->factor; false where M_BB is not positive definite. */
static bool weigh(const ordering *o, size_t b)
{
    const size_t n = o->unit, square = n * n;
    memcpy(o->factor, o->dm + b * square, square * sizeof *o->factor);
    memcpy(o->work, o->dq + b * square, square * sizeof *o->work);
    if (!factor_small(o->factor, n)) return false;
    solve_rows(o->factor, n, o->work, n, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            const double upper = o->work[j * n + i];
            o->work[j * n + i] = o->work[i * n + j];
            o->work[i * n + j] = upper;
        }
    solve_rows(o->factor, n, o->work, n, n);
    return true;
}

/* The loss of unit b, NaN where its part of M is not positive definite. */
static double loss_of(const ordering *o, size_t b)
{
    double trace = 0;
    if (o->unit == 1) return o->dm[b] > 0 ? o->dq[b] / o->dm[b] : NAN;
    if (!weigh(o, b)) return NAN;
    for (size_t i = 0; i < o->unit; i++) trace += o->work[i * o->unit + i];
    return trace;
}

static bool may_go(const ordering *o, size_t b, size_t step)
{
    return !o->gone[b] && o->taken[o->number[b] / o->per_group] == step / o->groups;
}

/* The unit that goes next; o->n_units where a loss is no number. */
static size_t choose(const ordering *o, size_t step, double *least)
{
    size_t best = o->n_units;
    for (size_t b = 0; b < o->n_units; b++) {
        if (!may_go(o, b, step)) continue;
        const double loss = loss_of(o, b);
        if (!isfinite(loss)) return o->n_units;
        if (best == o->n_units || loss < *least) {
            best = b;
            *least = loss;
        }
    }
    return best;
}

/* Row i of a symmetric matrix that has its upper triangle. */
static void read_row(const double *a, size_t stride, size_t n, size_t i, double *row)
{
    for (size_t j = 0; j < i; j++) row[j] = a[j * stride + i];
    memcpy(row + i, a + i * stride + i, (n - i) * sizeof *row);
}

/* Rows of M and Q as they are now, in the places of the chunk's next rows. */
static void current_rows(const ordering *o, size_t b)
{
    for (size_t i = 0; i < o->unit; i++) {
        const size_t at = b * o->unit + i;
        double *m = o->u + (o->rows + i) * o->stride, *q = o->r + (o->rows + i) * o->stride;
        read_row(o->m, o->stride, o->n, at, m);
        read_row(o->q, o->stride, o->n, at, q);
        for (size_t s = 0; s < o->rows; s++) {
            const double *u = o->u + s * o->stride, *r = o->r + s * o->stride, by_u = u[at],
                         by_r = r[at];
            for (size_t j = 0; j < o->n; j++) {
                m[j] -= by_u * u[j];
                q[j] -= by_r * u[j] + by_u * r[j];
            }
        }
    }
}

/* The parts of M and Q on the diagonal lose what the rows from `begin` on take. */
static void update_diagonals(ordering *o, size_t begin)
{
    const size_t n = o->unit;
    for (size_t b = 0; b < o->n_units; b++)
        for (size_t s = begin; s < begin + n; s++) {
            const double *u = o->u + s * o->stride + b * n, *r = o->r + s * o->stride + b * n;
            double *dm = o->dm + b * n * n, *dq = o->dq + b * n * n;
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++) {
                    dm[i * n + j] -= u[i] * u[j];
                    dq[i * n + j] -= u[i] * r[j] + r[i] * u[j];
                }
        }
}

/* Take unit b out. False where M_BB is not positive definite. */
static bool take(ordering *o, size_t b)
{
    const size_t n = o->unit, begin = o->rows;
    double *u = o->u + begin * o->stride, *r = o->r + begin * o->stride;
    if (!weigh(o, b)) return false;
    current_rows(o, b);
    solve_rows(o->factor, n, u, o->stride, o->n);
    solve_rows(o->factor, n, r, o->stride, o->n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            const double half = o->work[i * n + k] / 2;
            for (size_t j = 0; j < o->n; j++) r[i * o->stride + j] -= half * u[k * o->stride + j];
        }
    o->rows += n;
    update_diagonals(o, begin);
    o->gone[b] = true;
    o->taken[o->number[b] / o->per_group]++;
    return true;
}

/* Leave out of both matrices what is gone. */
static void compact(ordering *o)
{
    const size_t unit = o->unit, bytes = unit * sizeof(double), square = unit * unit;
    size_t left = 0;
    for (size_t b = 0; b < o->n_units; b++) {
        if (o->gone[b]) continue;
        for (size_t i = 0; i < unit; i++) {
            const double *m = o->m + (b * unit + i) * o->stride,
                         *q = o->q + (b * unit + i) * o->stride;
            double *to_m = o->m + (left * unit + i) * o->stride,
                   *to_q = o->q + (left * unit + i) * o->stride;
            for (size_t c = b, to = left; c < o->n_units; c++) {
                if (o->gone[c]) continue;
                memmove(to_m + to * unit, m + c * unit, bytes);
                memmove(to_q + to * unit, q + c * unit, bytes);
                to++;
            }
        }
        memmove(o->dm + left * square, o->dm + b * square, square * sizeof *o->dm);
        memmove(o->dq + left * square, o->dq + b * square, square * sizeof *o->dq);
        o->number[left++] = o->number[b];
    }
    memset(o->gone, 0, left * sizeof *o->gone);
    o->n_units = left;
    o->n = left * unit;
}

static void read_diagonals(ordering *o)
{
    const size_t n = o->unit;
    for (size_t b = 0; b < o->n_units; b++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                const size_t row = b * n + (i < j ? i : j), column = b * n + (i < j ? j : i),
                             to = (b * n + i) * n + j;
                o->dm[to] = o->m[row * o->stride + column];
                o->dq[to] = o->q[row * o->stride + column];
            }
}

/* C -= A'B for the chunk's rows, in the upper triangle and a little below. */
static sqz_status subtract(const ordering *o, const double *a, const double *b, double *c,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t ld = (uint32_t)o->stride;
    for (size_t i = 0; i < o->n && status == SQZ_OK; i += STRIP)
        status = sqzi_dense_multiply(
            &(sqzi_dense_product){.m = (uint32_t)(o->n - i < STRIP ? o->n - i : STRIP),
                                  .n = (uint32_t)(o->n - i),
                                  .k = (uint32_t)o->rows,
                                  .a = a + i,
                                  .b = b + i,
                                  .c = c + i * o->stride + i,
                                  .lda = ld,
                                  .ldb = ld,
                                  .ldc = ld,
                                  .transpose_a = true,
                                  .scale = -1,
                                  .keep = 1},
            error);
    return status;
}

static sqz_status end_chunk(ordering *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(subtract(o, o->u, o->u, o->m, error));
    TRY(subtract(o, o->u, o->r, o->q, error));
    TRY(subtract(o, o->r, o->u, o->q, error));
    o->rows = 0;
    compact(o);
    read_diagonals(o);
fail:
    return status;
}

static sqz_status run(ordering *o, uint32_t *order, double *loss, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t steps = o->n_units;
    double sum = 0;
    for (size_t step = 0; step < steps; step++) {
        double least = 0;
        if (o->rows + o->unit > o->most) TRY(end_chunk(o, error));
        const size_t b = choose(o, step, &least);
        FAIL_IF(b == o->n_units || !take(o, b), SQZ_ENUMERIC, 0,
                "what %zu inputs read varies too little apart from the others to tell which of "
                "them can go",
                o->n);
        sum += least > 0 ? least : 0;
        order[step] = o->number[b];
        loss[step] = sum;
    }
fail:
    return status;
}

sqz_status sqzi_removal_order(const sqzi_removal_problem *p, uint32_t *order, double *loss,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    ordering o = {.stride = p->n,
                  .n = p->n,
                  .unit = p->unit,
                  .n_units = p->n / p->unit,
                  .groups = p->groups,
                  .per_group = p->n / p->unit / p->groups,
                  .m = p->moments,
                  .q = p->products,
                  .most = p->unit > CHUNK ? p->unit : CHUNK};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&o, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate_zeroed(p->allocator, bytes, 1);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory to order %u inputs", p->n);
    arena = sqzi_arena_over(block, bytes);
    lay_out(&o, &arena);
    for (size_t b = 0; b < o.n_units; b++) o.number[b] = (uint32_t)b;
    TRY(sqzi_dense_cholesky(p->n, o.m, p->n, error));
    TRY(sqzi_dense_invert(p->n, o.m, p->n, error));
    read_diagonals(&o);
    TRY(run(&o, order, loss, error));
fail:
    sqzi_release(p->allocator, block, bytes);
    return status;
}
