/* SPDX-License-Identifier: Apache-2.0 */
/* Training every weight, where the minutes allow for it. */
#include <math.h>
#include <squeezebert/train.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/number.h"
#include "build/builder.h"
#include "model/context.h"
#include "train/checkpoint_file.h"

enum { BATCH = 32, TIMED_STEPS = 3, CHECKPOINT_MINUTES = 10, TEACHERS_MINUTES = 1 };

typedef struct work {
    sqz_build *build;
    sqz_batches *batches;
    sqz_trainer *trainer;
    bool timing;
    uint64_t begin, first;
    double step_seconds;
} work;

/* Steps are timed without the first, which warms up. */
static int watch(void *user, const sqz_train_progress *p)
{
    work *w = user;
    const sqz_build_options *o = &w->build->options;
    if (w->timing) {
        if (p->step == 1) w->first = sqzi_clock_ns();
        else w->step_seconds = 1e-9 * (double)(sqzi_clock_ns() - w->first) / (double)(p->step - 1);
        return p->step >= TIMED_STEPS;
    }
    return o->progress
               ? o->progress(o->user, "steps of training", (size_t)p->step, (size_t)p->n_steps)
               : 0;
}

static void pass_note(void *user, const char *text)
{
    const work *w = user;
    sqzi_build_note(w->build, "%s", text);
}

/* Both may be open from another time. */
static void close_trainer(work *w)
{
    sqz_trainer_close(w->trainer);
    sqz_batches_close(w->batches);
    w->trainer = NULL;
    w->batches = NULL;
}

static sqz_status open_trainer(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    close_trainer(w);
    const sqz_batches_options o = {
        .rows = b->rows, .n_rows = b->result.n_train, .batch = BATCH, .seed = b->options.seed};
    const sqz_train_recipe recipe = {.seed = b->options.seed};
    TRY(sqz_batches_open(b->dataset, &o, &w->batches, error));
    TRY(sqz_trainer_open(b->context, b->base, &recipe, sqz_batches_data(w->batches), &w->trainer,
                         error));
fail:
    return status;
}

/* Of a teacher's minutes what reading the texts has left. */
static double left(const sqz_build *b)
{
    return b->as_floats ? fmax(b->options.minutes - b->result.frozen_seconds / 60, 0)
                        : b->options.minutes;
}

/* A teacher's training that had begun goes on, whatever the clock says now. */
static bool has_begun(const sqz_build *b)
{
    uint64_t step;
    return b->as_floats && b->options.checkpoint &&
           sqzi_checkpoint_newest(b->options.checkpoint, UINT64_MAX, &step);
}

/* Whether all steps fit in the minutes, by the time of the first ones. */
static sqz_status estimate(work *w, bool *fits, sqz_error *error)
{
    sqz_build *b = w->build;
    sqz_train_result result;
    const sqz_train_run run = {.progress = watch, .user = w};
    w->timing = true;
    const sqz_status status = sqz_trainer_run(w->trainer, &run, &result, error);
    w->timing = false;
    if (status != SQZ_OK && status != SQZ_ECANCELLED) return status;
    const double minutes = w->step_seconds * (double)sqz_trainer_steps(w->trainer) / 60;
    b->result.step_seconds = w->step_seconds;
    b->result.full_minutes = minutes;
    *fits = minutes <= left(b);
    if (!*fits)
        snprintf(b->why, sizeof b->why,
                 "training every weight would take about %s minutes, over the %s that it may take: "
                 "the encoder stays as it is",
                 SQZI_REAL(3, minutes), SQZI_REAL(3, left(b)));
    return SQZ_OK;
}

/* The trainer's model, its answers calibrated, if it is right more often. */
static sqz_status judge(const work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    const size_t bytes = b->result.n_held_out * b->result.n_classes * sizeof(float);
    b->logits = sqzi_allocate(b->allocator, bytes);
    if (!b->logits) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for logits");
    TRY(sqzi_build_read_logits(b, sqz_trainer_model(w->trainer), b->logits, error));
    TRY(sqzi_build_decide(b, error));
    snprintf(b->why, sizeof b->why,
             "of the rows held out, %s %% are right where every weight is trained, %s %% where the "
             "encoder stays as it is",
             SQZI_REAL(4, 100 * b->choice.full_accuracy),
             SQZI_REAL(4, 100 * b->choice.frozen_accuracy));
    if (!b->choice.whole) goto fail;
    sqz_model *model = (sqz_model *)(uintptr_t)sqz_trainer_model(w->trainer); /* it is ours */
    model->info.temperature = b->choice.temperature;
    model->info.threshold = b->choice.threshold;
    b->result.full = 1;
    TRY(sqzi_build_put_card(b, error));
    TRY(sqz_trainer_write(w->trainer, b->out, error));
fail:
    sqzi_release(b->allocator, b->logits, bytes);
    b->logits = NULL;
    return status;
}

sqz_status sqzi_build_full(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    work w = {.build = b};
    sqz_train_result result;
    bool fits;
    if (b->options.minutes == 0 || !b->of_floats) {
        snprintf(b->why, sizeof b->why, "%s: the encoder stays as it is",
                 b->options.minutes == 0 ? "no time was given to train every weight"
                                         : "the base holds integers, which cannot be trained");
        return sqzi_build_decide(b, error);
    }
    fits = has_begun(b);
    if (!fits) TRY(open_trainer(&w, error));
    if (!fits) TRY(estimate(&w, &fits, error));
    if (!fits) {
        TRY(sqzi_build_decide(b, error));
        goto fail;
    }
    TRY(open_trainer(&w, error));
    const sqz_train_run run = {.progress = watch,
                               .note = pass_note,
                               .user = &w,
                               .checkpoint = b->options.checkpoint,
                               .checkpoint_minutes = !b->options.checkpoint ? 0
                                                     : b->as_floats         ? TEACHERS_MINUTES
                                                                            : CHECKPOINT_MINUTES,
                               .resume = b->options.checkpoint != NULL};
    TRY(sqz_trainer_run(w.trainer, &run, &result, error));
    TRY(judge(&w, error));
fail:
    close_trainer(&w);
    return status;
}
