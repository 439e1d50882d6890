/* SPDX-License-Identifier: Apache-2.0 */
/* Mean of rows, cosine, and Adam over the rows that a batch reads. */
#include "squeeze/static_fit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/permutation.h"

/* A row that the batch reads has a slot, where its gradient lies. */
typedef struct fitting {
    const sqzi_static_task *task;
    float *table, *m, *v; /* [n_rows, width] */
    float *gradient;      /* [most slots, width] */
    uint32_t *slots;      /* [n_rows] or SQZI_ABSENT */
    uint32_t *rows;       /* [most slots] */
    uint32_t *order;      /* [n] */
    float *mean, *d;      /* [width] of a text */
    uint32_t n_slots, most_slots;
    double loss;           /* summed over the epoch */
    double decay1, decay2; /* 0.9^t and 0.999^t of the step's t */
    size_t bytes;
    void *block;
} fitting;

static void lay_out(fitting *f, sqzi_arena *arena)
{
    const sqzi_static_task *t = f->task;
    const size_t numbers = (size_t)t->n_rows * t->width;
    f->m = sqzi_arena_take(arena, numbers, sizeof *f->m);
    f->v = sqzi_arena_take(arena, numbers, sizeof *f->v);
    f->gradient = sqzi_arena_take(arena, (size_t)f->most_slots * t->width, sizeof *f->gradient);
    f->slots = sqzi_arena_take(arena, t->n_rows, sizeof *f->slots);
    f->rows = sqzi_arena_take(arena, f->most_slots, sizeof *f->rows);
    f->order = sqzi_arena_take(arena, t->n, sizeof *f->order);
    f->mean = sqzi_arena_take(arena, t->width, sizeof *f->mean);
    f->d = sqzi_arena_take(arena, t->width, sizeof *f->d);
}

/* Rows that a batch can read at most. */
static uint32_t most_slots(const sqzi_static_task *t)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->first[i + 1] - t->first[i] > longest) longest = t->first[i + 1] - t->first[i];
    const uint64_t most = longest * t->batch;
    return most < t->n_rows ? (uint32_t)most : t->n_rows;
}

static sqz_status make_room(fitting *f, sqz_error *error)
{
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    f->most_slots = most_slots(f->task);
    lay_out(f, &arena);
    f->block = sqzi_allocate_zeroed(f->task->allocator, arena.used, 1);
    if (!f->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to fit a table of %u rows",
                         f->task->n_rows);
    f->bytes = arena.used;
    arena = sqzi_arena_over(f->block, f->bytes);
    lay_out(f, &arena);
    for (uint32_t r = 0; r < f->task->n_rows; r++) f->slots[r] = SQZI_ABSENT;
    for (uint32_t i = 0; i < f->task->n; i++) f->order[i] = i;
    return SQZ_OK;
}

static float *slot_of(fitting *f, uint32_t row)
{
    const size_t width = f->task->width;
    if (f->slots[row] == SQZI_ABSENT) {
        f->slots[row] = f->n_slots;
        f->rows[f->n_slots] = row;
        memset(f->gradient + f->n_slots * width, 0, width * sizeof *f->gradient);
        f->n_slots++;
    }
    return f->gradient + f->slots[row] * width;
}

/* The mean of the text's rows, whose number is returned. */
static uint32_t find_mean(fitting *f, uint32_t text)
{
    const sqzi_static_task *t = f->task;
    uint32_t n = 0;
    memset(f->mean, 0, t->width * sizeof *f->mean);
    for (uint32_t i = t->first[text]; i < t->first[text + 1]; i++) {
        const uint32_t row = t->row[t->ids[i]];
        if (row == SQZI_ABSENT) continue;
        const float *from = f->table + (size_t)row * t->width;
        for (uint32_t j = 0; j < t->width; j++) f->mean[j] += from[j];
        n++;
    }
    for (uint32_t j = 0; j < t->width && n; j++) f->mean[j] /= (float)n;
    return n;
}

/* The gradient of 1 - cos(mean, target), over `share` rows: d = (cos u - target) / |mean|, u the
 * mean's direction. */
static void add_text(fitting *f, uint32_t text, uint32_t batch)
{
    const sqzi_static_task *t = f->task;
    const float *target = f->task->target + (size_t)text * t->width;
    const uint32_t n = find_mean(f, text);
    double squares = 0, dot = 0, of_target = 0;
    for (uint32_t j = 0; j < t->width; j++) {
        squares += (double)f->mean[j] * (double)f->mean[j];
        dot += (double)f->mean[j] * (double)target[j];
        of_target += (double)target[j] * (double)target[j];
    }
    if (!(squares > 0) || !(of_target > 0)) return;
    const double length = sqrt(squares), cosine = dot / length, share = 1.0 / n / batch / length;
    f->loss += 1 - cosine;
    for (uint32_t j = 0; j < t->width; j++)
        f->d[j] = (float)((cosine * (double)f->mean[j] / length - (double)target[j]) * share);
    for (uint32_t i = t->first[text]; i < t->first[text + 1]; i++) {
        const uint32_t row = t->row[t->ids[i]];
        if (row == SQZI_ABSENT) continue;
        float *to = slot_of(f, row);
        for (uint32_t j = 0; j < t->width; j++) to[j] += f->d[j];
    }
}

static void move_rows(fitting *f, double rate)
{
    const size_t width = f->task->width;
    f->decay1 *= 0.9;
    f->decay2 *= 0.999;
    const float step = (float)(rate / (1 - f->decay1)),
                correction = (float)(1 / sqrt(1 - f->decay2));
    for (uint32_t i = 0; i < f->n_slots; i++) {
        const size_t at = f->rows[i] * width;
        const float *g = f->gradient + i * width;
        float *w = f->table + at, *m = f->m + at, *v = f->v + at;
        for (size_t j = 0; j < width; j++) {
            m[j] += 0.1F * (g[j] - m[j]);
            v[j] += 0.001F * (g[j] * g[j] - v[j]);
            w[j] -= step * m[j] / (sqrtf(v[j]) * correction + 1e-8F);
        }
        f->slots[f->rows[i]] = SQZI_ABSENT;
    }
    f->n_slots = 0;
}

static void run_epoch(fitting *f, uint32_t epoch)
{
    const sqzi_static_task *t = f->task;
    const double steps = ceil((double)t->n / t->batch) * t->epochs;
    double done = ceil((double)t->n / t->batch) * epoch;
    f->loss = 0;
    sqzi_permute(f->order, t->n, t->seed, SQZI_CHANCE_ROWS, epoch);
    for (uint32_t begin = 0; begin < t->n; begin += t->batch, done++) {
        const uint32_t some = t->n - begin < t->batch ? t->n - begin : t->batch;
        for (uint32_t i = begin; i < begin + some; i++) add_text(f, f->order[i], some);
        move_rows(f, t->rate * (1 - done / steps));
    }
}

sqz_status sqzi_static_fit(const sqzi_static_task *task, float *table, double *loss,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    fitting f = {.task = task, .table = table, .decay1 = 1, .decay2 = 1};
    TRY(make_room(&f, error));
    for (uint32_t epoch = 0; epoch < task->epochs; epoch++) {
        run_epoch(&f, epoch);
        FAIL_IF(task->step && task->step(task->user) != 0, SQZ_ECANCELLED, 0,
                "stopped after %u of %u rounds over the texts", epoch + 1, task->epochs);
    }
    *loss = f.loss / task->n;
fail:
    sqzi_release(task->allocator, f.block, f.bytes);
    return status;
}
