/* SPDX-License-Identifier: Apache-2.0 */
/* The reference vectors of a model file: recomputed and compared. */
#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>

#include "base/error.h"
#include "base/number.h"
#include "model/reference_vectors.h"

enum { MAX_VECTORS = 1024, MAX_LOGITS = 1 << 24 };

/* What a model makes of the inputs of a reference vector. */
typedef struct results {
    uint32_t *ids;
    uint8_t *types;
    float *hidden, *logits;
    void *block;
    size_t bytes;
} results;

static sqz_status find_part(const sqz_model *model, uint32_t j, const char *part, sqzi_type type,
                            bool required, const sqzi_gguf_tensor **out, sqz_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "verify.%u.%s", (unsigned)j, part);
    *out = sqzi_gguf_find_tensor(model->gguf, name);
    if (!*out)
        return required ? sqzi_fail(error, SQZ_EFORMAT, 0, "tensor '%s' is missing", name) : SQZ_OK;
    if ((*out)->type != type || (*out)->n_dims > 2)
        return sqzi_fail(error, SQZ_EFORMAT, (*out)->offset,
                         "tensor '%s' has a type or a shape that it cannot have", name);
    return SQZ_OK;
}

sqz_status sqzi_reference_count(const sqz_model *model, uint32_t *count, sqz_error *error)
{
    *count = 0;
    const sqz_status status = sqzi_gguf_get_u32(model->gguf, "sqz.verify.count", false, count,
                                                error);
    if (status == SQZ_OK && *count > MAX_VECTORS)
        return sqzi_fail(error, SQZ_ELIMIT, 0,
                         "metadata 'sqz.verify.count' is %u, at most %d are allowed", *count,
                         MAX_VECTORS);
    return status;
}

sqz_status sqzi_reference_find(const sqz_model *model, uint32_t j, sqzi_reference *r,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &model->info;
    TRY(find_part(model, j, "ids", SQZI_I32, true, &r->ids, error));
    TRY(find_part(model, j, "types", SQZI_I32, true, &r->types, error));
    TRY(find_part(model, j, "hidden", SQZI_F32, true, &r->hidden, error));
    TRY(find_part(model, j, "logits", SQZI_F32, false, &r->logits, error));
    FAIL_IF(r->ids->n < 1 || r->ids->n > info->max_positions || r->types->n != r->ids->n ||
                r->hidden->n != r->ids->n * info->width,
            SQZ_EFORMAT, r->ids->offset,
            "reference vector %u: ids, types and hidden states do not fit each other or the model",
            j);
    r->length = (uint32_t)r->ids->n;
    if (!r->logits) return SQZ_OK;
    const size_t rows = model->head.pooling > SQZ_POOLING_NONE ? 1 : r->length;
    FAIL_IF(model->head.kind == SQZ_HEAD_NONE || r->logits->n > MAX_LOGITS ||
                r->logits->n != rows * model->head.classes,
            SQZ_EFORMAT, r->logits->offset,
            "reference vector %u has %llu logits, the head gives %zu", j,
            (unsigned long long)r->logits->n, rows * model->head.classes);
fail:
    return status;
}

static void lay_out(const sqzi_reference *r, results *got, sqzi_arena *arena)
{
    got->ids = sqzi_arena_take(arena, r->length, sizeof *got->ids);
    got->types = sqzi_arena_take(arena, r->length, sizeof *got->types);
    got->hidden = sqzi_arena_take(arena, (size_t)r->hidden->n, sizeof *got->hidden);
    got->logits = sqzi_arena_take(arena, r->logits ? (size_t)r->logits->n : 0, sizeof *got->logits);
}

static sqz_status run(const sqz_model *model, sqz_session *session, const sqzi_reference *r,
                      const results *got, sqz_error *error)
{
    const int32_t *ids = r->ids->data, *types = r->types->data;
    for (uint32_t t = 0; t < r->length; t++) {
        got->ids[t] = (uint32_t)ids[t];
        got->types[t] = (uint8_t)types[t];
    }
    const uint32_t first[] = {0, r->length};
    const sqz_batch batch = {
        .n_sequences = 1, .first = first, .ids = got->ids, .types = got->types};
    const sqz_status status = sqz_encode(session, &batch, got->hidden, model->info.width, error);
    if (status != SQZ_OK || !r->logits) return status;
    return sqz_logits(session, &batch, NULL, 0, got->logits, model->head.classes, error);
}

/* `got` lives in a block that the caller releases in any case. */
static sqz_status run_reference(const sqz_model *model, const sqzi_reference *r, results *got,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_session *session = NULL;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(r, got, &arena);
    got->bytes = arena.used;
    got->block = sqzi_allocate(&model->context->allocator, got->bytes);
    FAIL_IF(!got->block, SQZ_ENOMEM, 0, "no memory for a reference vector");
    arena = sqzi_arena_over(got->block, got->bytes);
    lay_out(r, got, &arena);
    TRY(sqz_session_open(model,
                         &(sqz_session_options){
                             .max_tokens = r->length, .max_sequences = 1, .max_length = r->length},
                         &session, error));
    TRY(run(model, session, r, got, error));
fail:
    sqz_session_close(session);
    return status;
}

static double largest_difference(double most, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]);
        if (!isnan(most) && !(difference <= most)) most = difference; /* a NaN stays */
    }
    return most;
}

double sqzi_reference_f32_tolerance(double largest)
{
    return 1024 * 0x1p-24 * fmax(1, largest);
}

static sqz_status verify_one(const sqz_model *model, uint32_t j, double *most, sqz_error *error)
{
    sqzi_reference r;
    results got = {0};
    sqz_status status = sqzi_reference_find(model, j, &r, error);
    if (status != SQZ_OK) return status;
    status = run_reference(model, &r, &got, error);
    if (status == SQZ_OK) {
        *most = largest_difference(*most, got.hidden, r.hidden->data, (size_t)r.hidden->n);
        if (r.logits)
            *most = largest_difference(*most, got.logits, r.logits->data, (size_t)r.logits->n);
    }
    if (got.block) sqzi_release(&model->context->allocator, got.block, got.bytes);
    return status;
}

/* Packed rows of tables, which opening does not look at. */
static sqz_status check_tables(const sqz_model *model, sqz_error *error)
{
    const sqzi_embedding *embedding = &model->encoder.embedding;
    sqz_status status = SQZ_OK;
    const struct {
        const char *name;
        const sqzi_table *table;
    } tables[] = {{"token_embd.weight", &embedding->word},
                  {"position_embd.weight", &embedding->position},
                  {"token_types.weight", &embedding->type}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables && status == SQZ_OK; i++)
        if (tables[i].table->bits) {
            const sqzi_stored stored = sqzi_stored_of(model->gguf, tables[i].name,
                                                      tables[i].table->width);
            status = sqzi_stored_check(&stored, error);
            sqzi_file_map_drop(&model->map, (size_t)stored.tensor->offset,
                               (size_t)stored.tensor->bytes);
        }
    return status;
}

sqz_status sqz_model_verify(const sqz_model *model, sqz_verification *verification,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t count = 0;
    FAIL_IF(!model || !verification, SQZ_EINVAL, 0, "sqz_model_verify: an argument is NULL");
    *verification = (sqz_verification){0};
    TRY(check_tables(model, error));
    TRY(sqzi_reference_count(model, &count, error));
    TRY(sqzi_gguf_get_f64(model->gguf, "sqz.verify.tolerance", count > 0, &verification->tolerance,
                          error));
    for (uint32_t j = 0; j < count; j++) {
        TRY(verify_one(model, j, &verification->max_error, error));
        verification->n_vectors++;
    }
    FAIL_IF(!(verification->max_error <= verification->tolerance), SQZ_ENUMERIC, 0,
            "%u reference vectors: the largest difference is %s, %s is allowed", count,
            SQZI_REAL(3, verification->max_error), SQZI_REAL(3, verification->tolerance));
fail:
    return status;
}
