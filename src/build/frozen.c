/* SPDX-License-Identifier: Apache-2.0 */
/* Fitting a head to features: six strengths loosely, one to the end. */
#include "build/frozen.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "model/context.h"

static void lay_out(sqzi_frozen *f, sqzi_arena *arena)
{
    const size_t width = f->features->width, weights = f->classes * (width + 1);
    const size_t logits = (size_t)(f->n - f->n_train) * f->classes;
    f->mean = sqzi_arena_take(arena, width, sizeof *f->mean);
    f->deviation = sqzi_arena_take(arena, width, sizeof *f->deviation);
    f->x = sqzi_arena_take(arena, f->n, width * sizeof *f->x);
    f->labels = sqzi_arena_take(arena, f->n, sizeof *f->labels);
    f->logits = sqzi_arena_take(arena, SQZI_STRENGTHS, logits * sizeof *f->logits);
    f->w = sqzi_arena_take(arena, SQZI_STRENGTHS, weights * sizeof *f->w);
}

/* Mean and deviation of each feature over all rows; 1 where a feature is the same everywhere. */
static void find_scale(sqzi_frozen *f)
{
    const size_t width = f->features->width, n = f->features->n;
    for (size_t i = 0; i < width; i++) {
        double sum = 0, squares = 0;
        for (size_t r = 0; r < n; r++) sum += (double)f->features->rows[r * width + i];
        const double mean = sum / (double)n;
        for (size_t r = 0; r < n; r++) {
            const double away = (double)f->features->rows[r * width + i] - mean;
            squares += away * away;
        }
        const double deviation = sqrt(squares / (double)n);
        f->mean[i] = (float)mean;
        f->deviation[i] = deviation > 1e-6 * (1 + fabs(mean)) ? (float)deviation : 1;
    }
}

static void scale_row(const sqzi_frozen *f, const float *from, float *to)
{
    const size_t width = f->features->width;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < width; i++) {
        to[i] = (from[i] - f->mean[i]) / f->deviation[i];
        sum += (double)to[i];
    }
    const double mean = sum / (double)width;
    for (size_t i = 0; i < width; i++) squares += ((double)to[i] - mean) * ((double)to[i] - mean);
    const double inverse = 1 / sqrt(squares / (double)width + SQZI_FROZEN_EPSILON);
    for (size_t i = 0; i < width; i++) to[i] = (float)(((double)to[i] - mean) * inverse);
}

sqz_status sqzi_frozen_open(const sqz_context *context, const sqzi_features *features,
                            const sqz_example *examples, const uint32_t *rows, uint32_t n,
                            uint32_t n_train, uint32_t classes, sqzi_frozen *f, sqz_error *error)
{
    *f = (sqzi_frozen){.context = context,
                       .features = features,
                       .rows = rows,
                       .n = n,
                       .n_train = n_train,
                       .classes = classes};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(f, &arena);
    f->block = sqzi_allocate(&context->allocator, arena.used);
    if (!f->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes of a head", arena.used);
    f->bytes = arena.used;
    arena = sqzi_arena_over(f->block, f->bytes);
    lay_out(f, &arena);
    find_scale(f);
    for (uint32_t i = 0; i < n; i++) {
        scale_row(f, features->rows + (size_t)rows[i] * features->width,
                  f->x + (size_t)i * features->width);
        f->labels[i] = examples[rows[i]].label;
    }
    memset(f->w, 0, classes * ((size_t)features->width + 1) * sizeof *f->w);
    return SQZ_OK;
}

void sqzi_frozen_close(sqzi_frozen *f)
{
    if (f->context) sqzi_release(&f->context->allocator, f->block, f->bytes);
    *f = (sqzi_frozen){0};
}

/* ---- fits ---- */

typedef struct watch {
    const sqzi_frozen_calls *calls;
    const char *what;
    size_t done, total;
    bool stopped;
} watch;

static bool go_on(void *user, const sqzi_lbfgs_result *reached)
{
    watch *w = user;
    (void)reached;
    w->done++;
    if (w->calls->progress &&
        w->calls->progress(w->calls->user, w->what, w->done < w->total ? w->done : w->total - 1,
                           w->total) != 0)
        w->stopped = true;
    return !w->stopped;
}

static sqz_status open_fit(const sqzi_frozen *f, uint32_t n, sqzi_fit *fit, sqz_error *error)
{
    const sqzi_fit_data data = {.x = f->x,
                                .ldx = f->features->width,
                                .labels = f->labels,
                                .n = n,
                                .width = f->features->width,
                                .classes = f->classes};
    return sqzi_fit_open(&f->context->allocator, &data, f->context->kernels.gemm_f32,
                         f->context->pool, fit, error);
}

/* Logits of the rows held out by w. */
static void judge(const sqzi_frozen *f, const double *weights, float *logits)
{
    const size_t width = f->features->width;
    for (uint32_t i = f->n_train; i < f->n; i++, logits += f->classes)
        for (uint32_t k = 0; k < f->classes; k++) {
            const double *w = weights + k * (width + 1);
            const float *x = f->x + i * width;
            double sum[4] = {w[width]};
            size_t j = 0;
            for (; j + 4 <= width; j += 4)
                for (size_t l = 0; l < 4; l++) sum[l] += w[j + l] * (double)x[j + l];
            for (; j < width; j++) sum[0] += w[j] * (double)x[j];
            logits[k] = (float)((sum[0] + sum[1]) + (sum[2] + sum[3]));
        }
}

const double sqzi_strengths[SQZI_STRENGTHS] = {0.001, 0.004, 0.016, 0.0625, 0.25, 1};

sqz_status sqzi_frozen_try(sqzi_frozen *f, const sqzi_frozen_calls *calls, sqz_error *error)
{
    enum { MOST_STEPS = 60 };
    sqz_status status = SQZ_OK;
    const size_t weights = f->classes * ((size_t)f->features->width + 1);
    const size_t logits = (size_t)(f->n - f->n_train) * f->classes;
    watch w = {calls, "steps of choosing a strength", 0, MOST_STEPS * SQZI_STRENGTHS, false};
    sqzi_fit fit = {0};
    TRY(open_fit(f, f->n_train, &fit, error));
    for (uint32_t i = 0; i < SQZI_STRENGTHS; i++) {
        const sqzi_fit_settings s = {.penalty = sqzi_strengths[i],
                                     .tolerance = 3e-5,
                                     .max_steps = MOST_STEPS,
                                     .go_on = go_on,
                                     .user = &w};
        double *at = f->w + i * weights;
        if (i) memcpy(at, at - weights, weights * sizeof *at);
        (void)sqzi_fit_run(&fit, &s, at);
        FAIL_IF(w.stopped, SQZ_ECANCELLED, 0, "stopped while a head was fitted");
        judge(f, at, f->logits + i * logits);
        w.done = (size_t)MOST_STEPS * (i + 1);
    }
fail:
    sqzi_fit_close(&fit);
    return status;
}

sqz_status sqzi_frozen_fit(sqzi_frozen *f, const sqzi_frozen_calls *calls, uint32_t strength,
                           sqzi_lbfgs_result *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t weights = f->classes * ((size_t)f->features->width + 1);
    watch w = {calls, "steps of the last fit", 0, 300, false};
    sqzi_fit fit = {0};
    const sqzi_fit_settings s = {.penalty = sqzi_strengths[strength],
                                 .tolerance = 1e-9,
                                 .max_steps = 1000,
                                 .exact = true,
                                 .go_on = go_on,
                                 .user = &w};
    if (strength) memcpy(f->w, f->w + strength * weights, weights * sizeof *f->w);
    TRY(open_fit(f, f->n, &fit, error));
    *result = sqzi_fit_run(&fit, &s, f->w);
    FAIL_IF(w.stopped, SQZ_ECANCELLED, 0, "stopped while a head was fitted");
    FAIL_IF(!isfinite(result->value), SQZ_ENUMERIC, 0, "the loss of the head is not finite");
fail:
    sqzi_fit_close(&fit);
    return status;
}
