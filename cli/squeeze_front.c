/* SPDX-License-Identifier: Apache-2.0 */
/* squeeze --pareto: a file for each budget, all of them open when they are measured. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"
#include "lever_options.h"
#include "output.h"

enum { SHARES = 8, LENGTH = 128 };

static char *picture;

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
    uint32_t n_apart = 1;
    for (uint32_t i = 1; i < n; i++)
        if (budgets[i] != budgets[i - 1]) budgets[n_apart++] = budgets[i];
    return n_apart;
}

/* Up to a quarter of the model, which int8 takes, each three quarters of the one above. */
static uint32_t usual_budgets(uint64_t bytes, uint64_t budgets[CLI_FRONT_POINTS])
{
    for (uint32_t i = 0; i < SHARES; i++)
        budgets[SHARES - 1 - i] = (uint64_t)(0.25 * pow(0.75, i) * (double)bytes);
    return SHARES;
}

/* ---- points ---- */

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

/* From the smallest on: one of the user's that cannot be met is an error, and it is not to come
 * after an hour; of the usual ones it is left out, and what is left shares the minutes. */
static void make_all(const cli_front_job *job, cli_front *front, sqz_model **models)
{
    sqz_error error = {0};
    uint64_t budgets[CLI_FRONT_POINTS];
    const uint32_t n = job->budgets
                           ? read_budgets(job->budgets, budgets)
                           : usual_budgets(sqz_model_get_info(models[0])->file_bytes, budgets);
    uint32_t n_left = n;
    cli_front_begin(job, front);
    for (uint32_t i = 0; i < n; i++) {
        cli_front_point *p = &front->points[front->n];
        models[front->n] = cli_front_make(job, front, budgets[i], n_left, p, &error);
        if (models[front->n]) {
            front->n++;
        } else if (job->budgets || !--n_left) {
            cli_front_give_up(job);
            cli_check(SQZ_EINVAL, &error);
        } else cli_say("%s; it is left out", error.text);
    }
    turn_round(front, models);
}

/* ---- the run ---- */

static void free_picture(void)
{
    free(picture);
    picture = NULL;
}

const char *cli_front_picture(const char *table)
{
    const size_t n = strlen(table);
    if (n < 5 || strcmp(table + n - 4, ".csv") != 0)
        cli_die(CLI_USAGE, "--pareto %s: a name that ends in .csv is wanted, the picture gets .svg",
                table);
    picture = cli_allocate(NULL, n + 1);
    cli_at_end(free_picture);
    memcpy(picture, table, n + 1);
    memcpy(picture + n - 3, "svg", 3);
    return picture;
}

static void write_as(const char *name, void (*write)(const cli_front *), const cli_front *front)
{
    cli_output *output = cli_open_output(name);
    cli_write_to(output);
    write(front);
    cli_commit_output(output);
}

static void measure(const cli_front_job *job, cli_front *front, sqz_model *const *models)
{
    uint32_t n;
    sqz_input *inputs = cli_front_inputs(job, &n);
    cli_front_measure(front, models, inputs, n);
    free(inputs);
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
    if (!job->length && front.length > info->max_positions) front.length = info->max_positions;
    if (front.length > info->max_positions)
        cli_die(CLI_USAGE, "--at: %u pieces, the model takes %u", front.length,
                info->max_positions);
    cli_not_over(job->table, job->model);
    make_all(job, &front, models);
    measure(job, &front, models);
    write_as(job->table, cli_front_write, &front);
    write_as(picture, cli_front_draw, &front);
    for (uint32_t i = 1; i < front.n; i++) sqz_model_close(models[i]);
    cli_front_end(job);
    cli_say("wrote %s and %s: %u files, %s; the score is %s of %u %s held out", job->table, picture,
            front.n, front.minutes > 0 ? "healed" : "not healed, which --minutes M does",
            front.score_name, front.n_held_out, front.held_out);
    const char *condition = job->score ? cli_score_condition(job->model) : NULL;
    if (condition) cli_say("the scores are true if %s", condition);
}
