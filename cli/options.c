/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines. getopt_long does the reading; its tables are made from the verb's, so that
 * reading, help, man page and completions cannot differ. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "find_model.h"
#include "output.h"

enum { MAX_OPTIONS = 64, FIRST_VALUE = 256 };

/* The verb's options in one list. */
static uint32_t collect(const cli_verb *verb, const cli_option **all)
{
    uint32_t n = 0;
    for (const cli_option *const *table = verb->tables; table && *table; table++)
        for (const cli_option *o = *table; o->name && n < MAX_OPTIONS; o++) all[n++] = o;
    for (const cli_option *o = cli_program_options; o->name && n < MAX_OPTIONS; o++) all[n++] = o;
    return n;
}

static _Noreturn void misuse(const cli_verb *verb, const char *what, const char *detail)
{
    cli_die(CLI_USAGE, "%s%s; `squeezebert %s --help` shows the options", what, detail, verb->name);
}

static bool reads_records(const cli_verb *verb)
{
    for (const cli_option *const *table = verb->tables; table && *table; table++)
        if (*table == cli_record_options) return true;
    return false;
}

static uint32_t read_number(const cli_verb *verb, const cli_option *option, const char *text)
{
    char *end, what[64];
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    const bool zero = option->kind == CLI_COUNT && value == 0;
    if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && value <= UINT32_MAX && !zero)
        return (uint32_t)value;
    snprintf(what, sizeof what, "--%s needs a whole number%s, not ", option->name,
             option->kind == CLI_COUNT ? " above 0" : "");
    misuse(verb, what, text);
}

static double read_real(const cli_verb *verb, const cli_option *option, const char *text)
{
    char *end, what[64];
    const double value = strtod(text, &end);
    if (*text && !*end && isfinite(value)) return value;
    snprintf(what, sizeof what, "--%s needs a number, not ", option->name);
    misuse(verb, what, text);
}

/* The index of the word among "a|b|c". */
static uint32_t read_choice(const cli_verb *verb, const cli_option *option, const char *text)
{
    const size_t n = strlen(text);
    uint32_t index = 0;
    char what[256];
    for (const char *word = option->argument; word; index++) {
        const char *bar = strchr(word, '|');
        if ((bar ? (size_t)(bar - word) : strlen(word)) == n && strncmp(word, text, n) == 0)
            return index;
        word = bar ? bar + 1 : NULL;
    }
    snprintf(what, sizeof what, "--%s is one of %s, not ", option->name, option->argument);
    misuse(verb, what, text);
}

const char **cli_read_names(const char *option, const char *text, uint32_t *n)
{
    *n = 0;
    if (!text) return NULL;
    uint32_t room = 1;
    for (const char *at = text; *at; at++) room += *at == ',';
    const char **names = cli_allocate(NULL, room * sizeof *names + strlen(text) + 1);
    char *at = (char *)(names + room);
    strcpy(at, text);
    for (char *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        at += strspn(at, " ");
        char *end = at + strlen(at);
        while (end > at && end[-1] == ' ') *--end = '\0';
        if (!*at) cli_die(CLI_USAGE, "--%s %s: name %u is empty", option, text, *n + 1);
        names[(*n)++] = at;
    }
    return names;
}

static void store(const cli_verb *verb, const cli_option *option, const char *text)
{
    switch (option->kind) {
    case CLI_FLAG: *(bool *)option->target = true; break;
    case CLI_NO_FLAG: *(bool *)option->target = false; break;
    case CLI_TEXT:
    case CLI_MODEL: *(const char **)option->target = text; break;
    case CLI_NUMBER:
    case CLI_COUNT: *(uint32_t *)option->target = read_number(verb, option, text); break;
    case CLI_REAL: *(double *)option->target = read_real(verb, option, text); break;
    case CLI_CHOICE: *(uint32_t *)option->target = read_choice(verb, option, text); break;
    }
}

/* getopt_long's two tables. Long options come back as FIRST_VALUE + their index. */
static void make_tables(const cli_option *const *all, uint32_t n, struct option *longs,
                        char *letters)
{
    *letters++ = ':'; /* a missing argument is told from an unknown option */
    for (uint32_t i = 0; i < n; i++) {
        const bool value = all[i]->kind != CLI_FLAG && all[i]->kind != CLI_NO_FLAG;
        longs[i] = (struct option){all[i]->name, value ? required_argument : no_argument, NULL,
                                   (int)(FIRST_VALUE + i)};
        if (!all[i]->letter) continue;
        *letters++ = all[i]->letter;
        if (value) *letters++ = ':';
    }
    longs[n] = (struct option){0};
    *letters = '\0';
}

static const cli_option *find(const cli_option *const *all, uint32_t n, int code)
{
    if (code >= FIRST_VALUE)
        return (uint32_t)(code - FIRST_VALUE) < n ? all[code - FIRST_VALUE] : NULL;
    for (uint32_t i = 0; i < n; i++)
        if (all[i]->letter == code) return all[i];
    return NULL;
}

/* Put the path of the model that is meant in the place of each name. */
static void find_models(const cli_verb *verb, const cli_option *const *all, uint32_t n_options,
                        char **arguments, uint32_t n)
{
    for (uint32_t i = 0; i < n_options; i++) {
        if (all[i]->kind != CLI_MODEL) continue;
        const char **path = all[i]->target;
        if (*path) *path = cli_find_model(*path);
    }
    for (uint32_t i = 0; cli_takes_models(verb) && i < n; i++)
        arguments[i] = (char *)(uintptr_t)cli_find_model(arguments[i]);
}

uint32_t cli_read_options(const cli_verb *verb, int argc, char **argv)
{
    const cli_option *all[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS + 1];
    char letters[2 * MAX_OPTIONS + 2];
    const uint32_t n = collect(verb, all);
    make_tables(all, n, longs, letters);
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        const cli_option *option = find(all, n, code);
        if (code == ':') misuse(verb, "a value is missing behind ", argv[optind - 1]);
        if (!option) misuse(verb, "unknown or ambiguous option ", argv[optind - 1]);
        store(verb, option, optarg);
    }
    if (cli.help) {
        cli_print_help(verb);
        cli_flush_output();
        cli_end();
        exit(CLI_DONE);
    }
    const uint32_t arguments = (uint32_t)(argc - optind);
    if (arguments < verb->least) misuse(verb, "too few arguments: give ", verb->arguments);
    if (arguments > verb->most)
        misuse(verb,
               reads_records(verb)
                   ? "too many arguments; records come from stdin, as with < FILE; the first of "
                     "those too many: "
                   : "too many arguments, from this one on: ",
               argv[optind + (int)verb->most]);
    memmove(argv, argv + optind, arguments * sizeof *argv);
    find_models(verb, all, n, argv, arguments);
    return arguments;
}
