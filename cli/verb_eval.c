/* SPDX-License-Identifier: Apache-2.0 */
/* eval: a model's figures on a GLUE task, or on data of one's own. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <squeezebert/eval.h>

#include "embedding_data.h"
#include "eval_data.h"
#include "output.h"
#include "stream.h"
#include "task_figures.h"
#include "verbs.h"

static const char *task_name, *folder, *split, *classes_text, *predictions, *against;
static double min_accuracy = NAN;
static bool cosine;

static const cli_option options[] = {
    {"task", 0, CLI_TEXT, &task_name, "NAME",
     "cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte, wnli or ax"},
    {"data", 0, CLI_TEXT, &folder, "PATH",
     "with --task: the folder of its files (.tsv, .csv, .jsonl), or one of them; else a file of "
     "labelled texts (default: stdin)"},
    {"split", 0, CLI_TEXT, &split, "NAME",
     "dev (the default; of mnli dev_matched and dev_mismatched), train, ...; of CLINC's JSON val "
     "(the default), train, test, test+oos_test, ..."},
    {"cosine", 0, CLI_FLAG, &cosine, NULL,
     "stsb: the cosine of the two embeddings, no head needed"},
    {"classes", 0, CLI_TEXT, &classes_text, "A,B,...",
     "the task's classes in the order of the model's logits, where its labels do not tell"},
    {"predictions", 0, CLI_TEXT, &predictions, "FILE",
     "write every answer: a table, or JSON Lines where FILE ends in .jsonl"},
    {"against", 0, CLI_MODEL, &against, "OTHER",
     "without --task: another model on the same texts, with the differences of MODEL from it"},
    {"min-accuracy", 0, CLI_REAL, &min_accuracy, "SHARE",
     "exit with 1 where the accuracy is below it"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {0},
};

static int task;
static bool as_json;
static cli_output *answers; /* NULL: none are written */

static void put_label(const char *key, uint32_t label, double score)
{
    cli_json_key(key);
    if (task == SQZ_GLUE_STSB) cli_json_double(score);
    else cli_json_string(sqz_glue_class((sqz_glue_task)task, label));
}

static void write_logits(const sqz_prediction *p)
{
    cli_json_key("logits");
    cli_json_open('{');
    for (uint32_t k = 0; k < p->n_logits; k++) {
        cli_json_key(sqz_glue_class((sqz_glue_task)task, k));
        cli_json_float(p->logits[k]);
    }
    cli_json_close('}');
}

static void write_object(const sqz_prediction *p)
{
    cli_json_open('{');
    cli_json_key_number("row", p->index);
    cli_json_key_number("line", p->row->line);
    if (p->row->id.bytes) {
        cli_json_key("id");
        cli_json_text(p->row->id.bytes, p->row->id.n_bytes);
    }
    put_label("prediction", p->label, p->score);
    put_label("truth", p->row->label, p->row->score);
    if (task != SQZ_GLUE_STSB) write_logits(p);
    if (p->truncated) {
        cli_json_key("truncated");
        cli_json_bool(true);
    }
    cli_json_close('}');
}

static void write_header(uint32_t n_logits)
{
    fputs("row\tline\tid\tprediction\ttruth\ttruncated", cli_out());
    for (uint32_t k = 0; k < n_logits && task != SQZ_GLUE_STSB; k++)
        fprintf(cli_out(), "\tlogit_%s", sqz_glue_class((sqz_glue_task)task, k));
    putc('\n', cli_out());
}

static void write_label(uint32_t label, double score)
{
    if (task == SQZ_GLUE_STSB) fprintf(cli_out(), "\t%.9g", score);
    else fprintf(cli_out(), "\t%s", sqz_glue_class((sqz_glue_task)task, label));
}

static void write_prediction(void *user, const sqz_prediction *p)
{
    (void)user;
    if (as_json) {
        write_object(p);
        return;
    }
    if (p->index == 0) write_header(p->n_logits);
    fprintf(cli_out(), "%llu\t%llu\t", (unsigned long long)p->index,
            (unsigned long long)p->row->line);
    cli_print_text(p->row->id.bytes, p->row->id.n_bytes);
    write_label(p->label, p->score);
    write_label(p->row->label, p->row->score);
    fprintf(cli_out(), "\t%d", p->truncated);
    for (uint32_t k = 0; k < p->n_logits && task != SQZ_GLUE_STSB; k++)
        fprintf(cli_out(), "\t%.9g", (double)p->logits[k]);
    putc('\n', cli_out());
}

static void open_predictions(const char *model)
{
    if (!predictions) return;
    cli_not_over(predictions, model);
    cli_not_over_task(predictions, folder, split);
    as_json = sqz_rows_format_of(predictions) == SQZ_ROWS_JSONL;
    answers = cli_open_output(predictions);
    cli_write_to(answers);
}

/* What was left out or cut, on stderr. */
static void say_counts(const sqz_eval_report *report)
{
    if (report->n_blank) cli_say("%llu blank lines skipped", (unsigned long long)report->n_blank);
    cli_say_ill_formed(report->n_ill_formed, folder);
    if (report->n_skipped)
        cli_say("%zu rows skipped: %s", report->n_skipped,
                task == SQZ_GLUE_QQP ? "too short" : "no gold label");
    cli_say_cut(report->n_truncated, report->n, "examples");
}

static void show_json(const sqz_eval_report *report)
{
    cli_json_open('{');
    cli_json_key_string("task", report->task);
    cli_json_key_number("n", report->n);
    cli_json_key_number("truncated", report->n_truncated);
    cli_json_key_number("skipped", report->n_skipped);
    cli_json_key("metrics");
    cli_json_open('{');
    for (uint32_t i = 0; i < report->n_metrics; i++) {
        cli_json_key(report->metrics[i].name);
        if (report->metrics[i].metric.reason) cli_json_null();
        else cli_json_double(report->metrics[i].metric.value);
    }
    cli_json_close('}');
    cli_json_close('}');
}

static int run_own(const char *model)
{
    const cli_eval_request request = {.model = model,
                                      .data = folder,
                                      .split = split,
                                      .against = against,
                                      .predictions = predictions,
                                      .min_accuracy = min_accuracy};
    if (cosine || classes_text) cli_die(CLI_USAGE, "--cosine and --classes are for --task");
    return cli_eval_data(&request);
}

/* The exit code that --min-accuracy asks for. */
static int judge(const sqz_eval_report *report)
{
    for (uint32_t i = 0; i < report->n_metrics; i++)
        if (strcmp(report->metrics[i].name, "accuracy") == 0)
            return cli_check_accuracy(&report->metrics[i].metric, min_accuracy);
    return cli_check_accuracy(NULL, min_accuracy);
}

static void check_least(void)
{
    if (!isnan(min_accuracy) && !(min_accuracy >= 0 && min_accuracy <= 1))
        cli_die(CLI_USAGE, "--min-accuracy is a share, 0 to 1, not %g", min_accuracy);
}

/* Before anything is computed. */
static void check_has_accuracy(void)
{
    const char *figure = task == SQZ_GLUE_COLA   ? "Matthews' correlation"
                         : task == SQZ_GLUE_AX   ? "a correlation, rk"
                         : task == SQZ_GLUE_STSB ? "correlations"
                                                 : NULL;
    if (figure && !isnan(min_accuracy))
        cli_die(CLI_USAGE, "--min-accuracy: %s is measured by %s, it has no accuracy", task_name,
                figure);
}

/* NULL: that of the model. */
static const char *prompt_of(const sqz_model *model, sqz_role role)
{
    return cli_embedding_given() ? cli_embedding_prompt(model, role, SQZ_LABELS_VALUE) : NULL;
}

static int run(char **arguments, uint32_t n)
{
    (void)n;
    uint32_t n_classes;
    sqz_eval_report report;
    check_least();
    if (!task_name) return run_own(arguments[0]);
    if (!folder) cli_die(CLI_USAGE, "--data FOLDER is needed: the files of the task");
    cli_refuse_columns("--task, whose files are known");
    if (cli_has_negatives() || (cli_embedding_given() && !cosine))
        cli_die(CLI_USAGE, "%s is for data of your own, without --task%s", cli_embedding_given(),
                cli_has_negatives() ? "" : ", or for --cosine");
    if (against) cli_die(CLI_USAGE, "--against is for data of your own, without --task");
    task = sqz_glue_find(task_name);
    if (task < 0)
        cli_die(CLI_USAGE, "there is no task '%s'; `squeezebert eval --help` lists them",
                task_name);
    check_has_accuracy();
    const char **classes = cli_read_names("classes", classes_text, &n_classes);
    const sqz_task_options task_options = cli_task_options();
    const sqz_model *model = cli_model(arguments[0]);
    cli_say_reordered(model, arguments[0], classes, n_classes);
    const sqz_eval_options o = {.split = split,
                                .cosine = cosine,
                                .prompt = prompt_of(model, SQZ_ROLE_QUERY),
                                .second_prompt = prompt_of(model, SQZ_ROLE_PASSAGE),
                                .classes = classes,
                                .n_classes = n_classes,
                                .task = &task_options,
                                .progress = cli_show_share,
                                .user = "examples",
                                .glue = {.quotes = (sqz_quotes)cli.quotes},
                                .prediction = predictions ? write_prediction : NULL};
    open_predictions(arguments[0]);
    cli_evaluate_task(model, (sqz_glue_task)task, folder, &o, &report);
    free(classes);
    if (answers) cli_commit_output(answers);
    say_counts(&report);
    if (cli.json) {
        show_json(&report);
        return judge(&report);
    }
    printf("%s, %zu examples\n", report.task, report.n);
    for (uint32_t i = 0; i < report.n_metrics; i++) {
        if (report.metrics[i].metric.reason)
            printf("  %-12s none: %s\n", report.metrics[i].name, report.metrics[i].metric.reason);
        else printf("  %-12s %.6f\n", report.metrics[i].name, report.metrics[i].metric.value);
    }
    return judge(&report);
}

static const cli_option *const tables[] = {
    options,           cli_labelled_options, cli_embedding_options,
    cli_model_options, cli_length_options,   NULL};
const cli_verb cli_verb_eval = {
    "eval",
    "a model's figures on labelled texts, or on a task of GLUE",
    "MODEL",
    "Answers every text and compares with its label: figures with bootstrap intervals, classes, "
    "confusions, and with --against the differences from another model. What labels are (a class, "
    "several, a number, a class of each word) is what the model was trained for. With --task reads "
    "PATH/dev.tsv (.csv, .jsonl; or validation) and prints the task's metrics: columns are found "
    "by their names, the model's classes by theirs (negative, not_entailment, LABEL_1); what is "
    "not understood is refused.",
    "squeezebert eval tickets.gguf --data test.csv --label team --min-accuracy 0.9\n"
    "squeezebert eval minilm.gguf --task stsb --cosine --data glue/STS-B --json",
    1,
    1,
    tables,
    run};
