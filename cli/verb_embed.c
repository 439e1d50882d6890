/* SPDX-License-Identifier: Apache-2.0 */
/* embed, similarity and search: vectors of texts and what is near to what. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "stream.h"
#include "verbs.h"

static uint32_t pool, dimensions, top = 5;
static bool normalize, plain, npy;
static const char *path, *prompt, *output_path, *file_path;
static uint64_t n_rows;

static const cli_option vector_options[] = {
    {"pool", 0, CLI_CHOICE, &pool, "default|none|mean|cls|pooler",
     "how the states of the pieces become one vector (default: as the model says); none: one a "
     "piece"},
    {"normalize", 0, CLI_FLAG, &normalize, NULL, "divide by the length"},
    {"no-normalize", 0, CLI_FLAG, &plain, NULL, "do not (default: as the model says)"},
    {"dimensions", 0, CLI_NUMBER, &dimensions, "N", "keep the first N numbers, before normalising"},
    {"prompt", 0, CLI_TEXT, &prompt, "NAME", "put the model's prompt NAME before each text"},
    {0},
};
static const cli_option file_options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FILE.npy",
     "write a NumPy array [records, dimensions] instead of lines"},
    {0},
};
static const cli_option search_options[] = {
    {"file", 'f', CLI_TEXT, &file_path, "FILE", "the texts to search, one a line"},
    {"top", 'k', CLI_NUMBER, &top, "N", "hits a query (default: 5)"},
    {0},
};

static sqz_embed_text_options embed_options(void)
{
    sqz_embed_text_options o = {.embed = {.pool = (sqz_pool)pool,
                                          .normalize = normalize ? 1
                                                       : plain   ? 0
                                                                 : -1,
                                          .dimensions = dimensions}};
    if (normalize && plain) cli_die(CLI_USAGE, "--normalize and --no-normalize exclude each other");
    if (prompt && !(o.prompt = sqz_model_prompt(cli_model(path), prompt)))
        cli_die(CLI_USAGE, "the model has no prompt '%s'; `squeezebert info` lists them", prompt);
    return o;
}

static sqz_status run_vectors(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    const sqz_embed_text_options options = embed_options();
    return sqz_embed_texts(cli_task(path), inputs, n, &options, results, error);
}

static void show_vectors_json(const sqz_input *input, const void *result)
{
    (void)input;
    const sqz_embedding *e = result;
    const bool many = pool == SQZ_POOL_NONE;
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

/* A header of 128 bytes, so that it can be written again with the number of rows. */
static void write_header(uint32_t columns)
{
    char header[128], text[118];
    const int n = snprintf(text, sizeof text,
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %u), }",
                           (unsigned long long)n_rows, columns);
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(header + 10, text, (size_t)n);
    header[127] = '\n';
    fwrite(header, 1, sizeof header, cli_out());
}

static int write_npy(void)
{
    cli_record *records;
    const uint32_t columns = dimensions ? dimensions : sqz_model_get_info(cli_model(path))->width;
    if (pool == SQZ_POOL_NONE)
        cli_die(CLI_USAGE, "--pool none gives rows of many lengths, which an array cannot hold");
    cli_open_output(output_path);
    write_header(columns);
    cli_records_open((cli_reading){.column = "text"});
    for (uint32_t n; (n = cli_records_next(&records)) > 0;) {
        sqz_input *inputs = cli_allocate(NULL, n * sizeof *inputs);
        sqz_embedding *results = cli_allocate(NULL, n * sizeof *results);
        sqz_error error = {0};
        for (uint32_t i = 0; i < n; i++) {
            if (records[i].status != SQZ_OK)
                cli_die(CLI_FAILED, "record %llu: %s: an array has no place for an error",
                        (unsigned long long)(n_rows + i + 1), records[i].fault);
            inputs[i] = records[i].input;
        }
        cli_check(run_vectors(inputs, n, results, &error), &error);
        for (uint32_t i = 0; i < n; i++) {
            if (results[i].outcome.status != SQZ_OK)
                cli_die(CLI_FAILED, "record %llu: %s", (unsigned long long)(n_rows + i + 1),
                        results[i].outcome.text);
            fwrite(results[i].vectors, sizeof(float), columns, cli_out());
        }
        n_rows += n;
        free(inputs);
        free(results);
    }
    cli_records_close();
    cli_flush_output();
    if (fseek(cli_out(), 0, SEEK_SET) != 0)
        cli_die(CLI_FAILED, "cannot write the header of %s: %s", output_path, strerror(errno));
    write_header(columns);
    return CLI_DONE;
}

static int run_embed(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    npy = output_path != NULL;
    if (npy) return write_npy();
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
    const sqz_embed_text_options options = embed_options();
    return sqz_compare(cli_task(path), inputs, n, &options, results, error);
}

static void show_pair_json(const sqz_input *input, const void *result)
{
    (void)input;
    cli_json_key("similarity");
    cli_json_float(((const sqz_similarity *)result)->cosine);
}

static void show_pair_text(const sqz_input *input, const void *result)
{
    (void)input;
    fprintf(cli_out(), "%.6f", (double)((const sqz_similarity *)result)->cosine);
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
    if (pool == SQZ_POOL_NONE) cli_die(CLI_USAGE, "--pool none gives no vector of a text");
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

static const cli_option *const embed_tables[] = {vector_options,     file_options,
                                                 cli_model_options,  cli_record_options,
                                                 cli_length_options, NULL};
static const cli_option *const similarity_tables[] = {vector_options, cli_model_options,
                                                      cli_record_options, cli_length_options, NULL};
static const cli_option *const search_tables[] = {search_options,     vector_options,
                                                  cli_model_options,  cli_record_options,
                                                  cli_length_options, NULL};
const cli_verb cli_verb_embed = {"embed",
                                 "a vector for each record",
                                 "MODEL",
                                 "One record a line from stdin; with --json {\"embedding\"}, with "
                                 "--pool none {\"embeddings\"}, special tokens included.",
                                 "echo 'a red bicycle' | squeezebert embed minilm.gguf --json",
                                 1,
                                 1,
                                 embed_tables,
                                 run_embed};
const cli_verb cli_verb_similarity = {
    "similarity",
    "the cosine of the two texts of each record",
    "MODEL",
    "Two texts a line, a TAB between them.",
    "printf 'a red bicycle\\ta scarlet bike\\n' | squeezebert similarity minilm.gguf",
    1,
    1,
    similarity_tables,
    run_similarity};
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
