/* SPDX-License-Identifier: Apache-2.0 */
/* glue: models on all tasks of GLUE that they and the data allow, and the zip file of a
 * submission. */
#include "glue.h"
#include "output.h"
#include "stream.h"
#include "task_figures.h"
#include "verbs.h"

static cli_glue glue;

static const cli_option options[] = {
    {"data", 0, CLI_TEXT, &glue.data, "FOLDER",
     "the folder that holds CoLA, SST-2, MRPC, QQP, STS-B, MNLI, QNLI, RTE, WNLI and AX, or some "
     "of "
     "them"},
    {"submission", 0, CLI_TEXT, &glue.submission, "OUT.zip",
     "answer the test files as well, and write what GLUE's server takes"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {0},
};

static void run_part(cli_glue_part *p, const sqz_model *model, const sqz_eval_options *asked)
{
    sqz_error error = {0};
    if (!p->no_figures) {
        cli_check(sqz_glue_measure(model, p->part, p->folder, asked, NULL, &p->result, &error),
                  &error);
        cli_say_cut(p->result.report.n_truncated, p->result.report.n,
                    cli_glue_rows_of(p, p->part->dev));
    }
    if (glue.submission && !p->no_answers) cli_glue_answer(p, model, asked);
}

/* One model is open at a time. */
static void run_model(const cli_glue_model *m)
{
    sqz_error error = {0};
    sqz_model *model;
    const sqz_task_options task = cli_task_options();
    sqz_eval_options asked = cli_glue_asked(m, &task);
    asked.progress = cli_show_share;
    asked.user = "examples";
    cli_check(sqz_model_open(cli_context(), m->path, &model, &error), &error);
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++)
        if (glue.parts[i].model == m) run_part(&glue.parts[i], model, &asked);
    sqz_model_close(model);
}

static void check_anything(void)
{
    bool any = false;
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++)
        any |= !glue.parts[i].no_figures || (glue.submission && !glue.parts[i].no_answers);
    if (any) return;
    cli_die(CLI_BAD_FILE,
            "%s: holds no file for these models%s: its folders are named CoLA, SST-2, MRPC, QQP, "
            "STS-B, MNLI, QNLI, RTE, WNLI, AX and hold dev.tsv and test.tsv",
            glue.data, glue.submission ? "" : " to be measured on");
}

static int run(char **arguments, uint32_t n)
{
    if (!glue.data) cli_die(CLI_USAGE, "--data FOLDER is needed: it holds the tasks' folders");
    cli_glue_open(&glue, arguments, n);
    check_anything();
    for (uint32_t m = 0; glue.submission && m < glue.n_models; m++)
        cli_not_over(glue.submission, glue.models[m].path);
    for (int t = 0; glue.submission && t < CLI_GLUE_TASKS; t++)
        if (glue.folders[t]) cli_not_over_task(glue.submission, glue.folders[t], NULL);
    if (glue.submission) cli_try_output(glue.submission, false);
    for (uint32_t m = 0; m < glue.n_models; m++) run_model(&glue.models[m]);
    if (glue.submission) cli_glue_write_submission(&glue);
    cli_glue_show(&glue);
    cli_glue_close(&glue);
    return CLI_DONE;
}

static const cli_option *const tables[] = {options, cli_model_options, cli_length_options, NULL};
const cli_verb cli_verb_glue = {
    "glue",
    "models on all tasks of GLUE, and a submission",
    "MODEL[:TASK[:A,B,...]]...",
    "Measures each model on the task that it has learned, on dev, with bootstrap intervals: "
    "Matthews' correlation for CoLA, Pearson's and Spearman's for STS-B, accuracy and F1 for MRPC "
    "and QQP, accuracy for SST-2, MNLI (both dev files), QNLI, RTE and WNLI, R_K for AX where it "
    "has labels. Then the mean of the tasks, figures inside a task averaged first, without AX. "
    "`finetune --task` writes the task into the file; where neither that nor the names of the "
    "classes tell, say it behind the name, and after another colon the classes in the order of the "
    "model's logits. AX is MNLI's model's. A model of embeddings does STS-B by their cosine.",
    "squeezebert glue sst2.gguf rte.gguf small.gguf:stsb --data glue --submission glue.zip",
    1,
    CLI_GLUE_TASKS,
    tables,
    run};
