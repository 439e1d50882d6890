/* SPDX-License-Identifier: Apache-2.0 */
/* Progress, log and measurements of a distillation on texts. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <string.h>
#include <time.h>

#include "distill.h"
#include "stream.h"

enum { TIMED_TEXTS = 40, MOST_MODELS = 4 };

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- comparisons ---- */

sqz_likeness cli_distilling_compare(const cli_distilling *d, const sqz_model *student)
{
    sqz_error error = {0};
    sqz_likeness likeness = {0};
    cli_check(sqz_compare_models(d->teacher, student, d->texts, d->n_texts, &likeness, &error),
              &error);
    return likeness;
}

/* ", hidden 0.1234, pooled 0.0321": weighted, means of the steps since the last time. */
static void show_losses(const cli_distilling *d, const double *losses, double n, char *text,
                        size_t room)
{
    size_t used = 0;
    *text = '\0';
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES && used < room; i++)
        if (d->recipe->weights[i] > 0)
            used += (size_t)snprintf(text + used, room - used, ", %s %.4f",
                                     sqz_distil_loss_name((sqz_distil_loss)i), losses[i] / n);
}

/* What a comparison found; the first figure is what decides which step is kept. */
typedef struct found {
    const char *names[SQZ_MAX_METRICS];
    double values[SQZ_MAX_METRICS];
    uint32_t n;
} found;

static void look(cli_distilling *d, const sqz_model *student, found *f)
{
    sqz_error error = {0};
    sqz_measures measures;
    if (!d->labelled) {
        const sqz_likeness likeness = cli_distilling_compare(d, student);
        *f = (found){{"cosine", "neighbours"}, {likeness.cosine, likeness.neighbours}, 2};
        if (isnan(likeness.cosine)) *f = (found){{"neighbours"}, {likeness.neighbours}, 1};
        return;
    }
    cli_check(cli_watch_measure(d->labelled, student, false, &measures, &error), &error);
    f->n = measures.n_figures;
    for (uint32_t k = 0; k < f->n; k++) {
        f->names[k] = measures.figures[k].name;
        f->values[k] = measures.figures[k].metric.reason ? (double)NAN
                                                         : measures.figures[k].metric.value;
    }
}

static double compare(cli_distilling *d, const sqz_model *student, uint64_t step)
{
    char losses[240], figures[240];
    size_t used = 0;
    found f;
    look(d, student, &f);
    show_losses(d, d->losses, d->n_steps ? (double)d->n_steps : 1, losses, sizeof losses);
    for (uint32_t k = 0; k < f.n && used < sizeof figures; k++)
        used += (size_t)snprintf(figures + used, sizeof figures - used, "%s%s %.4f", k ? ", " : "",
                                 f.names[k], f.values[k]);
    if (cli.progress != 1)
        cli_say("step %llu%s; held out: %s", (unsigned long long)step, losses, figures);
    memset(d->losses, 0, sizeof d->losses);
    d->n_steps = 0;
    cli_log_figures(step, f.names, f.values, f.n);
    return f.values[0];
}

sqz_status cli_distilling_evaluate(void *user, const sqz_model *model, uint64_t step, double *score,
                                   sqz_error *error)
{
    (void)error;
    *score = compare(user, model, step);
    return SQZ_OK;
}

static void show_step(const cli_distilling *d, const sqz_train_progress *p)
{
    char of[400], losses[200];
    const unsigned long long left = (unsigned long long)p->seconds_left;
    show_losses(d, p->losses, 1, losses, sizeof losses);
    snprintf(of, sizeof of, " of %llu steps%s, %.0f pieces/s, %llu:%02llu left",
             (unsigned long long)p->n_steps, losses, p->tokens_per_second, left / 60, left % 60);
    cli_show_progress(p->step, of, p->step == p->n_steps);
}

int cli_distilling_step(void *user, const sqz_train_progress *p)
{
    cli_distilling *d = user;
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++) d->losses[i] += p->losses[i];
    d->n_steps++;
    cli_log_step(p, d->recipe);
    show_step(d, p);
    if (d->every && d->n_texts && (p->step % d->every == 0 || p->step == p->n_steps))
        (void)compare(d, sqz_trainer_model(d->trainer), p->step);
    if (p->step > 1) d->pieces += p->n_tokens;
    if (p->step == 1) d->began = now_seconds();
    else d->step_seconds = (now_seconds() - d->began) / (double)(p->step - 1);
    return d->stop_after && p->step >= d->stop_after;
}

/* ---- milliseconds ---- */

void cli_time_models(const sqz_text *texts, size_t n_texts, const sqz_model *const models[],
                     uint32_t n, double milliseconds[])
{
    sqz_task *tasks[MOST_MODELS];
    n_texts = n_texts < TIMED_TEXTS ? n_texts : TIMED_TEXTS;
    for (uint32_t m = 0; m < n; m++) {
        sqz_error error = {0};
        cli_check(sqz_task_open(models[m], NULL, &tasks[m], &error), &error);
        milliseconds[m] = 0;
    }
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < n_texts; i++)
            for (uint32_t m = 0; m < n; m++) {
                sqz_error error = {0};
                sqz_embedding result;
                const sqz_input input = {.text = texts[i]};
                const double began = now_seconds();
                cli_check(sqz_embed_texts(tasks[m], &input, 1, NULL, &result, &error), &error);
                if (round) milliseconds[m] += 1e3 * (now_seconds() - began);
            }
    for (uint32_t m = 0; m < n; m++) {
        milliseconds[m] /= 2 * (double)n_texts;
        sqz_task_close(tasks[m]);
    }
}
