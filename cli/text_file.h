/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of a file that may be compressed by gzip. */
#ifndef CLI_TEXT_FILE_H
#define CLI_TEXT_FILE_H

#include "records.h"

/* The texts of FILE or FILE.gz, one a line, over one block of bytes: texts [read.n]. Dies as
 * cli_read_texts does. */
typedef struct cli_text_file {
    cli_texts read;
    sqz_text *texts;
} cli_text_file;
cli_text_file cli_open_text_file(const char *path);
void cli_free_text_file(cli_text_file *file);

#endif
