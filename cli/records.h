/* SPDX-License-Identifier: Apache-2.0 */
/* Records in: stdin through the library's reader (squeezebert/data.h), with the options of the
 * command line. */
#ifndef CLI_RECORDS_H
#define CLI_RECORDS_H

#include "cli.h"

#include <squeezebert/data.h>

typedef struct cli_record {
    sqz_input input;
    uint64_t line;     /* of stdin, from 1 */
    sqz_status status; /* SQZ_OK, or why there is no input; then `fault` says it */
    const char *fault;
    const sqz_field *fields; /* what is passed through */
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
/* Says on stderr how many blank lines were skipped, if any. */
void cli_records_close(void);

/* Lines, bytes and columns of a file by the same rule: a reader of `path`, whose format its end
 * names unless `format` does (0 auto, then as in sqz_rows_format). `what` begins messages about a
 * missing column: the options that name one. */
sqz_rows *cli_open_rows(const char *path, uint32_t format, const char *column, const char *what);
/* The next portion of it; 0 at the end. Dies where it cannot be read. */
uint32_t cli_next_rows(sqz_rows *rows, const sqz_row **row);
/* "3 blank lines of NAME skipped" where there were any, and the next. */
void cli_say_lines(const sqz_rows *rows);
/* That n records of an input are not UTF-8, where any is. */
void cli_say_ill_formed(uint64_t n, const char *of);

/* The texts of a file, from its beginning until they have `most` bytes: text i is
 * bytes[i ? ends[i - 1] + 1 : 0 .. ends[i]), a blank behind each. more: others follow. Dies with
 * CLI_BAD_FILE on a record that cannot be read, and where there is no text. */
typedef struct cli_texts {
    char *bytes;
    size_t *ends;
    size_t n, n_bytes;
    bool more;
} cli_texts;
cli_texts cli_read_texts(sqz_rows *rows, size_t most);
/* Says of `rows` how many texts were read, where more follow. */
void cli_say_more(const sqz_rows *rows, const cli_texts *texts);

#endif
