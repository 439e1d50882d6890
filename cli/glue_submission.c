/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to GLUE's test files, in the form that its server takes. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <string.h>

#include "glue.h"
#include "output.h"
#include "stream.h"
#include "zip_writer.h"

static FILE *stream;
static sqz_glue_task task;

/* A score within the range that the data has. */
static double bounded(double score)
{
    return score < 0 ? 0 : score > 5 ? 5 : score;
}

/* The rest are words or numbers as the files have them. */
static void write_answer(void *user, const sqz_prediction *p)
{
    (void)user;
    const sqz_text id = p->row->id;
    if (id.n_bytes) (void)fwrite(id.bytes, 1, id.n_bytes, stream);
    else fprintf(stream, "%llu", (unsigned long long)p->index);
    if (task == SQZ_GLUE_STSB) fprintf(stream, "\t%.3f\n", bounded(p->score));
    else fprintf(stream, "\t%s\n", sqz_glue_class(task, p->label));
}

void cli_glue_answer(cli_glue_part *part, const sqz_model *model, const sqz_eval_options *asked)
{
    sqz_error error = {0};
    sqz_eval_report report;
    sqz_eval_options o = *asked;
    stream = open_memstream(&part->answers, &part->answers_bytes);
    if (!stream) cli_die(CLI_NO_RESOURCE, "no memory for answers");
    task = part->part->task;
    o.split = part->part->test;
    o.unlabelled = 1;
    o.prediction = write_answer;
    fputs("index\tprediction\n", stream);
    cli_check(sqz_evaluate(model, task, part->folder, &o, &report, &error), &error);
    if (ferror(stream) || fclose(stream) != 0) cli_die(CLI_NO_RESOURCE, "no memory for answers");
    part->n_answers = report.n;
    if (report.n_skipped)
        cli_die(CLI_BAD_FILE, "%s/%s: %zu of its rows are too short: each needs an answer",
                part->folder, o.split, report.n_skipped);
    cli_say_cut(report.n_truncated, report.n, cli_glue_rows_of(part, part->part->test));
}

void cli_glue_write_submission(const cli_glue *glue)
{
    cli_output *output = cli_open_output(glue->submission);
    cli_zip zip = {.stream = cli_output_stream(output)};
    char names[CLI_GLUE_PARTS][16];
    for (uint32_t i = 0; i < CLI_GLUE_PARTS; i++) {
        const cli_glue_part *p = &glue->parts[i];
        if (!p->answers) continue;
        snprintf(names[i], sizeof names[i], "%s.tsv", p->part->name);
        cli_zip_put(&zip, names[i], p->answers, p->answers_bytes);
    }
    cli_zip_end(&zip);
    cli_commit_output(output);
}
