/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that levers ask what layers read, or need: whole files in memory. */
#ifndef CLI_LEVER_TEXTS_H
#define CLI_LEVER_TEXTS_H

#include "records.h"

typedef struct cli_lever_texts {
    sqz_text *texts; /* [read.n] */
    cli_texts read;
} cli_lever_texts;

enum { CLI_CALIBRATION_BYTES = 64 << 20 }; /* of a file of texts that are read at most */

/* The texts of a file until they have `most` bytes; path NULL: none. `format` and `column` as
 * --input and --text say them. Dies with CLI_USAGE or CLI_BAD_FILE. */
cli_lever_texts cli_read_lever_texts(const char *path, uint32_t format, const char *column,
                                     size_t most);
void cli_free_lever_texts(cli_lever_texts *texts);

#endif
