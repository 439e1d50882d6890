/* SPDX-License-Identifier: Apache-2.0 */
/* tokenize: the pieces of each record. */
#include "output.h"
#include "stream.h"
#include "verbs.h"

static bool windows, no_special_tokens;
static const char *path;
static sqz_encoding *encoding;

static const cli_option options[] = {
    {"max-length", 0, CLI_NUMBER, &cli.max_length, "N",
     "pieces of a text, special tokens included (default: all; verbs that run a model read as many "
     "as it takes)"},
    {"long", 0, CLI_CHOICE, &cli.long_text, "default|cut|stride|error",
     "texts over --max-length are cut (the default), come in windows that overlap, or are refused"},
    {"windows", 0, CLI_FLAG, &windows, NULL,
     "the same as --long stride: one result a record with all its windows"},
    {"stride", 0, CLI_NUMBER, &cli.stride, "N", "pieces that a window repeats (default: 0)"},
    {"literal-special-tokens", 0, CLI_FLAG, &cli.literal_special_tokens, NULL,
     "\"[SEP]\" in a text is text, not the special token"},
    {"no-special-tokens", 0, CLI_FLAG, &no_special_tokens, NULL, "without [CLS] and [SEP]"},
    {0},
};

typedef struct result {
    sqz_outcome outcome;
    char fault[sizeof((sqz_error *)0)->text];
} result;

static bool in_windows(void)
{
    return windows || cli.long_text == 2;
}

static const char *encoded; /* the text that the encoding holds */

static sqz_status tokenize(const sqz_input *input, sqz_error *error)
{
    const sqz_tokenize_options o = {.max_length = cli.max_length,
                                    .stride = cli.stride,
                                    .windows = in_windows(),
                                    .no_special_tokens = no_special_tokens,
                                    .truncation = cli.long_text == 3 ? SQZ_TRUNCATE_ERROR
                                                                     : SQZ_TRUNCATE_LONGEST_FIRST,
                                    .literal_special_tokens = cli.literal_special_tokens};
    encoded = input->text.bytes;
    return sqz_tokenize(sqz_model_tokenizer(cli_model(path)), input->text,
                        input->pair ? &input->second : NULL, &o, encoding, error);
}

/* Whether each can be done: a record that cannot must say so before its line is begun. */
static sqz_status run(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    for (uint32_t i = 0; i < n; i++) {
        result *r = (result *)results + i;
        *r = (result){.outcome = {.status = tokenize(&inputs[i], error)}};
        if (r->outcome.status == SQZ_ENOMEM) return SQZ_ENOMEM;
        if (r->outcome.status != SQZ_OK) snprintf(r->fault, sizeof r->fault, "%s", error->text);
        else r->outcome.cut = sqz_encoding_cut(encoding);
        r->outcome.text = r->fault;
    }
    return SQZ_OK;
}

/* Tokenised again when shown, unless it was the last: the pieces of one record at a time stay in
 * memory. */
static const sqz_piece *pieces_of(const sqz_input *input, uint32_t *n)
{
    sqz_error error = {0};
    if (encoded != input->text.bytes) cli_check(tokenize(input, &error), &error);
    *n = sqz_encoding_first(encoding, sqz_encoding_windows(encoding));
    return sqz_encoding_pieces(encoding);
}

static void show_json(const sqz_input *input, const void *unused)
{
    (void)unused;
    uint32_t n;
    const sqz_piece *pieces = pieces_of(input, &n);
    const sqz_tokenizer *tokenizer = sqz_model_tokenizer(cli_model(path));
    cli_json_key("ids");
    cli_json_open('[');
    for (uint32_t i = 0; i < n; i++) cli_json_number(pieces[i].id);
    cli_json_close(']');
    cli_json_key("tokens");
    cli_json_open('[');
    for (uint32_t i = 0; i < n; i++) cli_json_string(sqz_tokenizer_piece(tokenizer, pieces[i].id));
    cli_json_close(']');
    cli_json_key("types");
    cli_json_open('[');
    for (uint32_t i = 0; i < n; i++) cli_json_number(pieces[i].type);
    cli_json_close(']');
    cli_json_key("offsets");
    cli_json_open('[');
    for (uint32_t i = 0; i < n; i++) {
        cli_json_open('[');
        cli_json_number(cli_offset(pieces[i].begin, pieces[i].begin_byte));
        cli_json_number(cli_offset(pieces[i].end, pieces[i].end_byte));
        cli_json_close(']');
    }
    cli_json_close(']');
    if (!in_windows()) return;
    cli_json_key("windows");
    cli_json_open('[');
    for (uint32_t w = 0; w < sqz_encoding_windows(encoding); w++)
        cli_json_number(sqz_encoding_first(encoding, w));
    cli_json_close(']');
}

static void show_text(const sqz_input *input, const void *unused)
{
    (void)unused;
    uint32_t n;
    const sqz_piece *pieces = pieces_of(input, &n);
    const sqz_tokenizer *tokenizer = sqz_model_tokenizer(cli_model(path));
    for (uint32_t i = 0; i < n; i++) {
        const char *piece = sqz_tokenizer_piece(tokenizer, pieces[i].id);
        fprintf(cli_out(), "%s%s", i ? " " : "", piece ? piece : "?");
    }
}

static int run_tokenize(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    path = arguments[0];
    cli_check(sqz_encoding_open(cli_context(), &encoding, &error), &error);
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text", .column2 = "text2"},
                               .result_bytes = sizeof(result),
                               .keys = " ids tokens types offsets windows ",
                               .run = run,
                               .show_json = show_json,
                               .show_text = show_text};
    const int code = cli_run_stream(&stream);
    sqz_encoding_close(encoding);
    return code;
}

static const cli_option *const tables[] = {options, cli_model_options, cli_record_options, NULL};
const cli_verb cli_verb_tokenize = {
    "tokenize",
    "show the word pieces of each record",
    "MODEL",
    "Records come from stdin. With --json: ids, tokens, types and offsets.",
    "echo 'unaffable' | squeezebert tokenize minilm.gguf --json",
    1,
    1,
    tables,
    run_tokenize};
