/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a quantisation. Its memory is one block, laid out by one function (base/memory.h). */
#include "squeeze/quantize_plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/half.h"
#include "base/number.h"
#include "io/packed_rows.h"
#include "nn/tensor_list.h"
#include "rewrite/group_scales.h"

static bool is_reference(sqzi_span name)
{
    static const char begin[] = "verify.";
    return name.n >= sizeof begin - 1 && memcmp(name.bytes, begin, sizeof begin - 1) == 0;
}

/* int8: the matrices of the blocks, the embeddings and their projections, and a decoder's table of
 * words. The table of token types is two rows, which int8 would only make worse. */
static bool becomes_integers(const sqz_model *model, const sqzi_tensor_entry *entry)
{
    const bool whole = entry->role == SQZI_ROLE_WHOLE;
    switch (entry->part) {
    case SQZI_PART_EMBEDDING:
        return whole || (entry->table && entry->table != &model->encoder.embedding.type);
    case SQZI_PART_BLOCK: return entry->columns > 0;
    case SQZI_PART_HEAD:
        return whole && entry->linear == &model->head.output &&
               model->info.head == SQZ_HEAD_MASKED_LM;
    case SQZI_PART_POOLER:
    case SQZI_PART_EMBED_STEP: return false;
    }
    return false;
}

/* sqzi_tensor_visitor: what becomes int8. */
static void choose_integers(void *user, const sqzi_tensor_entry *entry)
{
    sqzi_quantize_plan *plan = user;
    const sqzi_gguf *gguf = plan->model->gguf;
    const sqzi_gguf_tensor *tensor = sqzi_gguf_find_tensor(gguf, entry->name);
    if (tensor && tensor->type != SQZI_I32 && becomes_integers(plan->model, entry))
        plan->target[tensor - sqzi_gguf_tensor_at(gguf, 0)] = SQZI_S8;
}

static uint32_t bits_of(sqz_quantize_type type)
{
    return type == SQZ_QUANTIZE_S8   ? 8
           : type == SQZ_QUANTIZE_S4 ? 4
           : type == SQZ_QUANTIZE_S3 ? 3
                                     : 0;
}

/* What each tensor becomes; its own type where it stays. */
static void choose_targets(sqzi_quantize_plan *plan, sqz_quantize_type type)
{
    plan->bits = bits_of(type);
    for (uint32_t i = 0; i < plan->n; i++) {
        const sqzi_gguf_tensor *tensor = sqzi_gguf_tensor_at(plan->model->gguf, i);
        const bool stays = plan->bits || tensor->n_dims != 2 || tensor->type == SQZI_I32 ||
                           is_reference(tensor->name);
        plan->target[i] = stays ? tensor->type : type == SQZ_QUANTIZE_BF16 ? SQZI_BF16 : SQZI_F16;
    }
    if (plan->bits)
        sqzi_tensor_list(&plan->model->encoder, &plan->model->head, choose_integers, plan);
}

static void lay_out(sqzi_quantize_plan *plan, sqzi_arena *arena)
{
    size_t widest = 1;
    plan->tensors = sqzi_arena_take(arena, plan->n, sizeof *plan->tensors);
    for (uint32_t i = 0; i < plan->n; i++) {
        const sqzi_gguf_tensor *tensor = sqzi_gguf_tensor_at(plan->model->gguf, i);
        const bool scaled = plan->target[i] == SQZI_S8;
        const bool packed = scaled && plan->bits < 8;
        float *scale = sqzi_arena_take(arena, scaled ? (size_t)tensor->shape[0] : 0, sizeof *scale);
        uint8_t *multipliers = sqzi_arena_take(
            arena,
            packed ? (size_t)tensor->shape[0] * sqzi_packed_groups((size_t)tensor->shape[1]) : 0,
            1);
        if (tensor->n_dims == 2 && tensor->shape[1] > widest) widest = (size_t)tensor->shape[1];
        if (!plan->tensors) continue;
        plan->tensors[i].scale = scaled ? scale : NULL;
        plan->tensors[i].multipliers = packed ? multipliers : NULL;
    }
    plan->row = sqzi_arena_take(arena, widest, sizeof *plan->row);
    plan->after = sqzi_arena_take(arena, widest, sizeof *plan->after);
    plan->rounded = sqzi_arena_take(arena, widest, sizeof(uint16_t));
    plan->packed = sqzi_arena_take(arena, sqzi_packed_row_bytes(4, widest), 1);
}

static sqz_status check_float(const sqzi_gguf_tensor *tensor, sqz_error *error)
{
    if (tensor->type != SQZI_S8) return SQZ_OK;
    return sqzi_fail(
        error, SQZ_EUNSUPPORTED, tensor->offset,
        "tensor '%.*s' is I8 already: quantise the float model that this one was made from",
        (int)tensor->name.n, tensor->name.bytes);
}

sqz_status sqzi_quantize_plan_make(const sqz_model *model, sqz_quantize_type type,
                                   sqzi_quantize_keep *keep, const void *user,
                                   sqzi_quantize_plan *plan, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *plan = (sqzi_quantize_plan){.model = model, .n = sqzi_gguf_n_tensors(model->gguf)};
    for (uint32_t i = 0; i < plan->n; i++)
        TRY(check_float(sqzi_gguf_tensor_at(model->gguf, i), error));
    plan->target = sqzi_allocate_zeroed(&model->context->allocator, plan->n, sizeof *plan->target);
    FAIL_IF(!plan->target, SQZ_ENOMEM, 0, "no memory for a plan of %u tensors", plan->n);
    choose_targets(plan, type);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(plan, &arena);
    plan->bytes = arena.used;
    plan->block = sqzi_allocate(&model->context->allocator, plan->bytes);
    FAIL_IF(!plan->block, SQZ_ENOMEM, 0, "no memory for a plan of %u tensors", plan->n);
    arena = sqzi_arena_over(plan->block, plan->bytes);
    lay_out(plan, &arena);
    for (uint32_t i = 0; i < plan->n; i++) {
        sqzi_quantized *t = &plan->tensors[i];
        const sqzi_gguf_tensor *from = sqzi_gguf_tensor_at(model->gguf, i);
        const sqzi_type to = plan->target[i];
        const bool kept = to != from->type && keep(user, model->tensor_names[i]);
        const bool changed = to != from->type && !kept;
        *t = (sqzi_quantized){.from = from,
                              .name = model->tensor_names[i],
                              .to = changed ? to : from->type,
                              .changed = changed,
                              .kept = kept,
                              .bits = to == SQZI_S8 ? plan->bits : 0,
                              .scale = t->scale,
                              .multipliers = t->multipliers,
                              .plan = plan};
        plan->n_changed += changed;
        plan->n_kept += kept;
    }
fail:
    return status;
}

void sqzi_quantize_plan_discard(sqzi_quantize_plan *plan)
{
    if (!plan->model) return;
    const sqz_allocator *allocator = &plan->model->context->allocator;
    for (uint32_t i = 0; plan->block && i < plan->n; i++)
        sqzi_release(allocator, plan->tensors[i].chosen, (size_t)plan->tensors[i].from->n);
    sqzi_release(allocator, plan->block, plan->bytes);
    sqzi_release(allocator, plan->target, plan->n * sizeof *plan->target);
    plan->block = NULL;
    plan->target = NULL;
}

/* Row r of the tensor as floats; false where one of them is not finite, whose index goes to
 * *bad. */
static bool convert_row(sqzi_quantize_plan *plan, const sqzi_gguf_tensor *tensor, uint64_t r,
                        size_t *bad)
{
    const size_t n = (size_t)tensor->shape[1], first = (size_t)r * n;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        plan->row[i] = (float)sqzi_load_real(tensor->data, first + i, tensor->type);
        if (finite && !isfinite(plan->row[i])) {
            finite = false;
            *bad = i;
        }
    }
    return finite;
}

/* Row r rounded into plan->rounded. */
static sqz_status round_row(sqzi_quantized *t, uint64_t r, bool measuring,
                            sqzi_rounding_error *sums, sqz_error *error)
{
    sqzi_quantize_plan *plan = t->plan;
    const size_t n = (size_t)t->from->shape[1];
    size_t at = 0;
    if (!convert_row(plan, t->from, r, &at))
        return sqzi_fail(error, SQZ_ENUMERIC, t->from->offset,
                         "tensor '%s': number %" PRIu64 " of row %" PRIu64
                         " is a NaN or an infinity",
                         t->name, (uint64_t)at, r);
    if (t->to == SQZI_S8) {
        uint8_t *multipliers = t->multipliers ? t->multipliers + r * sqzi_packed_groups(n) : NULL;
        if (measuring && !t->chosen)
            t->scale[r] = sqzi_group_scales(plan->model->context->kernels.features, t->bits,
                                            plan->row, n, multipliers);
        if (t->chosen) {
            memcpy(plan->rounded, t->chosen + (size_t)r * n, n);
            sqzi_s8_row_error(plan->row, n, t->scale[r], plan->rounded, sums);
        } else {
            sqzi_integer_row(t->bits, plan->row, n, t->scale[r], multipliers, plan->rounded, sums);
        }
        return SQZ_OK;
    }
    at = t->to == SQZI_BF16 ? sqzi_bf16_row(plan->row, n, plan->rounded, sums)
                            : sqzi_f16_row(plan->row, n, plan->rounded, sums);
    if (at == n) return SQZ_OK;
    return sqzi_fail(error, SQZ_ENUMERIC, t->from->offset,
                     "tensor '%s': number %" PRIu64 " of row %" PRIu64
                     " is %s, more than %s holds; keep the tensor, or choose another type",
                     t->name, (uint64_t)at, r, SQZI_REAL(6, (double)plan->row[at]),
                     t->to == SQZI_BF16 ? "bf16" : "f16 (65504)");
}

static const char *type_name(sqzi_type type, uint32_t bits)
{
    static const char *const names[] = {
        [SQZI_F32] = "F32", [SQZI_F16] = "F16", [SQZI_BF16] = "BF16",
        [SQZI_S8] = "I8",   [SQZI_I32] = "I32", [SQZI_F64] = "F64"};
    return type == SQZI_S8 && bits == 4 ? "S4" : type == SQZI_S8 && bits == 3 ? "S3" : names[type];
}

void sqzi_quantize_form(const sqzi_quantized *t, char name[SQZI_STORED_NAME], uint64_t shape[2])
{
    const size_t n = (size_t)t->from->shape[1];
    snprintf(name, SQZI_STORED_NAME, t->multipliers ? "%s.s%u" : "%s", t->name, (unsigned)t->bits);
    shape[0] = t->from->shape[0];
    shape[1] = t->multipliers ? sqzi_packed_row_bytes(t->bits, n) : n;
}

sqz_status sqzi_quantize_measure(sqzi_quantize_plan *plan, uint32_t i, sqz_quantized_tensor *report,
                                 sqz_error *error)
{
    sqzi_quantized *t = &plan->tensors[i];
    sqzi_rounding_error sums = {0, 0};
    const sqzi_gguf_tensor *from = t->from;
    *report = (sqz_quantized_tensor){.name = t->name,
                                     .from = type_name(from->type, 8),
                                     .to = type_name(t->to, t->bits),
                                     .kept = t->kept,
                                     .n_dims = from->n_dims,
                                     .bytes_before = from->bytes,
                                     .bytes_after = from->bytes};
    for (uint32_t d = 0; d < 4; d++) report->shape[d] = from->shape[d];
    if (!t->changed) return SQZ_OK;
    for (uint64_t r = 0; r < from->shape[0]; r++) {
        const sqz_status status = round_row(t, r, true, &sums, error);
        if (status != SQZ_OK) return status;
    }
    sqzi_file_map_drop(&plan->model->map, (size_t)from->offset, (size_t)from->bytes);
    report->error = sums.squares > 0 ? sqrt(sums.errors / sums.squares) : 0;
    char name[SQZI_STORED_NAME];
    uint64_t shape[2];
    sqzi_quantize_form(t, name, shape);
    report->bytes_after = t->to == SQZI_S8 ? shape[0] * (shape[1] + sizeof(float)) : from->n * 2;
    return SQZ_OK;
}

sqz_status sqzi_quantize_row(sqzi_quantized *t, uint64_t r, const float **before,
                             const double **after, sqz_error *error)
{
    sqzi_rounding_error ignored = {0, 0};
    sqzi_quantize_plan *plan = t->plan;
    const size_t n = (size_t)t->from->shape[1];
    const int8_t *q = plan->rounded;
    size_t bad;
    const bool rounded = t->changed && t->to == SQZI_S8;
    if (rounded) {
        const sqz_status status = round_row(t, r, false, &ignored, error);
        if (status != SQZ_OK) return status;
    } else {
        (void)convert_row(plan, t->from, r, &bad); /* opening the model saw that it is finite */
    }
    for (size_t j = 0; j < n; j++)
        plan->after[j] = rounded ? (double)t->scale[r] * q[j] : (double)plan->row[j];
    if (before) *before = plan->row;
    if (after) *after = plan->after;
    return SQZ_OK;
}

sqz_status sqzi_quantize_multiply(sqzi_quantized *t, uint32_t groups, const double *x_before,
                                  const double *x_after, double *before, double *after,
                                  sqz_error *error)
{
    const size_t rows = (size_t)t->from->shape[0], n = (size_t)t->from->shape[1];
    for (size_t r = 0; r < rows; r++) {
        const float *row;
        const double *rounded;
        const sqz_status status = sqzi_quantize_row(t, r, &row, &rounded, error);
        if (status != SQZ_OK) return status;
        const size_t from = r / (rows / groups) * n;
        for (size_t j = 0; j < n; j++) {
            before[r] += (double)row[j] * x_before[from + j];
            after[r] += rounded[j] * x_after[from + j];
        }
    }
    sqzi_file_map_drop(&t->plan->model->map, (size_t)t->from->offset, (size_t)t->from->bytes);
    return SQZ_OK;
}

/* The rounded row r as it stands in the new file. */
static const void *stored_row(const sqzi_quantized *t, uint64_t r)
{
    const sqzi_quantize_plan *plan = t->plan;
    const size_t n = (size_t)t->from->shape[1];
    if (!t->multipliers) return plan->rounded;
    sqzi_packed_put(t->bits, n, plan->rounded, t->multipliers + r * sqzi_packed_groups(n),
                    plan->packed);
    return plan->packed;
}

sqz_status sqzi_quantize_emit(void *source, sqzi_file_writer *file, sqz_error *error)
{
    sqzi_quantized *t = source;
    sqzi_rounding_error ignored = {0, 0};
    char name[SQZI_STORED_NAME];
    uint64_t shape[2];
    sqzi_quantize_form(t, name, shape);
    const size_t bytes = (size_t)shape[1] * (t->to == SQZI_S8 ? 1 : 2);
    for (uint64_t r = 0; r < shape[0]; r++) {
        sqz_status status = round_row(t, r, false, &ignored, error);
        if (status == SQZ_OK) status = sqzi_file_writer_put(file, stored_row(t, r), bytes, error);
        if (status != SQZ_OK) return status;
    }
    sqzi_file_map_drop(&t->plan->model->map, (size_t)t->from->offset, (size_t)t->from->bytes);
    return SQZ_OK;
}
