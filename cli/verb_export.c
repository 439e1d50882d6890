/* SPDX-License-Identifier: Apache-2.0 */
/* A model file back to a Hugging Face folder. */
#include <squeezebert/export.h>

#include "cli.h"
#include "verbs.h"

static const char *output_path;
static bool dense;

static const cli_option export_options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FOLDER", "the folder to write: absent, or empty"},
    {"dense", 0, CLI_FLAG, &dense, NULL, "write grouped layers as dense ones with zeros between the groups"},
    {0},
};

static void note(void *user, const char *text)
{
    (void)user;
    cli_say("%s", text);
}

static int run_export(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    if (!output_path) cli_die(CLI_USAGE, "-o FOLDER is missing: where should the Hugging Face folder go?");
    const sqz_export_options options = {.dense = dense, .note = note};
    cli_check(sqz_export(cli_model(arguments[0]), output_path, &options, &error), &error);
    cli_say("wrote %s", output_path);
    return CLI_DONE;
}

static const cli_option *const export_tables[] = {export_options, cli_model_options, NULL};
const cli_verb cli_verb_export = {"export", "read a model file, write a Hugging Face folder", "MODEL",
                                  "The folder holds config.json, model.safetensors and the tokenizer's files, and Transformers loads it with the same results. Factorised, summed and permuted\n"
                                  "layers are written as their product. What no class of Transformers can express is refused: a classifier that pools by mean, a reduced embedding,\n"
                                  "groups (see --dense), heads or widths that differ from block to block.",
                                  "squeezebert export minilm.gguf -o minilm-folder", 1, 1, export_tables, run_export};
