/* SPDX-License-Identifier: Apache-2.0 */
/* What glue says at its end. */
#include "glue.h"
#include "labelled.h"
#include "output.h"

static sqz_glue_overall overall_of(const cli_glue *glue)
{
    sqz_glue_result results[CLI_GLUE_PARTS];
    sqz_glue_overall overall;
    size_t n = 0;
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++)
        if (!glue->parts[i].no_figures) results[n++] = glue->parts[i].result;
    sqz_glue_mean(results, n, &overall);
    return overall;
}

/* Why the server would not take this part; NULL: it would. */
static const char *lack_of(const cli_glue_part *p, char *text, size_t room)
{
    if (p->no_answers) return p->no_answers;
    if (p->n_answers == p->part->n_test) return NULL;
    snprintf(text, room, "%zu rows instead of %u", p->n_answers, p->part->n_test);
    return text;
}

/* ---- for people ---- */

static void print_part(const cli_glue_part *p)
{
    const sqz_eval_report *r = &p->result.report;
    printf("%s: %s, %llu bytes, %zu examples", p->part->name, p->model->path,
           (unsigned long long)p->model->bytes, r->n);
    if (p->model->cosine) printf(", by the cosine of embeddings");
    putchar('\n');
    cli_print_figures(p->result.figures, p->result.n_figures);
}

static void print_overall(const sqz_glue_overall *o)
{
    if (o->mean.reason) return;
    if (o->whole) printf("GLUE score on dev, the mean of nine tasks: %.6f\n", o->mean.value);
    else
        printf("mean of %u of GLUE's nine tasks, which is not the GLUE score: %.6f\n", o->n_tasks,
               o->mean.value);
}

static void print_left_out(const cli_glue *glue)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++) {
        const cli_glue_part *p = &glue->parts[i];
        if (!p->no_figures) continue;
        printf("%s%s (%s)", n++ ? ", " : "without figures: ", p->part->name, p->no_figures);
    }
    if (n) putchar('\n');
}

static void print_submission(const cli_glue *glue)
{
    uint32_t n = 0;
    char text[60];
    if (!glue->submission) return;
    printf("wrote %s", glue->submission);
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++) {
        const char *lack = lack_of(&glue->parts[i], text, sizeof text);
        if (!lack) continue;
        printf("%s%s (%s)", n++ ? ", " : ", not a complete submission: ", glue->parts[i].part->name,
               lack);
    }
    putchar('\n');
}

/* ---- for programs ---- */

static void put_reasons(const cli_glue_part *p)
{
    cli_json_key("reasons");
    cli_json_open('{');
    for (uint32_t f = 0; f < p->result.n_figures; f++)
        if (p->result.figures[f].metric.reason)
            cli_json_key_string(p->result.figures[f].name, p->result.figures[f].metric.reason);
    cli_json_close('}');
}

static void put_metric(const char *key, sqz_metric metric)
{
    cli_json_key(key);
    if (metric.reason) cli_json_null();
    else cli_json_double(metric.value);
}

static void put_part(const cli_glue_part *p)
{
    const sqz_eval_report *r = &p->result.report;
    cli_json_open('{');
    cli_json_key_string("part", p->part->name);
    cli_json_key_string("task", sqz_glue_name(p->part->task));
    cli_json_key_string("model", p->model->path);
    cli_json_key_number("bytes", p->model->bytes);
    cli_json_key_number("n", r->n);
    cli_json_key_number("truncated", r->n_truncated);
    cli_json_key_number("skipped", r->n_skipped);
    cli_json_figures(p->result.figures, p->result.n_figures);
    put_reasons(p);
    put_metric("score", p->result.score);
    cli_json_close('}');
}

static void put_lack(const cli_glue_part *p, const char *why)
{
    cli_json_open('{');
    cli_json_key_string("part", p->part->name);
    cli_json_key_string("why", why);
    cli_json_close('}');
}

static void put_submission(const cli_glue *glue)
{
    uint32_t n = 0;
    char text[60];
    cli_json_key("submission");
    cli_json_open('{');
    cli_json_key_string("file", glue->submission);
    cli_json_key("lacks");
    cli_json_open('[');
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++) {
        const char *lack = lack_of(&glue->parts[i], text, sizeof text);
        if (!lack) continue;
        put_lack(&glue->parts[i], lack);
        n++;
    }
    cli_json_close(']');
    cli_json_key("complete");
    cli_json_bool(n == 0);
    cli_json_close('}');
}

static void show_json(const cli_glue *glue, const sqz_glue_overall *o)
{
    cli_json_open('{');
    cli_json_key("parts");
    cli_json_open('[');
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++)
        if (!glue->parts[i].no_figures) put_part(&glue->parts[i]);
    cli_json_close(']');
    cli_json_key("without_figures");
    cli_json_open('[');
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++)
        if (glue->parts[i].no_figures) put_lack(&glue->parts[i], glue->parts[i].no_figures);
    cli_json_close(']');
    put_metric("mean", o->mean);
    cli_json_key_number("tasks", o->n_tasks);
    put_metric("glue_score", o->whole ? o->mean : (sqz_metric){0, "not all tasks"});
    if (glue->submission) put_submission(glue);
    cli_json_close('}');
}

void cli_glue_show(const cli_glue *glue)
{
    const sqz_glue_overall overall = overall_of(glue);
    if (cli.json) {
        show_json(glue, &overall);
        return;
    }
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++)
        if (!glue->parts[i].no_figures) print_part(&glue->parts[i]);
    print_overall(&overall);
    print_left_out(glue);
    print_submission(glue);
}
