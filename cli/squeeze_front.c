/* SPDX-License-Identifier: Apache-2.0 */
/* squeeze --pareto: a file for each budget, all of them open when they are measured. */
#define _DEFAULT_SOURCE /* mkdtemp */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front.h"
#include "lever_options.h"
#include "output.h"
#include "signals.h"

enum { SHARES = 8, LENGTH = 128 };

static char folder[512], file[600], *picture;
static sqz_squeeze_result squeezed;

/* Also in a signal's handler. */
static void remove_made(void)
{
    if (file[0]) (void)unlink(file);
    if (folder[0]) (void)rmdir(folder);
    file[0] = folder[0] = '\0';
}

static void make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || !*parent) parent = "/tmp";
    cli_at_end(remove_made);
    cli_at_signal(remove_made);
    const int n = snprintf(folder, sizeof folder, "%s/squeezebert.XXXXXX", parent);
    if (n < (int)sizeof folder && mkdtemp(folder)) {
        snprintf(file, sizeof file, "%s/front.gguf", folder);
        return;
    }
    folder[0] = '\0';
    cli_die(cli_code(sqz_status_of_errno(errno, 1)),
            "no folder for the files of --pareto can be made under %s: %s; TMPDIR names another "
            "place",
            parent, strerror(errno));
}

static void take_result(void *user, const sqz_squeeze_result *result)
{
    (void)user;
    squeezed = *result;
}

/* ---- budgets ---- */

static int rising(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint32_t read_budgets(const char *text, uint64_t budgets[CLI_FRONT_POINTS])
{
    uint32_t n = 0;
    char *copy = cli_allocate(NULL, strlen(text) + 1);
    strcpy(copy, text);
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        if (n + 1 == CLI_FRONT_POINTS)
            cli_die(CLI_USAGE, "--budgets: more than %d", CLI_FRONT_POINTS - 1);
        budgets[n++] = cli_read_bytes("budgets", word);
    }
    free(copy);
    if (!n) cli_die(CLI_USAGE, "--budgets is a list such as 9MB,7MB,5MB");
    qsort(budgets, n, sizeof *budgets, rising);
    return n;
}

/* From a quarter of the model, which int8 takes, each three quarters of the one before. */
static uint32_t usual_budgets(uint64_t bytes, uint64_t budgets[CLI_FRONT_POINTS])
{
    for (uint32_t i = 0; i < SHARES; i++)
        budgets[i] = (uint64_t)(0.25 * pow(0.75, i) * (double)bytes);
    return SHARES;
}

/* ---- points ---- */

static void set_score(cli_front *front, cli_front_point *p)
{
    const bool classes = !isnan(p->classes);
    front->score_name = classes ? "classes" : "cosine";
    p->score = classes ? p->classes : p->cosine;
}

/* The model of a budget, open; NULL where it is refused and may be: what differs from a point that
 * was made is the budget alone. */
static sqz_model *make(const cli_front_job *job, uint64_t budget, bool may_be_refused,
                       cli_front *front, cli_front_point *p)
{
    sqz_error error = {0};
    sqz_model *model;
    sqz_squeeze_options o = *job->levers;
    o.budget = budget;
    o.part = NULL;
    o.result = take_result;
    const sqz_status status = sqz_squeeze(cli_context(), job->model, file, &o, &error);
    if (status == SQZ_EINVAL && may_be_refused) return NULL;
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
    cli_check(status, &error);
    cli_check(sqz_model_open(cli_context(), file, &model, &error), &error);
    (void)unlink(file); /* it stays readable as long as it is open */
    *p = (cli_front_point){.budget = budget,
                           .bytes = squeezed.bytes_after,
                           .cosine = squeezed.cosine,
                           .neighbours = squeezed.neighbours,
                           .classes = squeezed.classes,
                           .joules = NAN,
                           .minutes = 0};
    set_score(front, p);
    front->n_texts = squeezed.n_held_out;
    return model;
}

static void put_whole(cli_front *front, const sqz_model *model)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    cli_front_point *p = &front->points[0];
    *p = (cli_front_point){.bytes = info->file_bytes,
                           .cosine = 1,
                           .neighbours = 1,
                           .classes = isnan(front->points[front->n - 1].classes) ? NAN : 1,
                           .minutes = 0};
    set_score(front, p);
}

/* The points that were made, the last one first. */
static void turn_round(cli_front *front, sqz_model **models)
{
    for (uint32_t a = 1, b = front->n - 1; a < b; a++, b--) {
        const cli_front_point point = front->points[a];
        sqz_model *model = models[a];
        front->points[a] = front->points[b];
        front->points[b] = point;
        models[a] = models[b];
        models[b] = model;
    }
}

/* Budgets of the user's from the smallest on: one that cannot be met is an error, and it is not to
 * come after an hour. The usual ones fall until one cannot be met. */
static void make_all(const cli_front_job *job, cli_front *front, sqz_model **models)
{
    uint64_t budgets[CLI_FRONT_POINTS];
    const uint32_t n = job->budgets
                           ? read_budgets(job->budgets, budgets)
                           : usual_budgets(sqz_model_get_info(models[0])->file_bytes, budgets);
    make_folder();
    for (uint32_t i = 0; i < n; i++) {
        const bool may_be_refused = !job->budgets && front->n > 1;
        cli_front_point *p = &front->points[front->n];
        models[front->n] = make(job, budgets[i], may_be_refused, front, p);
        if (!models[front->n]) break;
        front->n++;
    }
    remove_made();
    if (job->budgets) turn_round(front, models);
    put_whole(front, models[0]);
}

/* ---- the run ---- */

static void free_picture(void)
{
    free(picture);
    picture = NULL;
}

/* OUT.svg beside OUT.csv. */
static void name_picture(const char *table)
{
    const size_t n = strlen(table);
    if (n < 5 || strcmp(table + n - 4, ".csv") != 0)
        cli_die(CLI_USAGE, "--pareto %s: a name that ends in .csv is wanted, the picture gets .svg",
                table);
    picture = cli_allocate(NULL, n + 1);
    cli_at_end(free_picture);
    memcpy(picture, table, n + 1);
    memcpy(picture + n - 3, "svg", 3);
}

static void write_as(const char *name, void (*write)(const cli_front *), const cli_front *front)
{
    cli_output *output = cli_open_output(name);
    cli_write_to(output);
    write(front);
    cli_commit_output(output);
}

void cli_squeeze_front(const cli_front_job *job)
{
    sqz_model *models[CLI_FRONT_POINTS] = {cli_model(job->model)};
    const sqz_model_info *info = sqz_model_get_info(models[0]);
    cli_front front = {.model = job->model,
                       .batch = job->batch ? job->batch : 1,
                       .length = job->length ? job->length : LENGTH,
                       .n_threads = sqz_context_get_info(cli_context())->n_threads,
                       .n = 1};
    name_picture(job->table);
    if (!job->length && front.length > info->max_positions) front.length = info->max_positions;
    if (front.length > info->max_positions)
        cli_die(CLI_USAGE, "--at: %u pieces, the model takes %u", front.length,
                info->max_positions);
    cli_not_over(job->table, job->model);
    cli_try_output(job->table, false);
    cli_try_output(picture, false);
    make_all(job, &front, models);
    cli_front_measure(&front, models, job->levers->texts, job->levers->n_texts);
    write_as(job->table, cli_front_write, &front);
    write_as(picture, cli_front_draw, &front);
    for (uint32_t i = 1; i < front.n; i++) sqz_model_close(models[i]);
    cli_say("wrote %s and %s: %u files", job->table, picture, front.n);
}
