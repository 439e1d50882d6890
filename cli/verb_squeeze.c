/* SPDX-License-Identifier: Apache-2.0 */
/* squeeze: a model file of fewer bytes and less work, by levers, with a table of what became of
 * each part and how near the result is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <squeezebert/squeeze.h>

#include "front.h"
#include "lever_options.h"
#include "lever_texts.h"
#include "output.h"
#include "squeeze_table.h"
#include "stream.h"
#include "verbs.h"

enum { STATIC_WIDTH = 256 };

static const char *output_path, *texts_path, *texts_column, *vocabulary_path, *layers, *heads,
    *neurons, *groups, *rank, *ranks, *embedding, *cache, *budget, *time_share, *at, *pareto,
    *budgets;
static uint32_t texts_format, bits, depth, position_bits, width;
static bool keep_pooler, plain, whole_texts, dense_output, drop_impossible, dry_run,
    fidelity = true;

static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FILE", "the model file to write; may be MODEL itself"},
    {"texts", 0, CLI_TEXT, &texts_path, "FILE",
     "texts of the kind that the model will read, one a line or a table (.csv, .tsv, .jsonl): "
     "levers ask what layers read on them, a tenth is held out to say how near the result "
     "is; " CLI_LEVER_TEXTS_READ},
    {"input", 0, CLI_CHOICE, &texts_format, CLI_SCORE_INPUT,
     "what that file, and that of --vocabulary, holds; with --data what that holds (auto: as the "
     "name ends)"},
    {"text", 0, CLI_TEXT, &texts_column, "COLUMN",
     "of a table, with --data of that: the column of the text (default: text)"},
    {"budget", 0, CLI_TEXT, &budget, "BYTES",
     "of the whole file, such as 8.5MB (10^6), 7MiB (2^20) or a number: bits, embeddings, neurons, "
     "heads and layers that no other option names are chosen so that vectors change least; with "
     "--texts or --data the file is then healed by training, see --minutes and --no-heal"},
    {"time", 0, CLI_TEXT, &time_share, "SHARE",
     "of the time that MODEL takes in the type of the result (int8 with --budget or --bits, else "
     "f32), such as 50%: neurons, heads and layers that no other option names are chosen so that "
     "vectors change least, by times measured on this machine"},
    {"at", 0, CLI_TEXT, &at, "BATCHxLENGTH",
     "sequences and tokens of each that time is measured at (default: 1x128)"},
    {"pareto", 0, CLI_TEXT, &pareto, "OUT.csv",
     "instead of a model: what MODEL keeps at budgets from large to small, with bytes, ms, "
     "processor time and energy of each as a table, and as a picture OUT.svg. The score is that of "
     "--data where it is given, else how near a file is to MODEL. With --minutes M the files are "
     "healed, each for its part of M, and both scores are shown; without it none is"},
    {"budgets", 0, CLI_TEXT, &budgets, "LIST",
     "of --pareto, such as 9MB,7MB,5MB (default: a quarter of MODEL's bytes, three quarters of "
     "that and so on, eight at most)"},
    {"depth", 0, CLI_COUNT, &depth, "N",
     "blocks that stay under --budget or --time; which of them, is chosen (default: that too)"},
    {"bits", 0, CLI_CHOICE, &bits, "32|8|4|3", "of the numbers of all linears"},
    {"embedding", 0, CLI_TEXT, &embedding, "FORM",
     "token embeddings: pq:48 is product quantisation in 48 bytes a piece, width:96 a table so "
     "narrow and one matrix, bits:3 (8, 4, 3, 2, 32) to nearest; width:96,bits:4 both "
     "(default: bits:8 with --bits, else as it is)"},
    {"positions", 0, CLI_CHOICE, &position_bits, "auto|32|8|4|3|2",
     "bits of the table of positions (auto: 8 with --bits, else 32)"},
    {"neurons", 0, CLI_TEXT, &neurons, "SHARE",
     "feed-forward neurons that stay in each block, such as 50%"},
    {"heads", 0, CLI_TEXT, &heads, "SHARE", "attention heads that stay in each block"},
    {"layers", 0, CLI_TEXT, &layers, "LIST",
     "blocks that stay: 0,2,3,5, first:3, every:2, which is 0, 2, 4 and so on, or none: a static "
     "table, the mean of whose rows learns the model's vectors of --texts"},
    {"width", 0, CLI_COUNT, &width, "N",
     "with --layers none: numbers of a row, which a vector has then (default: 256, or MODEL's own "
     "dimensions where they are fewer)"},
    {"rank", 0, CLI_TEXT, &rank, "SHARE",
     "two factors for each linear that hold this share of its parameters; with --groups of what "
     "these leave"},
    {"ranks", 0, CLI_TEXT, &ranks, "LIST",
     "ranks by hand: ffn_up=96,2.ffn_down=64, 0 leaves one whole"},
    {"groups", 0, CLI_TEXT, &groups, "N",
     "make each linear block diagonal in so many groups, 2 or more, inputs and outputs permuted to "
     "fit"},
    {"dense-output", 0, CLI_FLAG, &dense_output, NULL,
     "leave attn_output whole with --groups, as SqueezeBERT has it"},
    {"vocabulary", 0, CLI_TEXT, &vocabulary_path, "FILE",
     "drop pieces that these texts, " CLI_VOCABULARY_MOST " of them at most, do not need; others "
     "are spelt by shorter ones"},
    {"drop-impossible", 0, CLI_FLAG, &drop_impossible, NULL,
     "drop pieces that no text is ever cut into"},
    {"keep-pooler", 0, CLI_FLAG, &keep_pooler, NULL,
     "keep a pooler that neither the head nor the pooling of embeddings reads"},
    {"whole-texts", 0, CLI_FLAG, &whole_texts, NULL,
     "ask what layers read on whole texts, not on their sentences: for models that read nothing "
     "but "
     "long ones"},
    {"plain", 0, CLI_FLAG, &plain, NULL,
     "every lever in its textbook form, without what layers read, to compare with"},
    {"cache", 0, CLI_TEXT, &cache, "FOLDER",
     "keep what layers read, and times, in this folder, and find them there again"},
    {"no-fidelity", 0, CLI_NO_FLAG, &fidelity, NULL, "do not measure how near the result is"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {"dry-run", 0, CLI_FLAG, &dry_run, NULL,
     "print the table and the bytes of the file, write nothing: no score is measured, nothing is "
     "healed"},
    {0},
};

static cli_squeeze_table table;
static cli_score_job score; /* of a run that is judged */

static void take_result(void *user, const sqz_squeeze_result *found)
{
    (void)user;
    table.result = *found;
}

/* ---- the run ---- */

/* Of a static table: no row is longer than the vectors that it learns. */
static uint32_t usual_width(const char *path)
{
    sqz_error error = {0};
    sqz_model *model;
    cli_refuse_folder(path);
    cli_check(sqz_model_open(cli_context(), path, &model, &error), &error);
    const uint32_t most = sqz_model_get_info(model)->dimensions;
    sqz_model_close(model);
    return most < STATIC_WIDTH ? most : STATIC_WIDTH;
}

static sqz_squeeze_options read_levers(const char *path)
{
    static const uint32_t bits_of[] = {0, 8, 4, 3}, position_bits_of[] = {0, 32, 8, 4, 3, 2};
    sqz_squeeze_options o = {.drop_impossible = drop_impossible,
                             .heads = cli_read_share("heads", heads),
                             .neurons = cli_read_share("neurons", neurons),
                             .rank = cli_read_share("rank", rank),
                             .ranks = ranks,
                             .groups = cli_read_groups(groups),
                             .dense_output = dense_output,
                             .bits = bits_of[bits],
                             .position_bits = position_bits_of[position_bits],
                             .keep_pooler = keep_pooler,
                             .plain = plain,
                             .whole_texts = whole_texts,
                             .depth = depth,
                             .budget = cli_read_bytes("budget", budget),
                             .time = cli_read_share("time", time_share),
                             .cache = cache,
                             .no_fidelity = !fidelity,
                             .part = cli_squeeze_part,
                             .result = take_result,
                             .progress = cli_show_share,
                             .user = "steps"};
    cli_read_layers(layers, &o);
    cli_read_at(at, &o.at_batch, &o.at_length);
    cli_read_embedding(embedding, &o);
    if (o.layers && !o.n_layers && !plain) o.static_width = width ? width : usual_width(path);
    else if (width) cli_die(CLI_USAGE, "--width is of a static table, which --layers none makes");
    return o;
}

/* Levers alone; dies on an error. */
static void squeeze(const char *path, const sqz_squeeze_options *o)
{
    sqz_error error = {0};
    const sqz_status status = sqz_squeeze(cli_context(), path, dry_run ? NULL : output_path, o,
                                          &error);
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
    cli_check(status, &error);
}

/* Healed, judged or searched for. */
static void compress(const char *path, const sqz_squeeze_options *o, const cli_lever_texts *texts)
{
    score = (cli_score_job){.model = path,
                            .output = output_path,
                            .levers = o,
                            .texts = texts,
                            .input = texts_format,
                            .text = texts_column,
                            .dry_run = dry_run};
    cli_score_run(&score);
    table.result = score.result.squeezed;
    table.score = &score;
}

/* texts: where files are judged or healed. */
static void draw_front(const char *model, const sqz_squeeze_options *o,
                       const cli_lever_texts *texts)
{
    sqz_squeeze_options levers = *o;
    levers.part = NULL;
    if (!time_share) levers.at_batch = levers.at_length = 0; /* the front's alone */
    score = (cli_score_job){.model = model,
                            .output = pareto,
                            .levers = &levers,
                            .texts = texts,
                            .input = texts_format,
                            .text = texts_column};
    cli_squeeze_front(&(cli_front_job){.model = model,
                                       .budgets = budgets,
                                       .table = pareto,
                                       .levers = &levers,
                                       .score = texts ? &score : NULL,
                                       .batch = o->at_batch,
                                       .length = o->at_length});
}

static void check_pareto(void)
{
    if (budgets && !pareto) cli_die(CLI_USAGE, "--budgets is for --pareto OUT.csv");
    if (!pareto) return;
    if (output_path || budget || dry_run || cli.json || !fidelity)
        cli_die(CLI_USAGE,
                "--pareto measures files that it does not keep: -o, --budget, --dry-run, "
                "--json and --no-fidelity do not go with it");
    cli_score_check_front();
    if (!texts_path && !cli_score_has_rows())
        cli_die(CLI_USAGE, "--texts FILE or --data PATH is missing: --pareto chooses and measures "
                           "on it");
}

static void check_usage(void)
{
    check_pareto();
    if (!output_path && !dry_run && !pareto)
        cli_die(CLI_USAGE, "-o FILE is missing: where should the model file go? (--dry-run prints "
                           "the table alone)");
    if (!texts_path && !vocabulary_path && !cli_score_has_rows() && (texts_format || texts_column))
        cli_die(CLI_USAGE, "--texts FILE is missing: its options are given");
    if (at && !time_share && !pareto)
        cli_die(CLI_USAGE, "--time SHARE is missing: --at says what time is measured at");
    if ((cache || whole_texts) && !texts_path && !cli_score_has_rows())
        cli_die(CLI_USAGE, "--texts FILE is missing: %s",
                cache ? "--cache keeps what layers read on it"
                      : "--whole-texts says how it is read");
}

static void check_judged(const sqz_squeeze_options *o)
{
    if (o->static_width)
        cli_die(CLI_USAGE,
                "--layers none makes a static table, which learns by itself and is as large as "
                "--width and --embedding say: --budget, --time, --pareto, --data, --min-score and "
                "the options of healing do not go with it");
    if (!fidelity)
        cli_die(CLI_USAGE, "--no-fidelity: what is healed or judged is measured on what was held "
                           "out; with --no-heal, and no score to hold, it is not");
}

/* Whether there is room for what comes out, and for what is kept on the way. */
static void try_places(bool judged)
{
    const char *output = pareto    ? pareto
                         : dry_run ? NULL
                                   : output_path,
               *picture = pareto ? cli_front_picture(pareto) : NULL;
    const char *const stay[] = {output, picture, cache};
    for (int i = 0; i < 2; i++) {
        if (!stay[i]) continue;
        if (texts_path) cli_not_over(stay[i], texts_path);
        if (vocabulary_path) cli_not_over(stay[i], vocabulary_path);
        cli_score_not_over(stay[i]);
    }
    if (output) cli_try_output(output, !pareto);
    if (picture) cli_try_output(picture, false);
    if (cache) cli_try_folder(cache, false);
    if (judged && output) cli_score_try_folder(output, stay, sizeof stay / sizeof *stay);
}

/* One file, with its table; texts where it is healed, judged or searched for. */
static int squeeze_one(const char *path, const sqz_squeeze_options *o, const cli_lever_texts *texts)
{
    int code = CLI_DONE;
    if (texts) compress(path, o, texts);
    else squeeze(path, o);
    table.budget = budget;
    table.time_share = time_share;
    table.whole_texts = whole_texts;
    if (cli.json) cli_squeeze_show_json(&table);
    else cli_squeeze_show(&table);
    cli_say_cut(table.result.n_cut, table.result.n_texts,
                whole_texts ? "texts to calibrate on" : "sentences to calibrate on");
    cli_squeeze_free();
    if (table.result.cache_useless) cli_say("%s: what it kept was damaged: made anew", cache);
    if (texts) code = cli_score_end(&score);
    if (dry_run || code != CLI_DONE) return code;
    if (table.result.scores_dropped) cli_say_scores_dropped(path, output_path);
    cli_say("wrote %s", output_path);
    return code;
}

static int run(char **arguments, uint32_t n)
{
    (void)n;
    int code = CLI_DONE;
    check_usage();
    /* a front is healed where --minutes says so alone */
    const bool judged = cli_score_is_asked(!pareto && (budget || time_share), texts_path,
                                           texts_format, texts_column);
    const uint32_t format = cli_score_has_rows() ? 0 : texts_format;
    const char *column = cli_score_has_rows() ? NULL : texts_column;
    sqz_squeeze_options o = read_levers(arguments[0]);
    if (judged) check_judged(&o);
    if (dry_run) cli_score_check_forecast();
    try_places(judged);
    cli_lever_texts texts = cli_read_lever_texts(texts_path, format, column),
                    vocabulary = cli_read_vocabulary(vocabulary_path, format, column);
    o.texts = texts.texts;
    o.n_texts = texts.read.n;
    o.vocabulary = vocabulary.texts;
    o.n_vocabulary = vocabulary.read.n;
    if (pareto) draw_front(arguments[0], &o, judged ? &texts : NULL);
    else code = squeeze_one(arguments[0], &o, judged ? &texts : NULL);
    cli_free_lever_texts(&texts);
    cli_free_lever_texts(&vocabulary);
    return code;
}

static const cli_option *const tables[] = {options, cli_score_options, cli_model_options, NULL};
const cli_verb cli_verb_squeeze = {
    "squeeze",
    "make a model file smaller and faster; within a budget, heal it by training",
    "MODEL",
    "Prints what became of each linear and table, how far its outputs are off, its bytes, and how "
    "near the new model's vectors are to the old one's on texts that were held out. Levers are "
    "taken in a fixed order: vocabulary, layers, heads, neurons, groups, rank, embedding, bits.",
    "squeezebert squeeze minilm.gguf -o small.gguf --texts texts.txt --bits 4 --embedding pq:64",
    1,
    1,
    tables,
    run};
