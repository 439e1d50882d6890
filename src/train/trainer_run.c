/* SPDX-License-Identifier: Apache-2.0 */
/* A run: steps, evaluations, the best of them, checkpoints, and where it ends. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "train/checkpoint.h"
#include "train/recipe.h"

typedef struct course {
    sqz_trainer *trainer;
    const sqz_train_run *run;
    sqzi_checkpoints checkpoints;
    uint64_t begun, steps, tokens;          /* of this call */
    uint64_t last_checkpoint, last_written; /* when, and the step of it */
    double last_loss;
} course;

static bool evaluation_is_due(const course *c)
{
    const sqz_trainer *t = c->trainer;
    const uint64_t every = c->run->evaluate_steps ? c->run->evaluate_steps : t->data.n_batches;
    return c->run->evaluate && (t->state.step % every == 0 || t->state.step == sqzi_trainer_end(t));
}

static sqz_status evaluate(course *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_trainer *t = c->trainer;
    sqzi_run_state *state = &t->state;
    double score = NAN;
    TRY(c->run->evaluate(c->run->user, t->trainable.model, state->step, &score, error));
    if (score > state->best_score || (isnan(state->best_score) && !isnan(score))) {
        TRY(sqzi_trainer_keep_best(t, error));
        state->best_score = score;
        state->best_step = state->step;
        state->worse = 0;
    } else if (state->best_step) state->worse++;
    state->stopped = c->run->patience && state->worse >= c->run->patience;
fail:
    return status;
}

/* ---- steps ---- */

static void tell_speed(course *c, sqz_train_progress *p)
{
    const double seconds = (double)(sqzi_clock_ns() - c->begun) * 1e-9;
    c->steps++;
    c->tokens += p->n_tokens;
    if (!(seconds > 0)) return;
    p->tokens_per_second = (double)c->tokens / seconds;
    p->seconds_left = seconds / (double)c->steps * (double)(p->n_steps - p->step);
}

static bool checkpoint_is_due(const course *c)
{
    const sqz_train_run *run = c->run;
    const double minutes = (double)(sqzi_clock_ns() - c->last_checkpoint) * 1e-9 / 60;
    return (run->checkpoint_steps && c->trainer->state.step % run->checkpoint_steps == 0) ||
           (run->checkpoint_minutes > 0 && minutes >= run->checkpoint_minutes);
}

static sqz_status write_checkpoint(course *c, sqz_error *error)
{
    if (!c->run->checkpoint || c->last_written == c->trainer->state.step) return SQZ_OK;
    const sqz_status status = sqzi_checkpoint_write(&c->checkpoints, c->trainer, error);
    c->last_checkpoint = sqzi_clock_ns();
    c->last_written = c->trainer->state.step;
    return status;
}

static bool at_end(const sqz_trainer *t)
{
    return t->state.stopped || t->state.step >= sqzi_trainer_end(t);
}

static sqz_status take_steps(course *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_trainer *t = c->trainer;
    sqz_train_progress progress;
    while (!at_end(t)) {
        TRY(sqzi_trainer_step(t, &progress, error));
        c->last_loss = progress.loss;
        tell_speed(c, &progress);
        if (evaluation_is_due(c)) TRY(evaluate(c, error));
        const bool stop = c->run->progress && c->run->progress(c->run->user, &progress);
        if (stop || at_end(t) || checkpoint_is_due(c)) TRY(write_checkpoint(c, error));
        FAIL_IF(stop && !at_end(t), SQZ_ECANCELLED, t->state.step,
                "stopped after step %llu of %llu", (unsigned long long)t->state.step,
                (unsigned long long)sqzi_trainer_end(t));
    }
fail:
    return status;
}

/* What of the base is lost, once. */
static void tell_lost(const course *c)
{
    char text[sizeof c->trainer->trainable.lost + 80];
    if (!c->trainer->trainable.lost[0] || !c->run->note) return;
    snprintf(text, sizeof text, "the model's own head is not kept: %s; a new one is learned",
             c->trainer->trainable.lost);
    c->run->note(c->run->user, text);
}

/* From a checkpoint, or from the start; a trainer that was stopped goes on from where it is. */
static sqz_status begin(course *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    bool found = false;
    sqz_trainer *t = c->trainer;
    TRY(sqzi_checkpoints_open(&c->checkpoints, error));
    if (t->state.step > 0) return SQZ_OK;
    if (c->run->resume) TRY(sqzi_checkpoint_resume(&c->checkpoints, t, &found, error));
    if (!found) TRY(sqzi_checkpoints_begin(&c->checkpoints, t, c->run->resume != 0, error));
    if (!found) return SQZ_OK;
    c->last_written = t->state.step;
    FAIL_IF(t->state.step > sqzi_trainer_end(t), SQZ_EINVAL, t->state.step,
            "%s: the run is at step %llu already, past the %llu at which it is to end",
            c->run->checkpoint, (unsigned long long)t->state.step,
            (unsigned long long)sqzi_trainer_end(t));
fail:
    return status;
}

static sqz_status check_run(const sqz_train_run *run, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(SQZI_RESERVED(run, "sqz_train_run", error));
    FAIL_IF(!run->checkpoint &&
                (run->resume || run->checkpoint_steps || run->checkpoint_minutes > 0),
            SQZ_EINVAL, 0, "checkpoints are asked for, but no folder for them");
    FAIL_IF(!run->evaluate && (run->patience || run->evaluate_steps), SQZ_EINVAL, 0,
            "patience and evaluate_steps need evaluate");
fail:
    return status;
}

static void report(const course *c, sqz_train_result *result)
{
    const sqzi_run_state *s = &c->trainer->state;
    const bool best = c->run->evaluate && s->best_step && at_end(c->trainer);
    *result = (sqz_train_result){.step = s->step,
                                 .kept_step = best ? s->best_step : s->step,
                                 .best_score = s->best_score,
                                 .last_loss = c->last_loss,
                                 .stopped_early = s->stopped,
                                 .scores_dropped = c->trainer->trainable.scores_dropped};
}

sqz_status sqz_trainer_run(sqz_trainer *t, const sqz_train_run *run, sqz_train_result *result,
                           sqz_error *error)
{
    static const sqz_train_run nothing;
    sqz_status status = SQZ_OK;
    FAIL_IF(!t || !result, SQZ_EINVAL, 0, "sqz_trainer_run: an argument is NULL");
    if (!run) run = &nothing;
    TRY(check_run(run, error));
    sqzi_buffer text = {.allocator = &t->context->allocator, .limit = 1 << 24};
    course c = {.trainer = t, .run = run, .last_loss = NAN};
    status = sqzi_recipe_text(&t->recipe, sqzi_trainer_distilling(t), &t->data, run, &text, error);
    c.checkpoints = (sqzi_checkpoints){.folder = run->checkpoint,
                                       .recipe = (const char *)text.data,
                                       .lock = -1,
                                       .note = run->note,
                                       .user = run->user};
    if (status == SQZ_OK && run->checkpoint) status = begin(&c, error);
    if (status == SQZ_OK && t->recipe.distil && sqzi_trainer_end(t) > t->data.n_batches)
        status = sqzi_distilling_begin(&t->distilling, &t->data, run, error);
    c.begun = c.last_checkpoint = sqzi_clock_ns();
    if (status == SQZ_OK && t->state.step == 0) tell_lost(&c);
    if (status == SQZ_OK) status = take_steps(&c, error);
    if (status == SQZ_OK && run->evaluate && t->state.best_step) sqzi_trainer_restore_best(t);
    if (at_end(t)) sqzi_trainer_free_room(t); /* who measures or writes next has it */
    report(&c, result);
    sqzi_checkpoints_close(&c.checkpoints);
    sqzi_buffer_free(&text);
fail:
    return status;
}
