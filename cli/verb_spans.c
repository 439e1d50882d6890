/* SPDX-License-Identifier: Apache-2.0 */
/* ner, qa and fill-mask: places in a text. */
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "stream.h"
#include "verbs.h"

static const char *path, *targets_text;
static uint32_t aggregation = 1, n_best = 1, longest = 30, top = 5;
static bool logits, no_answer;
static double null_threshold;
static uint32_t *targets, n_targets;

static const cli_option ner_options[] = {
    {"aggregation", 0, CLI_CHOICE, &aggregation, "none|simple|first|average|max",
     "how pieces become entities (default: simple)"},
    {"logits", 0, CLI_FLAG, &logits, NULL,
     "with --json: the raw numbers of every piece as well, and the row where each window begins"},
    {0},
};
static const cli_option qa_options[] = {
    {"n-best", 'n', CLI_NUMBER, &n_best, "N", "answers wanted, at most 20"},
    {"longest", 0, CLI_NUMBER, &longest, "N", "pieces of the longest answer (default: 30)"},
    {"no-answer", 0, CLI_FLAG, &no_answer, NULL, "the context may not say"},
    {"null-threshold", 0, CLI_REAL, &null_threshold, "X",
     "by how much no answer must be worth more"},
    {"logits", 0, CLI_FLAG, &logits, NULL,
     "with --json: start and end of every piece as well, and the row where each window begins"},
    {0},
};
static const cli_option fill_options[] = {
    {"top", 'k', CLI_NUMBER, &top, "N", "candidates a mask (default: 5)"},
    {"targets", 0, CLI_TEXT, &targets_text, "A,B,...", "pieces of the vocabulary to choose among"},
    {"logits", 0, CLI_FLAG, &logits, NULL,
     "with --json: the raw numbers of the whole vocabulary as well"},
    {0},
};

static void show_place(uint32_t begin, uint32_t end, uint32_t begin_byte, uint32_t end_byte)
{
    cli_json_key_number("start", cli_offset(begin, begin_byte));
    cli_json_key_number("end", cli_offset(end, end_byte));
}

/* [rows, columns] of all windows one behind the other, and the row at which each window begins. */
static void show_logits(const float *values, const sqz_outcome *outcome,
                        const uint32_t *window_first, uint32_t columns)
{
    cli_json_key("logits");
    cli_json_open('[');
    for (uint32_t i = 0; i < outcome->n_pieces; i++)
        cli_json_floats(values + (size_t)i * columns, columns);
    cli_json_close(']');
    cli_json_key("window_first");
    cli_json_open('[');
    for (uint32_t w = 0; w < outcome->n_windows; w++) cli_json_number(window_first[w]);
    cli_json_close(']');
}

static sqz_status run_entities(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    return sqz_find_entities(cli_task(path), inputs, n, (sqz_aggregation)aggregation, results,
                             error);
}

static void show_entities_json(const sqz_input *input, const void *result)
{
    (void)input;
    const sqz_entities *e = result;
    cli_json_key("entities");
    cli_json_open('[');
    for (uint32_t i = 0; i < e->n; i++) {
        const sqz_entity *entity = &e->entities[i];
        cli_json_open('{');
        cli_json_key_string("label", entity->label);
        cli_json_key("score");
        cli_json_float(entity->score);
        cli_json_key_string("word", entity->word);
        show_place(entity->begin, entity->end, entity->begin_byte, entity->end_byte);
        cli_json_close('}');
    }
    cli_json_close(']');
    if (logits)
        show_logits(e->logits, &e->outcome, e->window_first,
                    sqz_model_get_info(cli_model(path))->n_labels);
}

static void show_entities_text(const sqz_input *input, const void *result)
{
    const sqz_entities *e = result;
    cli_print_text(input->text.bytes, input->text.n_bytes);
    for (uint32_t i = 0; i < e->n; i++) {
        const sqz_entity *entity = &e->entities[i];
        fprintf(cli_out(), "\n  %s\t%.4f\t%u\t%u\t", entity->label, (double)entity->score,
                cli_offset(entity->begin, entity->begin_byte),
                cli_offset(entity->end, entity->end_byte));
        cli_print_text(input->text.bytes + entity->begin_byte,
                       entity->end_byte - entity->begin_byte);
    }
}

static int run_ner(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text"},
                               .result_bytes = sizeof(sqz_entities),
                               .keys = " entities logits window_first ",
                               .run = run_entities,
                               .show_json = show_entities_json,
                               .show_text = show_entities_text};
    return cli_run_stream(&stream);
}

static sqz_status run_answers(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    const sqz_answer_options options = {.n_best = n_best,
                                        .max_answer_pieces = longest,
                                        .no_answer = no_answer,
                                        .null_threshold = (float)null_threshold};
    return sqz_answer_questions(cli_task(path), inputs, n, &options, results, error);
}

static void show_answers_json(const sqz_input *input, const void *result)
{
    const sqz_answers *a = result;
    cli_json_key("answers");
    cli_json_open('[');
    for (uint32_t i = 0; i < a->n; i++) {
        const sqz_answer *answer = &a->answers[i];
        cli_json_open('{');
        cli_json_key("answer");
        if (answer->none) cli_json_null();
        else
            cli_json_text(input->second.bytes + answer->begin_byte,
                          answer->end_byte - answer->begin_byte);
        cli_json_key("score");
        cli_json_float(answer->score);
        show_place(answer->begin, answer->end, answer->begin_byte, answer->end_byte);
        cli_json_close('}');
    }
    cli_json_close(']');
    if (logits) show_logits(a->logits, &a->outcome, a->window_first, 2);
}

static void show_answers_text(const sqz_input *input, const void *result)
{
    const sqz_answers *a = result;
    for (uint32_t i = 0; i < a->n; i++) {
        const sqz_answer *answer = &a->answers[i];
        fprintf(cli_out(), "%s%.4f\t", i ? "\n" : "", (double)answer->score);
        if (answer->none) fputs("(no answer)", cli_out());
        else
            cli_print_text(input->second.bytes + answer->begin_byte,
                           answer->end_byte - answer->begin_byte);
    }
}

static int run_qa(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    const cli_stream stream = {
        .model = path,
        .reading = {.pair = true, .column = "question", .column2 = "context"},
        .result_bytes = sizeof(sqz_answers),
        .keys = " answers logits window_first ",
        .run = run_answers,
        .show_json = show_answers_json,
        .show_text = show_answers_text};
    return cli_run_stream(&stream);
}

static sqz_status run_masks(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error)
{
    const sqz_fill_options options = {.top_k = top, .targets = targets, .n_targets = n_targets};
    return sqz_fill_masks(cli_task(path), inputs, n, &options, results, error);
}

static void show_masks_json(const sqz_input *input, const void *result)
{
    (void)input;
    const sqz_filled *f = result;
    cli_json_key("masks");
    cli_json_open('[');
    for (uint32_t i = 0; i < f->n; i++) {
        cli_json_open('{');
        cli_json_key("candidates");
        cli_json_open('[');
        for (uint32_t c = 0; c < f->masks[i].n; c++) {
            const sqz_candidate *candidate = &f->masks[i].candidates[c];
            cli_json_open('{');
            cli_json_key_number("token", candidate->id);
            cli_json_key_string("piece", candidate->piece);
            cli_json_key("score");
            cli_json_float(candidate->score);
            cli_json_key_string("sequence", candidate->sequence);
            cli_json_close('}');
        }
        cli_json_close(']');
        if (logits) {
            cli_json_key("logits");
            cli_json_floats(f->masks[i].logits, sqz_model_get_info(cli_model(path))->n_labels);
        }
        cli_json_close('}');
    }
    cli_json_close(']');
}

static void show_masks_text(const sqz_input *input, const void *result)
{
    const sqz_filled *f = result;
    cli_print_text(input->text.bytes, input->text.n_bytes);
    for (uint32_t i = 0; i < f->n; i++)
        for (uint32_t c = 0; c < f->masks[i].n; c++)
            fprintf(cli_out(), "\n  %.4f  %s", (double)f->masks[i].candidates[c].score,
                    f->masks[i].candidates[c].piece);
}

static void read_targets(void)
{
    const sqz_tokenizer *tokenizer = sqz_model_tokenizer(cli_model(path));
    for (const char *at = targets_text; at;) {
        const char *comma = strchr(at, ',');
        const size_t n = comma ? (size_t)(comma - at) : strlen(at);
        char *word = cli_allocate(NULL, n + 1);
        memcpy(word, at, n);
        word[n] = '\0';
        const uint32_t id = sqz_tokenizer_id(tokenizer, word);
        if (id == UINT32_MAX)
            cli_die(CLI_USAGE, "--targets: '%s' is no piece of the vocabulary", word);
        free(word);
        targets = cli_allocate(targets, (n_targets + 1) * sizeof *targets);
        targets[n_targets++] = id;
        at = comma ? comma + 1 : NULL;
    }
}

static int run_fill_mask(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    read_targets();
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text"},
                               .result_bytes = sizeof(sqz_filled),
                               .keys = " masks ",
                               .run = run_masks,
                               .show_json = show_masks_json,
                               .show_text = show_masks_text};
    const int code = cli_run_stream(&stream);
    free(targets);
    return code;
}

static const cli_option *const ner_tables[] = {ner_options, cli_model_options, cli_record_options,
                                               cli_length_options, NULL};
static const cli_option *const qa_tables[] = {qa_options, cli_model_options, cli_record_options,
                                              cli_length_options, NULL};
static const cli_option *const fill_tables[] = {fill_options, cli_model_options, cli_record_options,
                                                cli_length_options, NULL};
const cli_verb cli_verb_ner = {
    "ner",
    "find named entities",
    "MODEL",
    "Spans by BIO or IOBES labels, with offsets.",
    "echo 'The train leaves Vienna at nine.' | squeezebert ner entities.gguf --json",
    1,
    1,
    ner_tables,
    run_ner};
const cli_verb cli_verb_qa = {
    "qa",
    "answer a question from a context",
    "MODEL",
    "A line holds question and context, a TAB between them. Long contexts are read in windows.",
    "printf 'When does it leave?\\tThe train leaves at nine.\\n' | squeezebert qa answers.gguf",
    1,
    1,
    qa_tables,
    run_qa};
const cli_verb cli_verb_fill_mask = {
    "fill-mask",
    "what stands at each [MASK]",
    "MODEL",
    "Records come from stdin, each with [MASK].",
    "echo 'Paris is the [MASK] of France.' | squeezebert fill-mask bert.gguf",
    1,
    1,
    fill_tables,
    run_fill_mask};
