/* SPDX-License-Identifier: Apache-2.0 */
/* What finetune says at its end. */
#include <stdio.h>

#include "finetune.h"
#include "output.h"

static void show_json(const cli_job *j, const sqz_measures *m, const sqz_eval_report *report)
{
    cli_json_open('{');
    cli_json_key_string("model", cli_tuning.output_path);
    cli_json_key_number("examples", sqz_batches_data(j->batches)->n_examples);
    cli_json_key_string("data_sha256", sqz_dataset_sha256(j->train));
    cli_json_key_number("steps", j->result.step);
    cli_json_key_number("kept_step", j->result.kept_step);
    cli_json_key_double("loss", j->result.last_loss);
    if (m) {
        cli_json_key_number("dev_examples", m->n);
        cli_json_figures(m->figures, m->n_figures);
    }
    if (report->n_metrics) {
        cli_json_key("task_metrics");
        cli_json_open('{');
        for (uint32_t k = 0; k < report->n_metrics; k++) {
            cli_json_key(report->metrics[k].name);
            if (report->metrics[k].metric.reason) cli_json_null();
            else cli_json_double(report->metrics[k].metric.value);
        }
        cli_json_close('}');
    }
    cli_json_close('}');
}

static void show_text(const cli_job *j, const sqz_measures *m, const sqz_eval_report *report)
{
    printf("wrote %s: %llu steps on %u examples", cli_tuning.output_path,
           (unsigned long long)j->result.step, sqz_batches_data(j->batches)->n_examples);
    if (j->result.kept_step != j->result.step)
        printf(", that of step %llu is kept", (unsigned long long)j->result.kept_step);
    printf("\n");
    if (!m) return;
    printf("on %zu examples that were not trained on, with intervals of 95%%:\n", m->n);
    cli_print_figures(m->figures, m->n_figures);
    if (report->n_metrics) printf("as eval --task %s says:\n", report->task);
    for (uint32_t k = 0; k < report->n_metrics; k++)
        if (!report->metrics[k].metric.reason)
            printf("  %-10s %.6f\n", report->metrics[k].name, report->metrics[k].metric.value);
}

void cli_job_report(const cli_job *j, const sqz_measures *m, const sqz_eval_report *report)
{
    if (cli.json) show_json(j, m, report);
    else show_text(j, m, report);
}
