/* SPDX-License-Identifier: Apache-2.0 */
/* Where results go, and what becomes of them when something cannot be written. */
#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "signals.h"

static sqz_output *output; /* NULL: stdout */
static const char *output_name;

FILE *cli_out(void)
{
    return output ? sqz_output_stream(output) : stdout;
}

bool cli_out_is_file(void)
{
    return output && sqz_output_is_file(output);
}

void cli_open_output(const char *path)
{
    sqz_error error = {0};
    cli_check(sqz_output_open(NULL, path, SQZ_OUTPUT_ANY, &output, &error), &error);
    output_name = path;
    cli_at_end(cli_discard_output);
}

/* The reader of a pipe that has what it wanted ends the program as it ends every filter: without a
 * word, and the shell sees SIGPIPE. */
static _Noreturn void write_failed(const char *name, int reason)
{
    if (reason == EPIPE) cli_end_by_signal(SIGPIPE);
    cli_die(cli_code(sqz_status_of_errno(reason, 1)), "cannot write %s: %s", name,
            strerror(reason));
}

void cli_flush(FILE *stream, const char *name)
{
    /* the reason of an earlier failure is gone: it shows again as one byte more is written */
    const bool lost = ferror(stream) != 0;
    if (lost) (void)putc('\n', stream);
    if (fflush(stream) != 0) write_failed(name, errno);
    if (lost) write_failed(name, EIO);
}

void cli_flush_output(void)
{
    cli_flush(cli_out(), output ? output_name : "to stdout");
}

void cli_commit_output(void)
{
    sqz_error error = {0};
    cli_flush_output();
    if (!output) return;
    cli_check(sqz_output_commit(output, &error), &error);
    cli_discard_output();
}

void cli_discard_output(void)
{
    sqz_output_close(output);
    output = NULL;
}
