/* SPDX-License-Identifier: Apache-2.0 */
/* A model's numbers moved to masters. */
#include "train/trainable.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/normal_numbers.h"

static const sqz_allocator *allocator_of(const sqzi_trainable *t)
{
    return &t->model->context->allocator;
}

/* ---- the base ---- */

static uint32_t stored_bits(const void *file, const sqzi_tensor_entry *entry)
{
    const sqzi_stored stored = sqzi_stored_of(file, entry->name, entry->columns);
    if (!stored.tensor || stored.tensor->type != SQZI_S8) return 0;
    return stored.bits ? stored.bits : 8;
}

static sqz_status check_integers(const sqzi_trainable *t, const char *path, sqz_error *error)
{
    const char *name = t->parameters.integers;
    if (t->bits && !t->model->context->kernels.gemm_s8)
        return sqzi_fail(error, SQZ_EUNSUPPORTED, 0, "there are no kernels for int8 here");
    if (!name[0]) return SQZ_OK;
    const sqzi_gguf_tensor *tensor = sqzi_gguf_find_tensor(t->model->gguf, name);
    return sqzi_fail(error, SQZ_EUNSUPPORTED, tensor ? tensor->offset : 0,
                     "%s: tensor '%s' holds integers, which can only be trained with fake_quantise "
                     "(--fake-quantise stored, s8, s4 or s3); or train the float model that this "
                     "one was made from, then quantise what comes out; or train a head alone: a "
                     "frozen encoder may hold integers",
                     path, name);
}

/* ---- masters ---- */

/* Number i of a new head, or of what stands beside the model as parameter `beside`. */
static float start_number(uint64_t seed, uint32_t beside, size_t i)
{
    enum { HEADS = 0x68656164 };
    return (float)sqzi_normal_number(0.02, seed, (uint64_t)beside << 32 | HEADS, i);
}

/* The row of the file's tensor that becomes row r: they differ in what makes logits alone. */
static size_t base_row(const sqzi_trainable *t, const sqzi_tensor_entry *e, size_t r)
{
    const bool of_logits = e->linear == &t->model->head.output && e->role != SQZI_ROLE_FIRST;
    return t->order && of_logits ? t->order[r] : r;
}

static sqz_status read_parameter(const sqzi_trainable *t, const sqzi_parameter *p, float *stored,
                                 sqz_error *error)
{
    const sqzi_tensor_entry *e = &p->entry;
    const size_t columns = e->columns ? e->columns : 1;
    const sqzi_gguf_tensor *vector = e->columns ? NULL
                                                : sqzi_gguf_find_tensor(t->model->gguf, e->name);
    const sqzi_stored matrix = sqzi_stored_of(t->model->gguf, e->name, columns);
    for (size_t r = 0; e->columns && r < e->rows; r++)
        sqzi_stored_row_f32(&matrix, base_row(t, e, r), stored + r * columns);
    for (size_t i = 0; vector && i < p->n; i++)
        stored[i] = ((const float *)vector->data)[base_row(t, e, i)];
    for (size_t i = 0; i < p->n; i++)
        if (!isfinite(stored[i]))
            return sqzi_fail(error, SQZ_ENUMERIC, matrix.tensor ? matrix.tensor->offset : 0,
                             "number %zu of tensor '%s' is NaN or infinite", i, e->name);
    if (matrix.tensor) /* nothing reads it again */
        sqzi_file_map_drop(&t->model->map, (size_t)matrix.tensor->offset,
                           (size_t)matrix.tensor->bytes);
    return SQZ_OK;
}

static sqz_status read_masters(sqzi_trainable *t, uint64_t seed, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t most = 1;
    for (uint32_t i = 0; i < t->parameters.n; i++)
        if (t->parameters.list[i].n > most) most = t->parameters.list[i].n;
    float *stored = sqzi_allocate(allocator_of(t), most * sizeof *stored);
    FAIL_IF(!stored, SQZ_ENOMEM, 0, "no memory for %zu numbers", most);
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        if (p->beside || (t->new_head && p->entry.part == SQZI_PART_HEAD)) {
            for (size_t j = 0; p->entry.columns && j < p->n; j++)
                p->master[j] = start_number(seed, p->beside ? i : 0, j);
            continue;
        }
        TRY(read_parameter(t, p, stored, error));
        sqzi_trainable_place(p, stored, p->master);
    }
fail:
    sqzi_release(allocator_of(t), stored, most * sizeof *stored);
    return status;
}

/* What is read without packing is read where the masters lie. */
static void point_model(const sqzi_trainable *t)
{
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        const sqzi_tensor_entry *e = &p->entry;
        if (p->beside) continue;
        if (e->table) {
            sqzi_table *table = (sqzi_table *)(uintptr_t)e->table;
            *table = (sqzi_table){.rows = p->master,
                                  .type = SQZI_F32,
                                  .n_rows = table->n_rows,
                                  .width = table->width};
        } else if (e->norm) {
            sqzi_norm *norm = (sqzi_norm *)(uintptr_t)e->norm;
            if (e->role == SQZI_ROLE_NORM_WEIGHT) norm->weight = p->master;
            else norm->bias = p->master;
        } else if (e->role == SQZI_ROLE_BIAS)
            ((sqzi_linear *)(uintptr_t)e->linear)->bias = p->master;
    }
    sqzi_rounded_point(t);
}

static sqz_status make_sources(sqzi_trainable *t, sqz_error *error)
{
    const uint32_t n = t->parameters.n;
    t->sources = sqzi_allocate(allocator_of(t), 3 * (size_t)n * sizeof *t->sources);
    t->rounded = sqzi_allocate_zeroed(allocator_of(t), n, sizeof *t->rounded);
    if (!t->sources || !t->rounded)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a list of tensors");
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        const float *const numbers[] = {p->master, p->m, p->v};
        for (uint32_t k = 0; k < 3; k++)
            t->sources[k * n + i] = (sqzi_parameter_source){allocator_of(t), p, &t->rounded[i],
                                                            numbers[k]};
    }
    return SQZ_OK;
}

/* ---- the whole ---- */

/* Projections are of what has another width than it is to learn. */
static void settle_beside(const sqz_model *model, sqzi_trained *trained)
{
    const uint32_t widths[SQZI_MOST_BESIDE] = {model->info.width, model->info.dimensions};
    for (uint32_t k = 0; k < SQZI_MOST_BESIDE; k++) {
        sqzi_beside *b = &trained->beside[k];
        b->columns = widths[k];
        if (b->rows == b->columns) b->rows = 0;
    }
}

sqz_status sqzi_trainable_open(sqz_context *context, const char *path,
                               const sqzi_wanted_head *wanted, sqzi_trained *trained,
                               sqzi_trainable *t, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_wanted_head settled = *wanted, *head = &settled;
    *t = (sqzi_trainable){0};
    TRY(sqz_model_open(context, path, &t->model, error));
    t->scores_dropped = sqzi_model_has_scores(t->model);
    t->model->info.temperature = 1; /* they were found with the base's weights */
    t->model->info.threshold = -HUGE_VAL;
    t->bits = trained->bits;
    t->keeps_head = head->none;
    t->task = head->task;
    trained->embeds = head->none || head->kind == SQZ_HEAD_NONE;
    if (head->none) head->pooling = t->model->info.pooling;
    else TRY(sqzi_trainable_settle_head(t, head, path, error));
    if (t->new_head) t->scores_dropped = false;
    trained->pooling = head->pooling;
    settle_beside(t->model, trained);
    trained->stored_bits = stored_bits;
    trained->file = t->model->gguf;
    TRY(sqzi_parameters_open(&context->allocator, &t->model->encoder, &t->model->head, trained,
                             &t->parameters, error));
    TRY(check_integers(t, path, error));
    t->model->info.n_parameters = t->parameters.n_numbers;
    TRY(make_sources(t, error));
    TRY(sqzi_trainable_make_room(t, trained->bf16, error));
    TRY(read_masters(t, head->seed, error));
    point_model(t);
    sqzi_trainable_pack(t, true);
fail:
    return status;
}

void sqzi_trainable_close(sqzi_trainable *t)
{
    if (!t->model) return;
    sqzi_release(allocator_of(t), t->packed.base, t->packed.capacity);
    sqzi_release(allocator_of(t), t->labels, t->n_labels * sizeof *t->labels);
    sqzi_release(allocator_of(t), t->order, t->n_labels * sizeof *t->order);
    sqzi_release(allocator_of(t), t->sources, 3 * (size_t)t->parameters.n * sizeof *t->sources);
    sqzi_release(allocator_of(t), t->rounded, t->parameters.n * sizeof *t->rounded);
    sqzi_parameters_close(&t->parameters);
    sqz_model_close(t->model);
    *t = (sqzi_trainable){0};
}
