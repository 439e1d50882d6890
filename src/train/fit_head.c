/* SPDX-License-Identifier: Apache-2.0 */
/* The objective of logistic regression, and its minimum. */
#include "train/fit_head.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

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
    f->packed_w = sqzi_arena_take(arena, 1, sqzk_gemm_packed_bytes(f->gemm, d->width, d->classes));
    f->w = sqzi_arena_take(arena, cells, sizeof *f->w);
    f->turned = sqzi_arena_take(arena, cells, sizeof *f->turned);
    f->d = sqzi_arena_take(arena, (size_t)f->n_blocks * SQZI_FIT_ROWS, d->classes * sizeof(double));
    f->losses = sqzi_arena_take(arena, f->n_blocks, sizeof *f->losses);
    f->spreads = sqzi_arena_take(arena, f->n_blocks, sizeof *f->spreads);
    f->bias_sums = sqzi_arena_take(arena, f->n_blocks, d->classes * sizeof *f->bias_sums);
    f->scratch_bytes = larger((SQZI_FIT_ROWS + 1) * (size_t)d->classes,
                              larger(SQZI_FIT_CLASSES, SQZI_FIT_ROWS) * SQZI_FIT_PANELS *
                                  f->gemm->nr) *
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
                                        .k = sqzi_fit_rows(f, block),
                                        .source = f->data.x +
                                                  (size_t)block * SQZI_FIT_ROWS * f->data.ldx,
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
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes to fit a head", arena.used);
    f->bytes = arena.used;
    arena = sqzi_arena_over(f->block, f->bytes);
    lay_out(f, &arena);
    sqzi_thread_pool_run(pool, f->members, pack_blocks, f);
    const sqz_status status = sqzi_lbfgs_open(allocator, (size_t)data->classes * (data->width + 1),
                                              &f->lbfgs, error);
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
    sqzi_fit_evaluate(f);
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
    if (settings->exact &&
        !(r.end == SQZI_LBFGS_STOPPED && settings->go_on && !settings->go_on(settings->user, &r))) {
        const uint32_t before = r.steps;
        r = run(f, true, w);
        r.steps += before;
    }
    return r;
}
