/* SPDX-License-Identifier: Apache-2.0 */
/* The strings of a model that callers see, copied once with a NUL at their ends: name, labels, tensor names. */
#include "base/error.h"
#include "model/loader.h"

#include <stdio.h>

static const char *copy(sqzi_arena *arena, sqzi_span text)
{
    char *to = sqzi_arena_take(arena, text.n + 1, 1);
    if (!to) return NULL;
    if (text.n) memcpy(to, text.bytes, text.n);
    to[text.n] = '\0';
    return to;
}

static sqz_status find_name(const sqz_model *model, const char *key, sqzi_span *text, sqz_error *error)
{
    *text = (sqzi_span){"", 0};
    return sqzi_gguf_get_string(model->gguf, key, false, text, error);
}

static sqz_status load_labels(sqz_model *model, sqzi_arena *arena, sqz_error *error)
{
    const sqzi_gguf_value *labels;
    const uint32_t n = model->info.n_labels;
    bool named = false;
    const bool classes = model->info.head == SQZ_HEAD_SEQUENCE || model->info.head == SQZ_HEAD_TOKEN;
    sqz_status status = sqzi_gguf_get_array(model->gguf, "sqz.head.labels", SQZI_GGUF_STRING, classes ? n : UINT64_MAX, classes, &labels, error);
    if (status == SQZ_OK) status = sqzi_gguf_get_bool(model->gguf, "sqz.head.labels_named", false, &named, error);
    model->info.labels_named = labels && (named || !sqzi_gguf_find(model->gguf, "sqz.head.labels_named"));
    if (status != SQZ_OK || !classes) return status;
    const char **to = sqzi_arena_take(arena, n, sizeof *to);
    const unsigned char *at = labels->data;
    for (uint32_t k = 0; k < n; k++) {
        const char *label = copy(arena, sqzi_gguf_next_string(&at));
        if (to) to[k] = label;
    }
    model->labels = to;
    return SQZ_OK;
}

static sqz_status lay_out(sqz_model *model, sqzi_arena *arena, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_span name, type;
    TRY(find_name(model, "general.name", &name, error));
    TRY(find_name(model, "sqz.source.model_type", &type, error));
    model->info.name = copy(arena, name);
    model->info.source_type = copy(arena, type);
    TRY(load_labels(model, arena, error));
    const uint32_t n = sqzi_gguf_n_tensors(model->gguf);
    const char **names = sqzi_arena_take(arena, n, sizeof *names);
    for (uint32_t i = 0; i < n; i++) {
        const char *text = copy(arena, sqzi_gguf_tensor_at(model->gguf, i)->name);
        if (names) names[i] = text;
    }
    model->tensor_names = names;
fail:
    return status;
}

sqz_status sqzi_load_texts(sqz_model *model, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    TRY(lay_out(model, &arena, error));
    void *block = sqzi_allocate(&model->context->allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for %zu bytes of names", arena.used);
    arena = model->strings = sqzi_arena_over(block, arena.used);
    TRY(lay_out(model, &arena, error));
fail:
    return status;
}
