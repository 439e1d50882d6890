/* SPDX-License-Identifier: Apache-2.0 */
/* What became of each part of a model that is squeezed, shown when all went well. */
#ifndef CLI_SQUEEZE_TABLE_H
#define CLI_SQUEEZE_TABLE_H

#include "squeeze_score.h"

/*   budget, time_share   as they were asked for, or NULL
 *   score                of a run that is judged, or NULL */
typedef struct cli_squeeze_table {
    const char *budget, *time_share;
    bool whole_texts;
    sqz_squeeze_result result;
    const cli_score_job *score;
} cli_squeeze_table;

/* sqz_squeeze_options.part: a row more. */
void cli_squeeze_part(void *user, const sqz_squeezed_part *part);
void cli_squeeze_show(const cli_squeeze_table *table);
void cli_squeeze_show_json(const cli_squeeze_table *table);
/* The rows. */
void cli_squeeze_free(void);

#endif
