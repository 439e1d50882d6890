/* SPDX-License-Identifier: Apache-2.0 */
/* What a model file holds: the same facts as lines, as Markdown for a model card, or as JSON. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "find_model.h"
#include "output.h"
#include "verbs.h"

static bool tensors, markdown, check;

static const cli_option info_options[] = {
    {"tensors", 0, CLI_FLAG, &tensors, NULL, "list the tensors as well"},
    {"markdown", 0, CLI_FLAG, &markdown, NULL, "write tables of Markdown, for a model card"},
    {"check", 0, CLI_FLAG, &check, NULL,
     "compare the file with its checksums, and show nothing else"},
    {0},
};

/* ---- one fact, in three forms ---- */

/* Text of a table's cell: on one line, and a bar does not end it. */
static void print_cell(const char *text)
{
    for (; *text; text++) {
        if (markdown && *text == '|') putchar('\\');
        cli_print_text(text, 1);
    }
}

static void print_row(const char *key, const char *text)
{
    const size_t n = strlen(key);
    if (markdown) printf("| ");
    print_cell(key);
    if (markdown) printf(" | ");
    else printf("%*s", n < 30 ? (int)(32 - n) : 2, "");
    print_cell(text);
    puts(markdown ? " |" : "");
}

static void show_text(const char *key, const char *text)
{
    if (!cli.json) {
        print_row(key, text);
        return;
    }
    cli_json_key_string(key, text);
}

static void show_number(const char *key, uint64_t value)
{
    char text[32];
    if (!cli.json) {
        snprintf(text, sizeof text, "%" PRIu64, value);
        print_row(key, text);
        return;
    }
    cli_json_key_number(key, value);
}

static void show_bool(const char *key, bool value)
{
    if (!cli.json) {
        print_row(key, value ? "yes" : "no");
        return;
    }
    cli_json_key(key);
    cli_json_bool(value);
}

/* A heading of a table of two columns; in JSON the object's key. */
static void begin_table(const char *title, const char *key, const char *columns, const char *rule)
{
    if (cli.json) {
        cli_json_key(key);
        cli_json_open('{');
    } else if (markdown) {
        printf("\n## %s\n\n%s\n%s\n", title, columns, rule);
    } else {
        printf("\n%s\n", title);
    }
}

static void end_table(void)
{
    if (cli.json) cli_json_close('}');
}

static const char two_columns[] = "| | |", two_rules[] = "|---|---|";

/* ---- the parts ---- */

static void show_facts(const sqz_model *model)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    show_text("name", info->name);
    show_text("source_type", info->source_type);
    show_number("parameters", info->n_parameters);
    show_number("embedding_parameters", info->n_embedding_parameters);
    show_number("file_bytes", info->file_bytes);
    show_number("layers", info->n_layers);
    show_number("width", info->width);
    show_number("embedding_width", info->embedding_width);
    show_number("vocabulary", info->vocabulary);
    show_number("max_positions", info->max_positions);
    show_number("max_length", info->max_length);
    show_number("token_types", info->n_token_types);
    show_text("head", sqz_head_name(info->head));
    if (info->head == SQZ_HEAD_SEQUENCE) show_text("problem", sqz_problem_name(info->problem));
    show_text("pool", sqz_pooling_name(info->pooling));
    show_bool("normalize", info->normalize);
    show_number("dimensions", info->dimensions);
    show_text("similarity", sqz_similarity_name(info->similarity));
    if (!info->include_prompt) show_bool("include_prompt", false);
    if (info->embed_lowercase) show_bool("embed_lowercase", true);
    show_bool("pooler", info->has_pooler);
}

/* Bytes of the weights by the type of their numbers. */
static void show_types(const sqz_model *model)
{
    static const char *const types[] = {"F32", "F16", "BF16", "I8", "I32"};
    uint64_t bytes[sizeof types / sizeof *types] = {0};
    sqz_tensor_info t;
    for (uint32_t i = 0; sqz_model_tensor(model, i, &t); i++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++)
            if (strncmp(t.name, "verify.", 7) != 0 && strcmp(t.type, types[k]) == 0)
                bytes[k] += t.bytes;
    begin_table("Weights", "weight_bytes", "| type | bytes |", "|---|---:|");
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
        if (bytes[k]) show_number(types[k], bytes[k]);
    end_table();
}

static void show_labels(const sqz_model *model)
{
    char number[16];
    if (cli.json) {
        cli_json_key("labels_named");
        cli_json_bool(sqz_model_get_info(model)->labels_named);
        cli_json_key("labels");
        cli_json_open('[');
        for (uint32_t k = 0; sqz_model_label(model, k); k++)
            cli_json_string(sqz_model_label(model, k));
        cli_json_close(']');
        return;
    }
    if (!sqz_model_label(model, 0)) return;
    begin_table(sqz_model_get_info(model)->labels_named ? "Labels"
                                                        : "Labels (the source named none)",
                "labels", "| class | label |", "|---:|---|");
    for (uint32_t k = 0; sqz_model_label(model, k); k++) {
        snprintf(number, sizeof number, "%u", (unsigned)k);
        print_row(number, sqz_model_label(model, k));
    }
}

static void show_prompts(const sqz_model *model)
{
    if (!cli.json && !sqz_model_prompt_name(model, 0)) return;
    begin_table("Prompts", "prompts", "| name | text |", "|---|---|");
    for (uint32_t i = 0; sqz_model_prompt_name(model, i); i++)
        show_text(sqz_model_prompt_name(model, i),
                  sqz_model_prompt(model, sqz_model_prompt_name(model, i)));
    end_table();
}

/* A text of the file as a string to be freed. */
static char *copy_text(sqz_text text)
{
    char *copy = cli_allocate(NULL, text.n_bytes + 1);
    memcpy(copy, text.bytes, text.n_bytes);
    copy[text.n_bytes] = '\0';
    return copy;
}

static void show_one(const sqz_model *model, const char *label, const char *key)
{
    sqz_text text;
    if (!sqz_model_text(model, key, 0, &text)) return;
    char *copy = copy_text(text);
    show_text(label, copy);
    free(copy);
}

/* Strings one a row, or an array; nothing where there are none. They are item(model, 0, ...),
 * item(model, 1, ...) until that is NULL, to be freed. */
typedef char *item_of(const sqz_model *model, const char *key, uint32_t i);

static void show_list(const sqz_model *model, const char *label, const char *key, item_of *item)
{
    char *text = item(model, key, 0);
    if (text && cli.json) {
        cli_json_key(label);
        cli_json_open('[');
    }
    const bool any = text != NULL;
    for (uint32_t i = 0; text; text = item(model, key, ++i)) {
        if (cli.json) cli_json_string(text);
        else print_row(i ? "" : label, text);
        free(text);
    }
    if (any && cli.json) cli_json_close(']');
}

static char *string_of(const sqz_model *model, const char *key, uint32_t i)
{
    sqz_text text;
    return sqz_model_text(model, key, i, &text) ? copy_text(text) : NULL;
}

/* "organization/name", as the Hub writes it. */
static char *base_model_of(const sqz_model *model, const char *key, uint32_t i)
{
    char name_key[64], organization_key[64];
    sqz_text name, organization = {"", 0};
    snprintf(name_key, sizeof name_key, "%s.%u.name", key, (unsigned)i);
    snprintf(organization_key, sizeof organization_key, "%s.%u.organization", key, (unsigned)i);
    if (!sqz_model_text(model, name_key, 0, &name)) return NULL;
    (void)sqz_model_text(model, organization_key, 0, &organization);
    char *both = cli_allocate(NULL, organization.n_bytes + 1 + name.n_bytes + 1), *at = both;
    memcpy(at, organization.bytes, organization.n_bytes);
    at += organization.n_bytes;
    if (organization.n_bytes) *at++ = '/';
    memcpy(at, name.bytes, name.n_bytes);
    at[name.n_bytes] = '\0';
    return both;
}

static void show_provenance(const sqz_model *model)
{
    begin_table("Provenance", "provenance", two_columns, two_rules);
    show_one(model, "license", "general.license");
    show_list(model, "languages", "general.languages", string_of);
    show_list(model, "base_models", "general.base_model", base_model_of);
    show_list(model, "source_files", "sqz.source.files", string_of);
    show_list(model, "source_sha256", "sqz.source.sha256", string_of);
    show_one(model, "tensors_sha256", "sqz.tensors.sha256");
    show_list(model, "history", "sqz.history", string_of);
    end_table();
}

static void show_metadata(const sqz_model *model)
{
    const char *key, *value;
    begin_table("Metadata", "metadata", two_columns, two_rules);
    for (uint32_t i = 0; sqz_model_metadata(model, i, &key, &value); i++) show_text(key, value);
    end_table();
}

static void show_tensor_json(const sqz_tensor_info *t)
{
    cli_json_open('{');
    show_text("name", t->name);
    show_text("type", t->type);
    cli_json_key("shape");
    cli_json_open('[');
    for (uint32_t d = 0; d < t->n_dims; d++) cli_json_number(t->shape[d]);
    cli_json_close(']');
    show_number("bytes", t->bytes);
    show_number("offset", t->offset);
    cli_json_close('}');
}

static void show_tensors(const sqz_model *model)
{
    sqz_tensor_info t;
    if (cli.json) {
        cli_json_key("tensors");
        cli_json_open('[');
        for (uint32_t i = 0; sqz_model_tensor(model, i, &t); i++) show_tensor_json(&t);
        cli_json_close(']');
        return;
    }
    if (markdown) printf("\n## Tensors\n\n| name | type | shape | bytes |\n|---|---|---|---:|\n");
    else puts("\nTensors");
    for (uint32_t i = 0; sqz_model_tensor(model, i, &t); i++) {
        char shape[96];
        size_t used = 0;
        for (uint32_t d = 0; d < t.n_dims; d++)
            used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%" PRIu64, d ? ", " : "",
                                     t.shape[d]);
        printf(markdown ? "| %s | %s | [%s] | %" PRIu64 " |\n" : "%-40s %-5s [%s]  %" PRIu64 "\n",
               t.name, t.type, shape, t.bytes);
    }
}

/* The checksums alone: a file that is damaged may be no model any more. */
static int run_check(const char *path)
{
    sqz_error error = {0};
    sqz_file_check found;
    if (tensors || markdown)
        cli_die(CLI_USAGE, "--check shows nothing but what it found: leave --tensors and "
                           "--markdown out");
    cli_check(sqz_model_check(cli_context(), path, &found, &error), &error);
    if (cli.json) cli_json_open('{');
    show_bool("has_checksum", found.has_checksum);
    show_number("file_bytes", found.n_bytes);
    if (found.has_checksum) show_text("tensors_sha256", found.sha256);
    if (cli.json) {
        cli_json_key("ok");
        cli_json_bool(found.has_checksum);
        cli_json_close('}');
    }
    if (found.has_checksum) return CLI_DONE;
    cli_say("%s: carries no checksum, so that nothing was compared: import or quantize it again "
            "and it will",
            path);
    return CLI_FAILED;
}

static int run_info(char **arguments, uint32_t n)
{
    if (!n && (tensors || markdown || check))
        cli_die(CLI_USAGE, "--tensors, --markdown and --check are of one model: give MODEL");
    if (!n) return cli_list_models();
    if (check) return run_check(arguments[0]);
    const sqz_model *model = cli_model(arguments[0]);
    if (cli.json) cli_json_open('{');
    else if (markdown) {
        printf("# ");
        print_cell(sqz_model_get_info(model)->name);
        printf("\n\n%s\n%s\n", two_columns, two_rules);
    }
    show_facts(model);
    show_types(model);
    show_labels(model);
    show_prompts(model);
    show_provenance(model);
    show_metadata(model);
    if (tensors) show_tensors(model);
    if (cli.json) cli_json_close('}');
    return CLI_DONE;
}

static const cli_option *const info_tables[] = {info_options, cli_model_options, NULL};
const cli_verb cli_verb_info = {
    "info",
    "say what a model file holds",
    "[MODEL]",
    "Sizes, types of the weights, head, labels, prompts, where it comes from, metadata and, with "
    "--tensors, every tensor with its shape and bytes.\n"
    "With --json one object; long strings of the metadata are cut there as well.\n"
    "With --check the file is compared with the SHA-256 that it carries: exit code 3 and the first "
    "damaged tensor where it is not what was written, 1 where it carries none.\n"
    "Without MODEL: the models that are found by their names, their bytes and files.",
    "squeezebert info minilm.gguf --tensors",
    0,
    1,
    info_tables,
    run_info};
