/* SPDX-License-Identifier: Apache-2.0 */
/* What `eval` shows of a model on labelled data, and writes of every answer. */
#ifndef CLI_EVAL_REPORT_H
#define CLI_EVAL_REPORT_H

#include "labelled.h"

/* Everything that was found; base and comparison NULL without another model. */
typedef struct cli_evaluated {
    const char *model, *against;
    sqz_dataset *dataset;
    sqz_predictions *predictions, *base;
    const sqz_measures *measures;
    const sqz_comparison *comparison;
} cli_evaluated;

void cli_show_evaluated(const cli_evaluated *e);
/* One line. */
void cli_show_evaluated_json(const cli_evaluated *e);
/* To cli_out(): a table, or a JSON object a line. */
void cli_write_answers(const cli_evaluated *e, bool as_json);

#endif
