/* SPDX-License-Identifier: Apache-2.0 */
/* eval: a model's figures on a GLUE task. */
#include <stdlib.h>
#include <string.h>

#include <squeezebert/eval.h>

#include "output.h"
#include "stream.h"
#include "verbs.h"

static const char *task_name, *folder, *split, *classes_text;
static bool cosine;

static const cli_option options[] = {
    {"task", 0, CLI_TEXT, &task_name, "NAME",
     "cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte, wnli or ax"},
    {"data", 0, CLI_TEXT, &folder, "FOLDER", "the folder of the task's .tsv files"},
    {"split", 0, CLI_TEXT, &split, "NAME", "dev (the default), train, ..."},
    {"cosine", 0, CLI_FLAG, &cosine, NULL,
     "stsb: the cosine of the two embeddings, no head needed"},
    {"classes", 0, CLI_TEXT, &classes_text, "A,B,...",
     "the task's classes in the order of the model's logits, where its labels do not tell"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {0},
};

static void show_json(const sqz_eval_report *report)
{
    cli_json_open('{');
    cli_json_key_string("task", report->task);
    cli_json_key_number("n", report->n);
    cli_json_key_number("truncated", report->n_truncated);
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

static int run(char **arguments, uint32_t n)
{
    (void)n;
    const char *classes[64];
    uint32_t n_classes = 0;
    sqz_error error = {0};
    sqz_eval_report report;
    if (!task_name || !folder) cli_die(CLI_USAGE, "--task NAME and --data FOLDER are needed");
    const int task = sqz_glue_find(task_name);
    if (task < 0)
        cli_die(CLI_USAGE, "there is no task '%s'; `squeezebert eval --help` lists them",
                task_name);
    char *copy = cli_allocate(NULL, classes_text ? strlen(classes_text) + 1 : 1);
    strcpy(copy, classes_text ? classes_text : "");
    for (char *word = strtok(copy, ","); word && n_classes < 64; word = strtok(NULL, ","))
        classes[n_classes++] = word;
    const sqz_task_options task_options = cli_task_options();
    const sqz_eval_options o = {.split = split,
                                .cosine = cosine,
                                .classes = n_classes ? classes : NULL,
                                .n_classes = n_classes,
                                .task = &task_options,
                                .progress = cli_show_share,
                                .user = "examples"};
    cli_check(sqz_evaluate(cli_model(arguments[0]), (sqz_glue_task)task, folder, &o, &report,
                           &error),
              &error);
    free(copy);
    if (cli.json) {
        show_json(&report);
        return CLI_DONE;
    }
    printf("%s, %zu examples\n", report.task, report.n);
    for (uint32_t i = 0; i < report.n_metrics; i++) {
        if (report.metrics[i].metric.reason)
            printf("  %-12s none: %s\n", report.metrics[i].name, report.metrics[i].metric.reason);
        else printf("  %-12s %.6f\n", report.metrics[i].name, report.metrics[i].metric.value);
    }
    return CLI_DONE;
}

static const cli_option *const tables[] = {options, cli_model_options, cli_length_options, NULL};
const cli_verb cli_verb_eval = {
    "eval",
    "a model's figures on a task of GLUE",
    "MODEL",
    "Reads FOLDER/dev.tsv and prints the task's metrics.",
    "squeezebert eval minilm.gguf --task stsb --cosine --data glue/STS-B --json",
    1,
    1,
    tables,
    run};
