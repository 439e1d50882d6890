/* SPDX-License-Identifier: Apache-2.0 */
/* build: labelled texts to a classifier, all decisions taken. */
#include <squeezebert/build.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval_report.h"
#include "find_model.h"
#include "output.h"
#include "stream.h"
#include "verbs.h"

enum { MOST_TEXT = 100, MOST_COPIES = 3 };

static const char *base, *out, *source, *split, *card, *predictions, *cache, *checkpoint, *refusals;
static double minutes, holdout = NAN;
static uint32_t seed = 1;
static bool no_cache, keep_head;

static const cli_option options[] = {
    {"base", 0, CLI_MODEL, &base, "MODEL",
     "the model file that texts are read by (default: the model embed that ships)"},
    {"output", 'o', CLI_TEXT, &out, "FILE", "the model file to write"},
    {"keep-head", 0, CLI_FLAG, &keep_head, NULL,
     "MODEL is a classifier that stays as it is, bit for bit, whatever types it holds: temperature "
     "and threshold alone are found and set, on rows that it must not have been trained on (the "
     "--holdout and --seed of its training)"},
    {"minutes", 0, CLI_REAL, &minutes, "N",
     "train every weight where that is done in N minutes (default: the encoder stays as it is)"},
    {"false-refusals", 0, CLI_TEXT, &refusals, "SHARE",
     "of the texts that belong to a class, those that may get no answer: 5% (the default), 0.02, "
     "or 0: every text is answered"},
    {"holdout", 0, CLI_REAL, &holdout, "SHARE",
     "decide and measure on so much of the data (default: 0.1; of fewer than 600 rows 60, but "
     "at most 0.3): whole sources, rows that share a text together"},
    {"source", 0, CLI_TEXT, &source, "COLUMN", "equal cells are one source too"},
    {"split", 0, CLI_TEXT, &split, "NAME", "of CLINC's JSON (default: train)"},
    {"seed", 0, CLI_NUMBER, &seed, "N", "of what is held out, and of training (default: 1)"},
    {"card", 0, CLI_TEXT, &card, "FILE", "what was found, in Markdown (default: OUT.md)"},
    {"predictions", 0, CLI_TEXT, &predictions, "FILE",
     "answers to what was held out: a table, or JSON Lines where FILE ends in .jsonl (default: "
     "OUT.predictions.tsv)"},
    {"cache", 0, CLI_TEXT, &cache, "FILE",
     "what the encoder made of the texts, for the next run (default: DATA.features)"},
    {"no-cache", 0, CLI_FLAG, &no_cache, NULL, "keep nothing of that"},
    {"checkpoint", 0, CLI_TEXT, &checkpoint, "FOLDER",
     "where training of every weight goes on from (default: OUT.checkpoint)"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {0},
};

/* "5%" or 0.05; below 0 for none. */
static double read_share(void)
{
    char *end;
    if (!refusals) return 0;
    double share = strtod(refusals, &end);
    if (end != refusals && strcmp(end, "%") == 0) share /= 100;
    else if (end == refusals || *end) share = -1;
    if (!(share >= 0 && share < 1))
        cli_die(CLI_USAGE, "--false-refusals is a share such as 5%% or 0.05, below 1, not %s",
                refusals);
    return share > 0 ? share : -1;
}

static char *with_end(const char *name, const char *end)
{
    char *joined = cli_allocate(NULL, strlen(name) + strlen(end) + 1);
    strcpy(joined, name);
    return strcat(joined, end);
}

static int show_progress(void *user, const char *what, size_t done, size_t total)
{
    char of[80];
    (void)user;
    snprintf(of, sizeof of, " of %zu %s", total, what);
    cli_show_progress(done, of, done == total);
    return 0;
}

static void show_note(void *user, const char *text)
{
    (void)user;
    cli_say("%s", text);
}

/* ---- what was found ---- */

static void show_data_json(const sqz_build_result *r)
{
    cli_json_key_number("n", r->n);
    cli_json_key_number("classes", r->n_classes);
    cli_json_key_number("few", r->n_few);
    cli_json_key_number("absent", r->n_absent);
    cli_json_key_number("repeats", r->n_repeats);
    cli_json_key_number("contradictions", r->n_contradictions);
    cli_json_key_number("median_pieces", r->median_pieces);
    cli_json_key_number("most_pieces", r->most_pieces);
    cli_json_key_number("truncated", r->n_cut);
    cli_json_key_number("held_out", r->n_held_out);
    cli_json_key_number("near_copies", r->n_near_copies);
    cli_json_key_number("folds", r->n_folds);
    cli_json_key_number("texts_read", r->n_read);
}

static void show_json(const sqz_dataset *dataset, const sqz_build_result *r)
{
    cli_json_open('{');
    cli_json_key_string("model", out);
    cli_json_key_string("data_sha256", sqz_dataset_sha256(dataset));
    show_data_json(r);
    cli_json_key_string("method", r->kept ? "kept" : r->full ? "full" : "frozen");
    cli_json_key_string("why", r->why);
    if (!r->kept) {
        cli_json_key_double("frozen_accuracy", r->frozen_accuracy);
        cli_json_key_double("full_accuracy", r->full_accuracy);
        cli_json_key_double("c", r->strengths[r->chosen].c);
    }
    cli_json_key_double("temperature", r->temperature);
    cli_json_key_double("threshold", r->threshold);
    cli_json_key_number("answered", r->measures.n_answered);
    cli_json_key_number("answered_right", r->measures.n_answered_right);
    cli_json_figures(r->measures.figures, r->measures.n_figures);
    cli_json_close('}');
}

static void print_example(const sqz_example *e, const char *before)
{
    size_t shown = e->input.text.n_bytes < MOST_TEXT ? e->input.text.n_bytes : MOST_TEXT;
    while (shown < e->input.text.n_bytes && shown &&
           ((unsigned char)e->input.text.bytes[shown] & 0xC0) == 0x80)
        shown--;
    printf("      %sline %llu: ", before, (unsigned long long)e->line);
    cli_print_text(e->input.text.bytes, shown);
    puts(shown < e->input.text.n_bytes ? "..." : "");
}

static void print_class(const sqz_build_result *r, uint32_t k)
{
    const char *name = sqz_dataset_class(r->held_out, k);
    cli_print_text(name, strlen(name));
}

static void show_data(const sqz_dataset *dataset, const sqz_build_result *r)
{
    size_t n;
    const sqz_example *examples = sqz_dataset_examples(dataset, &n);
    printf("%zu rows, %u classes; %zu rows repeat a text, %zu contradict it\n", r->n, r->n_classes,
           r->n_repeats, r->n_contradictions);
    printf("%u pieces a text (median), %u at most; %zu rows held out\n", r->median_pieces,
           r->most_pieces, r->n_held_out);
    if (r->n_near_copies)
        printf("%zu of %zu of these have a near copy among the others, such as\n", r->n_near_copies,
               r->n_compared);
    for (size_t i = 0; i < r->n_near_copies && i < MOST_COPIES; i++) {
        print_example(&examples[r->near_copies[i].trained], "");
        print_example(&examples[r->near_copies[i].held_out], "held out, ");
    }
}

static void show_text(const sqz_dataset *dataset, const sqz_build_result *r)
{
    size_t n;
    const sqz_example *examples = sqz_dataset_examples(dataset, &n);
    const sqz_measures *m = &r->measures;
    show_data(dataset, r);
    printf("%s: %s\n",
           r->kept   ? "the head of the base"
           : r->full ? "every weight was trained"
                     : "frozen encoder",
           r->why);
    printf("on the %zu rows held out, the best class, answered or not%s:\n", m->n,
           r->n_folds > 1 ? "; each is judged by what the others decided" : "");
    cli_print_figures(m->figures, m->n_figures);
    if (isinf(r->threshold)) printf("every text is answered\n");
    else
        printf("%.1f %% of them are answered, %.1f %% of the answers are right\n",
               100 * (double)m->n_answered / (double)m->n,
               m->n_answered ? 100 * (double)m->n_answered_right / (double)m->n_answered : 0.0);
    for (uint32_t i = 0; i < r->n_confusions; i++) {
        const sqz_build_confusion *c = &r->confusions[i];
        if (!i) printf("confused most:\n");
        printf("  %6u  ", c->count);
        print_class(r, c->truth);
        printf(" taken for ");
        print_class(r, c->label);
        putchar('\n');
        for (uint32_t j = 0; j < c->n_rows; j++) print_example(&examples[c->rows[j]], "");
    }
    printf("wrote %s, %s and %s\n", out, card, predictions);
}

/* ---- the run ---- */

static void check_usage(const char *data)
{
    if (keep_head && (minutes > 0 || checkpoint))
        cli_die(CLI_USAGE, "--keep-head and %s: a head that is kept is not trained",
                minutes > 0 ? "--minutes" : "--checkpoint");
    if (keep_head && !base)
        cli_die(CLI_USAGE,
                "--keep-head: --base MODEL is needed, the classifier whose head is kept");
    if (!base) base = cli_shipped_model("embed");
    if (!base)
        cli_die(CLI_USAGE, "--base MODEL is needed, as there is no model named embed here: a model "
                           "file that reads the texts, such as an embedding model that "
                           "`squeezebert import` made");
    if (!out) cli_die(CLI_USAGE, "-o FILE is needed: the model to write");
    if (cache && no_cache) cli_die(CLI_USAGE, "--cache and --no-cache: one or the other");
    if (!(minutes >= 0)) cli_die(CLI_USAGE, "--minutes is 0 or more");
    if (!isnan(holdout) && !(holdout > 0 && holdout < 1))
        cli_die(CLI_USAGE, "--holdout is a share between 0 and 1, not %g", holdout);
    if (cli_columns.input == SQZ_DATA_CONLL || cli_columns.separator)
        cli_die(CLI_USAGE, "build is for one class a row: --input conll and --separator are not");
    if (!card) card = with_end(out, ".md");
    if (!predictions) predictions = with_end(out, ".predictions.tsv");
    if (!cache && !no_cache) cache = with_end(data, ".features");
    if (!checkpoint && !keep_head) checkpoint = with_end(out, ".checkpoint");
    const char *const outputs[] = {out, card, predictions, cache};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        cli_not_over(outputs[i], data);
        cli_not_over(outputs[i], base);
    }
    cli_not_twice(outputs, sizeof outputs / sizeof *outputs);
    cli_try_output(out, true);
    cli_try_output(card, true);
    cli_try_output(predictions, false);
}

static void write_answers(sqz_build *build, cli_output *answers)
{
    const sqz_build_result *r = sqz_build_get(build);
    const cli_evaluated e = {.model = out,
                             .dataset = (sqz_dataset *)(uintptr_t)r->held_out,
                             .predictions = (sqz_predictions *)(uintptr_t)r->predictions,
                             .measures = &r->measures};
    cli_write_to(answers);
    cli_write_answers(&e, sqz_rows_format_of(predictions) == SQZ_ROWS_JSONL);
    cli_commit_output(answers);
    cli_write_to(NULL);
}

static int run(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    sqz_build *build;
    const double share = read_share();
    check_usage(arguments[0]);
    const cli_data data = {.path = arguments[0], .source = source, .split = split};
    sqz_dataset *dataset = cli_open_data(&data);
    const sqz_build_options o = {.minutes = minutes,
                                 .false_refusals = share,
                                 .holdout = isnan(holdout) ? 0 : holdout,
                                 .seed = seed,
                                 .cache = cache,
                                 .card = card,
                                 .checkpoint = checkpoint,
                                 .keep_head = keep_head,
                                 .progress = show_progress,
                                 .note = show_note};
    cli_output *answers = cli_open_output(predictions);
    cli_check(sqz_build_run(cli_context(), base, dataset, out, &o, &build, &error), &error);
    write_answers(build, answers);
    if (cli.json) show_json(dataset, sqz_build_get(build));
    else show_text(dataset, sqz_build_get(build));
    sqz_build_close(build);
    sqz_dataset_close(dataset);
    return CLI_DONE;
}

static const cli_option *const tables[] = {options, cli_labelled_options, cli_model_options, NULL};
const cli_verb cli_verb_build = {
    "build",
    "labelled texts to a classifier, all decisions taken",
    "DATA",
    "Looks at the data, holds a part of it out, fits a head to what MODEL makes of the texts (or "
    "trains every weight, where --minutes allow, or keeps the head that is there), finds how sure "
    "its answers are and which texts get none, and writes the model file, a card and its answers "
    "to what was held out. A new class: add rows and run it again; texts that were read once are "
    "not read again.",
    "squeezebert build tickets.csv --base minilm.gguf --label team -o tickets.gguf",
    1,
    1,
    tables,
    run};
