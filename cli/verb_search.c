/* SPDX-License-Identifier: Apache-2.0 */
/* search: the texts of a file nearest in meaning to each query. */
#include <stdlib.h>

#include "corpus.h"
#include "output.h"
#include "stream.h"
#include "vector_options.h"
#include "verbs.h"

static uint32_t top = 5;
static const char *path;

static const cli_option search_options[] = {
    {"top", 'k', CLI_NUMBER, &top, "N", "hits a query (default: 5)"},
    {0},
};

static sqz_status run_queries(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    const sqz_embed_text_options options = cli_role_options(path, SQZ_ROLE_QUERY);
    return sqz_embed_texts(cli_task(path), inputs, n, &options, results, error);
}

static sqz_index *searched;
static sqz_hit *hits;
static uint64_t n_cut;

/* Embed a portion of the texts and put it into the index. */
static void add_portion(const cli_document *documents, uint32_t n)
{
    sqz_error error = {0};
    const sqz_embed_text_options options = cli_role_options(path, SQZ_ROLE_PASSAGE);
    sqz_input *inputs = cli_allocate(NULL, n * sizeof *inputs);
    sqz_embedding *results = cli_allocate(NULL, n * sizeof *results);
    for (uint32_t i = 0; i < n; i++) inputs[i] = (sqz_input){.text = documents[i].text};
    cli_check(sqz_embed_texts(cli_task(path), inputs, n, &options, results, &error), &error);
    for (uint32_t i = 0; i < n; i++) {
        if (results[i].outcome.status != SQZ_OK)
            cli_die(CLI_FAILED, "%s: line %llu: %s", cli_corpus_path(),
                    (unsigned long long)documents[i].line, results[i].outcome.text);
        n_cut += results[i].outcome.cut > 0;
        if (!searched)
            cli_check(sqz_index_open(cli_context(), results[i].dimensions, options.similarity,
                                     &searched, &error),
                      &error);
        cli_check(sqz_index_add(searched, results[i].vectors, 1, &error), &error);
    }
    free(inputs);
    free(results);
}

static void show_hit(const sqz_hit *hit)
{
    const cli_document *document = cli_corpus_document(hit->row);
    cli_json_open('{');
    cli_json_key_number("row", document->line - 1);
    cli_json_key_number("line", document->line);
    if (document->id.bytes) {
        cli_json_key("id");
        if (document->id_json) cli_json_raw(document->id.bytes, document->id.n_bytes);
        else cli_json_text(document->id.bytes, document->id.n_bytes);
    }
    cli_json_key("score");
    cli_json_float(hit->score);
    cli_json_key("text");
    cli_json_text(document->text.bytes, document->text.n_bytes);
    cli_json_close('}');
}

static uint32_t find_hits(const void *result)
{
    return sqz_index_search(searched, ((const sqz_embedding *)result)->vectors, top, hits);
}

static void show_hits_json(const sqz_input *input, const void *result)
{
    const uint32_t n = find_hits(result);
    cli_json_key("query");
    cli_json_text(input->text.bytes, input->text.n_bytes);
    cli_json_key("hits");
    cli_json_open('[');
    for (uint32_t i = 0; i < n; i++) show_hit(&hits[i]);
    cli_json_close(']');
}

static void show_hits_text(const sqz_input *input, const void *result)
{
    const uint32_t n = find_hits(result);
    cli_print_text(input->text.bytes, input->text.n_bytes);
    for (uint32_t i = 0; i < n; i++) {
        const sqz_text text = cli_corpus_document(hits[i].row)->text;
        fprintf(cli_out(), "\n  %.3f  ", (double)hits[i].score);
        cli_print_text(text.bytes, text.n_bytes);
    }
}

static int run_search(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    if (cli_pooling == SQZ_POOLING_NONE)
        cli_die(CLI_USAGE, "--pool none gives no vector of a text");
    if (top < 1 || top > 10000) cli_die(CLI_USAGE, "--top is 1 to 10000");
    cli_read_corpus(add_portion);
    cli_say_cut(n_cut, cli_corpus_size(), "texts to search");
    hits = cli_allocate(NULL, top * sizeof *hits);
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text"},
                               .result_bytes = sizeof(sqz_embedding),
                               .keys = " query hits ",
                               .run = run_queries,
                               .show_json = show_hits_json,
                               .show_text = show_hits_text};
    const int code = cli_run_stream(&stream);
    sqz_index_close(searched);
    free(hits);
    cli_free_corpus();
    return code;
}

static const cli_option *const search_tables[] = {cli_corpus_options, search_options,
                                                  cli_vector_options, cli_side_options,
                                                  cli_model_options,  cli_record_options,
                                                  cli_length_options, NULL};
const cli_verb cli_verb_search = {
    "search",
    "the texts of a file nearest in meaning to each query",
    "MODEL",
    "Queries come from stdin, one a line. With --json hits carry the text's row in its file (from "
    "0, every line counted), line (from 1) and id.\n"
    "The model's prompts go before queries and texts, each side its own: query, search_query or "
    "retrieval.query; document, passage, corpus,\n"
    "search_document or the like (the first that is not empty).",
    "echo 'how do I start?' | squeezebert search minilm.gguf --file README.md",
    1,
    1,
    search_tables,
    run_search};
