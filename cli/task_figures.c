/* SPDX-License-Identifier: Apache-2.0 */
/* A model on a task of GLUE: figures of one file, or of MNLI's two. */
#include "task_figures.h"

#include <string.h>
#include <sys/stat.h>

#include "output.h"

bool cli_has_split(const char *folder, const char *split)
{
    static const char *const ends[] = {"tsv", "csv", "jsonl"};
    const bool dev = strncmp(split, "dev", 3) == 0;
    struct stat facts;
    char path[4096];
    if (stat(folder, &facts) != 0 || !S_ISDIR(facts.st_mode)) return false;
    for (int other = 0; other <= dev; other++)
        for (size_t e = 0; e < 3; e++) {
            snprintf(path, sizeof path, "%s/%s%s.%s", folder, other ? "validation" : "",
                     other ? split + 3 : split, ends[e]);
            if (stat(path, &facts) == 0) return true;
        }
    return false;
}

void cli_not_over_task(const char *output, const char *folder, const char *split)
{
    static const char *const splits[] = {"train",
                                         "dev",
                                         "dev_matched",
                                         "dev_mismatched",
                                         "validation",
                                         "validation_matched",
                                         "validation_mismatched",
                                         "test",
                                         "test_matched",
                                         "test_mismatched",
                                         "AX"};
    static const char *const ends[] = {"tsv", "csv", "jsonl"};
    enum { N_SPLITS = sizeof splits / sizeof *splits };
    char path[4096];
    cli_not_over(output, folder);
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++)
        for (size_t s = 0; s <= N_SPLITS; s++) {
            const char *name = s < N_SPLITS ? splits[s] : split;
            if (!name) continue;
            snprintf(path, sizeof path, "%s/%s.%s", folder, name, ends[e]);
            cli_not_over(output, path);
        }
}

void cli_say_reordered(const sqz_model *model, const char *path, const char *const *names,
                       uint32_t n)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    for (uint32_t k = 0; info->labels_named && k < n; k++)
        for (uint32_t j = 0; j < info->n_labels; j++) {
            if (j == k || strcmp(names[k], sqz_model_label(model, j)) != 0) continue;
            cli_say("%s: output %u is taken as '%s', as was said; the file calls output %u so",
                    path, k, names[k], j);
            return;
        }
}

void cli_evaluate_task(const sqz_model *model, sqz_glue_task task, const char *folder,
                       const sqz_eval_options *options, sqz_eval_report *report)
{
    sqz_error error = {0};
    sqz_eval_report other;
    sqz_eval_options o = *options;
    cli_check(sqz_evaluate(model, task, folder, &o, report, &error), &error);
    if (task != SQZ_GLUE_MNLI || o.split || !cli_has_split(folder, "dev_mismatched")) return;
    if (o.prediction)
        cli_say("the predictions are those of dev_matched: --split dev_mismatched gives the "
                "others");
    o.split = "dev_mismatched";
    o.prediction = NULL;
    cli_check(sqz_evaluate(model, task, folder, &o, &other, &error), &error);
    report->metrics[report->n_metrics++] = (sqz_named_metric){"accuracy_mismatched",
                                                              other.metrics[0].metric};
    report->n_truncated += other.n_truncated;
    report->n_skipped += other.n_skipped;
    report->n_blank += other.n_blank;
    report->n_ill_formed += other.n_ill_formed;
    report->n += other.n;
}
