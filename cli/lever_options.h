/* SPDX-License-Identifier: Apache-2.0 */
/* The words in which levers of `squeeze` are given, read into the library's options. Each dies with
 * CLI_USAGE where it cannot read its text; NULL leaves the options as they are. */
#ifndef CLI_LEVER_OPTIONS_H
#define CLI_LEVER_OPTIONS_H

#include <squeezebert/compress.h>

/* "50%" as 0.5. */
double cli_read_share(const char *option, const char *text);
/* "6", or "50%" as a share of what there is. */
void cli_read_count(const char *option, const char *text, uint32_t *count, double *share);
/* "4", from 2 on; text NULL: 0. */
uint32_t cli_read_groups(const char *text);
/* "0,2,3,5", "none", "first:3", "every:2". The list is kept until the program ends. */
void cli_read_layers(const char *text, sqz_squeeze_options *options);
/* "width:96", "pq:48", "bits:3", "width:96,bits:4". */
void cli_read_embedding(const char *text, sqz_squeeze_options *options);

/* "1x128": sequences and tokens of each. */
void cli_read_at(const char *text, uint32_t *batch, uint32_t *length);

/* "8.5MB", "7MiB", "500KB", "8500000": bytes. */
uint64_t cli_read_bytes(const char *option, const char *text);

/* "99%" of the base's score, or a score such as 0.86. */
void cli_read_min_score(const char *text, sqz_compress_options *options);

#endif
