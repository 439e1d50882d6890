/* SPDX-License-Identifier: Apache-2.0 */
/* The task object and its reading side: an input is tokenised, and its windows are copied out of
 * the encoding, which the next input overwrites. */
#include "task/engine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/context.h"

enum { BATCH_TOKENS = 2048, LEAST_TOKENS = 256, MAX_STRIDE = 128, KEEP_BYTES = 1 << 24 };

/* Weights that a small file has stay in cache from batch to batch: then a session need not be
 * larger than they are. */
static uint32_t tokens_for(const sqz_model *model)
{
    const uint32_t least = LEAST_TOKENS * sqzi_thread_pool_size(sqz_model_context(model)->pool);
    sqz_session_options session = {.max_tokens = BATCH_TOKENS, .max_sequences = 1};
    while (session.max_tokens / 2 >= least &&
           sqz_session_plan(model, &session) > sqz_model_get_info(model)->file_bytes)
        session.max_tokens /= 2;
    return session.max_tokens;
}

static sqz_status fill_in(sqz_task_options *o, const sqz_model *model, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(model);
    if (!o->max_length) o->max_length = info->max_length;
    FAIL_IF(o->max_length > info->max_positions, SQZ_EINVAL, 0,
            "max_length is %u, the model has %u positions", o->max_length, info->max_positions);
    if (!o->stride) o->stride = o->max_length / 4 < MAX_STRIDE ? o->max_length / 4 : MAX_STRIDE;
    FAIL_IF(o->stride >= o->max_length, SQZ_EINVAL, 0,
            "stride is %u, it must be below max_length, which is %u", o->stride, o->max_length);
    if (!o->batch_tokens) o->batch_tokens = tokens_for(model);
    if (o->batch_tokens < o->max_length) o->batch_tokens = o->max_length;
fail:
    return status;
}

sqz_status sqz_task_open(const sqz_model *model, const sqz_task_options *options, sqz_task **out,
                         sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!model || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_task_open: an argument is NULL");
    const sqz_context *context = sqz_model_context(model);
    sqz_task *task = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *task);
    *out = NULL;
    if (!task) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a task");
    task->model = model;
    task->info = sqz_model_get_info(model);
    task->allocator = &context->allocator;
    task->slab.allocator = &context->allocator;
    TRY(SQZI_RESERVED(options, "sqz_task_options", error));
    if (options) task->options = *options;
    TRY(fill_in(&task->options, model, error));
    TRY(sqz_encoding_open(context, &task->encoding, error));
    *out = task;
    return SQZ_OK;
fail:
    sqz_task_close(task);
    return status;
}

void sqz_task_close(sqz_task *task)
{
    if (!task) return;
    sqz_session_close(task->session);
    sqz_encoding_close(task->encoding);
    sqzi_slab_free(&task->slab);
    sqzi_release(task->allocator, task, sizeof *task);
}

sqz_status sqzi_task_begin(sqz_task *task, const sqz_input *inputs, uint32_t n, const void *results,
                           sqz_error *error)
{
    if (!task || (n && (!inputs || !results)))
        return sqzi_fail(error, SQZ_EINVAL, 0, "a task, its inputs or its results are NULL");
    for (uint32_t i = 0; i < n; i++) {
        const sqz_status status = SQZI_RESERVED(&inputs[i], "sqz_input", error);
        if (status != SQZ_OK) return status;
    }
    sqzi_slab_reset(&task->slab, KEEP_BYTES);
    return SQZ_OK;
}

sqz_status sqzi_task_fault(sqz_task *task, sqz_outcome *outcome, sqz_status code, const char *text,
                           sqz_error *error)
{
    *outcome = (sqz_outcome){.status = code};
    outcome->text = sqzi_slab_text(&task->slab, text, strlen(text));
    return outcome->text ? SQZ_OK
                         : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an error record");
}

sqz_status sqzi_task_needs(const sqz_task *task, sqz_head_kind head, const char *what,
                           sqz_error *error)
{
    static const char *const names[] = {"no head",
                                        "a sequence classification head",
                                        "a token classification head",
                                        "a question answering head",
                                        "a masked language model head",
                                        "a multiple choice head"};
    if (task->info->head == head) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0, "%s needs a model with %s; this one has %s", what,
                     names[head], names[task->info->head]);
}

static sqz_status append_window(sqz_task *task, sqzi_windows *windows, sqzi_window window,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (windows->n == windows->capacity) {
        const uint32_t capacity = windows->capacity ? windows->capacity * 2 : 64;
        sqzi_window *items;
        TAKE(items, sqzi_slab_take(&task->slab, capacity, sizeof *items));
        if (windows->n) memcpy(items, windows->items, windows->n * sizeof *items);
        windows->items = items;
        windows->capacity = capacity;
    }
    windows->items[windows->n++] = window;
fail:
    return status;
}

/* The encoding's arrays, copied once for all windows of the input. */
static sqz_status keep_windows(sqz_task *task, uint32_t number, sqzi_windows *windows,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_encoding *encoding = task->encoding;
    const uint32_t n_windows = sqz_encoding_windows(encoding);
    const uint32_t n = sqz_encoding_first(encoding, n_windows);
    sqz_piece *pieces;
    uint32_t *ids;
    uint8_t *types;
    TAKE(pieces, sqzi_slab_take(&task->slab, n, sizeof *pieces));
    TAKE(ids, sqzi_slab_take(&task->slab, n, sizeof *ids));
    TAKE(types, sqzi_slab_take(&task->slab, n, sizeof *types));
    memcpy(pieces, sqz_encoding_pieces(encoding), n * sizeof *pieces);
    memcpy(ids, sqz_encoding_ids(encoding), n * sizeof *ids);
    memcpy(types, sqz_encoding_types(encoding), n * sizeof *types);
    for (uint32_t w = 0; w < n_windows; w++) {
        const uint32_t first = sqz_encoding_first(encoding, w),
                       end = sqz_encoding_first(encoding, w + 1);
        const sqzi_window window = {.pieces = pieces + first,
                                    .ids = ids + first,
                                    .types = types + first,
                                    .n = end - first,
                                    .input = number};
        TRY(append_window(task, windows, window, error));
    }
fail:
    return status;
}

/* The first piece that the model does not embed, or n: a tokenizer may have more of them. */
static uint32_t find_stranger(const sqz_task *task, uint32_t n)
{
    const uint32_t *ids = sqz_encoding_ids(task->encoding),
                   vocabulary = sqz_model_get_info(task->model)->vocabulary;
    uint32_t i = 0;
    while (i < n && ids[i] < vocabulary) i++;
    return i;
}

static sqz_status refuse_stranger(sqz_task *task, uint32_t id, sqz_outcome *outcome,
                                  sqz_error *error)
{
    char text[256];
    const char *piece = sqz_tokenizer_piece(sqz_model_tokenizer(task->model), id);
    snprintf(text, sizeof text,
             "the text holds the piece '%.100s' with the number %u, the model embeds %u: the "
             "tokenizer has more pieces than the model",
             piece ? piece : "", id, sqz_model_get_info(task->model)->vocabulary);
    return sqzi_task_fault(task, outcome, SQZ_ETOKEN, text, error);
}

sqz_status sqzi_task_read(sqz_task *task, const sqz_input *input, uint32_t number,
                          sqzi_cutting cutting, sqzi_windows *windows, sqz_outcome *outcome,
                          sqz_error *error)
{
    const sqz_long_text policy = task->options.long_text == SQZ_LONG_DEFAULT
                                     ? cutting.fallback
                                     : task->options.long_text;
    const sqz_tokenize_options options = {
        .max_length = task->options.max_length,
        .truncation = policy == SQZ_LONG_ERROR ? SQZ_TRUNCATE_ERROR : cutting.truncation,
        .stride = policy == SQZ_LONG_STRIDE ? task->options.stride : 0,
        .windows = policy == SQZ_LONG_STRIDE,
        .literal_special_tokens = task->options.literal_special_tokens,
    };
    sqz_error fault = {0};
    const sqz_tokenizer *tokenizer = cutting.tokenizer ? cutting.tokenizer
                                                       : sqz_model_tokenizer(task->model);
    const sqz_status status = sqz_tokenize(tokenizer, input->text,
                                           input->pair ? &input->second : NULL, &options,
                                           task->encoding, &fault);
    if (status == SQZ_ENOMEM) return sqzi_fail(error, SQZ_ENOMEM, 0, "%s", fault.text);
    if (status != SQZ_OK) return sqzi_task_fault(task, outcome, status, fault.text, error);
    const uint32_t n_windows = sqz_encoding_windows(task->encoding),
                   n_pieces = sqz_encoding_first(task->encoding, n_windows);
    if (!n_pieces)
        return sqzi_task_fault(task, outcome, SQZ_EINVAL,
                               "the text has no pieces and the tokenizer adds no special tokens",
                               error);
    const uint32_t stranger = find_stranger(task, n_pieces);
    if (stranger < n_pieces)
        return refuse_stranger(task, sqz_encoding_ids(task->encoding)[stranger], outcome, error);
    *outcome = (sqz_outcome){.n_pieces = n_pieces,
                             .n_windows = n_windows,
                             .cut = policy == SQZ_LONG_STRIDE ? 0
                                                              : sqz_encoding_cut(task->encoding)};
    return keep_windows(task, number, windows, error);
}

uint32_t *sqzi_task_firsts(sqz_task *task, const sqzi_windows *windows, uint32_t n_inputs)
{
    uint32_t *firsts = sqzi_slab_take_zeroed(&task->slab, (size_t)n_inputs + 1, sizeof *firsts);
    if (!firsts) return NULL;
    for (uint32_t w = 0; w < windows->n; w++) firsts[windows->items[w].input + 1]++;
    for (uint32_t i = 0; i < n_inputs; i++) firsts[i + 1] += firsts[i];
    return firsts;
}

uint32_t sqzi_argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

void sqzi_softmax(const float *x, uint32_t n, float *y)
{
    if (!n) return;
    const double largest = x[sqzi_argmax(x, n)];
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += exp(x[i] - largest);
    for (uint32_t i = 0; i < n; i++) y[i] = (float)(exp(x[i] - largest) / sum);
}

float sqzi_sigmoid(float x)
{
    return (float)(1.0 / (1.0 + exp(-(double)x)));
}
