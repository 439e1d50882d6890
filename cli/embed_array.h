/* SPDX-License-Identifier: Apache-2.0 */
/* embed -o: the vectors of all records as one NumPy array. */
#ifndef CLI_EMBED_ARRAY_H
#define CLI_EMBED_ARRAY_H

#include "cli.h"

/* -o, --on-error, and whether -o was given. */
extern const cli_option cli_array_options[];
bool cli_array_wanted(void);

/* Dies where options do not fit, or the array would take the model's place; to be called before
 * the model is opened. */
void cli_array_check(const char *model);
/* Read the records, write the array; run as cli_stream's, for sqz_embedding. Returns the exit
 * code. */
int cli_write_array(uint32_t columns, sqz_status (*run)(const sqz_input *inputs, uint32_t n,
                                                        void *results, sqz_error *error));

#endif
