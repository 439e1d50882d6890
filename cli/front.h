/* SPDX-License-Identifier: Apache-2.0 */
/* The front of a model: what it keeps at budgets from small to large, beside bytes, time and work,
 * as a table and as a picture. */
#ifndef CLI_FRONT_H
#define CLI_FRONT_H

#include "cli.h"
#include "squeeze_score.h"

enum { CLI_FRONT_POINTS = 33 };

/* One file and what was measured of it; NAN where there is nothing.
 *
 *   budget      0: the whole model
 *   score       of score_name: of rows a figure of theirs; of texts "classes", the share of
 *               held-out ones that keep their class, where there are classes; else "cosine", the
 *               mean cosine to the whole model's vectors
 *   low, high   its interval of 95 %
 *   before      the score before the file was healed
 *   ms          median time of a batch
 *   cpu_seconds, joules   for 1,000 texts; joules are those of all processors' packages
 *   minutes     that its healing might take; steps that are in it
 *   best        no other file is as good in score, bytes and ms, and better in one of them
 */
typedef struct cli_front_point {
    uint64_t budget, bytes;
    double score, low, high, before, cosine, neighbours, classes;
    double ms, cpu_seconds, joules, minutes;
    uint64_t steps;
    bool best;
} cli_front_point;

/*   held_out   rows or texts that the score is of
 *   minutes    of healing, for all files; 0: none is healed */
typedef struct cli_front {
    const char *model, *score_name, *held_out;
    uint32_t batch, length, n_threads, n_held_out;
    double minutes;
    uint32_t n;
    cli_front_point points[CLI_FRONT_POINTS]; /* the whole first, then by falling budgets */
} cli_front;

/*   model     the path
 *   levers    with texts; budget is set for each point
 *   budgets   "8.5MB,6MB", or NULL: eight shares of the model's bytes
 *   batch, length   0: 1 and 128, or what the model takes
 *   table     the CSV to write; the picture gets its name with .svg in the place of .csv
 *   score     how files are judged, and healed where minutes were said; NULL: neither, they are
 *             compared with the model
 */
typedef struct cli_front_job {
    const char *model, *budgets, *table;
    const sqz_squeeze_options *levers;
    const cli_score_job *score;
    uint32_t batch, length;
} cli_front_job;

/* ---- squeeze_front.c ---- */
/* OUT.svg beside OUT.csv, before the front is made; dies where that is not the table's name. */
const char *cli_front_picture(const char *table);
void cli_squeeze_front(const cli_front_job *job);

/* ---- front_make.c ---- */

/* Where files are made; rows are open until the end. */
void cli_front_begin(const cli_front_job *job, cli_front *front);
/* The model of a budget, open, its point and that of the whole; healed for one n_left-th of the
 * minutes. NULL and the error: it cannot be met. Dies on others. */
sqz_model *cli_front_make(const cli_front_job *job, cli_front *front, uint64_t budget,
                          uint32_t n_left, cli_front_point *point, sqz_error *error);
/* Before the run dies: a folder in which no file was begun goes. */
void cli_front_give_up(const cli_front_job *job);
/* Texts to measure on, at most so many; freed by the caller. */
sqz_input *cli_front_inputs(const cli_front_job *job, uint32_t *n);
/* All is written: what was kept to go on with is removed. */
void cli_front_end(const cli_front_job *job);

/* ---- front_measure.c ---- */

/* Time, work and energy of models [n], in turn, so that what slows the machine slows all alike:
 * batches of random ids; the texts [n_inputs] answered. */
void cli_front_measure(cli_front *front, sqz_model *const *models, const sqz_input *inputs,
                       uint32_t n_inputs);

/* ---- front_write.c, front_picture.c: to cli_out() ---- */
void cli_front_write(const cli_front *front);
void cli_front_draw(const cli_front *front);

#endif
