/* SPDX-License-Identifier: Apache-2.0 */
/* Model files from Hugging Face folders and back; and doctor, about this machine. */
#include <stdlib.h>

#include <squeezebert/export.h>
#include <squeezebert/import.h>

#include "output.h"
#include "verbs.h"

static const char *output_path, *tokenizer_path;
static const char *model_type, *name, *labels_text;
static uint32_t dtype, head;
static bool dense, strict;

static const cli_option import_options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FILE", "the model file to write"},
    {"dtype", 0, CLI_CHOICE, &dtype, "f32|f16|bf16", "how weights are stored (default: f32)"},
    {"tokenizer", 0, CLI_TEXT, &tokenizer_path, "PATH",
     "another folder, a vocab.txt or a tokenizer.json, where FOLDER has no tokenizer or not its "
     "own"},
    {"head", 0, CLI_CHOICE, &head, "auto|none|sequence|token|question|masked-lm",
     "the head to read (default: auto, the one of config.json's class)"},
    {"model-type", 0, CLI_TEXT, &model_type, "TYPE",
     "bert, squeezebert, distilbert or electra, where config.json does not say it"},
    {"name", 0, CLI_TEXT, &name, "NAME",
     "the model's name (default: its repository in a cache of the Hub, else README.md's title, "
     "else the folder's name)"},
    {"labels", 0, CLI_TEXT, &labels_text, "A,B,...",
     "what a classifier's outputs are called, in their order (default: as config.json says)"},
    {"strict", 0, CLI_FLAG, &strict, NULL,
     "refuse weights with tensors that the model does not use"},
    {0},
};
static const cli_option export_options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FOLDER", "the folder to write: absent, or empty"},
    {"dense", 0, CLI_FLAG, &dense, NULL,
     "write what no class has as what one has: the product of a factorised embedding, zeros "
     "between groups, and in the place of heads and neurons that a block lacks"},
    {0},
};

static void note(void *user, const char *text)
{
    (void)user;
    cli_say("%s", text);
}

static int run_import(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    uint32_t n_labels;
    if (!output_path) cli_die(CLI_USAGE, "-o FILE is missing: where should the model file go?");
    const char **labels = cli_read_names("labels", labels_text, &n_labels);
    const sqz_import_options options = {.type = (sqz_import_type)dtype,
                                        .head = (sqz_import_head)head,
                                        .model_type = model_type,
                                        .name = name,
                                        .strict = strict,
                                        .note = note,
                                        .labels = labels,
                                        .n_labels = n_labels,
                                        .tokenizer = tokenizer_path};
    const sqz_status status = sqz_import(cli_context(), arguments[0], output_path, &options,
                                         &error);
    free(labels);
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
    cli_check(status, &error);
    cli_say("wrote %s", output_path);
    return CLI_DONE;
}

static int run_export(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    if (!output_path)
        cli_die(CLI_USAGE, "-o FOLDER is missing: where should the Hugging Face folder go?");
    sqz_file_check checked; /* damage would not show in the folder any more */
    cli_check(sqz_model_check(cli_context(), arguments[0], &checked, &error), &error);
    const sqz_export_options options = {.dense = dense, .note = note};
    cli_check(sqz_export(cli_model(arguments[0]), output_path, &options, &error), &error);
    cli_say("wrote %s", output_path);
    return CLI_DONE;
}

static int run_doctor(char **arguments, uint32_t n)
{
    (void)arguments;
    (void)n;
    const sqz_context *context = cli_context();
    const sqz_context_info *info = sqz_context_get_info(context);
    const char *fact;
    if (!cli.json) {
        for (uint32_t i = 0; (fact = sqz_context_fact(context, i)); i++) printf("%s\n", fact);
        return CLI_DONE;
    }
    cli_json_open('{');
    cli_json_key_number("cpus", sqz_cpu_count());
    cli_json_key_number("threads", info->n_threads);
    const char *const texts[][2] = {{"cpu", info->cpu},
                                    {"features_found", info->features_found},
                                    {"features_used", info->features_used},
                                    {"gemm_f32", info->gemm_f32},
                                    {"gemm_bf16", info->gemm_bf16},
                                    {"gemm_s8", info->gemm_s8},
                                    {"attention_bf16", info->attention_bf16},
                                    {"attention_s8", info->attention_s8},
                                    {"rows", info->rows_level}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cli_json_key_string(texts[i][0], texts[i][1]);
    cli_json_key("facts");
    cli_json_open('[');
    for (uint32_t i = 0; (fact = sqz_context_fact(context, i)); i++) cli_json_string(fact);
    cli_json_close(']');
    cli_json_close('}');
    return CLI_DONE;
}

static const cli_option *const import_tables[] = {import_options, cli_model_options, NULL};
static const cli_option *const export_tables[] = {export_options, cli_model_options, NULL};
static const cli_option *const model_tables[] = {cli_model_options, NULL};
const cli_verb cli_verb_import = {
    "import",
    "read a Hugging Face folder, write a model file",
    "FOLDER",
    "FOLDER holds config.json, the weights and the tokenizer's files; a "
    "folder of the Hugging Face Hub's cache\n"
    "and a file of the folder stand for it. What the model does not use "
    "is told. Nothing is executed.",
    "squeezebert import all-MiniLM-L6-v2 -o minilm.gguf",
    1,
    1,
    import_tables,
    run_import};
const cli_verb cli_verb_export = {
    "export",
    "read a model file, write a Hugging Face folder",
    "MODEL",
    "The folder holds config.json, model.safetensors and the tokenizer's files, and Transformers "
    "loads it with the same results. Factorised, summed and permuted\n"
    "layers are written as their product, integers as f32. A classifier that no class has, such as "
    "one that pools by mean, is written for sentence-transformers:\n"
    "encode() gives its logits. What can be expressed by no class, or only with --dense, is "
    "refused with the block and the reason.",
    "squeezebert export minilm.gguf -o minilm-folder\n"
    "squeezebert export small.gguf --dense -o small-folder",
    1,
    1,
    export_tables,
    run_export};
const cli_verb cli_verb_doctor = {"doctor",
                                  "say what this machine can do and which kernels were chosen",
                                  "",
                                  "CPU, features found and used, kernels, limits.",
                                  "squeezebert doctor",
                                  0,
                                  0,
                                  model_tables,
                                  run_doctor};
