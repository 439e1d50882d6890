/* SPDX-License-Identifier: Apache-2.0 */
/* Reference vectors: found, run on a file, and put into it. */
#include "rewrite/references.h"

#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>

#include "base/error.h"
#include "model/reference_vectors.h"

enum { VECTORS = 3, LONGEST = 24 };

static void lay_out(sqzi_references *r, sqzi_arena *arena)
{
    for (uint32_t j = 0; j < r->n; j++) {
        sqzi_reference_vector *v = &r->vectors[j];
        const size_t hidden = (size_t)v->length * r->width, logits = (size_t)v->rows * r->classes;
        v->ids = sqzi_arena_take(arena, v->length, sizeof *v->ids);
        v->types = sqzi_arena_take(arena, v->length, sizeof *v->types);
        v->hidden = sqzi_arena_take(arena, hidden, sizeof *v->hidden);
        v->logits = sqzi_arena_take(arena, logits, sizeof *v->logits);
        v->source_hidden = sqzi_arena_take(arena, hidden, sizeof *v->source_hidden);
        v->source_logits = sqzi_arena_take(arena, logits, sizeof *v->source_logits);
    }
}

/* Room for vectors whose lengths and rows are known; all zeros, so that what is written before they
 * are run is no accident. */
static sqz_status make_room(sqzi_references *r, sqz_error *error)
{
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(r, &arena);
    r->block = arena.used == SIZE_MAX ? NULL : sqzi_allocate_zeroed(r->allocator, arena.used, 1);
    if (!r->block) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for reference vectors");
    r->bytes = arena.used;
    arena = sqzi_arena_over(r->block, r->bytes);
    lay_out(r, &arena);
    return SQZ_OK;
}

static sqz_status make_vectors(sqzi_references *r, uint32_t n, sqz_error *error)
{
    r->vectors = sqzi_allocate_zeroed(r->allocator, n, sizeof *r->vectors);
    if (!r->vectors)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u reference vectors", n);
    r->n = n;
    return SQZ_OK;
}

void sqzi_references_discard(sqzi_references *r)
{
    if (r->block) sqzi_release(r->allocator, r->block, r->bytes);
    if (r->vectors) sqzi_release(r->allocator, r->vectors, r->n * sizeof *r->vectors);
    *r = (sqzi_references){0};
}

/* Rows of logits of a sequence of so many tokens. None of a masked LM: a vocabulary of them a token
 * would be megabytes. */
static uint32_t rows_of(const sqz_model_info *info, uint32_t length)
{
    switch (info->head) {
    case SQZ_HEAD_SEQUENCE:
    case SQZ_HEAD_MULTIPLE_CHOICE: return 1;
    case SQZ_HEAD_TOKEN:
    case SQZ_HEAD_QUESTION: return length;
    default: return 0;
    }
}

sqz_status sqzi_references_invent(sqzi_references *r, const sqz_allocator *allocator,
                                  const sqz_model_info *info, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t longest = info->max_positions < LONGEST ? info->max_positions : LONGEST;
    const uint32_t lengths[VECTORS] = {1, (longest + 1) / 2, longest};
    *r = (sqzi_references){.allocator = allocator, .width = info->width, .classes = info->n_labels};
    TRY(make_vectors(r, VECTORS, error));
    for (uint32_t j = 0; j < VECTORS; j++) {
        r->vectors[j].length = lengths[j];
        r->vectors[j].rows = rows_of(info, lengths[j]);
    }
    TRY(make_room(r, error));
    for (uint32_t j = 0; j < VECTORS; j++)
        for (uint32_t t = 0; t < lengths[j]; t++) {
            r->vectors[j].ids[t] = (int32_t)((2654435761u * (t + 7 * j + 1)) % info->vocabulary);
            r->vectors[j].types[t] = info->n_token_types > 1 && 2 * t > lengths[j];
        }
fail:
    return status;
}

static void copy(void *to, const sqzi_gguf_tensor *from)
{
    if (from) memcpy(to, from->data, (size_t)from->bytes);
}

sqz_status sqzi_references_copy(sqzi_references *r, const sqz_model *from, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t n = 0;
    sqzi_reference found;
    *r = (sqzi_references){.allocator = &from->context->allocator,
                           .width = from->info.width,
                           .classes = from->head.classes,
                           .compared = true};
    TRY(sqzi_reference_count(from, &n, error));
    if (n == 0) return SQZ_OK;
    TRY(sqzi_gguf_get_f64(from->gguf, "sqz.verify.tolerance", true, &r->source_tolerance, error));
    TRY(make_vectors(r, n, error));
    for (uint32_t j = 0; j < n; j++) {
        TRY(sqzi_reference_find(from, j, &found, error));
        r->vectors[j].length = found.length;
        r->vectors[j].rows = found.logits ? (uint32_t)(found.logits->n / r->classes) : 0;
    }
    TRY(make_room(r, error));
    for (uint32_t j = 0; j < n; j++) {
        sqzi_reference_vector *v = &r->vectors[j];
        TRY(sqzi_reference_find(from, j, &found, error));
        copy(v->ids, found.ids);
        copy(v->types, found.types);
        copy(v->source_hidden, found.hidden);
        copy(v->source_logits, found.logits);
    }
fail:
    return status;
}

/* ---- running ---- */

static sqz_status run_one(const sqzi_references *r, uint32_t j, sqz_session *session, uint32_t *ids,
                          uint8_t *types, sqz_error *error)
{
    const sqzi_reference_vector *v = &r->vectors[j];
    const uint32_t first[] = {0, v->length};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids, .types = types};
    for (uint32_t t = 0; t < v->length; t++) {
        ids[t] = (uint32_t)v->ids[t];
        types[t] = (uint8_t)v->types[t];
    }
    const sqz_status status = sqz_encode(session, &batch, v->hidden, r->width, error);
    if (status != SQZ_OK || !v->rows) return status;
    return sqz_logits(session, &batch, NULL, 0, v->logits, r->classes, error);
}

static sqz_status run_all(const sqzi_references *r, const sqz_model *model, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(model);
    sqz_session *session = NULL;
    uint32_t longest = 1;
    for (uint32_t j = 0; j < r->n; j++)
        if (r->vectors[j].length > longest) longest = r->vectors[j].length;
    uint32_t *ids = sqzi_allocate(r->allocator, longest * sizeof *ids);
    uint8_t *types = sqzi_allocate(r->allocator, longest);
    FAIL_IF(!ids || !types, SQZ_ENOMEM, 0, "no memory for a reference vector");
    TRY(sqz_session_open(
        model,
        &(sqz_session_options){.max_tokens = longest, .max_sequences = 1, .max_length = longest},
        &session, error));
    for (uint32_t j = 0; j < r->n; j++) {
        const sqzi_reference_vector *v = &r->vectors[j];
        FAIL_IF(info->width != r->width || v->length > info->max_positions ||
                    (v->rows &&
                     (info->n_labels != r->classes || v->rows != rows_of(info, v->length))),
                SQZ_EFORMAT, 0, "reference vector %u has other sizes than the model", j);
        TRY(run_one(r, j, session, ids, types, error));
    }
fail:
    sqz_session_close(session);
    sqzi_release(r->allocator, ids, longest * sizeof *ids);
    sqzi_release(r->allocator, types, longest);
    return status;
}

sqz_status sqzi_references_run(sqzi_references *r, const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_context *portable = NULL;
    sqz_model *model = NULL;
    if (r->n == 0) return SQZ_OK;
    TRY(sqz_context_open(
        &(sqz_context_options){.allocator = r->allocator, .n_threads = 1, .cpu = "portable"},
        &portable, error));
    TRY(sqz_model_open(portable, path, &model, error));
    TRY(run_all(r, model, error));
fail:
    sqz_model_close(model);
    sqz_context_close(portable);
    return status;
}

/* ---- the file ---- */

/* The tensor's data are those of the vectors, which may change until the file is written. */
static void put_part(sqzi_gguf_writer *writer, uint32_t j, const char *part, sqzi_type type,
                     const uint64_t shape[2], const void *data)
{
    char name[64];
    snprintf(name, sizeof name, "verify.%u.%s", (unsigned)j, part);
    sqzi_gguf_put_tensor(writer, name, type, shape[1] ? 2 : 1, shape, data);
}

void sqzi_references_put(const sqzi_references *r, sqzi_gguf_writer *writer)
{
    if (r->n == 0) return;
    sqzi_gguf_put_u32(writer, "sqz.verify.count", r->n);
    sqzi_gguf_put_string(writer, "sqz.verify.made_by", "portable kernels");
    sqzi_gguf_put_f64(writer, "sqz.verify.tolerance", 0);
    for (uint32_t j = 0; j < r->n; j++) {
        const sqzi_reference_vector *v = &r->vectors[j];
        put_part(writer, j, "ids", SQZI_I32, (uint64_t[]){v->length, 0}, v->ids);
        put_part(writer, j, "types", SQZI_I32, (uint64_t[]){v->length, 0}, v->types);
        put_part(writer, j, "hidden", SQZI_F32, (uint64_t[]){v->length, r->width}, v->hidden);
        if (v->rows)
            put_part(writer, j, "logits", SQZI_F32, (uint64_t[]){v->rows, r->classes}, v->logits);
    }
}

static double largest_difference(double most, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static double tolerance_of(const sqzi_references *r)
{
    double largest = 0, changed = 0;
    for (uint32_t j = 0; j < r->n; j++) {
        const sqzi_reference_vector *v = &r->vectors[j];
        const size_t hidden = (size_t)v->length * r->width, logits = (size_t)v->rows * r->classes;
        for (size_t i = 0; i < hidden; i++) largest = fmax(largest, fabs((double)v->hidden[i]));
        changed = largest_difference(changed, v->hidden, v->source_hidden, hidden);
        changed = largest_difference(changed, v->logits, v->source_logits, logits);
    }
    return fmax(fmax(sqzi_reference_f32_tolerance(largest), r->source_tolerance),
                r->compared ? 2 * changed : 0);
}

static sqz_status replace(const sqzi_gguf *gguf, uint32_t j, const char *part, const void *data,
                          sqzi_file_writer *file, sqz_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "verify.%u.%s", (unsigned)j, part);
    const sqzi_gguf_tensor *tensor = sqzi_gguf_find_tensor(gguf, name);
    return tensor
               ? sqzi_file_writer_put_at(file, tensor->offset, data, (size_t)tensor->bytes, error)
               : SQZ_OK;
}

sqz_status sqzi_references_complete(const sqzi_references *r, sqzi_file_writer *file,
                                    sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_file_map map = {NULL, 0};
    sqzi_gguf *gguf = NULL;
    const double tolerance = tolerance_of(r);
    if (r->n == 0) return SQZ_OK;
    TRY(sqzi_file_map_open(file->temporary, &map, error));
    TRY(sqzi_gguf_open(r->allocator, file->path, map.data, map.bytes, &gguf, error));
    TRY(sqzi_file_writer_put_at(file, sqzi_gguf_find(gguf, "sqz.verify.tolerance")->offset,
                                &tolerance, sizeof tolerance, error));
    for (uint32_t j = 0; j < r->n; j++) {
        TRY(replace(gguf, j, "hidden", r->vectors[j].hidden, file, error));
        TRY(replace(gguf, j, "logits", r->vectors[j].logits, file, error));
    }
fail:
    sqzi_gguf_close(gguf);
    sqzi_file_map_close(&map);
    return status;
}
