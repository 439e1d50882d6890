/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that levers ask what layers read, or need: whole files in memory. */
#ifndef CLI_LEVER_TEXTS_H
#define CLI_LEVER_TEXTS_H

#include "records.h"

typedef struct cli_lever_texts {
    sqz_text *texts; /* [read.n] */
    cli_texts read;
} cli_lever_texts;

/* What help says of how much of a file is read; 2^20 bytes are 1.05 MB. */
#define CLI_LEVER_TEXTS_READ "the first 67 MB are read"
#define CLI_VOCABULARY_MOST  "536 MB"

/* The texts of a file until they have 64 MiB, which it says where more follow; path NULL: none.
 * `format` and `column` as --input and --text say them. Dies with CLI_USAGE or CLI_BAD_FILE. */
cli_lever_texts cli_read_lever_texts(const char *path, uint32_t format, const char *column);
/* The same, all of them: with CLI_BAD_FILE where they have more than 512 MiB, as pieces that the
 * others need would leave. */
cli_lever_texts cli_read_vocabulary(const char *path, uint32_t format, const char *column);
void cli_free_lever_texts(cli_lever_texts *texts);

#endif
