/* SPDX-License-Identifier: Apache-2.0 */
/* Labelled data of one's own, with the options of the command line, and what is shown of a model on
 * it. */
#ifndef CLI_LABELLED_H
#define CLI_LABELLED_H

#include "cli.h"

#include <squeezebert/measure.h>

/* --input --text --text2 --label --separator --quotes */
extern const cli_option cli_labelled_options[];

/* What was given, for the caller to refuse or to take. */
typedef struct cli_labelled {
    uint32_t input; /* an sqz_data_format */
    const char *text, *text2, *label, *separator;
} cli_labelled;
extern cli_labelled cli_columns;

/* Dies with CLI_USAGE where one of these was given: `why` says what they do not go with. */
void cli_refuse_columns(const char *why);

/* Is it CLINC's JSON, by --input or the end of its name? NULL: stdin. */
bool cli_is_clinc(const char *path);

/* What differs between two data sets of a run.
 *
 *   path     NULL: stdin
 *   source   a column (sqz_dataset_options); may be NULL
 *   split    of CLINC's JSON; may be NULL
 *   negatives [n_negatives] columns of texts that do not belong to the first; may be NULL
 *   classes  [n_classes], or NULL: those that occur
 */
typedef struct cli_data {
    const char *path, *source, *split;
    const char *const *negatives;
    uint32_t n_negatives;
    sqz_label_kind kind;
    const char *const *classes;
    uint32_t n_classes;
} cli_data;
/* What was skipped or is not UTF-8, on stderr. */
void cli_say_left_out(const sqz_dataset *dataset);
/* Dies where it cannot be read; says on stderr what was skipped or is not UTF-8. */
sqz_dataset *cli_open_data(const cli_data *data);

/* "metrics" and "intervals" of the object that is open. */
void cli_json_figures(const sqz_figure *figures, uint32_t n);
/* A line a figure. */
void cli_print_figures(const sqz_figure *figures, uint32_t n);

#endif
