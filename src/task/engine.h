/* SPDX-License-Identifier: Apache-2.0 */
/* What every task is built on: inputs become windows of pieces, windows become batches without
 * padding, batches become rows of numbers. */
#ifndef SQZI_ENGINE_H
#define SQZI_ENGINE_H

#include <squeezebert/task.h>

#include "task/slab.h"

struct sqz_task {
    const sqz_model *model;
    const sqz_model_info *info;
    const sqz_allocator *allocator;
    /* with the defaults filled in; long_text may still be SQZ_LONG_DEFAULT */
    sqz_task_options options;
    sqz_encoding *encoding;
    sqz_session *session; /* grown to the largest batch met; NULL at first */
    uint32_t session_tokens;
    sqzi_slab slab; /* results and working memory of the call */
};

/* One sequence that the model reads. */
typedef struct sqzi_window {
    const sqz_piece *pieces;
    const uint32_t *ids;
    const uint8_t *types;
    uint32_t n;
    uint32_t input;
    uint32_t skip;          /* pieces at its beginning that pooling leaves out */
    const uint32_t *wanted; /* pieces whose logits are wanted: SQZ_HEAD_MASKED_LM alone */
    uint32_t n_wanted;
    float *rows; /* what the run made: [rows, columns] */
} sqzi_window;

typedef struct sqzi_windows {
    sqzi_window *items;
    uint32_t n, capacity;
} sqzi_windows;

/* Begin a call: everything of the last one is given back. SQZ_EINVAL: the task is NULL, or the
 * inputs or results of a call that has some. */
SQZ_NODISCARD sqz_status sqzi_task_begin(sqz_task *task, const sqz_input *inputs, uint32_t n,
                                         const void *results, sqz_error *error);

/* How an input is cut. */
typedef struct sqzi_cutting {
    sqz_truncation truncation; /* which side gives way */
    sqz_long_text fallback;    /* what SQZ_LONG_DEFAULT means here */
} sqzi_cutting;

/* Tokenise one input and append its windows. A fault of the input goes to *outcome; the status is
 * SQZ_OK then. */
SQZ_NODISCARD sqz_status sqzi_task_read(sqz_task *task, const sqz_input *input, uint32_t number,
                                        sqzi_cutting cutting, sqzi_windows *windows,
                                        sqz_outcome *outcome, sqz_error *error);

/* Run all windows and set their rows; embed NULL: logits; else its dimensions are not 0 and its
 * skip is not looked at. Numbers that an int8 layer cannot take are the outcome of the window's
 * input. outcomes [inputs], found by window.input. */
SQZ_NODISCARD sqz_status sqzi_task_run(sqz_task *task, const sqzi_windows *windows,
                                       const sqz_embed_options *embed, sqz_outcome *outcomes,
                                       sqz_error *error);

/* Put a fault into an outcome. SQZ_ENOMEM when there is no memory for its text. */
SQZ_NODISCARD sqz_status sqzi_task_fault(sqz_task *task, sqz_outcome *outcome, sqz_status code,
                                         const char *text, sqz_error *error);

/* SQZ_EINVAL naming what the model has and what the task needs. */
SQZ_NODISCARD sqz_status sqzi_task_needs(const sqz_task *task, sqz_head_kind head, const char *what,
                                         sqz_error *error);

/* The first window of each input, [n_inputs + 1]: windows of an input stand together and inputs in
 * order. NULL: no memory. */
uint32_t *sqzi_task_firsts(sqz_task *task, const sqzi_windows *windows, uint32_t n_inputs);

/* y = softmax(x) over n numbers, in double, largest subtracted; and 1 / (1 + exp(-x)). */
void sqzi_softmax(const float *x, uint32_t n, float *y);
float sqzi_sigmoid(float x);
/* Index of the largest, the first on a tie. */
uint32_t sqzi_argmax(const float *x, uint32_t n);

/* pointer = call, or out with the one text that every task has for it; needs what FAIL_IF needs */
#define TAKE(pointer, call)                                                                        \
    do {                                                                                           \
        (pointer) = (call);                                                                        \
        FAIL_IF(!(pointer), SQZ_ENOMEM, 0,                                                         \
                "no memory for the results of a call: give fewer inputs at a time");               \
    } while (0)

#endif
