/* SPDX-License-Identifier: Apache-2.0 */
/* build: labelled texts to a classifier, all decisions taken. */
#include <squeezebert/build.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "build_report.h"
#include "eval_report.h"
#include "find_model.h"
#include "lever_options.h"
#include "output.h"
#include "squeeze_score.h"
#include "stream.h"
#include "verbs.h"

static const char *base, *out, *source, *split, *card, *predictions, *cache, *checkpoint, *refusals,
    *budget, *time_share, *min_score, *texts_path;
static double minutes = NAN, holdout = NAN;
static uint32_t seed = 1;
static bool no_cache, keep_head, resume;

static const cli_option options[] = {
    {"base", 0, CLI_MODEL, &base, "MODEL",
     "the model file that texts are read by (default: the model embed that ships)"},
    {"output", 'o', CLI_TEXT, &out, "FILE", "the model file to write"},
    {"keep-head", 0, CLI_FLAG, &keep_head, NULL,
     "MODEL is a classifier that stays as it is, bit for bit, whatever types it holds: temperature "
     "and threshold alone are found and set, on rows that it must not have been trained on (the "
     "--holdout and --seed of its training)"},
    {"minutes", 0, CLI_REAL, &minutes, "N",
     "train every weight where that is done in N minutes (default: the encoder stays as it is); "
     "with --budget, --time or --min-score what all may take, about (default: 10): a third to "
     "train what is squeezed then, half to heal it"},
    {"budget", 0, CLI_TEXT, &budget, "BYTES",
     "of the model file, such as 4MB: the classifier is squeezed to it and learns again, from the "
     "rows that are not held out, what it knew"},
    {"time", 0, CLI_TEXT, &time_share, "SHARE",
     "of the time that MODEL takes for a text of 128 pieces in int8, such as 50%"},
    {"min-score", 0, CLI_TEXT, &min_score, "SCORE",
     "accuracy on what was held out, 98% of that before squeezing or 0.86: nothing is written and "
     "the exit code is 1 below it. Without --budget and --time the smallest file that holds it is "
     "searched for, which may take half of --minutes once more, as healing does; so may the search "
     "for one that is enough where SCORE is missed"},
    {"texts", 0, CLI_TEXT, &texts_path, "FILE",
     "plain texts of the same kind, one a line or a table, to squeeze and heal on beside the "
     "rows; " CLI_LEVER_TEXTS_READ},
    {"resume", 0, CLI_FLAG, &resume, NULL,
     "go on with a run that was stopped while it squeezed, or with the teacher of one that missed "
     "its --budget, --time or --min-score"},
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
     "what the encoder made of the texts, for the next run (default: DATA.features; with --budget "
     "and such none)"},
    {"no-cache", 0, CLI_FLAG, &no_cache, NULL,
     "keep nothing of that; the folder of a run that squeezes has it all the same, until its end"},
    {"checkpoint", 0, CLI_TEXT, &checkpoint, "FOLDER",
     "where training of every weight, or a run that squeezes, goes on from (default: "
     "OUT.checkpoint)"},
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

static bool squeezes(void)
{
    return budget || time_share || min_score;
}

/* ---- the run ---- */

static void check_usage(const char *data)
{
    if (keep_head && squeezes())
        cli_die(
            CLI_USAGE,
            "--keep-head leaves a classifier as it is, and %s makes one and squeezes it: one or "
            "the other",
            budget       ? "--budget"
            : time_share ? "--time"
                         : "--min-score");
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
    if (!isnan(minutes) && !(minutes >= 0)) cli_die(CLI_USAGE, "--minutes is 0 or more");
    if (!squeezes() && (resume || texts_path))
        cli_die(CLI_USAGE, "%s is of a model that is squeezed: say --budget, --time or --min-score",
                resume ? "--resume" : "--texts");
    if (checkpoint && !squeezes() && !(minutes > 0))
        cli_die(CLI_USAGE, "--checkpoint is where training of every weight goes on from, or a run "
                           "that squeezes: say --minutes, --budget, --time or --min-score");
    if (!isnan(holdout) && !(holdout > 0 && holdout < 1))
        cli_die(CLI_USAGE, "--holdout is a share between 0 and 1, not %g", holdout);
    if (cli_columns.input == SQZ_DATA_CONLL || cli_columns.separator)
        cli_die(CLI_USAGE, "build is for one class a row: --input conll and --separator are not");
    if (!card) card = with_end(out, ".md");
    if (!predictions) predictions = with_end(out, ".predictions.tsv");
    if (cache) cli_try_output(cache, true);
    else if (!no_cache && !squeezes()) cache = with_end(data, ".features");
    if (!checkpoint && !keep_head) checkpoint = cli_checkpoint_of(out);
    const char *const outputs[] = {out, card, predictions, cache};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        cli_not_over(outputs[i], data);
        cli_not_over(outputs[i], base);
        if (texts_path) cli_not_over(outputs[i], texts_path);
    }
    if (squeezes()) cli_not_inside(checkpoint, outputs, sizeof outputs / sizeof *outputs);
    const char *const written[] = {out, card, predictions, cache, checkpoint};
    cli_not_twice(written, sizeof written / sizeof *written);
    cli_try_output(out, true);
    cli_try_output(card, true);
    cli_try_output(predictions, false);
    if (squeezes() || minutes > 0) cli_try_folder(checkpoint, true);
}

static sqz_compress_options read_compress(const cli_lever_texts *texts)
{
    sqz_compress_options o = {.levers = {.budget = cli_read_bytes("budget", budget),
                                         .time = cli_read_share("time", time_share),
                                         .texts = texts->texts,
                                         .n_texts = texts->read.n},
                              .resume = resume};
    cli_read_min_score(min_score, &o);
    return o;
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
    cli_lever_texts texts = cli_read_lever_texts(texts_path, 0, NULL);
    const sqz_compress_options compress = read_compress(&texts);
    const sqz_build_options o = {.minutes = isnan(minutes)               ? 0
                                            : squeezes() && minutes == 0 ? -1
                                                                         : minutes,
                                 .false_refusals = share,
                                 .holdout = isnan(holdout) ? 0 : holdout,
                                 .seed = seed,
                                 .cache = cache,
                                 .card = card,
                                 .checkpoint = checkpoint,
                                 .keep_head = keep_head,
                                 .compress = squeezes() ? &compress : NULL,
                                 .progress = show_progress,
                                 .note = show_note};
    cli_output *answers = cli_open_output(predictions);
    cli_check(sqz_build_run(cli_context(), base, dataset, out, &o, &build, &error), &error);
    const cli_built built = {base, out, card, predictions, dataset, sqz_build_get(build)};
    const bool written = cli_was_built(&built);
    if (written) write_answers(build, answers);
    if (cli.json) cli_built_show_json(&built);
    else cli_built_show(&built);
    if (!written)
        cli_say_unmet(built.result->compressed, min_score,
                      built.result->compressed->n_steps ? "more --minutes or more texts"
                                                        : "--minutes above 0, which heal it,");
    sqz_build_close(build);
    sqz_dataset_close(dataset);
    cli_free_lever_texts(&texts);
    return written ? CLI_DONE : CLI_FAILED;
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
