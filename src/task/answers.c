/* SPDX-License-Identifier: Apache-2.0 */
/* Question answering: a question and a context, the context in windows where it is long. */
#include <string.h>

#include "base/error.h"
#include "task/answer_spans.h"
#include "task/engine.h"

enum { MAX_ANSWER_PIECES = 30 };

static sqz_status keep_logits(sqz_task *task, const sqzi_window *windows, uint32_t n,
                              sqz_answers *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t *firsts, row = 0;
    float *logits;
    TAKE(firsts, sqzi_slab_take(&task->slab, n, sizeof *firsts));
    TAKE(logits, sqzi_slab_take(&task->slab, 2 * (size_t)result->outcome.n_pieces, sizeof *logits));
    for (uint32_t w = 0; w < n; w++) {
        firsts[w] = row;
        memcpy(logits + 2 * (size_t)row, windows[w].rows,
               2 * (size_t)windows[w].n * sizeof *logits);
        row += windows[w].n;
    }
    result->window_first = firsts;
    result->logits = logits;
fail:
    return status;
}

static sqz_status answer(sqz_task *task, const sqzi_window *windows, uint32_t n,
                         const sqz_answer_options *options, sqz_answers *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_span_list list = {.n = 0};
    sqz_answer *answers;
    TAKE(answers, sqzi_slab_take(&task->slab, SQZI_KEPT_SPANS + 1, sizeof *answers));
    for (uint32_t w = 0; w < n; w++)
        sqzi_add_window(&list, windows[w].pieces, windows[w].n, windows[w].rows,
                        options->max_answer_pieces ? options->max_answer_pieces
                                                   : MAX_ANSWER_PIECES);
    const uint32_t ranked = sqzi_rank_answers(&list, options->no_answer, options->null_threshold,
                                              answers),
                   wanted = options->n_best ? options->n_best : 1;
    result->n = ranked < wanted ? ranked : wanted;
    result->answers = answers;
    TRY(keep_logits(task, windows, n, result, error));
fail:
    return status;
}

static sqz_status read_input(sqz_task *task, const sqz_input *input, uint32_t number,
                             sqzi_windows *windows, sqz_outcome *outcome, sqz_error *error)
{
    if (!input->pair)
        return sqzi_task_fault(task, outcome, SQZ_EINVAL, "a question without a context: give both",
                               error);
    return sqzi_task_read(task, input, number,
                          (sqzi_cutting){SQZ_TRUNCATE_ONLY_SECOND, SQZ_LONG_STRIDE}, windows,
                          outcome, error);
}

sqz_status sqz_answer_questions(sqz_task *task, const sqz_input *inputs, uint32_t n,
                                const sqz_answer_options *options, sqz_answers *results,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    static const sqz_answer_options defaults = {0};
    sqzi_windows windows = {0};
    sqz_outcome *outcomes;
    uint32_t *firsts;
    if (!options) options = &defaults;
    TRY(sqzi_task_begin(task, inputs, n, results, error));
    TRY(SQZI_RESERVED(options, "sqz_answer_options", error));
    TRY(sqzi_task_needs(task, SQZ_HEAD_QUESTION, "question answering", error));
    FAIL_IF(task->info->n_labels != 2, SQZ_EUNSUPPORTED, 0,
            "the question answering head has %u outputs, it needs 2: start and end",
            task->info->n_labels);
    FAIL_IF(options->n_best > SQZI_KEPT_SPANS, SQZ_EINVAL, 0, "%u best answers: at most %d",
            options->n_best, SQZI_KEPT_SPANS);
    TAKE(outcomes, sqzi_slab_take_zeroed(&task->slab, n, sizeof *outcomes));
    for (uint32_t i = 0; i < n; i++)
        TRY(read_input(task, &inputs[i], i, &windows, &outcomes[i], error));
    TRY(sqzi_task_run(task, &windows, NULL, outcomes, error));
    TAKE(firsts, sqzi_task_firsts(task, &windows, n));
    for (uint32_t i = 0; i < n; i++) {
        results[i] = (sqz_answers){.outcome = outcomes[i]};
        if (outcomes[i].status == SQZ_OK)
            TRY(answer(task, windows.items + firsts[i], firsts[i + 1] - firsts[i], options,
                       &results[i], error));
    }
fail:
    return status;
}
