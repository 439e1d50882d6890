/* SPDX-License-Identifier: Apache-2.0 */
/* classify and zero-shot: a label for each record. */
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "stream.h"
#include "verbs.h"

static double threshold;
static bool logits, multi_label;
static const char *path, *labels_text, *hypothesis;
static sqz_text *candidates;
static uint32_t n_candidates;

static const cli_option classify_options[] = {
    {"threshold", 0, CLI_REAL, &threshold, "SCORE",
     "refuse to answer below this score: the label is then null"},
    {"logits", 0, CLI_FLAG, &logits, NULL, "with --json: the raw numbers as well"},
    {0},
};
static const cli_option zero_shot_options[] = {
    {"labels", 0, CLI_TEXT, &labels_text, "A,B,...", "the candidate labels"},
    {"hypothesis", 0, CLI_TEXT, &hypothesis, "TEXT",
     "a sentence with {} for the label (default: This example is {}.)"},
    {"multi-label", 0, CLI_FLAG, &multi_label, NULL, "each label by itself"},
    {"logits", 0, CLI_FLAG, &logits, NULL, "with --json: the raw numbers as well"},
    {0},
};

static sqz_status run_classification(const sqz_input *inputs, uint32_t n, void *results,
                                     sqz_error *error)
{
    return sqz_classify(cli_task(path), inputs, n, (float)threshold, results, error);
}

static const char *label_of(uint32_t k)
{
    return sqz_model_label(cli_model(path), k);
}

static void show_json(const sqz_input *input, const void *result)
{
    (void)input;
    const sqz_classification *c = result;
    const uint32_t n = sqz_model_get_info(cli_model(path))->n_labels;
    cli_json_key_string("label", c->refused ? NULL : label_of(c->label));
    cli_json_key("score");
    cli_json_float(c->score);
    cli_json_key("scores");
    cli_json_floats(c->scores, n);
    if (!logits) return;
    cli_json_key("logits");
    cli_json_floats(c->logits, n);
}

static void show_text(const sqz_input *input, const void *result)
{
    const sqz_classification *c = result;
    fprintf(cli_out(), "%s\t%.6f\t", c->refused ? "-" : label_of(c->label), (double)c->score);
    cli_print_text(input->text.bytes, input->text.n_bytes);
}

static int run_classify(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    if (threshold < 0 || threshold > 1) cli_die(CLI_USAGE, "--threshold is a score from 0 to 1");
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text", .column2 = "text2"},
                               .result_bytes = sizeof(sqz_classification),
                               .keys = " label score scores logits ",
                               .run = run_classification,
                               .show_json = show_json,
                               .show_text = show_text};
    return cli_run_stream(&stream);
}

static sqz_status run_candidates(const sqz_input *inputs, uint32_t n, void *results,
                                 sqz_error *error)
{
    const sqz_zero_shot_options options = {.labels = candidates,
                                           .n_labels = n_candidates,
                                           .hypothesis = hypothesis,
                                           .multi_label = multi_label};
    return sqz_zero_shot(cli_task(path), inputs, n, &options, results, error);
}

static void show_candidates_json(const sqz_input *input, const void *result)
{
    (void)input;
    const sqz_zero_shot_result *z = result;
    cli_json_key("label");
    cli_json_text(candidates[z->label].bytes, candidates[z->label].n_bytes);
    cli_json_key("score");
    cli_json_float(z->score);
    cli_json_key("labels");
    cli_json_open('[');
    for (uint32_t k = 0; k < n_candidates; k++)
        cli_json_text(candidates[k].bytes, candidates[k].n_bytes);
    cli_json_close(']');
    cli_json_key("scores");
    cli_json_floats(z->scores, n_candidates);
    if (!logits) return;
    cli_json_key("logits");
    const uint32_t classes = sqz_model_get_info(cli_model(path))->n_labels;
    cli_json_open('[');
    for (uint32_t k = 0; k < n_candidates; k++)
        cli_json_floats(z->logits + (size_t)k * classes, classes);
    cli_json_close(']');
}

static void show_candidates_text(const sqz_input *input, const void *result)
{
    const sqz_zero_shot_result *z = result;
    cli_print_text(candidates[z->label].bytes, candidates[z->label].n_bytes);
    fprintf(cli_out(), "\t%.6f\t", (double)z->score);
    cli_print_text(input->text.bytes, input->text.n_bytes);
}

static int run_zero_shot(char **arguments, uint32_t n)
{
    (void)n;
    path = arguments[0];
    if (!labels_text) cli_die(CLI_USAGE, "--labels A,B,... is missing: which labels are there?");
    const char **labels = cli_read_names("labels", labels_text, &n_candidates);
    candidates = cli_allocate(NULL, n_candidates * sizeof *candidates);
    for (uint32_t k = 0; k < n_candidates; k++)
        candidates[k] = (sqz_text){labels[k], strlen(labels[k])};
    const cli_stream stream = {.model = path,
                               .reading = {.column = "text"},
                               .result_bytes = sizeof(sqz_zero_shot_result),
                               .keys = " label score labels scores logits ",
                               .run = run_candidates,
                               .show_json = show_candidates_json,
                               .show_text = show_candidates_text};
    const int code = cli_run_stream(&stream);
    free(candidates);
    free(labels);
    return code;
}

static const cli_option *const classify_tables[] = {classify_options, cli_model_options,
                                                    cli_record_options, cli_length_options, NULL};
static const cli_option *const zero_shot_tables[] = {zero_shot_options, cli_model_options,
                                                     cli_record_options, cli_length_options, NULL};
const cli_verb cli_verb_classify = {
    "classify",
    "label each record",
    "MODEL",
    "One record a line from stdin, two texts with --pair. Single label, multi label or regression, "
    "as the model says.",
    "echo 'a gripping film' | squeezebert classify sentiment.gguf --json",
    1,
    1,
    classify_tables,
    run_classify};
const cli_verb cli_verb_zero_shot = {
    "zero-shot",
    "label each record with labels of your own",
    "MODEL",
    "MODEL classifies natural-language inference, with classes named entailment and contradiction.",
    "echo 'the parcel never came' | squeezebert zero-shot nli.gguf --labels delivery,payment",
    1,
    1,
    zero_shot_tables,
    run_zero_shot};
