/* SPDX-License-Identifier: Apache-2.0 */
/* Where results go, and what becomes of them when something cannot be written. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "output.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signals.h"

enum { MAX_OUTPUTS = 4 };

struct cli_output {
    sqz_output *output; /* NULL: closed */
    const char *name;
};

static cli_output outputs[MAX_OUTPUTS];
static cli_output *current; /* NULL: stdout */

FILE *cli_output_stream(const cli_output *output)
{
    return output ? sqz_output_stream(output->output) : stdout;
}

FILE *cli_out(void)
{
    return cli_output_stream(current);
}

/* The reader of a pipe that has what it wanted ends the program as it ends every filter: without a
 * word, and the shell sees SIGPIPE. */
static _Noreturn void write_failed(const cli_output *output, int reason)
{
    if (reason == EPIPE) cli_end_by_signal(SIGPIPE);
    cli_die(cli_code(sqz_status_of_errno(reason, 1)), "%s: cannot write: %s",
            output ? output->name : "stdout", strerror(reason));
}

void cli_flush(const cli_output *output)
{
    FILE *stream = cli_output_stream(output);
    /* the reason of an earlier failure is gone: it shows again as one byte more is written */
    const bool lost = ferror(stream) != 0;
    if (lost) (void)putc('\n', stream);
    if (fflush(stream) != 0) write_failed(output, errno);
    if (lost) write_failed(output, EIO);
}

void cli_flush_output(void)
{
    cli_flush(current);
}

static void discard_outputs(void)
{
    for (uint32_t i = 0; i < MAX_OUTPUTS; i++) {
        sqz_output_close(outputs[i].output);
        outputs[i].output = NULL;
    }
    current = NULL;
}

void cli_not_over(const char *output, const char *input)
{
    struct stat a, b;
    if (stat(output, &a) == 0 && stat(input, &b) == 0 && S_ISREG(a.st_mode) &&
        a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        cli_die(cli_code(SQZ_EOUTPUT),
                "%s: cannot write: it is what is read here; name another file", output);
}

static bool is_stream(const char *name)
{
    struct stat facts;
    return stat(name, &facts) == 0 && !S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode);
}

static char *copy_of(const char *text)
{
    return strcpy(cli_allocate(NULL, strlen(text) + 1), text);
}

/* Without links; of what is not there, of its folder. NULL: neither is. */
static char *real_place(const char *name)
{
    char *real = realpath(name, NULL);
    if (real) return real;
    char *of_folder = copy_of(name), *of_name = copy_of(name);
    char *folder = realpath(dirname(of_folder), NULL);
    const char *last = basename(of_name);
    if (folder) {
        real = cli_allocate(NULL, strlen(folder) + strlen(last) + 2);
        sprintf(real, "%s/%s", folder, last);
    }
    free(folder);
    free(of_folder);
    free(of_name);
    return real;
}

/* By name, and where both are there as files. */
static bool same_place(const char *a, const char *b)
{
    struct stat x, y;
    if (is_stream(a) || is_stream(b)) return false;
    char *real_a = real_place(a), *real_b = real_place(b);
    const bool same = strcmp(real_a ? real_a : a, real_b ? real_b : b) == 0;
    free(real_a);
    free(real_b);
    return same ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

void cli_not_twice(const char *const *names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (names[i] && names[k] && same_place(names[i], names[k]))
                cli_die(CLI_USAGE, "%s would be written twice: name another place", names[i]);
}

void cli_not_inside(const char *folder, const char *const *names, uint32_t n)
{
    char *outer = real_place(folder);
    const size_t length = outer ? strlen(outer) : 0;
    for (uint32_t i = 0; outer && i < n; i++) {
        char *inner = names[i] && !is_stream(names[i]) ? real_place(names[i]) : NULL;
        if (inner && strncmp(inner, outer, length) == 0 && (!inner[length] || inner[length] == '/'))
            cli_die(cli_code(SQZ_EOUTPUT),
                    "%s: cannot write: it is, or is in, the folder of the run, %s, which is "
                    "removed at its end; name another place",
                    names[i], folder);
        free(inner);
    }
    free(outer);
}

static _Noreturn void cannot_write(const char *name, int reason)
{
    cli_die(cli_code(sqz_status_of_errno(reason, 1)), "%s: cannot write: %s", name,
            strerror(reason));
}

void cli_try_output(const char *name, bool whole)
{
    sqz_error error = {0};
    sqz_output *output;
    if (!whole && is_stream(name)) return;
    cli_check(sqz_output_open(NULL, name, SQZ_OUTPUT_FILE, &output, &error), &error);
    sqz_output_close(output);
}

void cli_try_in_place(const char *name)
{
    struct stat facts;
    if (stat(name, &facts) != 0) {
        cli_try_output(name, false);
        return;
    }
    if (S_ISDIR(facts.st_mode))
        cli_die(cli_code(SQZ_EOUTPUT), "%s: cannot write: it is a folder; name a file", name);
    if (S_ISREG(facts.st_mode) && access(name, W_OK) != 0) cannot_write(name, errno);
}

/* Where a folder of this name is to be. */
static void try_parent(const char *name)
{
    struct stat facts;
    char *copy = copy_of(name);
    const char *parent = dirname(copy);
    if (stat(parent, &facts) != 0 || !S_ISDIR(facts.st_mode))
        cli_die(cli_code(SQZ_EOUTPUT),
                "%s: cannot write: there is no folder %s; make it, or name another place", name,
                parent);
    if (access(parent, W_OK | X_OK) != 0) cannot_write(name, errno);
    free(copy);
}

void cli_try_folder(const char *name, bool makes)
{
    struct stat facts;
    const bool there = stat(name, &facts) == 0;
    const int reason = there ? 0 : errno;
    if (!*name) cli_die(CLI_USAGE, "the name of a folder is empty: name one");
    if (there ? !S_ISDIR(facts.st_mode) : lstat(name, &facts) == 0)
        cli_die(cli_code(SQZ_EOUTPUT), "%s: cannot write: it is no folder; name another", name);
    if (there && access(name, W_OK | X_OK) != 0) cannot_write(name, errno);
    if (there) return;
    if (reason != ENOENT && reason != ENOTDIR) cannot_write(name, reason);
    if (!makes)
        cli_die(cli_code(SQZ_EOUTPUT),
                "%s: cannot write: there is no folder %s; make it, or name another place", name,
                name);
    try_parent(name);
}

char *cli_checkpoint_of(const char *output)
{
    char *folder = cli_allocate(NULL, strlen(output) + sizeof ".checkpoint");
    sprintf(folder, "%s.checkpoint", output);
    return folder;
}

cli_output *cli_open_output(const char *name)
{
    sqz_error error = {0};
    cli_output *made = outputs;
    while (made->output) made++; /* a verb has fewer */
    cli_at_end(discard_outputs);
    cli_check(sqz_output_open(NULL, name, SQZ_OUTPUT_ANY, &made->output, &error), &error);
    made->name = name;
    return made;
}

bool cli_output_is_file(const cli_output *output)
{
    return sqz_output_is_file(output->output);
}

void cli_write_to(cli_output *output)
{
    current = output;
}

void cli_commit_output(cli_output *output)
{
    sqz_error error = {0};
    cli_flush(output);
    cli_check(sqz_output_commit(output->output, &error), &error);
    if (current == output) current = NULL;
    sqz_output_close(output->output);
    output->output = NULL;
}
