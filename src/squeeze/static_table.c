/* SPDX-License-Identifier: Apache-2.0 */
/* What a static table begins with and learns, all of the model's own vectors. */
#include "squeeze/static_table.h"

#include <math.h>
#include <squeezebert/session.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/dense_algebra.h"
#include "squeeze/quantized_model.h"
#include "squeeze/static_fit.h"

enum { BATCH = 256, PIECES_TOGETHER = 512, STRIP = 256 };
static const double RATE = 2e-3, RARE = 1e-3, START = 0.1; /* START: root mean square of rows */

typedef struct making {
    sqzi_weights *weights;
    const sqz_model *teacher;
    const sqzi_sequences *texts;
    const sqz_allocator *allocator;
    const uint32_t *ids, *first;
    uint32_t width, dimensions, vocabulary, n_rows;
    sqz_special_tokens special;
    float *vectors;  /* [texts, D] */
    float *target;   /* [texts, width] */
    float *strip;    /* [PIECES_TOGETHER, D] */
    double *moments; /* [D, D], then eigenvectors, a row each */
    double *values;  /* [D] */
    double *work;    /* [2, STRIP, D] */
    uint32_t *row;   /* [vocabulary] */
    uint64_t *count; /* [n_rows] */
    int (*step)(void *user);
    void *user;
    void *block;
    size_t bytes;
} making;

static void lay_out(making *m, sqzi_arena *arena)
{
    const size_t n = m->texts->n, d = m->dimensions;
    m->vectors = sqzi_arena_take(arena, n * d, sizeof *m->vectors);
    m->target = sqzi_arena_take(arena, n * m->width, sizeof *m->target);
    m->strip = sqzi_arena_take(arena, PIECES_TOGETHER * d, sizeof *m->strip);
    m->moments = sqzi_arena_take(arena, d * d, sizeof *m->moments);
    m->values = sqzi_arena_take(arena, d, sizeof *m->values);
    m->work = sqzi_arena_take(arena, 2 * STRIP * d, sizeof *m->work);
    m->row = sqzi_arena_take(arena, m->vocabulary, sizeof *m->row);
    m->count = sqzi_arena_take(arena, m->n_rows, sizeof *m->count);
}

static bool is_blank(const making *m, uint32_t id)
{
    const sqz_special_tokens *s = &m->special;
    return id == s->cls || id == s->sep || id == s->pad || id == s->mask;
}

static void find_rows(making *m)
{
    const uint32_t *kept = m->weights->kept_words;
    for (uint32_t id = 0; id < m->vocabulary; id++) m->row[id] = SQZI_ABSENT;
    for (uint32_t r = 0; r < m->n_rows; r++) {
        const uint32_t id = kept ? kept[r] : r;
        if (!is_blank(m, id)) m->row[id] = r;
    }
    for (uint32_t i = 0; i < m->first[m->texts->n]; i++)
        if (m->row[m->ids[i]] != SQZI_ABSENT) m->count[m->row[m->ids[i]]]++;
}

static sqz_status make_room(making *m, sqz_error *error)
{
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(m, &arena);
    m->block = sqzi_allocate_zeroed(m->allocator, arena.used, 1);
    if (!m->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for vectors of %u texts", m->texts->n);
    m->bytes = arena.used;
    arena = sqzi_arena_over(m->block, m->bytes);
    lay_out(m, &arena);
    find_rows(m);
    return SQZ_OK;
}

/* ---- the teacher's vectors ---- */

static sqz_status embed(sqz_session *session, uint32_t n, const uint32_t *first,
                        const uint32_t *ids, float *out, size_t ldo, sqz_error *error)
{
    const sqz_batch batch = {.n_sequences = n, .first = first, .ids = ids};
    const sqz_embed_options unit = {.normalize = SQZ_NORMALIZE_YES};
    return sqz_embed(session, &batch, &unit, out, ldo, error);
}

/* Of texts [from, to), as many together as fit a session. */
static sqz_status embed_texts(const making *m, sqz_session *session, uint32_t most, uint32_t from,
                              uint32_t to, sqz_error *error)
{
    uint32_t first[PIECES_TOGETHER + 1];
    sqz_status status = SQZ_OK;
    for (uint32_t i = from, n; i < to && status == SQZ_OK; i += n) {
        const uint32_t begin = m->first[i];
        for (n = 0; n < PIECES_TOGETHER && i + n < to && m->first[i + n + 1] - begin <= most; n++)
            first[n] = m->first[i + n] - begin;
        first[n] = m->first[i + n] - begin;
        status = embed(session, n, first, m->ids + begin, m->vectors + (size_t)i * m->dimensions,
                       m->dimensions, error);
    }
    return status;
}

static sqz_status step(const making *m, sqz_error *error)
{
    if (!m->step || m->step(m->user) == 0) return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped while texts were read");
}

static sqz_status find_vectors(const making *m, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_session *session = NULL;
    const uint32_t n = m->texts->n, most = m->texts->longest > 2048 ? m->texts->longest : 2048;
    TRY(sqz_session_open(m->teacher,
                         &(sqz_session_options){.max_tokens = most,
                                                .max_sequences = PIECES_TOGETHER,
                                                .max_length = m->texts->longest},
                         &session, error));
    for (uint64_t i = 0; i < SQZI_STATIC_SLICES; i++) {
        TRY(embed_texts(m, session, most, (uint32_t)(i * n / SQZI_STATIC_SLICES),
                        (uint32_t)((i + 1) * n / SQZI_STATIC_SLICES), error));
        TRY(step(m, error));
    }
fail:
    sqz_session_close(session);
    return status;
}

/* ---- components ---- */

static void to_double(const float *from, size_t n, double *to)
{
    for (size_t i = 0; i < n; i++) to[i] = (double)from[i];
}

static sqz_status find_components(const making *m, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t d = m->dimensions;
    for (uint32_t i = 0; i < m->texts->n; i += STRIP) {
        const uint32_t some = m->texts->n - i < STRIP ? m->texts->n - i : STRIP;
        to_double(m->vectors + (size_t)i * d, (size_t)some * d, m->work);
        TRY(sqzi_dense_multiply(&(sqzi_dense_product){.m = d,
                                                      .n = d,
                                                      .k = some,
                                                      .a = m->work,
                                                      .b = m->work,
                                                      .lda = d,
                                                      .ldb = d,
                                                      .transpose_a = true,
                                                      .c = m->moments,
                                                      .ldc = d,
                                                      .scale = 1,
                                                      .keep = 1},
                                error));
    }
    TRY(sqzi_dense_eigen(m->allocator, d, m->moments, m->values, true, error));
fail:
    return status;
}

/* P of n vectors to out [n, width], each scaled to unit length where `unit`. */
static sqz_status project(const making *m, const float *vectors, uint32_t n, bool unit, float *out,
                          sqz_error *error)
{
    const uint32_t d = m->dimensions, k = m->width;
    double *made = m->work + (size_t)STRIP * d;
    for (uint32_t i = 0; i < n; i += STRIP) {
        const uint32_t some = n - i < STRIP ? n - i : STRIP;
        to_double(vectors + (size_t)i * d, (size_t)some * d, m->work);
        const sqzi_dense_product product = {.m = some,
                                            .n = k,
                                            .k = d,
                                            .a = m->work,
                                            .b = m->moments,
                                            .lda = d,
                                            .ldb = d,
                                            .transpose_b = true,
                                            .c = made,
                                            .ldc = k,
                                            .scale = 1};
        const sqz_status status = sqzi_dense_multiply(&product, error);
        if (status != SQZ_OK) return status;
        for (size_t r = 0; r < some; r++) {
            double squares = 0;
            for (size_t j = 0; j < k; j++) squares += made[r * k + j] * made[r * k + j];
            const double by = unit && squares > 0 ? 1 / sqrt(squares) : 1;
            for (size_t j = 0; j < k; j++) out[(i + r) * k + j] = (float)(made[r * k + j] * by);
        }
    }
    return SQZ_OK;
}

/* ---- rows ---- */

/* Each piece alone between [CLS] and [SEP], projected. */
static sqz_status find_pieces(const making *m, float *table, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_session *session = NULL;
    const sqz_special_tokens *s = &m->special;
    const uint32_t cls = s->cls < m->vocabulary, sep = s->sep < m->vocabulary, n = 1 + cls + sep;
    uint32_t ids[3 * PIECES_TOGETHER], first[PIECES_TOGETHER + 1];
    TRY(sqz_session_open(m->teacher,
                         &(sqz_session_options){.max_tokens = n * PIECES_TOGETHER,
                                                .max_sequences = PIECES_TOGETHER,
                                                .max_length = n},
                         &session, error));
    for (uint32_t r = 0; r < m->n_rows; r += PIECES_TOGETHER) {
        const uint32_t some = m->n_rows - r < PIECES_TOGETHER ? m->n_rows - r : PIECES_TOGETHER;
        for (uint32_t i = 0; i < some; i++) {
            uint32_t at = first[i] = i * n;
            if (cls) ids[at++] = s->cls;
            ids[at++] = m->weights->kept_words ? m->weights->kept_words[r + i] : r + i;
            if (sep) ids[at] = s->sep;
        }
        first[some] = some * n;
        TRY(embed(session, some, first, ids, m->strip, m->dimensions, error));
        TRY(project(m, m->strip, some, false, table + (size_t)r * m->width, error));
    }
fail:
    sqz_session_close(session);
    return status;
}

/* Rows less their weighted mean, weighed, and all scaled; those of special tokens are zeros. */
static void weigh_rows(const making *m, float *table)
{
    const size_t k = m->width;
    double total = m->n_rows, squares = 0, *mean = m->values; /* which nobody reads any more */
    for (uint32_t r = 0; r < m->n_rows; r++) total += (double)m->count[r];
    memset(mean, 0, k * sizeof *mean);
    for (uint32_t r = 0; r < m->n_rows; r++)
        for (size_t j = 0; j < k; j++)
            mean[j] += (1 + (double)m->count[r]) / total * (double)table[r * k + j];
    for (uint32_t r = 0; r < m->n_rows; r++) {
        const double share = (1 + (double)m->count[r]) / total, by = RARE / (RARE + share);
        const bool blank = is_blank(m, m->weights->kept_words ? m->weights->kept_words[r] : r);
        for (size_t j = 0; j < k; j++) {
            float *number = &table[r * k + j];
            *number = blank ? 0 : (float)(((double)*number - mean[j]) * by);
            squares += (double)*number * (double)*number;
        }
    }
    const double scale = squares > 0 ? START / sqrt(squares / ((double)m->n_rows * (double)k)) : 1;
    for (size_t i = 0; i < m->n_rows * k; i++) table[i] = (float)((double)table[i] * scale);
}

static sqz_status learn(making *m, float *table, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    double loss;
    TRY(make_room(m, error));
    TRY(find_vectors(m, error));
    TRY(find_components(m, error));
    TRY(project(m, m->vectors, m->texts->n, true, m->target, error));
    TRY(find_pieces(m, table, error));
    weigh_rows(m, table);
    const sqzi_static_task task = {.allocator = m->allocator,
                                   .n = m->texts->n,
                                   .width = m->width,
                                   .n_rows = m->n_rows,
                                   .first = m->first,
                                   .ids = m->ids,
                                   .row = m->row,
                                   .target = m->target,
                                   .epochs = SQZI_STATIC_EPOCHS,
                                   .batch = BATCH,
                                   .rate = RATE,
                                   .seed = 1,
                                   .step = m->step,
                                   .user = m->user};
    TRY(sqzi_static_fit(&task, table, &loss, error));
fail:
    sqzi_release(m->allocator, m->block, m->bytes);
    return status;
}

/* ---- the whole ---- */

static void make_bare(sqzi_weights *w, uint32_t width)
{
    w->reshaped = true;
    w->width = w->embedding_width = width;
    sqzi_weight_matrix_drop(w, &w->factor);
    sqzi_weight_matrix_drop(w, &w->position);
    sqzi_weight_matrix_drop(w, &w->type);
    sqzi_weight_linear_drop(w, &w->projection);
    for (uint32_t i = 0; i < w->n_others; i++) sqzi_weight_linear_drop(w, &w->others[i].linear);
}

static sqz_status teach(sqzi_weights *w, const sqz_model *teacher, const sqzi_sequences *texts,
                        int (*step_done)(void *), void *user, float *table, uint32_t width,
                        sqz_error *error)
{
    making m = {.weights = w,
                .teacher = teacher,
                .texts = texts,
                .allocator = &teacher->context->allocator,
                .ids = (const uint32_t *)(const void *)texts->ids.data,
                .first = (const uint32_t *)(const void *)texts->first.data,
                .width = width,
                .dimensions = teacher->info.dimensions,
                .vocabulary = teacher->info.vocabulary,
                .n_rows = w->word.rows,
                .special = sqz_tokenizer_special(sqz_model_embed_tokenizer(teacher)),
                .step = step_done,
                .user = user};
    return learn(&m, table, error);
}

sqz_status sqzi_squeeze_static(sqzi_weights *w, const char *path, const char *place,
                               const sqzi_sequences *texts, uint32_t width,
                               int (*step_done)(void *), void *user, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_weight_matrix table = {0};
    sqz_model *teacher = NULL;
    TRY(sqzi_weight_matrix_make(w, w->word.rows, width, 1, &table, error));
    if (path) {
        TRY(sqzi_quantized_open(w->model->context, path, SQZ_QUANTIZE_S8, place, &teacher, error));
        TRY(teach(w, teacher, texts, step_done, user, table.values, width, error));
    }
    sqzi_weight_matrix_drop(w, &w->word);
    w->word = table;
    table = (sqzi_weight_matrix){0};
    make_bare(w, width);
fail:
    sqz_model_close(teacher);
    sqzi_weight_matrix_drop(w, &table);
    return status;
}
