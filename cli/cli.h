/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the program share: verbs and their option tables, how a run ends, and the
 * objects that most verbs open. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <squeezebert/squeezebert.h>

#if defined(__GNUC__)
#define CLI_PRINTF(text, rest) __attribute__((format(printf, text, rest)))
#else
#define CLI_PRINTF(text, rest)
#endif

/* Exit codes: done; the job failed, or some records did, or results could not be written; wrong
 * usage; an input that is not there or not what it should be; out of memory, room or another
 * resource. A program ended by a signal, or by the reader of its pipe, dies by it. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_BAD_FILE = 3, CLI_NO_RESOURCE = 4 };

/* One option. `target` is where its value goes: bool, const char *, uint32_t, double, or the index
 * of a choice as uint32_t. A CLI_COUNT is a CLI_NUMBER whose 0 would stand for the default in
 * silence: it is refused. A CLI_MODEL is a CLI_TEXT that names a model file, or a model that
 * find_model.h finds. */
typedef enum cli_kind {
    CLI_FLAG,
    CLI_NO_FLAG,
    CLI_TEXT,
    CLI_MODEL,
    CLI_NUMBER,
    CLI_COUNT,
    CLI_REAL,
    CLI_CHOICE
} cli_kind;
typedef struct cli_option {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* '\0': none */
    cli_kind kind;    /* CLI_NO_FLAG: --no-NAME sets the bool to false, shown with NAME */
    void *target;
    const char *argument; /* "FILE"; for a choice the words, "f32|f16|bf16" */
    const char *help;
} cli_option;

/* One verb: a file verb_NAME.c and a line in CLI_VERBS. */
typedef struct cli_verb {
    const char *name;
    const char *summary;             /* one line, no full stop */
    const char *arguments;           /* "MODEL"; which ones are models, find_model.c says */
    const char *details;             /* what goes in and what comes out */
    const char *example;             /* lines that work, as typed */
    uint32_t least, most;            /* positional arguments */
    const cli_option *const *tables; /* ends with NULL; cli_program_options is always added */
    int (*run)(char **arguments, uint32_t n);
} cli_verb;

/* ---- settings.c ---- */

/* Options that several verbs take, and where they go. */
typedef struct cli_settings {
    bool json, strict, bytes, help;
    uint32_t threads; /* 0: all */
    const char *cpu;
    uint32_t progress; /* 0 auto, 1 none */
    bool pair;
    uint32_t input;  /* an sqz_rows_format */
    uint32_t quotes; /* an sqz_quotes */
    const char *text, *text2;
    uint32_t max_length, stride, batch_tokens;
    uint32_t long_text; /* 0 as the verb says, 1 cut, 2 stride, 3 error */
    bool literal_special_tokens;
} cli_settings;
extern cli_settings cli;
extern const cli_option cli_program_options[]; /* --help and the like: every verb */
extern const cli_option cli_model_options[];   /* --json --threads --cpu */
/* --pair --input --text --quotes --strict --bytes --progress */
extern const cli_option cli_record_options[];
extern const cli_option cli_length_options[]; /* --max-length --long --stride */

/* ---- options.c ---- */

/* Read the options of a verb; arguments are moved to the front of argv, their number comes back.
 * Exits with CLI_USAGE on a mistake. */
uint32_t cli_read_options(const cli_verb *verb, int argc, char **argv);

/* ---- help.c: to stdout, not flushed; `verbs` ends with NULL ---- */
void cli_print_help(const cli_verb *verb);
void cli_print_overview(FILE *stream, const cli_verb *const *verbs);
void cli_print_man_page(const cli_verb *const *verbs);
void cli_print_completions(const cli_verb *const *verbs);

/* ---- fail.c: messages and ways out ---- */

/* "squeezebert: TEXT" on stderr. */
void cli_say(const char *format, ...) CLI_PRINTF(1, 2);
/* A line of stderr that overwrites itself stands there; messages take it away first. */
extern bool cli_counter_shown;
void cli_clear_counter(void);
/* As cli_say, then exit(code). What is open is closed first; outputs that are not committed are
 * removed. */
_Noreturn void cli_die(int code, const char *format, ...) CLI_PRINTF(2, 3);
/* The exit code of a status of the library: the one place that says so. For a call of the system
 * that failed, cli_code(sqz_status_of_errno(errno, writing)). */
int cli_code(sqz_status status);
/* Die with the error's text unless status is SQZ_OK. */
void cli_check(sqz_status status, const sqz_error *error);
/* Have this called when the program ends by cli_die or cli_end, the last one first. */
void cli_at_end(void (*close)(void));
void cli_end(void);

/* malloc and realloc that die with CLI_NO_RESOURCE. */
void *cli_allocate(void *old, size_t bytes);

/* Names between commas, without the blanks around each; NULL and 0 of NULL. One allocation, to be
 * freed. Dies with CLI_USAGE where one is empty. */
const char **cli_read_names(const char *option, const char *text, uint32_t *n);

/* ---- objects.c: the context, model and task of the run, opened once and closed at its end ---- */
sqz_context *cli_context(void);
sqz_model *cli_model(const char *path);
/* Dies where a model's path is a folder: the message says how to import it. */
void cli_refuse_folder(const char *path);
sqz_task *cli_task(const char *model_path);
sqz_task_options cli_task_options(void);
/* Close what is open, at the end of the run at the latest: a leak checker finds nothing. */
void cli_close(void);

#endif
