/* SPDX-License-Identifier: Apache-2.0 */
/* The objective of logistic regression and its gradient, by a team. */
#include "train/fit_head.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

/* A part of the gradient: so many classes, and panels of columns of x. */
enum { PART_CLASSES = 32, PART_PANELS = 2, TILE = 4 };

static uint32_t rows_of(const sqzi_fit *f, uint32_t block)
{
    const uint32_t left = f->data.n - block * SQZI_FIT_ROWS;
    return left < SQZI_FIT_ROWS ? left : SQZI_FIT_ROWS;
}

static uint32_t part_columns(const sqzi_fit *f)
{
    return PART_PANELS * f->gemm->nr;
}

/* ---- memory ---- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void lay_out(sqzi_fit *f, sqzi_arena *arena)
{
    const sqzi_fit_data *d = &f->data;
    const size_t cells = (size_t)d->classes * d->width;
    f->block_bytes = sqzk_gemm_packed_bytes(f->gemm, SQZI_FIT_ROWS, d->width);
    f->packed = sqzi_arena_take(arena, f->n_blocks, f->block_bytes);
    f->packed_w = sqzi_arena_take(arena, 1,
                                  sqzk_gemm_packed_bytes(f->gemm, d->width, d->classes));
    f->w = sqzi_arena_take(arena, cells, sizeof *f->w);
    f->turned = sqzi_arena_take(arena, cells, sizeof *f->turned);
    f->d = sqzi_arena_take(arena, (size_t)f->n_blocks * SQZI_FIT_ROWS,
                           d->classes * sizeof(double));
    f->losses = sqzi_arena_take(arena, f->n_blocks, sizeof *f->losses);
    f->spreads = sqzi_arena_take(arena, f->n_blocks, sizeof *f->spreads);
    f->bias_sums = sqzi_arena_take(arena, f->n_blocks, d->classes * sizeof *f->bias_sums);
    f->scratch_bytes = larger((SQZI_FIT_ROWS + 1) * (size_t)d->classes,
                              larger(PART_CLASSES, SQZI_FIT_ROWS) * part_columns(f)) *
                       sizeof(double);
    f->scratch = sqzi_arena_take(arena, f->members, f->scratch_bytes);
}

static void pack_blocks(void *argument, const sqzi_team *team)
{
    const sqzi_fit *f = argument;
    sqzi_turn turn = {.team = team};
    uint32_t block;
    while (sqzi_take_part(&turn, f->n_blocks, &block))
        f->gemm->pack(&(sqzk_pack_args){.n = f->data.width,
                                        .k = rows_of(f, block),
                                        .source = f->data.x + (size_t)block * SQZI_FIT_ROWS *
                                                                  f->data.ldx,
                                        .n_stride = 1,
                                        .k_stride = f->data.ldx,
                                        .type = SQZI_F32},
                      f->packed + block * f->block_bytes);
}

sqz_status sqzi_fit_open(const sqz_allocator *allocator, const sqzi_fit_data *data,
                         const sqzk_gemm *gemm, sqzi_thread_pool *pool, sqzi_fit *f,
                         sqz_error *error)
{
    *f = (sqzi_fit){.data = *data,
                    .allocator = allocator,
                    .gemm = gemm,
                    .pool = pool,
                    .n_blocks = (data->n + SQZI_FIT_ROWS - 1) / SQZI_FIT_ROWS,
                    .members = sqzi_thread_pool_size(pool)};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(f, &arena);
    f->block = sqzi_allocate(allocator, arena.used);
    if (!f->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes to fit a head",
                         arena.used);
    f->bytes = arena.used;
    arena = sqzi_arena_over(f->block, f->bytes);
    lay_out(f, &arena);
    sqzi_thread_pool_run(pool, f->members, pack_blocks, f);
    const sqz_status status = sqzi_lbfgs_open(
        allocator, (size_t)data->classes * (data->width + 1), &f->lbfgs, error);
    return status != SQZ_OK ? status
                            : sqzi_curvature_open(allocator, gemm, data->x, data->ldx, data->n,
                                                  data->width, data->classes, &f->curvature, error);
}

void sqzi_fit_close(sqzi_fit *f)
{
    if (!f->allocator) return;
    sqzi_lbfgs_close(&f->lbfgs);
    sqzi_curvature_close(&f->curvature);
    sqzi_release(f->allocator, f->block, f->bytes);
    *f = (sqzi_fit){0};
}

/* ---- the loss, and its derivative by the logits ---- */

/* z [rows, classes] of a block without the biases. */
static void multiply_rounded(const sqzi_fit *f, uint32_t block, sqzi_real *z)
{
    const sqzi_fit_data *d = &f->data;
    f->gemm->run(&(sqzk_gemm_args){.m = rows_of(f, block),
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
    const uint32_t rows = rows_of(f, block);
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
    const uint32_t k = f->data.classes, rows = rows_of(f, block);
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
    part p = {.first_class = number / across * PART_CLASSES,
              .first_column = number % across * part_columns(f)};
    const uint32_t classes = f->data.classes - p.first_class,
                   columns = f->data.width - p.first_column;
    p.n_classes = classes < PART_CLASSES ? classes : PART_CLASSES;
    p.n_columns = columns < part_columns(f) ? columns : part_columns(f);
    return p;
}

static uint32_t n_parts(const sqzi_fit *f)
{
    const uint32_t across = (f->data.width + part_columns(f) - 1) / part_columns(f);
    return (f->data.classes + PART_CLASSES - 1) / PART_CLASSES * across;
}

/* A block's share of it, from products in reals. */
static void add_rounded(const sqzi_fit *f, uint32_t block, const part *p, sqzi_real *sums)
{
    const size_t rows = rows_of(f, block), panel = p->first_column / f->gemm->nr;
    const sqzi_real *d = (const sqzi_real *)f->d +
                         ((size_t)block * f->data.classes + p->first_class) * SQZI_FIT_ROWS;
    f->gemm->run(&(sqzk_gemm_args){
        .m = p->n_classes,
        .n = p->n_columns,
        .k = rows,
        .a = d,
        .lda = SQZI_FIT_ROWS * sizeof *d,
        .b = f->packed + block * f->block_bytes + panel * sqzk_gemm_panel_bytes(f->gemm, rows),
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
    const uint32_t rows = rows_of(f, block);
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

/* ---- the objective ---- */

/* W as products read it. */
static void set_weights(const sqzi_fit *f)
{
    const size_t width = f->data.width, k = f->data.classes;
    for (size_t c = 0; c < k; c++)
        for (size_t i = 0; i < width; i++) {
            const double w = f->at[c * (width + 1) + i];
            if (f->exact) f->turned[i * k + c] = w;
            else f->w[c * width + i] = (sqzi_real)w;
        }
    if (!f->exact)
        f->gemm->pack(&(sqzk_pack_args){.n = k,
                                        .k = width,
                                        .source = f->w,
                                        .n_stride = width,
                                        .k_stride = 1,
                                        .type = SQZI_F32},
                      f->packed_w);
}

static double value(void *user, const double *w, double *gradient)
{
    sqzi_fit *f = user;
    const size_t width = f->data.width, k = f->data.classes;
    double loss = 0, squares = 0;
    f->at = w;
    f->gradient = gradient;
    set_weights(f);
    sqzi_thread_pool_run(f->pool, f->members, evaluate, f);
    for (size_t c = 0; c < k; c++) {
        double sum = 0;
        for (size_t b = 0; b < f->n_blocks; b++) sum += f->bias_sums[b * k + c];
        gradient[c * (width + 1) + width] = sum / f->data.n;
        for (size_t i = 0; i < width; i++)
            squares += w[c * (width + 1) + i] * w[c * (width + 1) + i];
    }
    f->spread = 0;
    for (size_t b = 0; b < f->n_blocks; b++) {
        loss += f->losses[b];
        f->spread += f->spreads[b] / ((double)f->data.n * (double)k);
    }
    return loss / f->data.n + f->decay / 2 * squares;
}

static void scale(void *user, double *v)
{
    sqzi_fit *f = user;
    sqzi_curvature_solve(&f->curvature, f->spread, f->decay, v);
}

/* Where products are rounded, the gradient falls to what rounding leaves of it and no further. */
static bool go_on(void *user, const sqzi_lbfgs_result *reached)
{
    enum { PATIENCE = 30 };
    sqzi_fit *f = user;
    const sqzi_fit_settings *s = f->settings;
    if (reached->gradient < f->best / 2) {
        f->best = reached->gradient;
        f->best_step = reached->steps;
    }
    if (!f->exact && s->exact && reached->steps > f->best_step + PATIENCE && f->best < 1e-6)
        return false;
    return !s->go_on || s->go_on(s->user, reached);
}

static sqzi_lbfgs_result run(sqzi_fit *f, bool exact, double *w)
{
    const double unit = exact || sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;
    const sqzi_objective o = {.value = value,
                              .scale = scale,
                              .go_on = go_on,
                              .user = f,
                              .noise = 16 * unit,
                              .tolerance = f->settings->tolerance,
                              .max_steps = f->settings->max_steps};
    f->exact = exact;
    f->best = HUGE_VAL;
    f->best_step = 0;
    return sqzi_lbfgs_run(&f->lbfgs, &o, w);
}

sqzi_lbfgs_result sqzi_fit_run(sqzi_fit *f, const sqzi_fit_settings *settings, double *w)
{
    /* two classes are one vector's two signs: ||W_1 - W_0||^2 = 2 ||W||^2 */
    f->decay = (f->data.classes == 2 ? 2 : 1) / (settings->penalty * f->data.n);
    f->settings = settings;
    sqzi_lbfgs_forget(&f->lbfgs);
    sqzi_lbfgs_result r = run(f, false, w);
    if (settings->exact && !(r.end == SQZI_LBFGS_STOPPED && settings->go_on &&
                             !settings->go_on(settings->user, &r))) {
        const uint32_t before = r.steps;
        r = run(f, true, w);
        r.steps += before;
    }
    return r;
}
