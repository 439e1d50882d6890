/* SPDX-License-Identifier: Apache-2.0 */
/* A compression's options and its run. */
#include "squeeze_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"
#include "eval_data.h"
#include "lever_options.h"
#include "output.h"
#include "stream.h"
#include "task_figures.h"

enum { INPUT_LINES = 1, INPUT_JSONL = 4 /* of CLI_SCORE_INPUT */, USUAL_SEED = 1 };

static const char *task_name, *data_path, *dev_path, *source, *split, *min_score, *figure, *folder;
static double minutes = NAN, holdout = NAN, rate = NAN;
static uint32_t epochs, batch, max_length, seed = USUAL_SEED;
static uint32_t teacher_type; /* an sqz_teacher_type */
static bool heal = true, resume;
static int task = -1;
static sqz_dataset *rows, *report;
static char *own_folder;

const cli_option cli_score_options[] = {
    {"task", 0, CLI_TEXT, &task_name, "NAME",
     "cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte or wnli: --data is the folder of its files, dev "
     "is what the score is reported on; classes are matched by their names, as in eval"},
    {"data", 0, CLI_TEXT, &data_path, "PATH",
     "labelled rows as the model answers them: their score counts, and healing is on their texts; "
     "--input and --text are of this file"},
    {"text2", 0, CLI_TEXT, &cli_columns.text2, "COLUMN", "of --data: the column of a second text"},
    {"label", 0, CLI_TEXT, &cli_columns.label, "COLUMN",
     "of --data: the column of the label (default: label)"},
    {"separator", 0, CLI_TEXT, &cli_columns.separator, "TEXT",
     "of --data: between several labels in one cell (default: |)"},
    {"dev", 0, CLI_TEXT, &dev_path, "FILE",
     "rows to report the score on, laid out as --data, without which it is then taken (default: a "
     "part of --data)"},
    {"holdout", 0, CLI_REAL, &holdout, "SHARE",
     "of --data: reported on; of the rest as much is chosen on (default: 0.1)"},
    {"source", 0, CLI_TEXT, &source, "COLUMN",
     "of --data: rows of equal cells are on one side of a part"},
    {"split", 0, CLI_TEXT, &split, "NAME", "of CLINC's JSON: train (the default), train+oos_train"},
    {"figure", 0, CLI_TEXT, &figure, "NAME",
     "which figure of the rows is the score: accuracy, macro_f1 or mcc; of several labels "
     "accuracy, micro_f1 or macro_f1; pearson or spearman of scores; accuracy or mrr of pairs; "
     "f1, precision, recall or accuracy of entities (default: accuracy; mcc of cola, micro_f1 of "
     "several labels, spearman, mrr, f1)"},
    {"min-score", 0, CLI_TEXT, &min_score, "SCORE",
     "99% of the base's, or 0.86: nothing is written and the exit code is 1 where what comes out "
     "is below it on what was held out. Without a budget, a time or other levers the smallest file "
     "that holds it is searched for"},
    {"minutes", 0, CLI_REAL, &minutes, "M",
     "that healing may take, by the time of its first steps (default: 10); with --pareto of all "
     "files together, in equal parts (default: none is healed)"},
    {"no-heal", 0, CLI_NO_FLAG, &heal, NULL,
     "leave what was squeezed as it is: no training, no minutes"},
    {"epochs", 0, CLI_COUNT, &epochs, "N", "of healing, at most (default: 3)"},
    {"lr", 0, CLI_REAL, &rate, "RATE", "of healing (default: 5e-4)"},
    {"batch", 0, CLI_COUNT, &batch, "N", "texts of a step of healing (default: 32)"},
    {"max-length", 0, CLI_COUNT, &max_length, "N",
     "pieces of a text that is learned (default: 128, or what the model takes)"},
    {"teacher-type", 0, CLI_CHOICE, &teacher_type, "file|f32|bf16|s8",
     "in what MODEL is computed while it teaches: bf16 and s8 round its floats, and are faster "
     "(default: as its file is)"},
    {"seed", 0, CLI_NUMBER, &seed, "N", "of parts, order and choice (default: 1)"},
    {"checkpoint", 0, CLI_TEXT, &folder, "FOLDER",
     "where a run that heals or judges keeps what it needs to go on; removed at its end (default: "
     "-o or --pareto with .checkpoint behind it)"},
    {"resume", 0, CLI_FLAG, &resume, NULL, "go on with a run that was stopped"},
    {0},
};

/* ---- the command line ---- */

static const char *given_of_data(void)
{
    return cli_columns.text2       ? "--text2"
           : cli_columns.label     ? "--label"
           : cli_columns.separator ? "--separator"
           : dev_path              ? "--dev"
           : source                ? "--source"
           : split                 ? "--split"
           : !isnan(holdout)       ? "--holdout"
           : figure                ? "--figure"
           : task_name             ? "--task"
                                   : NULL;
}

static const char *given_of_healing(void)
{
    return !isnan(minutes) ? "--minutes"
           : epochs        ? "--epochs"
           : !isnan(rate)  ? "--lr"
           : batch         ? "--batch"
           : max_length    ? "--max-length"
           : teacher_type  ? "--teacher-type"
                           : NULL;
}

static void check_task(uint32_t input, const char *text)
{
    if (!task_name) return;
    task = sqz_glue_find(task_name);
    if (task < 0 || task == SQZ_GLUE_AX)
        cli_die(CLI_USAGE,
                "there is no task '%s' to judge on; `squeezebert squeeze --help` lists "
                "them",
                task_name);
    cli_refuse_columns("--task, whose files are known");
    if (input || text)
        cli_die(CLI_USAGE, "%s does not go with --task, whose files are known",
                input ? "--input" : "--text");
    if (dev_path || source || split || !isnan(holdout))
        cli_die(CLI_USAGE, "--dev, --source, --split and --holdout do not go with --task, which "
                           "has its own");
}

static void check_numbers(void)
{
    if (!isnan(minutes) && !(minutes > 0)) cli_die(CLI_USAGE, "--minutes is above 0");
    if (!isnan(rate) && !(rate > 0)) cli_die(CLI_USAGE, "--lr is above 0");
    if (!isnan(holdout) && !(holdout > 0 && holdout < 1))
        cli_die(CLI_USAGE, "--holdout is above 0 and below 1, not %g", holdout);
    if (!isnan(holdout) && dev_path)
        cli_die(CLI_USAGE, "--dev and --holdout: the score is reported on one or the other");
}

bool cli_score_is_asked(bool budget, const char *texts_path, uint32_t input, const char *text)
{
    const bool asked = data_path || min_score || (heal && given_of_healing()) ||
                       (heal && budget && texts_path);
    if (!data_path && given_of_data())
        cli_die(CLI_USAGE, "%s goes with --data PATH: labelled rows to judge on", given_of_data());
    if (!data_path && input > INPUT_JSONL)
        cli_die(CLI_USAGE, "--input conll and clinc are layouts of --data");
    if (data_path && input == INPUT_LINES)
        cli_die(CLI_USAGE, "--input lines: --data is a table: csv, tsv, jsonl, conll or clinc");
    if (!heal && given_of_healing())
        cli_die(CLI_USAGE, "%s is of healing, and --no-heal leaves that out", given_of_healing());
    if (!asked && (resume || folder))
        cli_die(CLI_USAGE,
                "%s: without healing and without a score to hold nothing is kept to go "
                "on with",
                resume ? "--resume" : "--checkpoint");
    if (seed != USUAL_SEED && !data_path && !(asked && heal))
        cli_die(CLI_USAGE, "--seed is of healing and of the parts of --data: there is neither");
    check_task(input, text);
    check_numbers();
    if (asked && !data_path && !texts_path)
        cli_die(CLI_USAGE, "--texts FILE or --data PATH is missing: what is to be learned and "
                           "judged on?");
    return asked;
}

void cli_score_check_front(void)
{
    if (min_score)
        cli_die(CLI_USAGE, "--min-score does not go with --pareto, which shows what every budget "
                           "holds");
    if (given_of_healing() && isnan(minutes))
        cli_die(CLI_USAGE,
                "%s is of healing: --minutes M says how long the files of --pareto are healed, "
                "all together",
                given_of_healing());
}

/* Epochs, rate, minutes and seed stand in the file, or say which rows are learned, and a figure in
 * the names of its numbers: bytes depend on them. */
void cli_score_check_forecast(void)
{
    if (resume || folder)
        cli_die(CLI_USAGE, "%s: --dry-run keeps nothing to go on with",
                resume ? "--resume" : "--checkpoint");
    if (min_score)
        cli_die(CLI_USAGE, "--min-score: --dry-run makes no file that could hold a score");
    if (batch || max_length)
        cli_die(CLI_USAGE,
                "%s is of healing alone: --dry-run heals nothing, and its plan and "
                "bytes are the same without it",
                batch ? "--batch" : "--max-length");
}

bool cli_score_has_rows(void)
{
    return data_path != NULL;
}

/* ---- data ---- */

static sqz_dataset *open_glue(const cli_score_job *j, const char *name)
{
    sqz_error error = {0};
    sqz_dataset *dataset;
    cli_check(sqz_dataset_open_glue(cli_context(), (sqz_glue_task)task, data_path, name, NULL,
                                    &dataset, &error),
              &error);
    const sqz_status status = sqz_dataset_fit_glue(dataset, cli_model(j->model), &error);
    if (status != SQZ_OK) cli_die(cli_code(status), "%s: %s", j->model, error.text);
    cli_say_left_out(dataset);
    return dataset;
}

static void open_rows(const cli_score_job *j)
{
    static const sqz_data_format formats[] = {SQZ_DATA_AUTO, SQZ_DATA_AUTO,  SQZ_DATA_CSV,
                                              SQZ_DATA_TSV,  SQZ_DATA_JSONL, SQZ_DATA_CONLL,
                                              SQZ_DATA_CLINC};
    if (!data_path) return;
    if (task >= 0) {
        rows = open_glue(j, "train");
        report = open_glue(j, task == SQZ_GLUE_MNLI ? "dev_matched" : "dev");
        if (!figure && task == SQZ_GLUE_COLA) figure = "mcc";
        return;
    }
    const sqz_model *model = cli_model(j->model);
    cli_columns.input = formats[j->input];
    cli_columns.text = j->text;
    cli_data data = {.path = data_path,
                     .source = source,
                     .split = split                     ? split
                              : cli_is_clinc(data_path) ? "train"
                                                        : NULL};
    rows = cli_open_model_data(model, j->model, &data);
    if (!dev_path) return;
    report = cli_open_model_data(model, j->model, &(cli_data){.path = dev_path});
}

/* ---- the run ---- */

static int show_progress(void *user, const char *what, size_t done, size_t total)
{
    (void)user;
    return cli_show_share((void *)(uintptr_t)what, done, total);
}

static void show_note(void *user, const char *text)
{
    (void)user;
    cli_say("%s", text);
}

static const char *folder_of(const char *output)
{
    if (folder || !output) return folder;
    own_folder = cli_checkpoint_of(output);
    return own_folder;
}

void cli_score_not_over(const char *output)
{
    if (data_path) cli_not_over_task(output, data_path, NULL);
    if (dev_path) cli_not_over(output, dev_path);
}

void cli_score_try_folder(const char *output, const char *const *stay, uint32_t n)
{
    const char *of_run = folder_of(output);
    cli_not_inside(of_run, stay, n);
    cli_try_folder(of_run, true);
    free(own_folder);
    own_folder = NULL;
}

void cli_score_open(const cli_score_job *j, sqz_compress_options *o)
{
    const bool writes = j->output && !j->dry_run;
    open_rows(j);
    *o = (sqz_compress_options){.levers = *j->levers,
                                .dataset = rows,
                                .report = report,
                                .holdout = isnan(holdout) ? 0 : holdout,
                                .figure = figure,
                                .minutes = !heal            ? -1
                                           : isnan(minutes) ? 0
                                                            : minutes,
                                .epochs = epochs,
                                .batch = batch,
                                .max_length = max_length,
                                .teacher_type = (sqz_teacher_type)teacher_type,
                                .lr = isnan(rate) ? 0 : rate,
                                .seed = seed,
                                .folder = folder_of(writes ? j->output : NULL),
                                .resume = resume,
                                .part = j->levers->part,
                                .progress = show_progress,
                                .note = show_note};
    o->levers.part = NULL;
    o->levers.progress = NULL;
    o->levers.result = NULL;
    o->levers.user = NULL;
    cli_read_min_score(min_score, o);
}

void cli_score_close(void)
{
    sqz_dataset_close(rows);
    sqz_dataset_close(report);
    free(own_folder);
}

void cli_score_run(cli_score_job *j)
{
    sqz_error error = {0};
    sqz_compress_options o;
    cli_score_open(j, &o);
    const sqz_status status = sqz_compress(cli_context(), j->model, j->dry_run ? NULL : j->output,
                                           &o, &j->result, &error);
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
    cli_check(status, &error);
    j->condition = cli_score_condition(j->model);
    if (!j->dry_run && j->result.met) cli_score_time(j, report ? report : rows);
}

const char *cli_score_condition(const char *model)
{
    static char text[400];
    char held[200];
    if (!data_path) return NULL;
    if (task >= 0) snprintf(held, sizeof held, "dev of %s", task_name);
    else if (dev_path) snprintf(held, sizeof held, "--dev %s", dev_path);
    else
        snprintf(held, sizeof held, "--holdout %g --seed %u", isnan(holdout) ? 0.1 : holdout, seed);
    snprintf(text, sizeof text,
             "%s was trained without the rows that are held out here (%s), which only who trained "
             "it can know",
             model, held);
    return text;
}

/* Of what was not healed no minutes are the reason; pieces that left cannot be healed; and levers
 * by hand leave nothing to search. */
static const char *what_may_hold(const cli_score_job *j)
{
    const sqz_squeeze_options *l = j->levers;
    const sqz_compress_result *r = &j->result;
    const bool by_hand = r->n_trials && !r->trials[0].budget;
    const char *other = l->time > 0 ? "a larger --time" : "levers that take less away";
    static char text[160];
    if (r->n_steps)
        snprintf(text, sizeof text, "more --minutes%s%s or more texts", by_hand ? ", " : "",
                 by_hand ? other : "");
    else if (l->n_vocabulary || l->drop_impossible) snprintf(text, sizeof text, "%s", other);
    else
        snprintf(text, sizeof text, "healing, which --no-heal leaves out,%s%s",
                 by_hand ? " or " : "", by_hand ? other : "");
    return text;
}

void cli_say_unmet(const sqz_compress_result *r, const char *wanted, const char *may_hold)
{
    cli_say("the %s is %.4f on what was held out, below --min-score %s (%.4f): nothing was written",
            r->name, r->after.score, wanted, r->least);
    if (r->enough)
        cli_say("about %llu bytes seem to hold it: --budget %llu", (unsigned long long)r->enough,
                (unsigned long long)r->enough);
    else cli_say("no file that was tried holds it: %s may", may_hold);
}

int cli_score_end(const cli_score_job *j)
{
    cli_score_close();
    if (j->result.met) return CLI_DONE;
    cli_say_unmet(&j->result, min_score, what_may_hold(j));
    return CLI_FAILED;
}
