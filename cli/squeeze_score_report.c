/* SPDX-License-Identifier: Apache-2.0 */
/* What a compression came to: base, squeezed and healed, their scores, bytes and milliseconds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"
#include "output.h"
#include "squeeze_score.h"

enum { TIMED = 40 };

/* A text alone, base and new model in turn. */
void cli_score_time(cli_score_job *j, const sqz_dataset *rows)
{
    sqz_error error = {0};
    sqz_model *written;
    sqz_text texts[TIMED];
    size_t n = j->texts->read.n, n_rows = 0;
    const sqz_example *examples = rows ? sqz_dataset_examples(rows, &n_rows) : NULL;
    if (rows) n = n_rows;
    if (n > TIMED) n = TIMED;
    for (size_t i = 0; i < n; i++) texts[i] = rows ? examples[i].input.text : j->texts->texts[i];
    cli_check(sqz_model_open(cli_context(), j->output, &written, &error), &error);
    const sqz_model *const models[] = {cli_model(j->model), written};
    cli_time_models(texts, n, models, 2, j->milliseconds);
    sqz_model_close(written);
}

static void put_interval(char *to, size_t room, const sqz_compress_score *s)
{
    if (isnan(s->low)) snprintf(to, room, "%.4f", s->score);
    else snprintf(to, room, "%.4f (%.4f to %.4f)", s->score, s->low, s->high);
}

static void show_line(const char *name, const sqz_compress_score *s, double milliseconds)
{
    char score[48], ms[16] = "";
    put_interval(score, sizeof score, s);
    if (milliseconds > 0) snprintf(ms, sizeof ms, "%.2f", milliseconds);
    printf("%-10s %-28s", name, score);
    if (!s->n_figures) printf(" %10.4f", s->likeness.neighbours);
    printf(" %12llu %8s\n", (unsigned long long)s->bytes, ms);
}

static void show_difference(const sqz_compress_result *r)
{
    for (uint32_t f = 0; f < r->comparison.n_figures; f++) {
        const sqz_figure *d = &r->comparison.figures[f];
        if (strcmp(d->name, r->name) != 0 || d->metric.reason) continue;
        printf("difference %.4f", d->metric.value);
        if (d->has_interval) printf(" (%.4f to %.4f)", d->low, d->high);
        printf(", in paired resamples\n");
    }
}

static void show_trials(const sqz_compress_result *r)
{
    if (r->n_trials < 2) return;
    printf("tried on %zu other %s:\n%-12s %-12s %7s %7s %-18s\n", r->n_choose,
           r->base.n_figures ? "rows" : "texts", "budget", "bytes", "layers", "steps", r->name);
    for (uint32_t i = 0; i < r->n_trials; i++) {
        const sqz_compress_trial *t = &r->trials[i];
        printf("%-12llu %-12llu %7u %7llu %.4f +- %.4f%s\n", (unsigned long long)t->budget,
               (unsigned long long)t->bytes, t->layers, (unsigned long long)t->steps, t->score,
               t->error, t->chosen ? "  chosen" : "");
    }
}

void cli_score_show(const cli_score_job *j)
{
    const sqz_compress_result *r = &j->result;
    const bool rows = r->base.n_figures > 0, healed = r->steps > 0;
    if (j->dry_run) return;
    show_trials(r);
    printf("%s of %zu %s that nothing here was learned or chosen on, with intervals of 95%%; a "
           "text alone takes ms:\n",
           r->name, r->n_report, rows ? "rows" : "texts");
    printf("%-10s %-28s", "", r->name);
    if (!rows) printf(" %10s", "neighbours");
    printf(" %12s %8s\n", "bytes", "ms");
    show_line("base", &r->base, j->milliseconds[0]);
    show_line("squeezed", &r->before, healed ? 0 : j->milliseconds[1]);
    if (healed) show_line("healed", &r->after, j->milliseconds[1]);
    else if (r->n_steps)
        printf("%llu steps of healing made it no better on other %s: they are left out\n",
               (unsigned long long)r->n_steps, rows ? "rows" : "texts");
    show_difference(r);
    if (rows) printf("the scores are true if %s\n", j->condition);
    if (r->n_rows_left_out)
        printf("%zu of the rows are those that the score is reported on: they are left out\n",
               r->n_rows_left_out);
    if (r->n_left_out)
        printf("%zu of the texts are those of rows to choose or report on: they are left out\n",
               r->n_left_out);
}

/* ---- JSON ---- */

static void show_model_json(const char *key, const sqz_compress_score *s, double milliseconds)
{
    cli_json_key(key);
    cli_json_open('{');
    cli_json_key_number("bytes", s->bytes);
    cli_json_key_double("score", s->score);
    if (!isnan(s->low)) {
        cli_json_key_double("low", s->low);
        cli_json_key_double("high", s->high);
    }
    if (s->n_figures) cli_json_figures(s->figures, s->n_figures);
    else {
        if (!isnan(s->likeness.cosine)) cli_json_key_double("cosine", s->likeness.cosine);
        cli_json_key_double("neighbours", s->likeness.neighbours);
        if (!isnan(s->likeness.classes)) cli_json_key_double("classes", s->likeness.classes);
    }
    if (milliseconds > 0) cli_json_key_double("milliseconds", milliseconds);
    cli_json_close('}');
}

static void show_trial_json(const sqz_compress_trial *t)
{
    cli_json_open('{');
    cli_json_key_number("budget", t->budget);
    cli_json_key_number("bytes", t->bytes);
    cli_json_key_number("layers", t->layers);
    cli_json_key_number("steps", t->steps);
    cli_json_key_double("score", t->score);
    cli_json_key_double("error", t->error);
    cli_json_key("chosen");
    cli_json_bool(t->chosen != 0);
    cli_json_close('}');
}

void cli_score_show_json(const cli_score_job *j)
{
    const sqz_compress_result *r = &j->result;
    const bool rows = r->base.n_figures > 0;
    if (j->dry_run) return;
    cli_json_key_string("score", r->name);
    cli_json_key_number("learned", r->n_learn);
    cli_json_key_number("chosen_on", r->n_choose);
    cli_json_key_number("held_out", r->n_report);
    if (rows) cli_json_key_string("true_if", j->condition);
    if (rows) cli_json_key_number("rows_left_out", r->n_rows_left_out);
    if (j->texts->read.n && rows) cli_json_key_number("texts_left_out", r->n_left_out);
    cli_json_key_number("steps", r->steps);
    show_model_json("base", &r->base, j->milliseconds[0]);
    show_model_json("squeezed", &r->before, 0);
    show_model_json("after", &r->after, j->milliseconds[1]);
    if (r->comparison.n_figures) {
        cli_json_key("difference");
        cli_json_open('{');
        cli_json_figures(r->comparison.figures, r->comparison.n_figures);
        cli_json_close('}');
    }
    if (!isnan(r->least)) cli_json_key_double("least", r->least);
    cli_json_key("met");
    cli_json_bool(r->met != 0);
    if (r->enough) cli_json_key_number("enough", r->enough);
    cli_json_key("tried");
    cli_json_open('[');
    for (uint32_t i = 0; i < r->n_trials; i++) show_trial_json(&r->trials[i]);
    cli_json_close(']');
}
