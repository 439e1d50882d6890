/* SPDX-License-Identifier: Apache-2.0 */
/* eval on data of one's own. */
#ifndef CLI_EVAL_DATA_H
#define CLI_EVAL_DATA_H

#include "labelled.h"

/*   model          the path
 *   data           a file; NULL: stdin
 *   split          of CLINC's JSON; may be NULL
 *   against        another model on the same data; may be NULL
 *   predictions    where to write every answer; may be NULL
 *   min_accuracy   NAN: none
 */
typedef struct cli_eval_request {
    const char *model, *data, *split, *against, *predictions;
    double min_accuracy;
} cli_eval_request;

/* What a model, of this path, has been trained for: kind and classes are its own, `of` says the
 * rest; of CLINC's JSON val unless a split is named. Dies as cli_open_data. */
sqz_dataset *cli_open_model_data(const sqz_model *model, const char *path, const cli_data *of);

/* The verb's exit code. */
int cli_eval_data(const cli_eval_request *request);

/* CLI_FAILED, and a message, where the figure "accuracy" is below the least; CLI_DONE where it is
 * not, or none is asked for. Dies with CLI_USAGE where there is no such figure. */
int cli_check_accuracy(const sqz_metric *accuracy, double least);

#endif
