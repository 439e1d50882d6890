/* SPDX-License-Identifier: Apache-2.0 */
/* Results out: JSON written straight to a stream, and files that appear whole or not at all. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "cli.h"

/* ---- json_output.c ---- */

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

/* ---- output.c ---- */

/* Where results go: stdout, or the output of cli_write_to. */
FILE *cli_out(void);
/* Show what is there: at the end of a portion of records. Dies when it cannot be written: with
 * CLI_NO_RESOURCE on a full disk, by SIGPIPE where the reader of a pipe is gone. */
void cli_flush_output(void);

/* Outputs beside stdout: a file that appears at the commit, or a device, a pipe or a descriptor
 * that is written straight (SQZ_OUTPUT_ANY). What is not committed when the program ends leaves
 * nothing. */
typedef struct cli_output cli_output;
/* Die where the output would take the place of a file that is read in this run. */
void cli_not_over(const char *output, const char *input);
/* Die where two outputs of one run, its folder among them, would take each other's place; NULL:
 * none. Devices and pipes may take both. */
void cli_not_twice(const char *const *outputs, uint32_t n);
/* Die where an output is, or is in, the folder of a run, which goes at its end; NULL: none. */
void cli_not_inside(const char *folder, const char *const *outputs, uint32_t n);
/* Die where the output cannot be written: a run of hours is not to end at its name. whole: it will
 * be put in place as a whole, as model files are, which devices and pipes cannot have. */
void cli_try_output(const char *name, bool whole);
/* The same of one that is written in place where it is there. */
void cli_try_in_place(const char *name);
/* The same of a folder that a run keeps files in, nothing in which is touched; makes: the run makes
 * the folder itself, where it is not there. */
void cli_try_folder(const char *name, bool makes);
/* The folder of a run that writes this, where none is named; to be freed. */
char *cli_checkpoint_of(const char *output);
/* The name must stay. Dies where it cannot be written. */
cli_output *cli_open_output(const char *name);
/* Whether a program can go back in it, and others see it only at the commit. */
bool cli_output_is_file(const cli_output *output);
FILE *cli_output_stream(const cli_output *output);
/* As cli_flush_output. */
void cli_flush(const cli_output *output);
/* cli_out() is this one's stream until the next call; NULL: stdout. */
void cli_write_to(cli_output *output);
/* Write what is left, put it in place, close; dies as cli_flush_output. */
void cli_commit_output(cli_output *output);

#endif
