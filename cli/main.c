/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the verb, reads its options, runs it. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "signals.h"
#include "vector_options.h"
#include "verbs.h"

#define CLI_VERB_POINTER(name) &cli_verb_##name,
static const cli_verb *const verbs[] = {CLI_VERBS(CLI_VERB_POINTER) NULL};

static const cli_verb *find_verb(const char *name)
{
    for (const cli_verb *const *verb = verbs; *verb; verb++)
        if (strcmp((*verb)->name, name) == 0) return *verb;
    return NULL;
}

/* help, help VERB, help --man, help --completions bash */
static void run_help(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : NULL;
    if (!what) cli_print_overview(stdout, verbs);
    else if (strcmp(what, "--man") == 0) cli_print_man_page(verbs);
    else if (strcmp(what, "--completions") == 0) {
        if (argc < 4 || strcmp(argv[3], "bash") != 0)
            cli_die(CLI_USAGE, "completions are there for bash, not for %s",
                    argc < 4 ? "nothing: help --completions bash" : argv[3]);
        cli_print_completions(verbs);
    } else if (find_verb(what)) cli_print_help(find_verb(what));
    else cli_die(CLI_USAGE, "there is no verb '%s'; `squeezebert help` lists them", what);
}

static int run_verb(const cli_verb *verb, int argc, char **argv)
{
    const uint32_t n = cli_read_options(verb, argc, argv);
    const int code = verb->run(argv, n);
    cli_flush_output();
    cli_end();
    return code;
}

/* jansson 2.14 goes on when its lexer finds no memory, and reads past what it has: the program ends
 * instead. */
static void *allocate_json(size_t bytes)
{
    return cli_allocate(NULL, bytes);
}

/* A descriptor that is not open would be given to the first file that is: results would be written
 * into it. These can be neither read nor written. */
static void occupy_descriptors(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        if (fcntl(descriptor, F_GETFD) == -1 && errno == EBADF)
            (void)open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    occupy_descriptors();
    cli_handle_signals();
    json_set_alloc_funcs(allocate_json, free);
    cli_name_vectors();
    if (argc < 2) {
        cli_print_overview(stderr, verbs);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("squeezebert %s\n", sqz_version_text());
        cli_flush_output();
        return CLI_DONE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        run_help(argc, argv);
        cli_flush_output();
        return CLI_DONE;
    }
    const cli_verb *verb = find_verb(argv[1]);
    if (!verb) cli_die(CLI_USAGE, "there is no verb '%s'; `squeezebert help` lists them", argv[1]);
    return run_verb(verb, argc - 1, argv + 1);
}
