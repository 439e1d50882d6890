/* SPDX-License-Identifier: Apache-2.0 */
/* A trained model to a writer. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/words.h"
#include "train/trainable.h"

enum { MAX_FEATURES = 32 };

static bool begins_with(sqzi_span text, const char *prefix)
{
    const size_t n = strlen(prefix);
    return text.n >= n && memcmp(text.bytes, prefix, n) == 0;
}

/* Of the base's metadata: what describes its head or pooling, or was found with its weights. */
static bool leaves_out(const void *user, sqzi_span key)
{
    const sqzi_trainable *t = user;
    static const char *const kept[] = {"sqz.head.activation", "sqz.head.norm_epsilon",
                                       "sqz.head.tied"};
    if (begins_with(key, "sqz.train.") || sqzi_span_is(key, "sqz.requires")) return true;
    if (sqzi_span_is(key, "sqz.head.temperature") || sqzi_span_is(key, "sqz.head.threshold"))
        return true; /* found with other weights */
    if (t->keeps_head) return false;
    if (sqzi_span_is(key, "sqz.pool")) return t->model->info.head == SQZ_HEAD_NONE;
    if (!begins_with(key, "sqz.head.")) return false;
    for (size_t i = 0; !t->new_head && i < sizeof kept / sizeof *kept; i++)
        if (sqzi_span_is(key, kept[i])) return false;
    return true;
}

static sqz_status put_head(const sqzi_trainable *t, sqzi_gguf_writer *writer, sqz_error *error)
{
    const sqz_model_info *info = &t->model->info;
    const sqz_allocator *allocator = &t->model->context->allocator;
    if (info->head == SQZ_HEAD_NONE) {
        sqzi_gguf_put_string(writer, "sqz.head.kind", sqzi_head_words[info->head]);
        sqzi_gguf_put_string(writer, "sqz.pool", sqzi_pooling_names[info->pooling]);
        return SQZ_OK;
    }
    sqzi_span *labels = sqzi_allocate(allocator, t->n_labels * sizeof *labels);
    if (!labels) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for labels");
    for (uint32_t k = 0; k < t->n_labels; k++) labels[k] = sqzi_span_of(t->labels[k]);
    sqzi_gguf_put_string(writer, "sqz.head.kind", sqzi_head_words[info->head]);
    sqzi_gguf_put_string(writer, "sqz.head.pool", sqzi_pooling_names[t->model->head.pooling]);
    sqzi_gguf_put_string(writer, "sqz.head.problem", sqzi_problem_words[info->problem]);
    sqzi_gguf_put_strings(writer, "sqz.head.labels", labels, t->n_labels);
    sqzi_gguf_put_bool(writer, "sqz.head.labels_named", true);
    if (info->temperature != 1)
        sqzi_gguf_put_f64(writer, "sqz.head.temperature", info->temperature);
    if (info->threshold > -HUGE_VAL)
        sqzi_gguf_put_f64(writer, "sqz.head.threshold", info->threshold);
    sqzi_release(allocator, labels, t->n_labels * sizeof *labels);
    return SQZ_OK;
}

/* The base's, but bf16: all is f32 now. */
static sqz_status put_requires(const sqzi_trainable *t, sqzi_gguf_writer *writer, sqz_error *error)
{
    const sqzi_gguf_value *value;
    const sqz_status status = sqzi_gguf_get_array(t->model->gguf, "sqz.requires", SQZI_GGUF_STRING,
                                                  UINT64_MAX, false, &value, error);
    if (status != SQZ_OK || !value) return status;
    sqzi_span features[MAX_FEATURES];
    const unsigned char *at = value->data;
    size_t n = 0;
    for (uint64_t i = 0; i < value->n && n < MAX_FEATURES; i++) {
        features[n] = sqzi_gguf_next_string(&at);
        n += !sqzi_span_is(features[n], "bf16");
    }
    if (n) sqzi_gguf_put_strings(writer, "sqz.requires", features, n);
    return SQZ_OK;
}

static sqz_status emit(void *user, sqzi_file_writer *file, sqz_error *error)
{
    const sqzi_parameter_source *source = user;
    const size_t bytes = source->parameter->n * sizeof(float);
    if (sqzi_trainable_is_placed(source->parameter))
        return sqzi_file_writer_put(file, source->numbers, bytes, error);
    float *stored = sqzi_allocate(source->allocator, bytes);
    if (!stored) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes", bytes);
    sqzi_trainable_unplace(source->parameter, source->numbers, stored);
    const sqz_status status = sqzi_file_writer_put(file, stored, bytes, error);
    sqzi_release(source->allocator, stored, bytes);
    return status;
}

void sqzi_trainable_put_parameter(sqzi_gguf_writer *writer, const char *prefix,
                                  const sqzi_parameter_source *source)
{
    const sqzi_tensor_entry *e = &source->parameter->entry;
    const uint64_t shape[] = {e->rows, e->columns};
    char name[SQZI_TENSOR_NAME + 16];
    snprintf(name, sizeof name, "%s%s", prefix, e->name);
    sqzi_gguf_put_tensor_by(writer, name, SQZI_F32, e->columns ? 2 : 1, shape, emit,
                            (void *)(uintptr_t)source);
}

bool sqzi_trainable_is_table(sqzi_span name)
{
    static const char *const tables[] = {"token_embd.weight", "token_embd.codes",
                                         "token_embd.centroids", "position_embd.weight",
                                         "token_types.weight"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (name.n >= strlen(tables[i]) && memcmp(name.bytes, tables[i], strlen(tables[i])) == 0)
            return true;
    return false;
}

uint64_t sqzi_trainable_frozen(const sqz_model *model)
{
    const sqzi_embedding *e = &model->encoder.embedding;
    const sqzi_table *const tables[] = {&e->word, &e->position, &e->type};
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i]->type == SQZI_S8) n += (uint64_t)tables[i]->n_rows * tables[i]->width;
    return n;
}

/* A table of integers, or its scales. */
static void put_as_it_is(const sqzi_gguf_tensor *tensor, sqzi_gguf_writer *writer)
{
    char name[SQZI_TENSOR_NAME + 16];
    snprintf(name, sizeof name, "%.*s", (int)tensor->name.n, tensor->name.bytes);
    sqzi_gguf_put_tensor(writer, name, tensor->type, tensor->n_dims, tensor->shape, tensor->data);
}

/* In the order of the base; what is new comes last. */
static void put_tensors(const sqzi_trainable *t, sqzi_gguf_writer *writer)
{
    const sqzi_parameters *p = &t->parameters;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(t->model->gguf); i++) {
        const sqzi_gguf_tensor *tensor = sqzi_gguf_tensor_at(t->model->gguf, i);
        if (t->new_head && begins_with(tensor->name, "head.")) continue;
        uint32_t j = 0;
        while (j < p->n && !sqzi_span_is(tensor->name, p->list[j].entry.name)) j++;
        if (j < p->n) sqzi_trainable_put_parameter(writer, "", &t->sources[j]);
        else if (sqzi_trainable_is_table(tensor->name)) put_as_it_is(tensor, writer);
    }
    for (uint32_t j = 0; t->new_head && j < p->n; j++)
        if (p->list[j].entry.part == SQZI_PART_HEAD)
            sqzi_trainable_put_parameter(writer, "", &t->sources[j]);
}

sqz_status sqzi_trainable_put(const sqzi_trainable *t, const char *history, const char *suffix,
                              sqzi_gguf_writer *writer, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_step step = {.history = history, .suffix = suffix};
    TRY(sqzi_rewrite_metadata_but(writer, t->model, &step, leaves_out, t, error));
    TRY(put_requires(t, writer, error));
    if (!t->keeps_head) TRY(put_head(t, writer, error));
    put_tensors(t, writer);
fail:
    return status;
}
