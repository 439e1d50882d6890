/* SPDX-License-Identifier: Apache-2.0 */
/* The front of a model: what it keeps at budgets from small to large, beside bytes, time and work,
 * as a table and as a picture. */
#ifndef CLI_FRONT_H
#define CLI_FRONT_H

#include "cli.h"

#include <squeezebert/squeeze.h>

enum { CLI_FRONT_POINTS = 33 };

/* One file and what was measured of it; NAN where there is nothing.
 *
 *   budget      0: the whole model
 *   score       of score_name: "classes", the share of held-out texts that keep their class, where
 *               there are classes; else "cosine", the mean cosine to the whole model's vectors
 *   ms          median time of a batch
 *   cpu_seconds, joules   for 1,000 texts; joules are those of all processors' packages
 *   minutes     that it was healed
 *   best        no other file is as good in score, bytes and ms, and better in one of them
 */
typedef struct cli_front_point {
    uint64_t budget, bytes;
    double score, cosine, neighbours, classes;
    double ms, cpu_seconds, joules, minutes;
    bool best;
} cli_front_point;

typedef struct cli_front {
    const char *model, *score_name;
    uint32_t batch, length, n_threads, n_texts; /* n_texts: held out */
    uint32_t n;
    cli_front_point points[CLI_FRONT_POINTS]; /* the whole first, then by falling budgets */
} cli_front;

/* ---- front_measure.c ---- */

/* Time, work and energy of models [n], in turn, so that what slows the machine slows all alike:
 * batches of random ids; the texts [n_texts] answered. */
void cli_front_measure(cli_front *front, sqz_model *const *models, const sqz_text *texts,
                       size_t n_texts);

/* ---- front_write.c, front_picture.c: to cli_out() ---- */
void cli_front_write(const cli_front *front);
void cli_front_draw(const cli_front *front);

/* ---- squeeze_front.c ---- */

/*   model     the path
 *   levers    with texts; budget is set for each point
 *   budgets   "8.5MB,6MB", or NULL: eight shares of the model's bytes
 *   batch, length   0: 1 and 128, or what the model takes
 *   table     the CSV to write; the picture gets its name with .svg in the place of .csv
 */
typedef struct cli_front_job {
    const char *model, *budgets, *table;
    const sqz_squeeze_options *levers;
    uint32_t batch, length;
} cli_front_job;
void cli_squeeze_front(const cli_front_job *job);

#endif
