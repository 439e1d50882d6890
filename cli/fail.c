/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ends: messages, exit codes, and what is closed on the way out. */
#include <stdarg.h>
#include <stdlib.h>

#include "cli.h"

enum { MAX_ENDINGS = 8 };

static void (*endings[MAX_ENDINGS])(void);
static uint32_t n_endings;

void cli_at_end(void (*close)(void))
{
    for (uint32_t i = 0; i < n_endings; i++)
        if (endings[i] == close) return;
    if (n_endings < MAX_ENDINGS) endings[n_endings++] = close;
}

void cli_end(void)
{
    while (n_endings) endings[--n_endings]();
}

bool cli_counter_shown;

void cli_clear_counter(void)
{
    if (cli_counter_shown) fputs("\r\033[K", stderr);
    cli_counter_shown = false;
}

/* Names and labels in a message may be a stranger's: what would steer a terminal is shown as '?'.
 * In UTF-8, C2 80 to C2 9F are controls too. */
static void say(const char *format, va_list arguments)
{
    char text[8192];
    fflush(stdout);
    cli_clear_counter();
    (void)vsnprintf(text, sizeof text, format, arguments);
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        const bool of_two = *c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (of_two) *c++ = '?';
        if ((*c < ' ' && *c != '\n') || *c == 0x7f || of_two) *c = '?';
    }
    fprintf(stderr, "squeezebert: %s\n", text);
}

void cli_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

_Noreturn void cli_die(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    cli_end();
    exit(code);
}

int cli_code(sqz_status status)
{
    switch (status) {
    case SQZ_OK: return CLI_DONE;
    case SQZ_EINVAL: return CLI_USAGE;
    case SQZ_ENOMEM:
    case SQZ_ERESOURCE: return CLI_NO_RESOURCE;
    case SQZ_EIO:
    case SQZ_EFORMAT:
    case SQZ_EUNSUPPORTED:
    case SQZ_ELIMIT:
    case SQZ_ETOKEN:
    case SQZ_ENUMERIC: return CLI_BAD_FILE;
    case SQZ_ETOOLONG:
    case SQZ_ECANCELLED:
    case SQZ_EOUTPUT: return CLI_FAILED;
    }
    return CLI_FAILED;
}

void cli_check(sqz_status status, const sqz_error *error)
{
    if (status != SQZ_OK) cli_die(cli_code(status), "%s", error->text);
}

void *cli_allocate(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes ? bytes : 1);
    if (!memory) cli_die(CLI_NO_RESOURCE, "no memory for %zu bytes", bytes);
    return memory;
}
