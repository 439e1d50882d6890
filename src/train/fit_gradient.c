/* SPDX-License-Identifier: Apache-2.0 */
/* Loss and gradient of logistic regression, by a team. */
#include <math.h>
#include <string.h>

#include "train/fit_head.h"

enum { TILE = 4 };

static uint32_t part_columns(const sqzi_fit *f)
{
    return SQZI_FIT_PANELS * f->gemm->nr;
}

/* ---- the loss, and its derivative by the logits ---- */

/* z [rows, classes] of a block without the biases. */
static void multiply_rounded(const sqzi_fit *f, uint32_t block, sqzi_real *z)
{
    const sqzi_fit_data *d = &f->data;
    f->gemm->run(&(sqzk_gemm_args){.m = sqzi_fit_rows(f, block),
                                   .n = d->classes,
                                   .k = d->width,
                                   .a = d->x + (size_t)block * SQZI_FIT_ROWS * d->ldx,
                                   .lda = d->ldx * sizeof *d->x,
                                   .b = f->packed_w,
                                   .c = z,
                                   .ldc = d->classes});
}

/* TILE rows of z at once: W goes by once for them all. */
static void multiply_tile(const sqzi_fit *f, const sqzi_real *x, double *restrict z)
{
    const size_t k = f->data.classes, ldx = f->data.ldx;
    memset(z, 0, TILE * k * sizeof *z);
    for (size_t i = 0; i < f->data.width; i++) {
        const double *restrict w = f->turned + i * k;
        const double a = (double)x[i], b = (double)x[ldx + i], c = (double)x[2 * ldx + i],
                     d = (double)x[3 * ldx + i];
        for (size_t j = 0; j < k; j++) {
            z[j] += a * w[j];
            z[k + j] += b * w[j];
            z[2 * k + j] += c * w[j];
            z[3 * k + j] += d * w[j];
        }
    }
}

static void multiply_exact(const sqzi_fit *f, uint32_t block, double *restrict z)
{
    const sqzi_fit_data *d = &f->data;
    const uint32_t rows = sqzi_fit_rows(f, block);
    const sqzi_real *x = d->x + (size_t)block * SQZI_FIT_ROWS * d->ldx;
    uint32_t r = 0;
    for (; r + TILE <= rows; r += TILE, x += TILE * d->ldx, z += TILE * (size_t)d->classes)
        multiply_tile(f, x, z);
    for (; r < rows; r++, x += d->ldx, z += d->classes) {
        memset(z, 0, d->classes * sizeof *z);
        for (size_t i = 0; i < d->width; i++)
            for (size_t j = 0; j < d->classes; j++)
                z[j] += (double)x[i] * f->turned[i * d->classes + j];
    }
}

/* z [classes] with the biases in, to softmax(z) - [label]; *spread += the sum of p (1 - p). The
 * loss comes back. */
static double softmax_row(const sqzi_fit *f, uint32_t label, double *z, double *spread)
{
    const uint32_t k = f->data.classes;
    double most = -HUGE_VAL, sum = 0;
    for (uint32_t j = 0; j < k; j++) most = z[j] > most ? z[j] : most;
    const double at_label = z[label] - most;
    for (uint32_t j = 0; j < k; j++) sum += z[j] = exp(z[j] - most);
    for (uint32_t j = 0; j < k; j++) {
        z[j] /= sum;
        *spread += z[j] * (1 - z[j]);
    }
    z[label] -= 1;
    return log(sum) - at_label;
}

/* z of row r, its biases added, as double. */
static void read_row(const sqzi_fit *f, const void *z, uint32_t r, double *row)
{
    const size_t k = f->data.classes, width = f->data.width;
    for (size_t j = 0; j < k; j++)
        row[j] = (f->exact ? ((const double *)z)[r * k + j]
                           : (double)((const sqzi_real *)z)[r * k + j]) +
                 f->at[j * (width + 1) + width];
}

/* A row of d, turned into its column. */
static void write_column(const sqzi_fit *f, uint32_t block, uint32_t r, const double *row)
{
    const size_t k = f->data.classes, first = (size_t)block * SQZI_FIT_ROWS * k + r;
    for (size_t j = 0; j < k; j++) {
        const size_t at = first + j * SQZI_FIT_ROWS;
        if (f->exact) ((double *)f->d)[at] = row[j];
        else ((sqzi_real *)f->d)[at] = (sqzi_real)row[j];
    }
}

static void forward(const sqzi_fit *f, uint32_t block, double *scratch)
{
    const uint32_t k = f->data.classes, rows = sqzi_fit_rows(f, block);
    double *row = scratch;
    void *z = scratch + k;
    double *sums = f->bias_sums + (size_t)block * k;
    double loss = 0, spread = 0;
    if (f->exact) multiply_exact(f, block, z);
    else multiply_rounded(f, block, z);
    memset(sums, 0, k * sizeof *sums);
    for (uint32_t r = 0; r < rows; r++) {
        read_row(f, z, r, row);
        loss += softmax_row(f, f->data.labels[block * SQZI_FIT_ROWS + r], row, &spread);
        for (uint32_t j = 0; j < k; j++) sums[j] += row[j];
        write_column(f, block, r, row);
    }
    f->losses[block] = loss;
    f->spreads[block] = spread;
}

/* ---- the gradient ---- */

/* What a part of it is of. */
typedef struct part {
    uint32_t first_class, n_classes, first_column, n_columns;
} part;

static part part_of(const sqzi_fit *f, uint32_t number)
{
    const uint32_t across = (f->data.width + part_columns(f) - 1) / part_columns(f);
    part p = {.first_class = number / across * SQZI_FIT_CLASSES,
              .first_column = number % across * part_columns(f)};
    const uint32_t classes = f->data.classes - p.first_class,
                   columns = f->data.width - p.first_column;
    p.n_classes = classes < SQZI_FIT_CLASSES ? classes : SQZI_FIT_CLASSES;
    p.n_columns = columns < part_columns(f) ? columns : part_columns(f);
    return p;
}

static uint32_t n_parts(const sqzi_fit *f)
{
    const uint32_t across = (f->data.width + part_columns(f) - 1) / part_columns(f);
    return (f->data.classes + SQZI_FIT_CLASSES - 1) / SQZI_FIT_CLASSES * across;
}

/* A block's share of it, from products in reals. */
static void add_rounded(const sqzi_fit *f, uint32_t block, const part *p, sqzi_real *sums)
{
    const size_t rows = sqzi_fit_rows(f, block), panel = p->first_column / f->gemm->nr;
    const sqzi_real *d = (const sqzi_real *)f->d +
                         ((size_t)block * f->data.classes + p->first_class) * SQZI_FIT_ROWS;
    f->gemm->run(&(sqzk_gemm_args){.m = p->n_classes,
                                   .n = p->n_columns,
                                   .k = rows,
                                   .a = d,
                                   .lda = SQZI_FIT_ROWS * sizeof *d,
                                   .b = f->packed + block * f->block_bytes +
                                        panel * sqzk_gemm_panel_bytes(f->gemm, rows),
                                   .c = sums,
                                   .ldc = p->n_columns});
    for (size_t c = 0; c < p->n_classes; c++) {
        double *g = f->gradient + (p->first_class + c) * (f->data.width + 1) + p->first_column;
        for (size_t j = 0; j < p->n_columns; j++) g[j] += (double)sums[c * p->n_columns + j];
    }
}

/* g += d[r] x[r] over the rows, TILE of them at once. */
static void add_rows(const double *restrict d, const double *restrict x, uint32_t rows, size_t n,
                     double *restrict g)
{
    uint32_t r = 0;
    for (; r + TILE <= rows; r += TILE, x += TILE * n)
        for (size_t j = 0; j < n; j++)
            g[j] += (d[r] * x[j] + d[r + 1] * x[n + j]) +
                    (d[r + 2] * x[2 * n + j] + d[r + 3] * x[3 * n + j]);
    for (; r < rows; r++, x += n)
        for (size_t j = 0; j < n; j++) g[j] += d[r] * x[j];
}

static void add_exact(const sqzi_fit *f, uint32_t block, const part *p, double *x)
{
    const uint32_t rows = sqzi_fit_rows(f, block);
    const sqzi_real *from = f->data.x + (size_t)block * SQZI_FIT_ROWS * f->data.ldx +
                            p->first_column;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < p->n_columns; j++)
            x[r * p->n_columns + j] = (double)from[r * f->data.ldx + j];
    for (size_t c = p->first_class; c < p->first_class + p->n_classes; c++)
        add_rows((const double *)f->d + ((size_t)block * f->data.classes + c) * SQZI_FIT_ROWS, x,
                 rows, p->n_columns, f->gradient + c * (f->data.width + 1) + p->first_column);
}

/* Means over the rows, and the penalty's share. */
static void finish_part(const sqzi_fit *f, const part *p)
{
    for (size_t c = p->first_class; c < p->first_class + p->n_classes; c++) {
        const size_t at = c * (f->data.width + 1) + p->first_column;
        for (size_t j = at; j < at + p->n_columns; j++)
            f->gradient[j] = f->gradient[j] / f->data.n + f->decay * f->at[j];
    }
}

static void backward(const sqzi_fit *f, uint32_t number, void *scratch)
{
    const part p = part_of(f, number);
    for (size_t c = p.first_class; c < p.first_class + p.n_classes; c++)
        memset(f->gradient + c * (f->data.width + 1) + p.first_column, 0,
               p.n_columns * sizeof *f->gradient);
    for (uint32_t block = 0; block < f->n_blocks; block++) {
        if (f->exact) add_exact(f, block, &p, scratch);
        else add_rounded(f, block, &p, scratch);
    }
    finish_part(f, &p);
}

static void evaluate(void *argument, const sqzi_team *team)
{
    const sqzi_fit *f = argument;
    unsigned char *scratch = f->scratch + team->member * f->scratch_bytes;
    sqzi_turn turn = {.team = team};
    uint32_t number;
    while (sqzi_take_part(&turn, f->n_blocks, &number))
        forward(f, number, (double *)(void *)scratch);
    while (sqzi_take_part(&turn, n_parts(f), &number)) backward(f, number, scratch);
}

void sqzi_fit_evaluate(sqzi_fit *f)
{
    sqzi_thread_pool_run(f->pool, f->members, evaluate, f);
}
