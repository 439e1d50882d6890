/* SPDX-License-Identifier: Apache-2.0 */
/* search: the lines of a file nearest in meaning to each query. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "stream.h"
#include "vector_options.h"
#include "verbs.h"

static uint32_t top = 5;
static const char *path, *file_path;

static const cli_option search_options[] = {
    {"file", 'f', CLI_TEXT, &file_path, "FILE", "the texts to search, one a line"},
    {"top", 'k', CLI_NUMBER, &top, "N", "hits a query (default: 5)"},
    {0},
};

static sqz_status run_vectors(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    const sqz_embed_text_options options = cli_embed_options(path);
    return sqz_embed_texts(cli_task(path), inputs, n, &options, results, error);
}

/* The searched file in memory, by lines. */
static struct {
    char *bytes;
    sqz_input *lines;
    size_t n;
    sqz_index *index;
    sqz_hit *hits;
} corpus;

static void read_corpus(void)
{
    FILE *file = fopen(file_path, "rb");
    if (!file) cli_die(CLI_BAD_FILE, "cannot open %s: %s", file_path, strerror(errno));
    size_t used = 0, room = 0, got;
    do {
        if (room - used < 65536)
            corpus.bytes = cli_allocate(corpus.bytes, room = 2 * room + 131072);
        used += got = fread(corpus.bytes + used, 1, room - used, file);
    } while (got > 0);
    if (ferror(file)) cli_die(CLI_BAD_FILE, "cannot read %s: %s", file_path, strerror(errno));
    fclose(file);
    for (size_t begin = 0; begin < used;) {
        const char *end = memchr(corpus.bytes + begin, '\n', used - begin);
        const size_t stop = end ? (size_t)(end - corpus.bytes) : used;
        if (stop > begin) {
            if ((corpus.n & (corpus.n - 1)) == 0)
                corpus.lines = cli_allocate(corpus.lines,
                                            (corpus.n ? 2 * corpus.n : 1) * sizeof *corpus.lines);
            corpus.lines[corpus.n++] = (sqz_input){.text = {corpus.bytes + begin, stop - begin}};
        }
        begin = stop + 1;
    }
    if (!corpus.n) cli_die(CLI_BAD_FILE, "%s holds no line of text", file_path);
}

static void index_corpus(void)
{
    enum { PORTION = 512 };
    sqz_error error = {0};
    sqz_embedding *results = cli_allocate(NULL, PORTION * sizeof *results);
    for (size_t begin = 0; begin < corpus.n; begin += PORTION) {
        const uint32_t n = corpus.n - begin < PORTION ? (uint32_t)(corpus.n - begin) : PORTION;
        cli_check(run_vectors(corpus.lines + begin, n, results, &error), &error);
        if (!corpus.index)
            cli_check(sqz_index_open(cli_context(), results[0].dimensions, &corpus.index, &error),
                      &error);
        for (uint32_t i = 0; i < n; i++) {
            if (results[i].outcome.status != SQZ_OK)
                cli_die(CLI_FAILED, "a line of %s: %s", file_path, results[i].outcome.text);
            cli_check(sqz_index_add(corpus.index, results[i].vectors, 1, &error), &error);
        }
    }
    free(results);
}

static void show_hits_json(const sqz_input *input, const void *result)
{
    (void)input;
    const uint32_t n = sqz_index_search(corpus.index, ((const sqz_embedding *)result)->vectors, top,
                                        corpus.hits);
    cli_json_key("hits");
    cli_json_open('[');
    for (uint32_t i = 0; i < n; i++) {
        const sqz_text line = corpus.lines[corpus.hits[i].row].text;
        cli_json_open('{');
        cli_json_key_number("row", corpus.hits[i].row);
        cli_json_key("score");
        cli_json_float(corpus.hits[i].score);
        cli_json_key("text");
        cli_json_text(line.bytes, line.n_bytes);
        cli_json_close('}');
    }
    cli_json_close(']');
}

static void show_hits_text(const sqz_input *input, const void *result)
{
    const uint32_t n = sqz_index_search(corpus.index, ((const sqz_embedding *)result)->vectors, top,
                                        corpus.hits);
    cli_print_text(input->text.bytes, input->text.n_bytes);
    for (uint32_t i = 0; i < n; i++) {
        const sqz_text line = corpus.lines[corpus.hits[i].row].text;
        fprintf(cli_out(), "\n  %.3f  ", (double)corpus.hits[i].score);
        cli_print_text(line.bytes, line.n_bytes);
    }
}

static int run_search(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    if (!file_path) cli_die(CLI_USAGE, "--file FILE is missing: which texts should be searched?");
    if (cli_pool == SQZ_POOL_NONE) cli_die(CLI_USAGE, "--pool none gives no vector of a text");
    if (top < 1 || top > 10000) cli_die(CLI_USAGE, "--top is 1 to 10000");
    read_corpus();
    index_corpus();
    corpus.hits = cli_allocate(NULL, top * sizeof *corpus.hits);
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text"},
                               .result_bytes = sizeof(sqz_embedding),
                               .keys = " hits ",
                               .run = run_vectors,
                               .show_json = show_hits_json,
                               .show_text = show_hits_text};
    const int code = cli_run_stream(&stream);
    sqz_index_close(corpus.index);
    free(corpus.hits);
    free(corpus.lines);
    free(corpus.bytes);
    return code;
}

static const cli_option *const search_tables[] = {search_options,     cli_vector_options,
                                                  cli_model_options,  cli_record_options,
                                                  cli_length_options, NULL};
const cli_verb cli_verb_search = {
    "search",
    "the lines of a file nearest in meaning to each query",
    "MODEL",
    "Queries come from stdin, one a line.",
    "echo 'how do I start?' | squeezebert search minilm.gguf --file README.md",
    1,
    1,
    search_tables,
    run_search};
