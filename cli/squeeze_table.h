/* SPDX-License-Identifier: Apache-2.0 */
/* What became of each part of a model that was squeezed, and of the whole, as a table or JSON. */
#ifndef CLI_SQUEEZE_TABLE_H
#define CLI_SQUEEZE_TABLE_H

#include <squeezebert/squeeze.h>

#include "squeeze_score.h"

typedef struct cli_squeeze_row {
    char name[48], from[80], to[80];
    double error;
    uint64_t before, after;
} cli_squeeze_row;

/*   budget, time   as they were given, or NULL
 *   score          of a run that was judged, or NULL */
typedef struct cli_squeeze_table {
    cli_squeeze_row *rows;
    size_t n, capacity;
    sqz_squeeze_result result;
    bool whole_texts;
    const char *budget, *time;
    const cli_score_job *score;
} cli_squeeze_table;
extern cli_squeeze_table cli_squeezed;

/* sqz_squeeze_options.part and .result: into cli_squeezed, whatever user is. */
void cli_squeeze_take_part(void *user, const sqz_squeezed_part *part);
void cli_squeeze_take_result(void *user, const sqz_squeeze_result *found);

void cli_squeeze_show(void);
void cli_squeeze_show_json(void);

#endif
