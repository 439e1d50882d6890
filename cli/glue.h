/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `glue` share: models and the tasks they are for, folders, what became of each
 * part, and the submission. */
#ifndef CLI_GLUE_H
#define CLI_GLUE_H

#include "cli.h"

#include <squeezebert/glue.h>

enum { CLI_GLUE_TASKS = SQZ_GLUE_AX + 1, CLI_GLUE_PARTS = 11, CLI_GLUE_CLASSES = 8 };

/* A model, and what it is asked.
 *
 *   classes  [n_classes] in the order of its logits, where its own names do not tell
 *   cosine   a model of embeddings: STS-B by it
 */
typedef struct cli_glue_model {
    const char *path;
    char *copy; /* what path and classes lie in */
    int task;
    const char *classes[CLI_GLUE_CLASSES];
    uint32_t n_classes;
    bool cosine;
    uint64_t bytes;
} cli_glue_model;

/* One part and what became of it.
 *
 *   model, folder  NULL: there is none
 *   no_figures, no_answers   why; NULL: there are
 */
typedef struct cli_glue_part {
    const sqz_glue_part *part;
    const cli_glue_model *model;
    const char *folder;
    const char *no_figures, *no_answers;
    sqz_glue_result result;
    char *answers; /* of the test file, as a submission has them */
    size_t answers_bytes, n_answers;
} cli_glue_part;

typedef struct cli_glue {
    const char *data, *submission; /* submission NULL: none is written */
    cli_glue_model models[CLI_GLUE_TASKS];
    uint32_t n_models;
    char *folders[CLI_GLUE_TASKS];
    cli_glue_part parts[CLI_GLUE_PARTS];
} cli_glue;

/* ---- glue_models.c ---- */

/* Read MODEL[:TASK[:A,B,...]], open each to find its task, and find the folders and files. Dies
 * where a model's task is not known or it cannot do it, or two models have one task. */
void cli_glue_open(cli_glue *glue, char **arguments, uint32_t n);
void cli_glue_close(cli_glue *glue);
/* Of a model: how it is asked. */
sqz_eval_options cli_glue_asked(const cli_glue_model *model, const sqz_task_options *task);

/* "examples of RTE's dev", until the next call. */
const char *cli_glue_rows_of(const cli_glue_part *part, const char *split);

/* ---- glue_submission.c ---- */

/* Answer the part's test file. */
void cli_glue_answer(cli_glue_part *part, const sqz_model *model, const sqz_eval_options *asked);
/* A zip file of all answers, whole or not at all. */
void cli_glue_write_submission(const cli_glue *glue);

/* ---- glue_report.c ---- */

void cli_glue_show(const cli_glue *glue);

#endif
