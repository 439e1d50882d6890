/* SPDX-License-Identifier: Apache-2.0 */
/* Callbacks of a run that trains. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "finetune.h"
#include "output.h"
#include "stream.h"

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void show_step(const sqz_train_progress *p)
{
    char of[160];
    const unsigned long long left = (unsigned long long)p->seconds_left;
    snprintf(of, sizeof of, " of %llu steps, epoch %u, loss %.4f, %.0f pieces/s, %llu:%02llu left",
             (unsigned long long)p->n_steps, p->epoch + 1, p->loss, p->tokens_per_second, left / 60,
             left % 60);
    cli_show_progress(p->step, of, p->step == p->n_steps);
}

/* "epoch 2: loss 0.4321, accuracy 0.8505, macro_f1 ..." */
static void show_figures(cli_watch *w, uint64_t step, const sqz_measures *m)
{
    char text[240];
    size_t used = 0;
    for (uint32_t f = 0; f < m->n_figures && used < sizeof text - 40; f++)
        if (!m->figures[f].metric.reason)
            used += (size_t)snprintf(text + used, sizeof text - used, ", %s %.4f",
                                     m->figures[f].name, m->figures[f].metric.value);
    if (cli.progress != 1 && w->epoch_steps)
        cli_say("step %llu: mean loss of %u steps %.4f%s", (unsigned long long)step, w->epoch_steps,
                w->epoch_loss / w->epoch_steps, text);
    const char *names[SQZ_MAX_METRICS];
    double values[SQZ_MAX_METRICS];
    for (uint32_t f = 0; f < m->n_figures; f++) {
        names[f] = m->figures[f].name;
        values[f] = m->figures[f].metric.reason ? (double)NAN : m->figures[f].metric.value;
    }
    cli_log_figures(step, names, values, m->n_figures);
    w->epoch_loss = 0;
    w->epoch_steps = 0;
}

sqz_status cli_watch_measure(cli_watch *w, const sqz_model *model, bool intervals,
                             sqz_measures *measures, sqz_error *error)
{
    const sqz_predict_options predict = {.task = &w->task,
                                         .prompt = w->prompts[0],
                                         .second_prompt = w->prompts[1],
                                         .batch = w->batch,
                                         .scale = isnan(cli_embedder.scale) ? 0
                                                                            : cli_embedder.scale};
    const sqz_measure_options measure = {.point = !intervals};
    sqz_predictions_close(w->predictions);
    w->predictions = NULL;
    const sqz_status status = sqz_predict(model, w->dev, &predict, &w->predictions, error);
    if (status != SQZ_OK) return status;
    return sqz_measure(w->predictions, &measure, measures, error);
}

int cli_watch_step(void *user, const sqz_train_progress *p)
{
    cli_watch *w = user;
    sqz_measures measures;
    sqz_error error = {0};
    if (w->losses && p->step <= w->n_losses) w->losses[p->step - 1] = p->loss;
    w->epoch_loss += p->loss;
    w->epoch_steps++;
    cli_log_step(p, NULL);
    show_step(p);
    if (w->each_epoch && p->step % w->n_batches == 0) {
        cli_check(cli_watch_measure(w, sqz_trainer_model(w->trainer), false, &measures, &error),
                  &error);
        show_figures(w, p->step, &measures);
    }
    if (!w->stop_after) return 0;
    if (p->step == 1) w->began = now_seconds();
    else w->step_seconds = (now_seconds() - w->began) / (double)(p->step - 1);
    return p->step >= w->stop_after;
}

sqz_status cli_watch_evaluate(void *user, const sqz_model *model, uint64_t step, double *score,
                              sqz_error *error)
{
    cli_watch *w = user;
    sqz_measures measures;
    const sqz_status status = cli_watch_measure(w, model, false, &measures, error);
    if (status != SQZ_OK) return status;
    const sqz_metric metric = measures.figures[w->metric].metric;
    *score = metric.reason ? NAN : metric.value;
    show_figures(w, step, &measures);
    return SQZ_OK;
}

void cli_watch_note(void *user, const char *text)
{
    (void)user;
    cli_say("%s", text);
}
