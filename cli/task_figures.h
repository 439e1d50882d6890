/* SPDX-License-Identifier: Apache-2.0 */
/* A model on a task of GLUE. */
#ifndef CLI_TASK_FIGURES_H
#define CLI_TASK_FIGURES_H

#include "cli.h"

#include <squeezebert/eval.h>

/* Does the folder hold a file that sqz_glue_open would read as this split? */
bool cli_has_split(const char *folder, const char *split);

/* As cli_not_over, of every file of a task that its folder may hold, and of this split's; NULL: no
 * other. */
void cli_not_over_task(const char *output, const char *folder, const char *split);

/* Say where a name that was given for an output is the model's own for another one: the given order
 * counts, and is likely wrong. */
void cli_say_reordered(const sqz_model *model, const char *path, const char *const *names,
                       uint32_t n);

/* As sqz_evaluate; dies where that fails. MNLI has two dev files: where no split is named and the
 * folder has both, the figure of dev_mismatched follows as accuracy_mismatched, counts are of both;
 * predictions are of dev_matched alone, which is said. */
void cli_evaluate_task(const sqz_model *model, sqz_glue_task task, const char *folder,
                       const sqz_eval_options *options, sqz_eval_report *report);

#endif
