/* SPDX-License-Identifier: Apache-2.0 */
/* Classification and regression: one row of logits an input, and what they mean by the model's
 * problem. */
#include <string.h>

#include "base/error.h"
#include "task/engine.h"

/* The mean of the windows' logits, weighted by their pieces; one window gives its own bits. */
static void join_windows(const sqzi_window *windows, uint32_t n, uint32_t classes, float *logits)
{
    if (n == 1) {
        memcpy(logits, windows[0].rows, classes * sizeof *logits);
        return;
    }
    double total = 0;
    for (uint32_t w = 0; w < n; w++) total += windows[w].n;
    for (uint32_t k = 0; k < classes; k++) {
        double sum = 0;
        for (uint32_t w = 0; w < n; w++) sum += (double)windows[w].rows[k] * windows[w].n;
        logits[k] = (float)(sum / total);
    }
}

static void score(const sqz_model_info *info, const float *logits, float *scores)
{
    const uint32_t classes = info->n_labels;
    for (uint32_t k = 0; k < classes; k++) {
        scores[k] = (float)((double)logits[k] / info->temperature);
        if (info->problem == SQZ_MULTI_LABEL || (info->problem == SQZ_SINGLE_LABEL && classes == 1))
            scores[k] = sqzi_sigmoid(scores[k]);
    }
    if (info->problem == SQZ_SINGLE_LABEL && classes > 1) sqzi_softmax(scores, classes, scores);
}

static sqz_status answer(sqz_task *task, const sqzi_window *windows, uint32_t n, float threshold,
                         sqz_classification *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t classes = task->info->n_labels;
    float *logits, *scores;
    TAKE(logits, sqzi_slab_take(&task->slab, classes, sizeof *logits));
    TAKE(scores, sqzi_slab_take(&task->slab, classes, sizeof *scores));
    join_windows(windows, n, classes, logits);
    score(task->info, logits, scores);
    result->logits = logits;
    result->scores = scores;
    result->label = sqzi_argmax(scores, classes);
    result->score = scores[result->label];
    /* no logit, of a text that was read, is below -infinity */
    result->refused = task->info->problem != SQZ_REGRESSION &&
                      (threshold == 0 ? (double)logits[result->label] < task->info->threshold
                                      : result->score < threshold);
fail:
    return status;
}

sqz_status sqz_classify(sqz_task *task, const sqz_input *inputs, uint32_t n, float threshold,
                        sqz_classification *results, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_windows windows = {0};
    sqz_outcome *outcomes;
    uint32_t *firsts;
    TRY(sqzi_task_begin(task, inputs, n, results, error));
    TRY(sqzi_task_needs(task, SQZ_HEAD_SEQUENCE, "classification", error));
    TAKE(outcomes, sqzi_slab_take_zeroed(&task->slab, n, sizeof *outcomes));
    for (uint32_t i = 0; i < n; i++)
        TRY(sqzi_task_read(task, &inputs[i], i,
                           (sqzi_cutting){SQZ_TRUNCATE_LONGEST_FIRST, SQZ_LONG_CUT, NULL}, &windows,
                           &outcomes[i], error));
    TRY(sqzi_task_run(task, &windows, NULL, outcomes, error));
    TAKE(firsts, sqzi_task_firsts(task, &windows, n));
    for (uint32_t i = 0; i < n; i++) {
        results[i] = (sqz_classification){.outcome = outcomes[i]};
        if (outcomes[i].status == SQZ_OK)
            TRY(answer(task, windows.items + firsts[i], firsts[i + 1] - firsts[i], threshold,
                       &results[i], error));
    }
fail:
    return status;
}
