/* SPDX-License-Identifier: Apache-2.0 */
/* init-student: a model file to be taught, of its teacher's blocks, by levers, or random; says
 * where each tensor came from. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <squeezebert/student.h>

#include "lever_options.h"
#include "lever_texts.h"
#include "output.h"
#include "stream.h"
#include "verbs.h"

static const char *output_path, *texts_path, *texts_column, *layers, *heads, *neurons, *groups,
    *rank, *ranks, *embedding, *random_parts;
static uint32_t texts_format, width, seed;
static bool keep_pooler, plain, dense_output;

static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FILE", "the model file to write"},
    {"layers", 0, CLI_TEXT, &layers, "LIST",
     "the teacher's blocks that the student has: 0,2,5, first:3, or every:2, which is 0, 2, 4 and "
     "so on"},
    {"heads", 0, CLI_TEXT, &heads, "N", "attention heads of each block, or a share, such as 50%"},
    {"neurons", 0, CLI_TEXT, &neurons, "N",
     "feed-forward neurons of each block, or a share, such as 50%"},
    {"groups", 0, CLI_TEXT, &groups, "N",
     "linears are block diagonal in so many groups, 2 or more: the teacher's permuted to fit, "
     "random ones side by side"},
    {"dense-output", 0, CLI_FLAG, &dense_output, NULL,
     "leave attn_output whole with --groups, as SqueezeBERT has it"},
    {"rank", 0, CLI_TEXT, &rank, "SHARE",
     "two factors for each linear that hold this share of its parameters"},
    {"ranks", 0, CLI_TEXT, &ranks, "LIST", "ranks by hand: ffn_up=96,2.ffn_down=64"},
    {"embedding", 0, CLI_TEXT, &embedding, "width:N",
     "token embeddings as a table so narrow and one matrix"},
    {"random", 0, CLI_TEXT, &random_parts, "PARTS",
     "not the teacher's but normal numbers of deviation 0.02, new norms, biases 0: embedding, "
     "attention, feed_forward, blocks, all; several by commas"},
    {"width", 0, CLI_NUMBER, &width, "N",
     "of hidden states, with everything random and without what stands behind the blocks (default: "
     "the teacher's)"},
    {"seed", 0, CLI_NUMBER, &seed, "N", "of random numbers (default: 0)"},
    {"texts", 0, CLI_TEXT, &texts_path, "FILE",
     "texts of the kind that the model will read, one a line or a table: levers ask what layers "
     "read on them; " CLI_LEVER_TEXTS_READ},
    {"input", 0, CLI_CHOICE, &texts_format, "auto|lines|csv|tsv|jsonl",
     "what that file holds (auto: as its name ends)"},
    {"text", 0, CLI_TEXT, &texts_column, "COLUMN",
     "of a table: the column of the text (default: text)"},
    {"keep-pooler", 0, CLI_FLAG, &keep_pooler, NULL,
     "keep a pooler that neither the head nor the pooling of embeddings reads"},
    {"plain", 0, CLI_FLAG, &plain, NULL,
     "every lever in its textbook form, without what layers read"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {0},
};

/* ---- where tensors came from ---- */

typedef struct row {
    char name[72];
    sqz_origin origin;
    int32_t block;
    uint32_t n_dims;
    uint64_t shape[2];
} row;
static row *rows;
static size_t n_rows, rows_capacity;
static sqz_squeeze_result result;

static void take_tensor(void *user, const sqz_student_tensor *tensor)
{
    (void)user;
    if (n_rows == rows_capacity) {
        rows_capacity = rows_capacity ? 2 * rows_capacity : 128;
        rows = cli_allocate(rows, rows_capacity * sizeof *rows);
    }
    row *r = &rows[n_rows++];
    *r = (row){.origin = tensor->origin, .block = tensor->block, .n_dims = tensor->n_dims};
    snprintf(r->name, sizeof r->name, "%s", tensor->name);
    memcpy(r->shape, tensor->shape, sizeof r->shape);
}

static void take_result(void *user, const sqz_squeeze_result *found)
{
    (void)user;
    result = *found;
}

/* The name without "blk.I.", or all of it. */
static const char *kind_of(const row *r)
{
    const char *dot = strncmp(r->name, "blk.", 4) == 0 ? strchr(r->name + 4, '.') : NULL;
    return dot ? dot + 1 : r->name;
}

static bool alike(const row *a, const row *b)
{
    return strcmp(kind_of(a), kind_of(b)) == 0 && a->origin == b->origin &&
           a->n_dims == b->n_dims && memcmp(a->shape, b->shape, sizeof a->shape) == 0;
}

static void print_origin(size_t i)
{
    static const char *const texts[] = {"the teacher's", "levers", "random", "new"};
    const row *r = &rows[i];
    char shape[48];
    if (r->n_dims < 2) snprintf(shape, sizeof shape, "%llu", (unsigned long long)r->shape[0]);
    else
        snprintf(shape, sizeof shape, "%llux%llu", (unsigned long long)r->shape[0],
                 (unsigned long long)r->shape[1]);
    printf("%-28s %-12s %s", kind_of(r), shape, texts[r->origin]);
    if (r->block >= 0) printf(" %s", r->origin == SQZ_ORIGIN_LEVERS ? "on blocks" : "blocks");
    for (size_t j = i, n = 0; j < n_rows; j++)
        if (r->block >= 0 && alike(r, &rows[j])) printf("%s%d", n++ ? "," : " ", rows[j].block);
    printf("\n");
}

/* A line for each kind of tensor, form and origin. */
static void show_table(void)
{
    printf("%-28s %-12s %s\n", "tensor", "shape", "from");
    for (size_t i = 0; i < n_rows; i++) {
        size_t j = 0;
        while (!alike(&rows[j], &rows[i])) j++;
        if (j == i) print_origin(i);
    }
    if (result.n_held_out)
        printf("on %u other texts: cosine %.4f, %.1f%% of the ten nearest neighbours stay\n",
               result.n_held_out, result.cosine, 100 * result.neighbours);
    printf("%llu bytes become %llu\n", (unsigned long long)result.bytes_before,
           (unsigned long long)result.bytes_after);
}

static void show_row_json(const row *r)
{
    cli_json_open('{');
    cli_json_key_string("name", r->name);
    cli_json_key("shape");
    cli_json_open('[');
    for (uint32_t k = 0; k < r->n_dims; k++) cli_json_number(r->shape[k]);
    cli_json_close(']');
    cli_json_key_string("from", sqz_origin_name(r->origin));
    cli_json_key("block");
    if (r->block >= 0) cli_json_number((uint64_t)r->block);
    else cli_json_null();
    cli_json_close('}');
}

static void show_json(void)
{
    cli_json_open('{');
    cli_json_key("tensors");
    cli_json_open('[');
    for (size_t i = 0; i < n_rows; i++) show_row_json(&rows[i]);
    cli_json_close(']');
    cli_json_key_number("bytes_before", result.bytes_before);
    cli_json_key_number("bytes_after", result.bytes_after);
    if (result.n_held_out) {
        cli_json_key("fidelity");
        cli_json_open('{');
        cli_json_key_number("texts", result.n_held_out);
        cli_json_key_double("cosine", result.cosine);
        cli_json_key_double("neighbours", result.neighbours);
        cli_json_close('}');
    }
    cli_json_close('}');
}

/* ---- the run ---- */

static sqz_student_options read_options(void)
{
    sqz_student_options o = {.levers = {.rank = cli_read_share("rank", rank),
                                        .ranks = ranks,
                                        .groups = cli_read_groups(groups),
                                        .dense_output = dense_output,
                                        .keep_pooler = keep_pooler,
                                        .plain = plain,
                                        .result = take_result,
                                        .progress = cli_show_share,
                                        .user = "steps"},
                             .random = random_parts,
                             .width = width,
                             .seed = seed,
                             .tensor = take_tensor};
    cli_read_layers(layers, &o.levers);
    cli_read_embedding(embedding, &o.levers);
    cli_read_count("heads", heads, &o.heads, &o.levers.heads);
    cli_read_count("neurons", neurons, &o.neurons, &o.levers.neurons);
    return o;
}

static int run(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    if (!output_path) cli_die(CLI_USAGE, "-o FILE is missing: where should the student go?");
    if (!texts_path && (texts_format || texts_column))
        cli_die(CLI_USAGE, "--texts FILE is missing: its options are given");
    sqz_student_options o = read_options();
    cli_try_output(output_path, true);
    cli_not_over(output_path, arguments[0]);
    if (texts_path) cli_not_over(output_path, texts_path);
    cli_lever_texts texts = cli_read_lever_texts(texts_path, texts_format, texts_column);
    o.levers.texts = texts.texts;
    o.levers.n_texts = texts.read.n;
    const sqz_status status = sqz_init_student(cli_context(), arguments[0], output_path, &o,
                                               &error);
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
    cli_check(status, &error);
    if (cli.json) show_json();
    else show_table();
    cli_say_cut(result.n_cut, result.n_texts, "sentences to calibrate on");
    free(rows);
    cli_free_lever_texts(&texts);
    if (result.scores_dropped) cli_say_scores_dropped(arguments[0], output_path);
    cli_say("wrote %s", output_path);
    return CLI_DONE;
}

static const cli_option *const tables[] = {options, cli_model_options, NULL};
const cli_verb cli_verb_init_student = {
    "init-student",
    "make a student of a teacher's blocks, by levers, or random",
    "TEACHER",
    "A float model file for `distill --student`, with its teacher's vocabulary: some of its "
    "blocks, "
    "narrowed by the levers of `squeeze`, or another shape with random numbers. Prints where each "
    "kind of tensor came from, block by block.",
    "squeezebert init-student minilm.gguf -o student.gguf --layers every:2\n"
    "squeezebert init-student minilm.gguf -o grouped.gguf --groups 4 --dense-output --texts "
    "texts.txt\n"
    "squeezebert init-student minilm.gguf -o narrow.gguf --layers first:4 --width 256 --heads 4",
    1,
    1,
    tables,
    run};
