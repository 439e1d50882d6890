/* SPDX-License-Identifier: Apache-2.0 */
/* embed and similarity: vectors of texts, and how alike two are. */
#include "embed_array.h"
#include "output.h"
#include "stream.h"
#include "vector_options.h"
#include "verbs.h"

static const char *path;

static sqz_status run_vectors(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    const sqz_embed_text_options options = cli_embed_options(path);
    return sqz_embed_texts(cli_task(path), inputs, n, &options, results, error);
}

static void show_vectors_json(const sqz_input *input, const void *result)
{
    (void)input;
    const sqz_embedding *e = result;
    const bool many = cli_pooling == SQZ_POOLING_NONE;
    cli_json_key(many ? "embeddings" : "embedding");
    if (many) cli_json_open('[');
    for (uint32_t i = 0; i < e->n_vectors; i++)
        cli_json_floats(e->vectors + (size_t)i * e->dimensions, e->dimensions);
    if (many) cli_json_close(']');
}

static void show_vectors_text(const sqz_input *input, const void *result)
{
    (void)input;
    const sqz_embedding *e = result;
    for (size_t i = 0; i < (size_t)e->n_vectors * e->dimensions; i++)
        fprintf(cli_out(), "%s%.9g", i ? " " : "", (double)e->vectors[i]);
}

static int write_array(void)
{
    const uint32_t columns = cli_dimensions ? cli_dimensions
                                            : sqz_model_get_info(cli_model(path))->dimensions;
    if (cli_pooling == SQZ_POOLING_NONE)
        cli_die(CLI_USAGE, "--pool none gives rows of many lengths, which an array cannot hold");
    return cli_write_array(columns, run_vectors);
}

static int run_embed(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    cli_array_check(path);
    if (cli_array_wanted()) return write_array();
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text", .column2 = "text2"},
                               .result_bytes = sizeof(sqz_embedding),
                               .keys = " embedding embeddings ",
                               .run = run_vectors,
                               .show_json = show_vectors_json,
                               .show_text = show_vectors_text};
    return cli_run_stream(&stream);
}

static sqz_status run_pairs(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    const sqz_embed_text_options options = cli_pair_options(path);
    return sqz_compare(cli_task(path), inputs, n, &options, results, error);
}

static void show_pair_json(const sqz_input *input, const void *result)
{
    (void)input;
    cli_json_key("similarity");
    cli_json_float(((const sqz_similarity *)result)->score);
}

static void show_pair_text(const sqz_input *input, const void *result)
{
    (void)input;
    fprintf(cli_out(), "%.6f", (double)((const sqz_similarity *)result)->score);
}

static int run_similarity(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    const cli_stream stream = {.model = path,
                               .reading = {.pair = true, .column = "text", .column2 = "text2"},
                               .result_bytes = sizeof(sqz_similarity),
                               .keys = " similarity ",
                               .run = run_pairs,
                               .show_json = show_pair_json,
                               .show_text = show_pair_text};
    return cli_run_stream(&stream);
}

static const cli_option *const embed_tables[] = {cli_vector_options, cli_array_options,
                                                 cli_model_options,  cli_record_options,
                                                 cli_length_options, NULL};
static const cli_option *const similarity_tables[] = {cli_vector_options, cli_side_options,
                                                      cli_model_options,  cli_record_options,
                                                      cli_length_options, NULL};
const cli_verb cli_verb_embed = {"embed",
                                 "a vector for each record",
                                 "MODEL",
                                 "One record a line from stdin; with --json {\"embedding\"}, with "
                                 "--pool none {\"embeddings\"}, special tokens included.\n"
                                 "With -o a NumPy array, which is there at the end as a whole; a "
                                 "pipe gets it then. Ctrl-C ends it after the records at hand.",
                                 "echo 'a red bicycle' | squeezebert embed minilm.gguf --json",
                                 1,
                                 1,
                                 embed_tables,
                                 run_embed};
const cli_verb cli_verb_similarity = {
    "similarity",
    "how alike the two texts of each record are",
    "MODEL",
    "Two texts a line, a TAB between them. The score is the model's similarity, a cosine as a "
    "rule; "
    "the model's default prompt goes before both\n"
    "texts, --query-prompt before the first and --passage-prompt before the second.",
    "printf 'a red bicycle\\ta scarlet bike\\n' | squeezebert similarity minilm.gguf",
    1,
    1,
    similarity_tables,
    run_similarity};
