/* SPDX-License-Identifier: Apache-2.0 */
/* The strings of a model that callers see, copied once with a NUL at their ends: name, labels,
 * prompts, tensor names, metadata as shown. */
#include "base/error.h"
#include "base/number.h"
#include "model/loader.h"

#include <inttypes.h>
#include <stdio.h>

/* longer strings are cut, longer arrays only counted */
enum { SHOWN_STRING = 200, SHOWN_ITEMS = 16 };

static const char *copy(sqzi_arena *arena, sqzi_span text)
{
    char *to = sqzi_arena_take(arena, text.n + 1, 1);
    if (!to) return NULL;
    if (text.n) memcpy(to, text.bytes, text.n);
    to[text.n] = '\0';
    return to;
}

static sqz_status find_name(const sqz_model *model, const char *key, sqzi_span *text,
                            sqz_error *error)
{
    *text = (sqzi_span){"", 0};
    return sqzi_gguf_get_string(model->gguf, key, false, text, error);
}

static sqz_status load_labels(sqz_model *model, sqzi_arena *arena, sqz_error *error)
{
    const sqzi_gguf_value *labels;
    const uint32_t n = model->info.n_labels;
    bool named = false;
    const bool classes = model->info.head == SQZ_HEAD_SEQUENCE ||
                         model->info.head == SQZ_HEAD_TOKEN;
    sqz_status status = sqzi_gguf_get_array(model->gguf, "sqz.head.labels", SQZI_GGUF_STRING,
                                            classes ? n : UINT64_MAX, classes, &labels, error);
    if (status == SQZ_OK)
        status = sqzi_gguf_get_bool(model->gguf, "sqz.head.labels_named", false, &named, error);
    model->info.labels_named = labels &&
                               (named || !sqzi_gguf_find(model->gguf, "sqz.head.labels_named"));
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

static sqz_status load_prompts(sqz_model *model, sqzi_arena *arena, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_gguf_value *names, *texts;
    sqzi_span chosen = {"", 0};
    TRY(sqzi_gguf_get_array(model->gguf, "sqz.prompts.names", SQZI_GGUF_STRING, UINT64_MAX, false,
                            &names, error));
    TRY(sqzi_gguf_get_array(model->gguf, "sqz.prompts.texts", SQZI_GGUF_STRING,
                            names ? names->n : 0, names != NULL, &texts, error));
    const bool has_default = sqzi_gguf_find(model->gguf, "sqz.prompts.default") != NULL;
    TRY(find_name(model, "sqz.prompts.default", &chosen, error));
    const uint32_t n = names ? (uint32_t)names->n : 0;
    model->n_prompts = model->default_prompt = n;
    model->prompt_names = sqzi_arena_take(arena, n, sizeof *model->prompt_names);
    model->prompts = sqzi_arena_take(arena, n, sizeof *model->prompts);
    const unsigned char *name = names ? names->data : NULL, *text = texts ? texts->data : NULL;
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_span label = sqzi_gguf_next_string(&name);
        const char *copied = copy(arena, label),
                   *prompt = copy(arena, sqzi_gguf_next_string(&text));
        if (has_default && label.n == chosen.n && memcmp(label.bytes, chosen.bytes, label.n) == 0)
            model->default_prompt = i;
        if (!copied) continue; /* counting */
        model->prompt_names[i] = copied;
        model->prompts[i] = prompt;
    }
    FAIL_IF(has_default && model->default_prompt == n, SQZ_EFORMAT, 0,
            "metadata 'sqz.prompts.default' names no prompt of 'sqz.prompts.names'");
fail:
    return status;
}

static size_t show_item(const sqzi_gguf_value *value, uint64_t i, const unsigned char **cursor,
                        char *to, size_t room)
{
    int n;
    if (value->type == SQZI_GGUF_STRING) {
        const sqzi_span text = sqzi_gguf_next_string(cursor);
        const bool cut = text.n > SHOWN_STRING;
        n = snprintf(to, room, "%.*s%s", (int)(cut ? SHOWN_STRING : text.n), text.bytes,
                     cut ? "..." : "");
    } else if (value->type == SQZI_GGUF_F32 || value->type == SQZI_GGUF_F64) {
        n = snprintf(to, room, "%s", SQZI_REAL(9, sqzi_gguf_float(value, i)));
    } else if (value->type == SQZI_GGUF_BOOL) {
        n = snprintf(to, room, "%s", sqzi_gguf_uint(value, i) ? "true" : "false");
    } else {
        n = snprintf(to, room, "%" PRId64, (int64_t)sqzi_gguf_uint(value, i));
    }
    return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* A value as one line: "12", "gelu", "[12, 12, 12]", "[30522 strings]". */
static void show_value(const sqzi_gguf_value *value, char *to, size_t room)
{
    const unsigned char *cursor = value->data;
    if (!value->is_array) {
        (void)show_item(value, 0, &cursor, to, room);
        return;
    }
    if (value->n > SHOWN_ITEMS) {
        snprintf(to, room, "[%" PRIu64 " %s]", value->n,
                 value->type == SQZI_GGUF_STRING ? "strings" : "numbers");
        return;
    }
    size_t used = (size_t)snprintf(to, room, "[");
    for (uint64_t i = 0; i < value->n; i++) {
        if (i && used + 2 < room) used += (size_t)snprintf(to + used, room - used, ", ");
        used += show_item(value, i, &cursor, to + used, room - used);
    }
    if (used + 1 < room) snprintf(to + used, room - used, "]");
}

static void load_metadata(sqz_model *model, sqzi_arena *arena)
{
    const uint32_t n = sqzi_gguf_n_values(model->gguf);
    const char **keys = sqzi_arena_take(arena, n, sizeof *keys),
               **values = sqzi_arena_take(arena, n, sizeof *values);
    for (uint32_t i = 0; i < n; i++) {
        char shown[SHOWN_ITEMS * (SHOWN_STRING + 8)];
        const sqzi_gguf_value *value = sqzi_gguf_value_at(model->gguf, i);
        show_value(value, shown, sizeof shown);
        const char *key = copy(arena, value->key), *text = copy(arena, sqzi_span_of(shown));
        if (!keys) continue; /* counting */
        keys[i] = key;
        values[i] = text;
    }
    model->keys = keys;
    model->values = values;
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
    TRY(load_prompts(model, arena, error));
    load_metadata(model, arena);
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
