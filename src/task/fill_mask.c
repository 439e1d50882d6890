/* SPDX-License-Identifier: Apache-2.0 */
/* Masked words: the logits of the [MASK] pieces alone, and the best candidates of each as
 * Transformers' FillMaskPipeline gives them. */
#include <string.h>

#include "base/error.h"
#include "task/engine.h"

enum { TOP_K = 5 };

typedef struct fill_call {
    sqz_task *task;
    const sqz_fill_options *options;
    uint32_t mask;
    uint32_t classes;
    float *scores; /* [V] of the mask at hand */
} fill_call;

/* Note where the window's masks stand; an input without one is at fault. */
static sqz_status find_masks(const fill_call *call, sqzi_window *window, sqz_outcome *outcome,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t *wanted, n = 0;
    for (uint32_t p = 0; p < window->n; p++) n += window->ids[p] == call->mask;
    if (!n && outcome->cut)
        return sqzi_task_fault(
            call->task, outcome, SQZ_EINVAL,
            "the text was cut and no [MASK] is left: shorten it or raise the length", error);
    if (!n)
        return sqzi_task_fault(call->task, outcome, SQZ_EINVAL,
                               "the text has no [MASK]: write one where a word is wanted", error);
    TAKE(wanted, sqzi_slab_take(&call->task->slab, n, sizeof *wanted));
    window->wanted = wanted;
    window->n_wanted = n;
    for (uint32_t p = 0, found = 0; found < n; p++)
        if (window->ids[p] == call->mask) wanted[found++] = p;
fail:
    return status;
}

static sqz_status read_input(const fill_call *call, const sqz_input *input, uint32_t number,
                             sqzi_windows *windows, sqz_outcome *outcome, sqz_error *error)
{
    const uint32_t before = windows->n;
    const sqz_status status = sqzi_task_read(
        call->task, input, number, (sqzi_cutting){SQZ_TRUNCATE_LONGEST_FIRST, SQZ_LONG_CUT},
        windows, outcome, error);
    if (status != SQZ_OK || outcome->status != SQZ_OK) return status;
    const sqz_status found = find_masks(call, &windows->items[before], outcome, error);
    if (outcome->status != SQZ_OK) windows->n = before; /* nothing to run */
    return found;
}

/* Pieces decoded to text in the slab. */
static sqz_status decode(const fill_call *call, const uint32_t *ids, size_t n, int skip_special,
                         const char **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *tokenizer = sqz_model_tokenizer(call->task->model);
    size_t needed = 0;
    char *text;
    sqz_tokenizer_decode(tokenizer, ids, n, skip_special, NULL, 0, &needed);
    TAKE(text, sqzi_slab_take_zeroed(&call->task->slab, needed + 1, 1));
    sqz_tokenizer_decode(tokenizer, ids, n, skip_special, text, needed + 1, &needed);
    *out = text;
fail:
    return status;
}

/* The best k of ids (NULL: all) by score, smaller ids first on a tie. */
static uint32_t choose(const fill_call *call, uint32_t k, sqz_candidate *best)
{
    const sqz_fill_options *o = call->options;
    uint32_t n = 0;
    for (uint32_t i = 0; i < (o->targets ? o->n_targets : call->classes); i++) {
        const uint32_t id = o->targets ? o->targets[i] : i;
        bool twice = false;
        for (uint32_t c = 0; c < n && o->targets; c++) twice |= best[c].id == id;
        if (twice || (n == k && call->scores[id] <= best[n - 1].score)) continue;
        uint32_t place = n < k ? n++ : k - 1;
        for (; place > 0 && best[place - 1].score < call->scores[id]; place--)
            best[place] = best[place - 1];
        best[place] = (sqz_candidate){.id = id, .score = call->scores[id]};
    }
    return n;
}

/* The texts of a candidate: alone, and in its place. With several masks the special tokens stay, or
 * the other masks would vanish from the text. */
static sqz_status spell(const fill_call *call, const sqzi_window *window, uint32_t position,
                        uint32_t *ids, sqz_candidate *candidate, sqz_error *error)
{
    const uint32_t pad = sqz_tokenizer_special(sqz_model_tokenizer(call->task->model)).pad;
    size_t n = 0;
    for (uint32_t p = 0; p < window->n; p++) {
        const uint32_t id = p == position ? candidate->id : window->ids[p];
        if (id != pad) ids[n++] = id;
    }
    const sqz_status status = decode(call, &candidate->id, 1, 0, &candidate->piece, error);
    return status == SQZ_OK
               ? decode(call, ids, n, window->n_wanted == 1, &candidate->sequence, error)
               : status;
}

static sqz_status fill(const fill_call *call, const sqzi_window *window, uint32_t number,
                       sqz_mask *mask, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t available = call->options->targets ? call->options->n_targets : call->classes;
    uint32_t k = call->options->top_k ? call->options->top_k : TOP_K;
    uint32_t *ids;
    sqz_candidate *candidates;
    if (k > available) k = available;
    TAKE(ids, sqzi_slab_take(&call->task->slab, window->n, sizeof *ids));
    TAKE(candidates, sqzi_slab_take(&call->task->slab, k, sizeof *candidates));
    *mask = (sqz_mask){.position = window->wanted[number],
                       .candidates = candidates,
                       .logits = window->rows + (size_t)number * call->classes};
    sqzi_softmax(mask->logits, call->classes, call->scores);
    mask->n = choose(call, k, candidates);
    for (uint32_t c = 0; c < mask->n; c++)
        TRY(spell(call, window, mask->position, ids, &candidates[c], error));
fail:
    return status;
}

static sqz_status fill_window(const fill_call *call, const sqzi_window *window, sqz_filled *result,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_mask *masks;
    TAKE(masks, sqzi_slab_take(&call->task->slab, window->n_wanted, sizeof *masks));
    result->n = window->n_wanted;
    result->masks = masks;
    for (uint32_t m = 0; m < window->n_wanted; m++) TRY(fill(call, window, m, &masks[m], error));
fail:
    return status;
}

static sqz_status open_call(sqz_task *task, const sqz_fill_options *options, fill_call *call,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *call = (fill_call){.task = task,
                        .options = options,
                        .mask = sqz_tokenizer_special(sqz_model_tokenizer(task->model)).mask,
                        .classes = task->info->n_labels};
    TRY(sqzi_task_needs(task, SQZ_HEAD_MASKED_LM, "filling masks", error));
    FAIL_IF(call->mask == UINT32_MAX, SQZ_EUNSUPPORTED, 0, "the model's vocabulary has no [MASK]");
    FAIL_IF(task->options.long_text == SQZ_LONG_STRIDE, SQZ_EINVAL, 0,
            "masks are not filled in windows: cut long texts or make them errors");
    for (uint32_t i = 0; options->targets && i < options->n_targets; i++)
        FAIL_IF(options->targets[i] >= call->classes, SQZ_ETOKEN, i,
                "target %u is id %u, the vocabulary has %u", i, options->targets[i], call->classes);
    FAIL_IF(options->targets && !options->n_targets, SQZ_EINVAL, 0,
            "a list of targets without a target");
    TAKE(call->scores, sqzi_slab_take(&task->slab, call->classes, sizeof *call->scores));
fail:
    return status;
}

sqz_status sqz_fill_masks(sqz_task *task, const sqz_input *inputs, uint32_t n,
                          const sqz_fill_options *options, sqz_filled *results, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    static const sqz_fill_options defaults = {0};
    sqzi_windows windows = {0};
    fill_call call = {0};
    sqz_outcome *outcomes;
    uint32_t *firsts;
    TRY(sqzi_task_begin(task, inputs, n, results, error));
    TRY(SQZI_RESERVED(options, "sqz_fill_options", error));
    TRY(open_call(task, options ? options : &defaults, &call, error));
    TAKE(outcomes, sqzi_slab_take_zeroed(&task->slab, n, sizeof *outcomes));
    for (uint32_t i = 0; i < n; i++)
        TRY(read_input(&call, &inputs[i], i, &windows, &outcomes[i], error));
    TRY(sqzi_task_run(task, &windows, NULL, outcomes, error));
    TAKE(firsts, sqzi_task_firsts(task, &windows, n));
    for (uint32_t i = 0; i < n; i++) {
        results[i] = (sqz_filled){.outcome = outcomes[i]};
        if (outcomes[i].status == SQZ_OK)
            TRY(fill_window(&call, &windows.items[firsts[i]], &results[i], error));
    }
fail:
    return status;
}
