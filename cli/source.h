/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of stdin cut into records: at newlines, for csv at newlines outside quotes. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "cli.h"

enum { CLI_MAX_RECORD = 1 << 28 }; /* bytes; a longer one is dropped and reported */

typedef struct cli_source {
    char *data;
    size_t begin, end, capacity; /* unread bytes: [begin, end) */
    size_t scanned;              /* no record ends before here */
    int quotes;                  /* csv: where the scan stands */
    bool csv, at_end, too_long;
} cli_source;

/* Places are offsets into source->data, which may move while more is read. The newline is not part
 * of a record. */
typedef struct cli_place {
    size_t begin, n;
    bool too_long;
} cli_place;

/* The next record that is complete in memory. */
bool cli_source_take(cli_source *source, cli_place *place);
/* Read more: waits. false at the end of the input, when the rest, if any, is a record too. */
bool cli_source_read(cli_source *source);
/* Could cli_source_read go on without waiting? */
bool cli_source_ready(void);
/* Forget what was taken; places are invalid after. */
void cli_source_forget(cli_source *source);

#endif
