/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the verb, reads its options, runs it. */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "verbs.h"

#define CLI_VERB_POINTER(name) &cli_verb_##name,
const cli_verb *const cli_verbs[] = {CLI_VERBS(CLI_VERB_POINTER) NULL};

const cli_verb *cli_find_verb(const char *name)
{
    for (const cli_verb *const *verb = cli_verbs; *verb; verb++)
        if (strcmp((*verb)->name, name) == 0) return *verb;
    return NULL;
}

static int run_help(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[2], "--man") == 0) cli_print_man_page();
    else if (argc > 3 && strcmp(argv[2], "--completions") == 0)
        return cli_print_completions(argv[3]);
    else if (argc > 2 && cli_find_verb(argv[2])) cli_print_help(cli_find_verb(argv[2]));
    else cli_print_overview(stdout);
    return CLI_DONE;
}

static int run_verb(const cli_verb *verb, int argc, char **argv)
{
    const uint32_t n = cli_read_options(verb, argc, argv);
    const int code = verb->run(argv, n);
    cli_commit_output();
    cli_close();
    return code;
}

/* jansson 2.14 goes on when its lexer finds no memory, and reads past what it has: the program ends
 * instead. */
static void *allocate_json(size_t bytes)
{
    return cli_allocate(NULL, bytes);
}

int main(int argc, char **argv)
{
    json_set_alloc_funcs(allocate_json, free);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write that fails */
    if (argc < 2) {
        cli_print_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("squeezebert %s\n", SQZ_PROGRAM_VERSION);
        return CLI_DONE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return run_help(argc, argv);
    const cli_verb *verb = cli_find_verb(argv[1]);
    if (!verb) cli_die(CLI_USAGE, "there is no verb '%s'; `squeezebert help` lists them", argv[1]);
    return run_verb(verb, argc - 1, argv + 1);
}
