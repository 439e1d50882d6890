/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings of texts, and the similarity of two. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "model/loader.h"
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
    for (uint32_t w = 0; w < n; w++) total += windows[w].n - windows[w].skip;
    for (uint32_t d = 0; d < dimensions; d++) {
        double sum = 0;
        for (uint32_t w = 0; w < n; w++)
            sum += (double)windows[w].rows[d] * (windows[w].n - windows[w].skip);
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
    if (call.run.pooling == SQZ_POOLING_DEFAULT) call.run.pooling = task->info->pooling;
    if (call.run.normalize == SQZ_NORMALIZE_DEFAULT)
        call.run.normalize = task->info->normalize ? SQZ_NORMALIZE_YES : SQZ_NORMALIZE_NO;
    if (!call.run.dimensions)
        call.run.dimensions = call.run.pooling == SQZ_POOLING_NONE ? task->info->width
                                                                   : task->info->dimensions;
    call.dimensions = call.run.dimensions;
    if (any_long && call.run.pooling != SQZ_POOLING_NONE) {
        call.unit_after = call.run.normalize == SQZ_NORMALIZE_YES;
        call.run.normalize = SQZ_NORMALIZE_NO;
    }
    return call;
}

static sqz_status finish(sqz_task *task, sqzi_window *windows, uint32_t n, const embed_call *call,
                         sqz_embedding *result, sqz_error *error)
{
    result->dimensions = call->dimensions;
    if (call->run.pooling == SQZ_POOLING_NONE)
        return join_rows(task, windows, n, call->dimensions, result, error);
    result->n_vectors = 1;
    result->vectors = windows[0].rows;
    if (n > 1)
        return join_vectors(task, windows, n, call->dimensions, call->unit_after, &result->vectors,
                            error);
    if (call->unit_after) normalize(windows[0].rows, call->dimensions);
    return SQZ_OK;
}

/* What goes before a text. */
typedef struct prefix {
    const char *text;
    uint32_t skip; /* pieces that pooling leaves out for it */
} prefix;

/* As sentence-transformers counts where pooling leaves a prompt out: the pieces of the prompt
 * alone, without the special token at its end. */
static sqz_status measure(sqz_task *task, const char *prompt, prefix *out, sqz_error *error)
{
    *out = (prefix){prompt ? prompt : sqz_model_prompt(task->model, NULL), 0};
    if (task->info->include_prompt || !out->text || !*out->text) return SQZ_OK;
    const sqz_tokenizer *tokenizer = sqz_model_embed_tokenizer(task->model);
    const sqz_tokenize_options options = {.max_length = task->options.max_length};
    const sqz_status status = sqz_tokenize(tokenizer, (sqz_text){out->text, strlen(out->text)},
                                           NULL, &options, task->encoding, error);
    if (status != SQZ_OK) return status;
    const uint32_t n = sqz_encoding_first(task->encoding, 1);
    out->skip = n - (n && sqz_encoding_pieces(task->encoding)[n - 1].special);
    return SQZ_OK;
}

/* One input, its prompt before it, into windows of which the first holds the prompt. */
static sqz_status read_input(sqz_task *task, const sqz_input *given, uint32_t number,
                             const prefix *before, sqzi_windows *windows, sqz_outcome *outcome,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_input input = *given;
    const uint32_t first = windows->n;
    TRY(with_prompt(task, before->text, given->text, &input.text, error));
    TRY(sqzi_task_read(task, &input, number,
                       (sqzi_cutting){SQZ_TRUNCATE_LONGEST_FIRST, SQZ_LONG_CUT,
                                      sqz_model_embed_tokenizer(task->model)},
                       windows, outcome, error));
    if (windows->n == first) return SQZ_OK;
    windows->items[first].skip = before->skip;
    if (before->skip < windows->items[first].n) return SQZ_OK;
    windows->n = first;
    return sqzi_task_fault(task, outcome, SQZ_ETOOLONG,
                           "the prompt alone fills all pieces, and pooling leaves it out: give a "
                           "larger max_length",
                           error);
fail:
    return status;
}

/* The call without its beginning, so that a comparison can lay out its inputs first: where
 * options->second_prompt is set, every other input is the second of two. */
static sqz_status embed_inputs(sqz_task *task, const sqz_input *inputs, uint32_t n,
                               const sqz_embed_text_options *options, sqz_embedding *results,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_windows windows = {0};
    sqz_outcome *outcomes;
    uint32_t *firsts;
    bool any_long = false;
    prefix prompts[2];
    const uint32_t n_prompts = options->second_prompt ? 2 : 1;
    const sqz_pooling pool = options->embed.pooling ? options->embed.pooling : task->info->pooling;
    const uint32_t most = pool == SQZ_POOLING_NONE ? task->info->width
                                                   : task->model->head.embedding_width;
    TRY(SQZI_RESERVED(options, "sqz_embed_text_options", error));
    TRY(SQZI_RESERVED(&options->embed, "sqz_embed_options", error));
    FAIL_IF(options->embed.dimensions > most, SQZ_EINVAL, 0, "%u dimensions, the model has %u",
            options->embed.dimensions, most);
    FAIL_IF(options->embed.pooling == SQZ_POOLING_POOLER && !task->info->has_pooler, SQZ_EINVAL, 0,
            "this model has no pooler: choose mean, cls or none");
    TAKE(outcomes, sqzi_slab_take_zeroed(&task->slab, n, sizeof *outcomes));
    TRY(measure(task, options->prompt, &prompts[0], error));
    if (n_prompts == 2) TRY(measure(task, options->second_prompt, &prompts[1], error));
    for (uint32_t i = 0; i < n; i++) {
        TRY(read_input(task, &inputs[i], i, &prompts[i % n_prompts], &windows, &outcomes[i],
                       error));
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

static const sqz_embed_text_options default_options;

sqz_status sqz_embed_texts(sqz_task *task, const sqz_input *inputs, uint32_t n,
                           const sqz_embed_text_options *options, sqz_embedding *results,
                           sqz_error *error)
{
    const sqz_status status = sqzi_task_begin(task, inputs, n, results, error);
    if (status != SQZ_OK) return status;
    sqz_embed_text_options given = options ? *options : default_options;
    given.second_prompt = NULL;
    return embed_inputs(task, inputs, n, &given, results, error);
}

static void compare(const float *a, const float *b, uint32_t n, sqz_similarity_kind similarity,
                    sqz_similarity *result)
{
    double ab = 0, aa = 0, bb = 0, squares = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double d = (double)a[i] - b[i];
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
        squares += d * d;
        sum += fabs(d);
    }
    result->cosine = aa > 0 && bb > 0 ? (float)(ab / (sqrt(aa) * sqrt(bb))) : 0.0f;
    switch (similarity) {
    case SQZ_SIMILARITY_DOT: result->score = (float)ab; break;
    case SQZ_SIMILARITY_EUCLIDEAN: result->score = (float)-sqrt(squares); break;
    case SQZ_SIMILARITY_MANHATTAN: result->score = (float)-sum; break;
    default: result->score = result->cosine; break;
    }
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
    FAIL_IF(options->embed.pooling == SQZ_POOLING_NONE, SQZ_EINVAL, 0,
            "a similarity needs one vector a text: choose a pooling other than none");
    const sqz_similarity_kind similarity = options->similarity ? options->similarity
                                                               : task->info->similarity;
    FAIL_IF((unsigned)similarity > SQZ_SIMILARITY_MANHATTAN, SQZ_EINVAL, 0,
            "no similarity has the number %d", (int)similarity);
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
            compare(a->vectors, b->vectors, a->dimensions, similarity, &results[i]);
    }
fail:
    return status;
}
