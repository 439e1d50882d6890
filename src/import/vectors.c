/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison with vectors made elsewhere, a sequence at a time. */
#include <math.h>
#include <squeezebert/session.h>

#include "base/error.h"
#include "base/number.h"
#include "import/vector_file.h"
#include "model/loader.h"
#include "model/reference_vectors.h"

/* Working memory for the longest sequence. */
typedef struct work {
    uint32_t *ids;
    uint8_t *types;
    float *hidden, *logits;
} work;

static void lay_out(const sqz_model *model, const sqzi_vector_file *f, work *w, sqzi_arena *arena)
{
    const size_t rows = f->whole ? 1 : f->longest;
    w->ids = sqzi_arena_take(arena, f->longest, sizeof *w->ids);
    w->types = sqzi_arena_take(arena, f->longest, sizeof *w->types);
    w->hidden = sqzi_arena_take(arena, f->arrays[SQZI_HIDDEN].data ? f->longest : 0,
                                model->info.width * sizeof *w->hidden);
    w->logits = sqzi_arena_take(arena, f->arrays[SQZI_LOGITS].data ? rows : 0,
                                model->head.classes * sizeof *w->logits);
}

/* Of the finite numbers: an infinity would allow everything. */
static double largest_of(const sqzi_npy_array *array)
{
    double largest = 0;
    for (uint64_t i = 0; array->data && i < array->n; i++) {
        const double size = fabs(sqzi_npy_float(array, i));
        if (isfinite(size)) largest = fmax(largest, size);
    }
    return largest;
}

/* A NaN on either side is an infinite difference. */
static double largest_difference(const float *got, const sqzi_npy_array *expected, uint64_t begin,
                                 uint64_t n)
{
    double largest = 0;
    for (uint64_t i = 0; i < n; i++) {
        const double difference = fabs((double)got[i] - sqzi_npy_float(expected, begin + i));
        if (!(difference <= largest)) largest = isnan(difference) ? INFINITY : difference;
    }
    return largest;
}

/* ids and types of the tokens from `begin` on. A type that is no byte becomes 255, which no model
 * has. */
static void load_tokens(const sqzi_vector_file *f, uint64_t begin, uint32_t n, work *w)
{
    const sqzi_npy_array *types = &f->arrays[SQZI_TYPES];
    for (uint32_t t = 0; t < n; t++) {
        w->ids[t] = sqzi_npy_uint(&f->arrays[SQZI_IDS], begin + t);
        const uint32_t type = types->data ? sqzi_npy_uint(types, begin + t) : 0;
        w->types[t] = type < 255 ? (uint8_t)type : 255;
    }
}

static sqz_status compare_one(const sqz_model *model, sqz_session *session,
                              const sqzi_vector_file *f, uint64_t begin, work *w,
                              sqz_vector_report *r, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t first[] = {0, r->n_tokens};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = w->ids, .types = w->types};
    const sqzi_npy_array *hidden = &f->arrays[SQZI_HIDDEN], *logits = &f->arrays[SQZI_LOGITS];
    load_tokens(f, begin, r->n_tokens, w);
    if (hidden->data) {
        TRY(sqz_encode(session, &batch, w->hidden, model->info.width, error));
        r->hidden_error = largest_difference(w->hidden, hidden, begin * model->info.width,
                                             (uint64_t)r->n_tokens * model->info.width);
    }
    if (logits->data) {
        const uint64_t classes = model->head.classes, row = f->whole ? r->sequence : begin;
        TRY(sqz_logits(session, &batch, NULL, 0, w->logits, (size_t)classes, error));
        r->logits_error = largest_difference(w->logits, logits, row * classes,
                                             (f->whole ? 1 : r->n_tokens) * classes);
    }
fail:
    return status;
}

static sqz_status compare_all(const sqz_model *model, sqz_session *session,
                              const sqzi_vector_file *f, work *w,
                              const sqz_vectors_options *options, sqz_verification *result,
                              sqz_error *error)
{
    uint64_t begin = 0;
    uint32_t apart = 0;
    for (uint32_t j = 0; j < f->n_sequences; j++) {
        sqz_vector_report r = {.sequence = j,
                               .n_tokens = sqzi_vector_length(f, j),
                               .hidden_error = -1,
                               .logits_error = -1};
        const sqz_status status = compare_one(model, session, f, begin, w, &r, error);
        if (status != SQZ_OK) return status;
        const double largest = fmax(r.hidden_error, r.logits_error);
        r.agrees = isfinite(largest) && largest <= result->tolerance;
        result->max_error = fmax(result->max_error, largest);
        result->n_vectors++;
        apart += !r.agrees;
        begin += r.n_tokens;
        if (options->report) options->report(options->user, &r);
    }
    if (apart == 0) return SQZ_OK;
    return sqzi_fail(error, SQZ_ENUMERIC, 0,
                     "%s: %u of %u sequences differ by more than %s, the most by %s", f->path,
                     apart, f->n_sequences, SQZI_REAL(3, result->tolerance),
                     SQZI_REAL(3, result->max_error));
}

sqz_status sqz_vectors_compare(const sqz_model *model, const char *path,
                               const sqz_vectors_options *given, sqz_verification *result,
                               sqz_error *error)
{
    const sqz_vectors_options options = given ? *given : (sqz_vectors_options){0};
    if (!model || !path || !result)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_vectors_compare: an argument is NULL");
    sqz_status status = SQZI_RESERVED(given, "sqz_vectors_options", error);
    if (status != SQZ_OK) return status;
    if (!(options.tolerance >= 0))
        return sqzi_fail(error, SQZ_EINVAL, 0, "a tolerance of %s: 0 or more is possible",
                         SQZI_REAL(6, options.tolerance));
    sqzi_vector_file f;
    work w;
    void *block = NULL;
    sqz_session *session = NULL;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    *result = (sqz_verification){0};
    TRY(sqzi_vector_file_open(model, path, &f, error));
    result->tolerance = options.tolerance > 0 ? options.tolerance
                                              : sqzi_reference_f32_tolerance(
                                                    fmax(largest_of(&f.arrays[SQZI_HIDDEN]),
                                                         largest_of(&f.arrays[SQZI_LOGITS])));
    lay_out(model, &f, &w, &arena);
    block = sqzi_allocate(f.allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the results of %u tokens", f.longest);
    arena = sqzi_arena_over(block, arena.used);
    lay_out(model, &f, &w, &arena);
    TRY(sqz_session_open(model,
                         &(sqz_session_options){
                             .max_tokens = f.longest, .max_sequences = 1, .max_length = f.longest},
                         &session, error));
    status = compare_all(model, session, &f, &w, &options, result, error);
    if (status == SQZ_ETOKEN) sqzi_error_prefix(error, path);
fail:
    sqz_session_close(session);
    if (block) sqzi_release(f.allocator, block, arena.capacity);
    sqzi_vector_file_close(&f);
    return status;
}
