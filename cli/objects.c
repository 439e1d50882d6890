/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ends, and the objects that most verbs need: one context, one model, one task, opened
 * when first asked for. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"

static sqz_context *context;
static sqz_model *model;
static sqz_task *task;

static void say(const char *format, va_list arguments)
{
    fflush(stdout);
    fputs("squeezebert: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
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
    cli_discard_output();
    cli_close();
    exit(code);
}

int cli_code(sqz_status status)
{
    switch (status) {
    case SQZ_OK: return CLI_DONE;
    case SQZ_EINVAL: return CLI_USAGE;
    case SQZ_ENOMEM: return CLI_NO_RESOURCE;
    case SQZ_EIO:
    case SQZ_EFORMAT:
    case SQZ_EUNSUPPORTED:
    case SQZ_ELIMIT:
    case SQZ_ETOKEN: return CLI_BAD_FILE;
    default: return CLI_FAILED;
    }
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

sqz_context *cli_context(void)
{
    if (context) return context;
    const uint32_t most = sqz_cpu_count();
    sqz_error error = {0};
    if (cli.threads > most) {
        cli_say("%u threads were asked for, this process may use %u CPUs: using %u", cli.threads,
                most, most);
        cli.threads = most;
    }
    const sqz_context_options options = {.n_threads = cli.threads, .cpu = cli.cpu};
    cli_check(sqz_context_open(&options, &context, &error), &error);
    return context;
}

sqz_model *cli_model(const char *path)
{
    sqz_error error = {0};
    if (!model) {
        const sqz_status status = sqz_model_open(cli_context(), path, &model, &error);
        if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
        cli_check(status, &error);
    }
    return model;
}

sqz_task_options cli_task_options(void)
{
    return (sqz_task_options){.max_length = cli.max_length,
                              .long_text = (sqz_long_text)cli.long_text,
                              .stride = cli.stride,
                              .batch_tokens = cli.batch_tokens,
                              .literal_special_tokens = cli.literal_special_tokens};
}

sqz_task *cli_task(const char *model_path)
{
    sqz_error error = {0};
    const sqz_task_options options = cli_task_options();
    if (!task) cli_check(sqz_task_open(cli_model(model_path), &options, &task, &error), &error);
    return task;
}

void cli_close(void)
{
    sqz_task_close(task);
    sqz_model_close(model);
    sqz_context_close(context);
    task = NULL;
    model = NULL;
    context = NULL;
}
