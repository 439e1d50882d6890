/* SPDX-License-Identifier: Apache-2.0 */
/* The reference vectors of a model file: recomputed and compared. */
#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>

#include "base/error.h"
#include "model/loader.h"

enum { MAX_VECTORS = 1024, MAX_LOGITS = 1 << 24 };

typedef struct reference {
    uint32_t length, classes;    /* classes 0: no logits */
    const sqzi_gguf_tensor *ids, *types, *hidden, *logits;
} reference;

static sqz_status find_part(const sqz_model *model, uint32_t j, const char *part, sqzi_type type, bool required, const sqzi_gguf_tensor **out, sqz_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "verify.%u.%s", (unsigned)j, part);
    *out = sqzi_gguf_find_tensor(model->gguf, name);
    if (!*out) return required ? sqzi_fail(error, SQZ_EFORMAT, 0, "tensor '%s' is missing", name) : SQZ_OK;
    if ((*out)->type != type || (*out)->n_dims > 2) return sqzi_fail(error, SQZ_EFORMAT, (*out)->offset, "tensor '%s' has a type or a shape that it cannot have", name);
    return SQZ_OK;
}

static sqz_status find_reference(const sqz_model *model, uint32_t j, reference *r, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &model->info;
    TRY(find_part(model, j, "ids", SQZI_I32, true, &r->ids, error));
    TRY(find_part(model, j, "types", SQZI_I32, true, &r->types, error));
    TRY(find_part(model, j, "hidden", SQZI_F32, true, &r->hidden, error));
    TRY(find_part(model, j, "logits", SQZI_F32, false, &r->logits, error));
    FAIL_IF(r->ids->n < 1 || r->ids->n > info->max_positions || r->types->n != r->ids->n || r->hidden->n != r->ids->n * info->width, SQZ_EFORMAT, r->ids->offset,
            "reference vector %u: ids, types and hidden states do not fit each other or the model", j);
    r->length = (uint32_t)r->ids->n;
    FAIL_IF(r->logits && (model->head.kind == SQZ_HEAD_NONE || r->logits->n % model->head.classes || r->logits->n > MAX_LOGITS), SQZ_EFORMAT, r->logits->offset,
            "reference vector %u: %llu logits do not fit the head", j, (unsigned long long)r->logits->n);
fail:
    return status;
}

/* The larger of `most` and the largest absolute difference. */
static double largest_difference(double most, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]);
        if (!isnan(most) && !(difference <= most)) most = difference; /* a NaN stays */
    }
    return most;
}

/* Inputs and results of one comparison. */
typedef struct buffers {
    uint32_t *ids;
    uint8_t *types;
    float *hidden, *logits;
} buffers;

static void lay_out(const reference *r, buffers *b, sqzi_arena *arena)
{
    b->ids = sqzi_arena_take(arena, r->length, sizeof *b->ids);
    b->types = sqzi_arena_take(arena, r->length, sizeof *b->types);
    b->hidden = sqzi_arena_take(arena, (size_t)r->hidden->n, sizeof *b->hidden);
    b->logits = sqzi_arena_take(arena, r->logits ? (size_t)r->logits->n : 0, sizeof *b->logits);
}

static sqz_status compare(const sqz_model *model, sqz_session *session, const reference *r, const buffers *b, double *most, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const int32_t *ids = r->ids->data, *types = r->types->data;
    for (uint32_t t = 0; t < r->length; t++) {
        b->ids[t] = (uint32_t)ids[t];
        b->types[t] = (uint8_t)types[t];
    }
    const uint32_t first[] = {0, r->length};
    const sqz_batch batch = {1, first, b->ids, b->types};
    TRY(sqz_encode(session, &batch, b->hidden, model->info.width, error));
    *most = largest_difference(*most, b->hidden, r->hidden->data, (size_t)r->hidden->n);
    if (!r->logits) return SQZ_OK;
    const size_t rows = model->head.pool > SQZ_POOL_NONE ? 1 : r->length;
    FAIL_IF(r->logits->n != rows * model->head.classes, SQZ_EFORMAT, r->logits->offset, "a reference vector has %llu logits, the head gives %zu", (unsigned long long)r->logits->n,
            rows * model->head.classes);
    TRY(sqz_logits(session, &batch, NULL, 0, b->logits, model->head.classes, error));
    *most = largest_difference(*most, b->logits, r->logits->data, (size_t)r->logits->n);
fail:
    return status;
}

static sqz_status verify_one(const sqz_model *model, uint32_t j, double *most, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    reference r;
    buffers b;
    void *block = NULL;
    sqz_session *session = NULL;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    TRY(find_reference(model, j, &r, error));
    lay_out(&r, &b, &arena);
    block = sqzi_allocate(&model->context->allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for a reference vector");
    arena = sqzi_arena_over(block, arena.used);
    lay_out(&r, &b, &arena);
    TRY(sqz_session_open(model, &(sqz_session_options){r.length, 1, r.length}, &session, error));
    TRY(compare(model, session, &r, &b, most, error));
fail:
    sqz_session_close(session);
    if (block) sqzi_release(&model->context->allocator, block, arena.capacity);
    return status;
}

sqz_status sqz_model_verify(const sqz_model *model, sqz_verification *verification, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t count = 0;
    FAIL_IF(!model || !verification, SQZ_EINVAL, 0, "sqz_model_verify: an argument is NULL");
    *verification = (sqz_verification){0};
    TRY(sqzi_gguf_get_u32(model->gguf, "sqz.verify.count", false, &count, error));
    FAIL_IF(count > MAX_VECTORS, SQZ_ELIMIT, 0, "metadata 'sqz.verify.count' is %u, at most %d are allowed", count, MAX_VECTORS);
    TRY(sqzi_gguf_get_f64(model->gguf, "sqz.verify.tolerance", count > 0, &verification->tolerance, error));
    for (uint32_t j = 0; j < count; j++) {
        TRY(verify_one(model, j, &verification->max_error, error));
        verification->n_vectors++;
    }
    FAIL_IF(!(verification->max_error <= verification->tolerance), SQZ_ENUMERIC, 0, "%u reference vectors: the largest difference is %.3g, %.3g is allowed", count, verification->max_error,
            verification->tolerance);
fail:
    return status;
}
