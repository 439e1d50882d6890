/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings of texts, and the similarity of two. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "task/engine.h"

/* The text with the prompt before it. */
static sqz_status with_prompt(sqz_task *task, const char *prompt, sqz_text text, sqz_text *out,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t n = prompt ? strlen(prompt) : 0;
    char *joined;
    *out = text;
    if (!n) return SQZ_OK;
    TAKE(joined, sqzi_slab_take(&task->slab, n + text.n_bytes, 1));
    memcpy(joined, prompt, n);
    if (text.n_bytes) memcpy(joined + n, text.bytes, text.n_bytes);
    *out = (sqz_text){joined, n + text.n_bytes};
fail:
    return status;
}

static void normalize(float *vector, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)vector[i] * vector[i];
    const double length = sqrt(sum);
    for (uint32_t i = 0; i < n && length > 0; i++) vector[i] = (float)(vector[i] / length);
}

/* One vector of the vectors of several windows. */
static sqz_status join_vectors(sqz_task *task, const sqzi_window *windows, uint32_t n,
                               uint32_t dimensions, bool unit, const float **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    float *mean;
    double total = 0;
    TAKE(mean, sqzi_slab_take(&task->slab, dimensions, sizeof *mean));
    for (uint32_t w = 0; w < n; w++) total += windows[w].n;
    for (uint32_t d = 0; d < dimensions; d++) {
        double sum = 0;
        for (uint32_t w = 0; w < n; w++) sum += (double)windows[w].rows[d] * windows[w].n;
        mean[d] = (float)(sum / total);
    }
    if (unit) normalize(mean, dimensions);
    *out = mean;
fail:
    return status;
}

/* The rows of all windows, one behind the other. */
static sqz_status join_rows(sqz_task *task, const sqzi_window *windows, uint32_t n,
                            uint32_t dimensions, sqz_embedding *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    float *rows;
    result->n_vectors = result->outcome.n_pieces;
    result->vectors = windows[0].rows;
    if (n == 1) return SQZ_OK;
    TAKE(rows, sqzi_slab_take(&task->slab, (size_t)result->n_vectors * dimensions, sizeof *rows));
    result->vectors = rows;
    for (uint32_t w = 0; w < n; w++) {
        const size_t numbers = (size_t)windows[w].n * dimensions;
        memcpy(rows, windows[w].rows, numbers * sizeof *rows);
        rows += numbers;
    }
fail:
    return status;
}

/* Several windows are joined before normalising, so their vectors are asked for as they are. */
typedef struct embed_call {
    sqz_embed_options run;
    uint32_t dimensions;
    bool unit_after; /* normalise the joined or single vector here */
} embed_call;

static embed_call settle(const sqz_task *task, const sqz_embed_text_options *options, bool any_long)
{
    embed_call call = {.run = options->embed};
    if (call.run.pool == SQZ_POOL_DEFAULT) call.run.pool = task->info->pool;
    if (call.run.normalize < 0) call.run.normalize = task->info->normalize;
    call.dimensions = call.run.dimensions ? call.run.dimensions : task->info->width;
    if (any_long && call.run.pool != SQZ_POOL_NONE) {
        call.unit_after = call.run.normalize;
        call.run.normalize = 0;
    }
    return call;
}

static sqz_status finish(sqz_task *task, sqzi_window *windows, uint32_t n, const embed_call *call,
                         sqz_embedding *result, sqz_error *error)
{
    result->dimensions = call->dimensions;
    if (call->run.pool == SQZ_POOL_NONE)
        return join_rows(task, windows, n, call->dimensions, result, error);
    result->n_vectors = 1;
    result->vectors = windows[0].rows;
    if (n > 1)
        return join_vectors(task, windows, n, call->dimensions, call->unit_after, &result->vectors,
                            error);
    if (call->unit_after) normalize(windows[0].rows, call->dimensions);
    return SQZ_OK;
}

/* The call without its beginning, so that a comparison can lay out its inputs first. */
static sqz_status embed_inputs(sqz_task *task, const sqz_input *inputs, uint32_t n,
                               const sqz_embed_text_options *options, sqz_embedding *results,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_windows windows = {0};
    sqz_outcome *outcomes;
    uint32_t *firsts;
    bool any_long = false;
    const char *prompt = options->prompt ? options->prompt : sqz_model_prompt(task->model, NULL);
    FAIL_IF(options->embed.dimensions > task->info->width, SQZ_EINVAL, 0,
            "%u dimensions, the model has %u", options->embed.dimensions, task->info->width);
    FAIL_IF(options->embed.pool == SQZ_POOL_POOLER && !task->info->has_pooler, SQZ_EINVAL, 0,
            "this model has no pooler: choose mean, cls or none");
    TAKE(outcomes, sqzi_slab_take_zeroed(&task->slab, n, sizeof *outcomes));
    for (uint32_t i = 0; i < n; i++) {
        sqz_input input = inputs[i];
        TRY(with_prompt(task, prompt, inputs[i].text, &input.text, error));
        TRY(sqzi_task_read(task, &input, i,
                           (sqzi_cutting){SQZ_TRUNCATE_LONGEST_FIRST, SQZ_LONG_CUT}, &windows,
                           &outcomes[i], error));
        any_long |= outcomes[i].n_windows > 1;
    }
    const embed_call call = settle(task, options, any_long);
    TRY(sqzi_task_run(task, &windows, &call.run, outcomes, error));
    TAKE(firsts, sqzi_task_firsts(task, &windows, n));
    for (uint32_t i = 0; i < n; i++) {
        results[i] = (sqz_embedding){.outcome = outcomes[i]};
        if (outcomes[i].status == SQZ_OK)
            TRY(finish(task, windows.items + firsts[i], firsts[i + 1] - firsts[i], &call,
                       &results[i], error));
    }
fail:
    return status;
}

static const sqz_embed_text_options default_options = {
    .embed = {.pool = SQZ_POOL_DEFAULT, .normalize = -1}};

sqz_status sqz_embed_texts(sqz_task *task, const sqz_input *inputs, uint32_t n,
                           const sqz_embed_text_options *options, sqz_embedding *results,
                           sqz_error *error)
{
    const sqz_status status = sqzi_task_begin(task, inputs, n, results, error);
    return status == SQZ_OK
               ? embed_inputs(task, inputs, n, options ? options : &default_options, results, error)
               : status;
}

static float cosine(const float *a, const float *b, uint32_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? (float)(ab / (sqrt(aa) * sqrt(bb))) : 0.0f;
}

static sqz_outcome join_outcomes(const sqz_outcome *a, const sqz_outcome *b)
{
    if (a->status != SQZ_OK) return *a;
    if (b->status != SQZ_OK) return *b;
    return (sqz_outcome){.n_pieces = a->n_pieces + b->n_pieces,
                         .n_windows = a->n_windows + b->n_windows,
                         .cut = a->cut + b->cut};
}

sqz_status sqz_compare(sqz_task *task, const sqz_input *inputs, uint32_t n,
                       const sqz_embed_text_options *options, sqz_similarity *results,
                       sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_input *sides;
    sqz_embedding *vectors;
    if (!options) options = &default_options;
    TRY(sqzi_task_begin(task, inputs, n, results, error));
    FAIL_IF(options->embed.pool == SQZ_POOL_NONE, SQZ_EINVAL, 0,
            "a similarity needs one vector a text: choose a pooling other than none");
    FAIL_IF(n > UINT32_MAX / 2, SQZ_EINVAL, 0, "%u pairs in one call: at most %u", n,
            UINT32_MAX / 2);
    TAKE(sides, sqzi_slab_take(&task->slab, 2 * (size_t)n, sizeof *sides));
    TAKE(vectors, sqzi_slab_take(&task->slab, 2 * (size_t)n, sizeof *vectors));
    for (uint32_t i = 0; i < n; i++) {
        sides[2 * i] = (sqz_input){.text = inputs[i].text};
        sides[2 * i + 1] = (sqz_input){.text = inputs[i].second};
    }
    TRY(embed_inputs(task, sides, 2 * n, options, vectors, error));
    for (uint32_t i = 0; i < n; i++) {
        const sqz_embedding *a = &vectors[2 * i], *b = a + 1;
        results[i] = (sqz_similarity){.outcome = join_outcomes(&a->outcome, &b->outcome)};
        if (results[i].outcome.status == SQZ_OK)
            results[i].cosine = cosine(a->vectors, b->vectors, a->dimensions);
    }
fail:
    return status;
}
