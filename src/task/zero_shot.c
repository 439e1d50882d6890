/* SPDX-License-Identifier: Apache-2.0 */
/* Zero shot: each candidate label becomes a hypothesis, and a natural-language-inference model says
 * whether the text entails it. */
#include <string.h>

#include "base/error.h"
#include "task/engine.h"

static const char default_hypothesis[] = "This example is {}.";

typedef struct zero_shot_call {
    sqz_task *task;
    const sqz_zero_shot_options *options;
    sqz_text *hypotheses;        /* [n_labels] */
    uint32_t entailment, contradiction;
    uint32_t classes;
} zero_shot_call;

static bool begins_with(const char *text, const char *prefix)
{
    for (; *prefix; text++, prefix++) {
        const char lower = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if (lower != *prefix) return false;
    }
    return true;
}

/* The class whose name begins so, UINT32_MAX if none does. Names that stand in for missing ones
 * name nothing. */
static uint32_t find_class(const sqz_task *task, const char *prefix)
{
    for (uint32_t k = 0; task->info->labels_named && k < task->info->n_labels; k++)
        if (begins_with(sqz_model_label(task->model, k), prefix)) return k;
    return UINT32_MAX;
}

static sqz_status write_hypothesis(zero_shot_call *call, uint32_t label, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const char *form = call->options->hypothesis ? call->options->hypothesis : default_hypothesis;
    const char *gap = strstr(form, "{}");
    const sqz_text name = call->options->labels[label];
    char *text;
    FAIL_IF(!gap || strstr(gap + 2, "{}"), SQZ_EINVAL, 0,
            "the hypothesis '%s' must hold {} once, where the label goes", form);
    const size_t n_before = (size_t)(gap - form), n_after = strlen(gap + 2);
    TAKE(text, sqzi_slab_take(&call->task->slab, n_before + name.n_bytes + n_after, 1));
    memcpy(text, form, n_before);
    if (name.n_bytes) memcpy(text + n_before, name.bytes, name.n_bytes);
    memcpy(text + n_before + name.n_bytes, gap + 2, n_after);
    call->hypotheses[label] = (sqz_text){text, n_before + name.n_bytes + n_after};
fail:
    return status;
}

static sqz_status open_call(sqz_task *task, const sqz_zero_shot_options *options,
                            zero_shot_call *call, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_task_needs(task, SQZ_HEAD_SEQUENCE, "zero-shot classification", error));
    FAIL_IF(!options->n_labels, SQZ_EINVAL, 0, "zero-shot classification needs candidate labels");
    *call = (zero_shot_call){.task = task, .options = options, .classes = task->info->n_labels};
    call->entailment = find_class(task, "entail");
    call->contradiction = find_class(task, "contra");
    FAIL_IF(call->entailment == UINT32_MAX, SQZ_EUNSUPPORTED, 0,
            "no class of this model is named 'entailment', so the meaning of its outputs is "
            "unknown: use a model whose classes are named (id2label)");
    FAIL_IF((options->multi_label || options->n_labels == 1) && call->contradiction == UINT32_MAX,
            SQZ_EUNSUPPORTED, 0,
            "no class of this model is named 'contradiction', which judging each label by itself "
            "needs");
    TAKE(call->hypotheses,
         sqzi_slab_take(&task->slab, options->n_labels, sizeof *call->hypotheses));
    for (uint32_t l = 0; l < options->n_labels; l++) TRY(write_hypothesis(call, l, error));
fail:
    return status;
}

/* One sequence a label; an input whose label fails fails whole. */
static sqz_status read_input(const zero_shot_call *call, const sqz_input *input, uint32_t number,
                             sqzi_windows *windows, sqz_outcome *outcome, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t before = windows->n;
    uint32_t n_pieces = 0, cut = 0;
    for (uint32_t l = 0; l < call->options->n_labels; l++) {
        const sqz_input pair = {.text = input->text, .second = call->hypotheses[l], .pair = 1};
        TRY(sqzi_task_read(call->task, &pair, number,
                           (sqzi_cutting){SQZ_TRUNCATE_ONLY_FIRST, SQZ_LONG_CUT}, windows, outcome,
                           error));
        if (outcome->status != SQZ_OK) {
            windows->n = before;
            return SQZ_OK;
        }
        n_pieces += outcome->n_pieces;
        if (outcome->cut > cut) cut = outcome->cut;
    }
    *outcome = (sqz_outcome){.n_pieces = n_pieces, .n_windows = 1, .cut = cut};
fail:
    return status;
}

static void score(const zero_shot_call *call, const float *logits, float *scores)
{
    const uint32_t n = call->options->n_labels;
    if (call->options->multi_label || n == 1) {
        for (uint32_t l = 0; l < n; l++) {
            const float *row = logits + (size_t)l * call->classes;
            /* a softmax over two */
            scores[l] = sqzi_sigmoid(row[call->entailment] - row[call->contradiction]);
        }
        return;
    }
    for (uint32_t l = 0; l < n; l++)
        scores[l] = logits[(size_t)l * call->classes + call->entailment];
    sqzi_softmax(scores, n, scores);
}

static sqz_status answer(const zero_shot_call *call, const sqzi_window *windows,
                         sqz_zero_shot_result *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = call->options->n_labels;
    float *logits, *scores;
    TAKE(logits, sqzi_slab_take(&call->task->slab, (size_t)n * call->classes, sizeof *logits));
    TAKE(scores, sqzi_slab_take(&call->task->slab, n, sizeof *scores));
    for (uint32_t l = 0; l < n; l++)
        memcpy(logits + (size_t)l * call->classes, windows[l].rows, call->classes * sizeof *logits);
    score(call, logits, scores);
    result->logits = logits;
    result->scores = scores;
    result->label = sqzi_argmax(scores, n);
    result->score = scores[result->label];
fail:
    return status;
}

sqz_status sqz_zero_shot(sqz_task *task, const sqz_input *inputs, uint32_t n,
                         const sqz_zero_shot_options *options, sqz_zero_shot_result *results,
                         sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_windows windows = {0};
    zero_shot_call call = {0};
    sqz_outcome *outcomes;
    uint32_t *firsts;
    TRY(sqzi_task_begin(task, inputs, n, results, error));
    TRY(SQZI_RESERVED(options, "sqz_zero_shot_options", error));
    FAIL_IF(!options || !options->labels, SQZ_EINVAL, 0,
            "sqz_zero_shot: the options or their labels are NULL");
    FAIL_IF(
        task->options.long_text == SQZ_LONG_STRIDE, SQZ_EINVAL, 0,
        "zero-shot classification does not read in windows: cut long texts or make them errors");
    TRY(open_call(task, options, &call, error));
    TAKE(outcomes, sqzi_slab_take_zeroed(&task->slab, n, sizeof *outcomes));
    for (uint32_t i = 0; i < n; i++)
        TRY(read_input(&call, &inputs[i], i, &windows, &outcomes[i], error));
    TRY(sqzi_task_run(task, &windows, NULL, outcomes, error));
    TAKE(firsts, sqzi_task_firsts(task, &windows, n));
    for (uint32_t i = 0; i < n; i++) {
        results[i] = (sqz_zero_shot_result){.outcome = outcomes[i]};
        if (outcomes[i].status == SQZ_OK)
            TRY(answer(&call, windows.items + firsts[i], &results[i], error));
    }
fail:
    return status;
}
