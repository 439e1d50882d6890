/* SPDX-License-Identifier: Apache-2.0 */
/* Records in: lines, pairs and tables from stdin, in portions of what is there, so that a slow pipe
 * is answered line by line and a fast one in batches. */
#ifndef CLI_RECORDS_H
#define CLI_RECORDS_H

#include "cli.h"

/* A field that is passed through: a string, or any JSON value. */
typedef struct cli_field {
    const char *name;
    sqz_text text;
    char *json; /* NULL: text counts; else the value written out, owned by the record */
} cli_field;

typedef struct cli_record {
    sqz_input input;
    sqz_status status; /* SQZ_OK, or why there is no input; then `fault` says it */
    char fault[160];
    cli_field *fields;
    uint32_t n_fields;
} cli_record;

/* How a verb reads: pair 0 as --pair says, 1 always two texts; columns of tables where --text and
 * --text2 do not say. */
typedef struct cli_reading {
    bool pair;
    const char *column, *column2;
    uint32_t most; /* records a portion, 0 = 512 */
} cli_reading;

/* Read stdin. Dies with CLI_BAD_FILE when a table's header lacks the columns. */
void cli_records_open(cli_reading reading);
/* The next portion, at least one record; 0 at the end. They stay until the next call. */
uint32_t cli_records_next(cli_record **records);
void cli_records_close(void);

#endif
