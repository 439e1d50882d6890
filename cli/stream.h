/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of every verb that reads records: portions in, results out in order, error records in
 * their place, counts on stderr. */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include "records.h"

/* What a verb adds to the loop. Results are structs that begin with an sqz_outcome.
 *
 *   model      opened before the first record, so that what is wrong with it is said even of no
 *              records
 *   run        fill results [n] for inputs [n]
 *   show_json  write the result's keys; the object is open, passed fields are written already
 *   show_text  write the result as part of one line, without the newline
 *   keys       the result's keys with a blank before and behind each, so that a passed field of the
 *              same name can be renamed
 */
typedef struct cli_stream {
    const char *model;
    cli_reading reading;
    size_t result_bytes;
    const char *keys;
    sqz_status (*run)(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error);
    void (*show_json)(const sqz_input *input, const void *result);
    void (*show_text)(const sqz_input *input, const void *result);
} cli_stream;

/* Returns the exit code. */
int cli_run_stream(const cli_stream *stream);

/* "N of M WHAT were cut to the maximal length" on stderr, where any was. */
void cli_say_cut(uint64_t n_cut, uint64_t n, const char *what);

/* That the temperature and the threshold of a model did not go into the one that was made of it. */
void cli_say_scores_dropped(const char *from, const char *out);

/* [begin, end) in code points, or in bytes with --bytes. */
uint32_t cli_offset(uint32_t code_points, uint32_t bytes);

/* "DONE OF" on stderr: a counter that overwrites itself on a terminal and is gone at the last call,
 * a line every few seconds in a log. */
void cli_show_progress(uint64_t done, const char *of, bool last);

/* The same as a progress callback of the library, "DONE of TOTAL WHAT": `what`, the user pointer,
 * is that text. Never stops the work. */
int cli_show_share(void *what, size_t done, size_t total);

#endif
