/* SPDX-License-Identifier: Apache-2.0 */
/* A trained model to a writer. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "io/packed_rows.h"
#include "model/words.h"
#include "train/trainable.h"

enum { MAX_FEATURES = 32 };

/* Of the base's metadata: what describes its head or pooling, or was found with its weights. */
static bool leaves_out(const void *user, sqzi_span key)
{
    const sqzi_trainable *t = user;
    static const char *const kept[] = {"sqz.head.activation", "sqz.head.norm_epsilon",
                                       "sqz.head.tied"};
    if (sqzi_span_begins(key, "sqz.train.") || sqzi_span_is(key, "sqz.requires")) return true;
    if (sqzi_is_of_scores(key)) return true; /* found with other weights */
    if (t->keeps_head) return false;
    if (sqzi_span_is(key, "sqz.task")) return true;
    if (sqzi_span_is(key, "sqz.pool")) return t->model->info.head == SQZ_HEAD_NONE;
    if (!sqzi_span_begins(key, "sqz.head.")) return false;
    for (size_t i = 0; !t->new_head && i < sizeof kept / sizeof *kept; i++)
        if (sqzi_span_is(key, kept[i])) return false;
    return true;
}

static sqz_status put_head(const sqzi_trainable *t, sqzi_gguf_writer *writer, sqz_error *error)
{
    const sqz_model_info *info = &t->model->info;
    const sqz_allocator *allocator = &t->model->context->allocator;
    if (t->task.n) sqzi_gguf_put_span(writer, "sqz.task", t->task);
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
    sqzi_gguf_put_bool(writer, "sqz.head.labels_named", info->labels_named != 0);
    if (info->temperature != 1)
        sqzi_gguf_put_f64(writer, "sqz.head.temperature", info->temperature);
    if (info->threshold > -HUGE_VAL)
        sqzi_gguf_put_f64(writer, "sqz.head.threshold", info->threshold);
    sqzi_release(allocator, labels, t->n_labels * sizeof *labels);
    return SQZ_OK;
}

/* Those that say how numbers are stored. */
static const char *const storage_features[] = {"s8", "s4", "s3", "s2", "bf16"};
enum { S8, S4, S3, S2, STORAGES };

static bool ends_with(sqzi_span text, const char *ending)
{
    const size_t n = strlen(ending);
    return text.n >= n && memcmp(text.bytes + (text.n - n), ending, n) == 0;
}

/* NAME of a tensor NAME, NAME.s4, .s3 or .s2. */
static bool holds(const sqzi_gguf_tensor *tensor, const char *name)
{
    const size_t n = strlen(name);
    sqzi_span rest = tensor->name;
    if (!sqzi_span_begins(rest, name)) return false;
    rest = (sqzi_span){rest.bytes + n, rest.n - n};
    return rest.n == 0 || sqzi_span_is(rest, ".s4") || sqzi_span_is(rest, ".s3") ||
           sqzi_span_is(rest, ".s2");
}

/* NAME.scale of a parameter NAME, which is put with it. */
static bool is_scale_of_any(const sqzi_gguf_tensor *tensor, const sqzi_parameters *p)
{
    for (uint32_t j = 0; j < p->n; j++) {
        const size_t n = strlen(p->list[j].entry.name);
        if (sqzi_span_begins(tensor->name, p->list[j].entry.name) &&
            sqzi_span_is((sqzi_span){tensor->name.bytes + n, tensor->name.n - n}, ".scale"))
            return true;
    }
    return false;
}

/* Of a tensor of the base: it is put as it is stored. */
static bool stays(const sqzi_trainable *t, const sqzi_gguf_tensor *tensor)
{
    const sqzi_parameters *p = &t->parameters;
    if (sqzi_span_begins(tensor->name, "verify.") || is_scale_of_any(tensor, p)) return false;
    if (t->new_head && sqzi_span_begins(tensor->name, "head.")) return false;
    for (uint32_t j = 0; j < p->n; j++)
        if (holds(tensor, p->list[j].entry.name)) return false;
    return true;
}

/* What the tensors of the file will be: integers that stay as they are, and what is rounded. */
static void find_storages(const sqzi_trainable *t, bool masters, bool has[STORAGES])
{
    static const char *const endings[] = {[S4] = ".s4", [S3] = ".s3", [S2] = ".s2"};
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(t->model->gguf); i++) {
        const sqzi_gguf_tensor *tensor = sqzi_gguf_tensor_at(t->model->gguf, i);
        uint32_t packed = S4;
        if (tensor->type != SQZI_S8 || !stays(t, tensor) || ends_with(tensor->name, ".codes") ||
            ends_with(tensor->name, ".centroids"))
            continue;
        while (packed < STORAGES && !ends_with(tensor->name, endings[packed])) packed++;
        has[packed < STORAGES ? packed : S8] = true;
    }
    for (uint32_t i = 0; i < t->parameters.n && !masters; i++) {
        const uint32_t bits = t->parameters.list[i].bits;
        if (bits) has[bits == 8 ? S8 : bits == 4 ? S4 : S3] = true;
    }
}

/* The base's that say nothing of how numbers are stored, and those that do of what is written. */
static sqz_status put_requires(const sqzi_trainable *t, bool masters, sqzi_gguf_writer *writer,
                               sqz_error *error)
{
    const sqzi_gguf_value *value;
    const sqz_status status = sqzi_gguf_get_array(t->model->gguf, "sqz.requires", SQZI_GGUF_STRING,
                                                  UINT64_MAX, false, &value, error);
    if (status != SQZ_OK) return status;
    sqzi_span features[MAX_FEATURES + STORAGES];
    bool has[STORAGES] = {false};
    const unsigned char *at = value ? value->data : NULL;
    size_t n = 0;
    for (uint64_t i = 0; value && i < value->n && n < MAX_FEATURES; i++) {
        size_t k = 0;
        features[n] = sqzi_gguf_next_string(&at);
        while (k <= STORAGES && !sqzi_span_is(features[n], storage_features[k])) k++;
        n += k > STORAGES;
    }
    find_storages(t, masters, has);
    for (uint32_t k = 0; k < STORAGES; k++)
        if (has[k]) features[n++] = sqzi_span_of(storage_features[k]);
    if (n) sqzi_gguf_put_strings(writer, "sqz.requires", features, n);
    return SQZ_OK;
}

/* ---- tensors ---- */

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

/* sqzi_gguf_emit: the rows that are stored. */
static sqz_status emit_rounded(void *user, sqzi_file_writer *file, sqz_error *error)
{
    const sqzi_parameter_source *source = user;
    const sqzi_parameter *p = source->parameter;
    const size_t n = p->entry.columns;
    const uint8_t *multipliers;
    uint8_t packed[SQZI_PACKED_ROW_MOST];
    sqz_status status = SQZ_OK;
    int8_t *row = sqzi_allocate(source->allocator, n);
    if (!row) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes", n);
    for (size_t r = 0; r < p->entry.rows && status == SQZ_OK; r++) {
        (void)sqzi_rounded_row(p, source->rounded, r, row, &multipliers);
        if (p->bits < 8) sqzi_packed_put(p->bits, n, row, multipliers, packed);
        status = sqzi_file_writer_put(file, p->bits < 8 ? (const void *)packed : row,
                                      p->bits < 8 ? sqzi_packed_row_bytes(p->bits, n) : n, error);
    }
    sqzi_release(source->allocator, row, n);
    return status;
}

static sqz_status emit_scale(void *user, sqzi_file_writer *file, sqz_error *error)
{
    const sqzi_parameter_source *source = user;
    const uint32_t *out = sqzi_parameter_matrix(source->parameter)->packing.out;
    const float *scale = source->rounded->scale;
    sqz_status status = SQZ_OK;
    for (size_t r = 0; r < source->parameter->entry.rows && status == SQZ_OK; r++)
        status = sqzi_file_writer_put(file, &scale[out ? out[r] : r], sizeof *scale, error);
    return status;
}

static void put_rounded(sqzi_gguf_writer *writer, const sqzi_parameter_source *source)
{
    const sqzi_parameter *p = source->parameter;
    const size_t columns = p->entry.columns;
    const uint64_t rows = p->entry.rows,
                   shape[] = {rows,
                              p->bits < 8 ? sqzi_packed_row_bytes(p->bits, columns) : columns};
    char name[SQZI_TENSOR_NAME + 16];
    snprintf(name, sizeof name, p->bits < 8 ? "%s.s%u" : "%s", p->entry.name, (unsigned)p->bits);
    sqzi_gguf_put_tensor_by(writer, name, SQZI_S8, 2, shape, emit_rounded,
                            (void *)(uintptr_t)source);
    snprintf(name, sizeof name, "%s.scale", p->entry.name);
    sqzi_gguf_put_tensor_by(writer, name, SQZI_F32, 1, &rows, emit_scale,
                            (void *)(uintptr_t)source);
}

/* Integers, their scales, and the biases beside them. */
static void put_as_it_is(const sqzi_gguf_tensor *tensor, sqzi_gguf_writer *writer)
{
    char name[SQZI_TENSOR_NAME + 16];
    snprintf(name, sizeof name, "%.*s", (int)tensor->name.n, tensor->name.bytes);
    sqzi_gguf_put_tensor(writer, name, tensor->type, tensor->n_dims, tensor->shape, tensor->data);
}

static void put_number(const sqzi_trainable *t, uint32_t i, bool masters, sqzi_gguf_writer *writer)
{
    if (t->parameters.list[i].bits && !masters) put_rounded(writer, &t->sources[i]);
    else sqzi_trainable_put_parameter(writer, "", &t->sources[i]);
}

/* In the order of the base; what is new comes last. */
static void put_tensors(const sqzi_trainable *t, bool masters, sqzi_gguf_writer *writer)
{
    const sqzi_parameters *p = &t->parameters;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(t->model->gguf); i++) {
        const sqzi_gguf_tensor *tensor = sqzi_gguf_tensor_at(t->model->gguf, i);
        if (t->new_head && sqzi_span_begins(tensor->name, "head.")) continue;
        uint32_t j = 0;
        while (j < p->n && !holds(tensor, p->list[j].entry.name)) j++;
        if (j < p->n) put_number(t, j, masters, writer);
        else if (stays(t, tensor)) put_as_it_is(tensor, writer);
    }
    for (uint32_t j = 0; t->new_head && j < p->n; j++)
        if (p->list[j].entry.part == SQZI_PART_HEAD)
            sqzi_trainable_put_parameter(writer, "", &t->sources[j]);
}

/* Packed rows of a factorised table do not tell how long its rows are. */
static void put_factor(const sqzi_trainable *t, sqzi_gguf_writer *writer)
{
    const sqzi_embedding *e = &t->model->encoder.embedding;
    if (e->factorised && !sqzi_gguf_find(t->model->gguf, "sqz.embedding.factor"))
        sqzi_gguf_put_u32(writer, "sqz.embedding.factor", e->factor.n_in);
}

sqz_status sqzi_trainable_put(const sqzi_trainable *t, bool masters, const char *history,
                              const char *suffix, sqzi_gguf_writer *writer, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_step step = {.history = history, .suffix = suffix};
    TRY(sqzi_rewrite_metadata_but(writer, t->model, &step, leaves_out, t, error));
    TRY(put_requires(t, masters, writer, error));
    if (!t->keeps_head) TRY(put_head(t, writer, error));
    if (t->bits && !masters) put_factor(t, writer);
    put_tensors(t, masters, writer);
fail:
    return status;
}
