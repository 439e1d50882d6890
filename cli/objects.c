/* SPDX-License-Identifier: Apache-2.0 */
/* The objects that most verbs need: one context, one model, one task, opened when first asked
 * for. */
#include <sys/stat.h>

#include "cli.h"

static sqz_context *context;
static sqz_model *model;
static sqz_task *task;

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
    cli_at_end(cli_close);
    return context;
}

void cli_refuse_folder(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode))
        cli_die(CLI_BAD_FILE,
                "%s: a folder, and a model file is wanted: `squeezebert import %s -o FILE.gguf` "
                "makes one of a model's folder",
                path, path);
}

sqz_model *cli_model(const char *path)
{
    sqz_error error = {0};
    if (!model) cli_refuse_folder(path);
    if (!model) cli_check(sqz_model_open(cli_context(), path, &model, &error), &error);
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
