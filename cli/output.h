/* SPDX-License-Identifier: Apache-2.0 */
/* Results out: JSON written straight to a stream, and files that appear whole or not at all. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "cli.h"

/* JSON is written as it is told, without a tree: values in an array or object are separated by
 * themselves. */
void cli_json_open(char bracket);  /* '{' or '[' */
void cli_json_close(char bracket); /* '}' or ']'; the outermost one ends the line */
void cli_json_key(const char *key);
void cli_json_key_text(const char *bytes, size_t n);
void cli_json_key_string(const char *key, const char *text); /* a key and its value */
void cli_json_key_number(const char *key, uint64_t value);
void cli_json_key_double(const char *key, double value);
void cli_json_text(const char *bytes, size_t n); /* ill-formed UTF-8 becomes U+FFFD */
void cli_json_string(const char *text);          /* NULL: null */
void cli_json_number(uint64_t value);
/* 9 digits, which give the same float back; NaN and infinities: null */
void cli_json_float(float value);
void cli_json_double(double value); /* the fewest digits that give the same double back */
void cli_json_bool(bool value);
void cli_json_null(void);
/* a value that is JSON already; ill-formed UTF-8 in it becomes U+FFFD */
void cli_json_raw(const char *json, size_t n);
/* the same of a key, which lacks its quotes */
void cli_json_key_raw(const char *key, size_t n);
void cli_json_floats(const float *values, size_t n); /* [..] */

/* Text for people: control characters of a record become spaces, so that it stays one line. */
void cli_print_text(const char *bytes, size_t n);

/* Where results go: stdout, or the file of cli_open_output. */
FILE *cli_out(void);

/* Write to a temporary name beside `path` from now on. */
void cli_open_output(const char *path);
/* Sync and rename. Without an open file: flush stdout. Dies when something could not be written. */
void cli_commit_output(void);
/* Remove the temporary file. */
void cli_discard_output(void);
/* Show what is there: at the end of a portion of records. Dies when stdout cannot be written. */
void cli_flush_output(void);

#endif
