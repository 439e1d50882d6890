/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about a model file: import, info; and doctor, about this machine. */
#include <string.h>

#include <squeezebert/import.h>

#include "output.h"
#include "verbs.h"

static const char *output_path;
static uint32_t dtype;
static bool tensors, markdown;

static const cli_option import_options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FILE", "the model file to write"},
    {"dtype", 0, CLI_CHOICE, &dtype, "f32|f16|bf16", "how weights are stored"},
    {0},
};
static const cli_option info_options[] = {
    {"tensors", 0, CLI_FLAG, &tensors, NULL, "list the tensors as well"},
    {"markdown", 0, CLI_FLAG, &markdown, NULL, "write tables of Markdown"},
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
    if (!output_path) cli_die(CLI_USAGE, "-o FILE is missing: where should the model file go?");
    const sqz_import_options options = {.type = (sqz_import_type)dtype, .note = note};
    const sqz_status status = sqz_import(cli_context(), arguments[0], output_path, &options, &error);
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
    cli_check(status, &error);
    cli_say("wrote %s", output_path);
    return CLI_DONE;
}

static const char *const heads[] = {"none", "sequence", "token", "question", "masked_lm", "multiple_choice"};
static const char *const pools[] = {"default", "none", "mean", "cls", "pooler"};

static void show_tensors_json(const sqz_model *model)
{
    sqz_tensor_info t;
    cli_json_key("tensors");
    cli_json_open('[');
    for (uint32_t i = 0; sqz_model_tensor(model, i, &t); i++) {
        cli_json_open('{');
        cli_json_key("name");
        cli_json_string(t.name);
        cli_json_key("type");
        cli_json_string(t.type);
        cli_json_key("shape");
        cli_json_open('[');
        for (uint32_t d = 0; d < t.n_dims; d++) cli_json_number(t.shape[d]);
        cli_json_close(']');
        cli_json_key("bytes");
        cli_json_number(t.bytes);
        cli_json_key("offset");
        cli_json_number(t.offset);
        cli_json_close('}');
    }
    cli_json_close(']');
}

static void number(const char *key, uint64_t value)
{
    cli_json_key(key);
    cli_json_number(value);
}

static void show_info_json(const sqz_model *model)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    const char *key, *value;
    cli_json_open('{');
    cli_json_key("name");
    cli_json_string(info->name);
    cli_json_key("source_type");
    cli_json_string(info->source_type);
    number("layers", info->n_layers);
    number("width", info->width);
    number("embedding_width", info->embedding_width);
    number("vocabulary", info->vocabulary);
    number("max_positions", info->max_positions);
    number("max_length", info->max_length);
    cli_json_key("head");
    cli_json_string(heads[info->head]);
    cli_json_key("pool");
    cli_json_string(pools[info->pool]);
    cli_json_key("normalize");
    cli_json_bool(info->normalize);
    number("parameters", info->n_parameters);
    number("embedding_parameters", info->n_embedding_parameters);
    number("file_bytes", info->file_bytes);
    cli_json_key("labels");
    cli_json_open('[');
    for (uint32_t k = 0; sqz_model_label(model, k); k++) cli_json_string(sqz_model_label(model, k));
    cli_json_close(']');
    cli_json_key("metadata");
    cli_json_open('{');
    for (uint32_t i = 0; sqz_model_metadata(model, i, &key, &value); i++) {
        cli_json_key(key);
        cli_json_string(value);
    }
    cli_json_close('}');
    if (tensors) show_tensors_json(model);
    cli_json_close('}');
}

static void row(const char *left, const char *right)
{
    printf(markdown ? "| %s | %s |\n" : "%-48s %s\n", left, right);
}

static void show_info(const sqz_model *model)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    const char *key, *value;
    char text[128];
    sqz_tensor_info t;
    if (markdown) printf("| | |\n|---|---|\n");
    snprintf(text, sizeof text, "%.2f M, %.2f M of them embeddings", (double)info->n_parameters / 1e6, (double)info->n_embedding_parameters / 1e6);
    row("parameters", text);
    snprintf(text, sizeof text, "%.1f MB", (double)info->file_bytes / 1e6);
    row("file", text);
    row("head", heads[info->head]);
    for (uint32_t i = 0; sqz_model_metadata(model, i, &key, &value); i++) row(key, value);
    for (uint32_t i = 0; tensors && sqz_model_tensor(model, i, &t); i++) {
        size_t used = (size_t)snprintf(text, sizeof text, "%s [", t.type);
        for (uint32_t d = 0; d < t.n_dims; d++) used += (size_t)snprintf(text + used, sizeof text - used, "%s%llu", d ? ", " : "", (unsigned long long)t.shape[d]);
        snprintf(text + used, sizeof text - used, "]");
        row(t.name, text);
    }
}

static int run_info(char **arguments, uint32_t n)
{
    (void)n;
    const sqz_model *model = cli_model(arguments[0]);
    if (cli.json) show_info_json(model);
    else show_info(model);
    return CLI_DONE;
}

static int run_doctor(char **arguments, uint32_t n)
{
    (void)arguments;
    (void)n;
    const sqz_context *context = cli_context();
    const char *fact;
    if (!cli.json) {
        for (uint32_t i = 0; (fact = sqz_context_fact(context, i)); i++) printf("%s\n", fact);
        printf("CPUs this process may use: %u\nthreads: %u\n", sqz_cpu_count(), sqz_context_threads(context));
        return CLI_DONE;
    }
    cli_json_open('{');
    number("cpus", sqz_cpu_count());
    number("threads", sqz_context_threads(context));
    cli_json_key("facts");
    cli_json_open('[');
    for (uint32_t i = 0; (fact = sqz_context_fact(context, i)); i++) cli_json_string(fact);
    cli_json_close(']');
    cli_json_close('}');
    return CLI_DONE;
}

static const cli_option *const import_tables[] = {import_options, cli_model_options, NULL};
static const cli_option *const info_tables[] = {info_options, cli_model_options, NULL};
static const cli_option *const model_tables[] = {cli_model_options, NULL};
const cli_verb cli_verb_import = {"import", "read a Hugging Face folder, write a model file", "FOLDER", "FOLDER holds config.json, model.safetensors and the tokenizer's files. Nothing in it is executed.",
                                  "squeezebert import all-MiniLM-L6-v2 -o minilm.gguf", 1, 1, import_tables, run_import};
const cli_verb cli_verb_info = {"info", "say what a model file holds", "MODEL", "Sizes, head, labels, metadata and, with --tensors, every tensor.", "squeezebert info minilm.gguf --tensors", 1, 1, info_tables, run_info};
const cli_verb cli_verb_doctor = {"doctor", "say what this machine can do and which kernels were chosen", "", "CPU, features found and used, kernels, limits.", "squeezebert doctor", 0, 0, model_tables, run_doctor};
