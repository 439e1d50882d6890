/* SPDX-License-Identifier: Apache-2.0 */
/* The table of words factorised: principal components of rows weighed by how often they occur. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/dense_algebra.h"
#include "squeeze/embedding_levers.h"
#include "squeeze/word_weights.h"

enum { STRIP = 128 }; /* rows of a product */

/* Principal components of the table. */
typedef struct components {
    const sqz_allocator *allocator;
    uint32_t n, width;
    float *frequency;  /* [n] */
    double *mean;      /* [E], zeros where there must be none */
    double *vectors;   /* [E, E] a row each, once decomposed */
    double *values;    /* [E] descending */
    double *strip;     /* [2, STRIP, E] */
    double about_mean; /* sum_r f_r |e_r - mean|^2, of the mean that is */
} components;

/* The mean of rows can go nowhere: a decoder tied to them would miss it, or there is no other
 * table. */
static bool must_keep_mean(const sqzi_weights *w)
{
    return (w->model->head.kind == SQZ_HEAD_MASKED_LM && w->model->head.tied) ||
           (!w->type.rows && !w->position.rows);
}

static void discard(components *c)
{
    const size_t width = c->width;
    sqzi_release(c->allocator, c->frequency, c->n * sizeof *c->frequency);
    sqzi_release(c->allocator, c->mean, width * sizeof *c->mean);
    sqzi_release(c->allocator, c->values, width * sizeof *c->values);
    sqzi_release(c->allocator, c->vectors, width * width * sizeof *c->vectors);
    sqzi_release(c->allocator, c->strip, 2 * STRIP * width * sizeof *c->strip);
}

static sqz_status make_room(const sqzi_weights *w, components *c, sqz_error *error)
{
    const size_t width = c->width;
    c->frequency = sqzi_allocate(c->allocator, c->n * sizeof *c->frequency);
    c->mean = sqzi_allocate_zeroed(c->allocator, width, sizeof *c->mean);
    c->values = sqzi_allocate_zeroed(c->allocator, width, sizeof *c->values);
    c->vectors = sqzi_allocate_zeroed(c->allocator, width * width, sizeof *c->vectors);
    c->strip = sqzi_allocate(c->allocator, 2 * STRIP * width * sizeof *c->strip);
    if (c->frequency && c->mean && c->values && c->vectors && c->strip) return SQZ_OK;
    return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the components of a table of %u columns",
                     w->word.columns);
}

/* `m` rows from `begin` on, each scale * (row - mean). */
static void read_rows(const sqzi_weights *w, const components *c, uint32_t begin, uint32_t m,
                      bool by_frequency, double *strip)
{
    const size_t width = c->width;
    for (size_t i = 0; i < m; i++) {
        const float *row = w->word.values + (begin + i) * width;
        const double scale = by_frequency ? sqrt((double)c->frequency[begin + i]) : 1;
        for (size_t j = 0; j < width; j++)
            strip[i * width + j] = scale * ((double)row[j] - c->mean[j]);
    }
}

/* The mean, and the weighted second moments about it, in double. */
static sqz_status sum_up(const sqzi_weights *w, components *c, double *strip, sqz_error *error)
{
    const uint32_t width = c->width;
    double total = 0;
    for (uint32_t r = 0; r < c->n; r++) {
        const float *row = w->word.values + (size_t)r * width;
        total += (double)c->frequency[r];
        for (uint32_t j = 0; j < width; j++) c->mean[j] += (double)c->frequency[r] * (double)row[j];
    }
    for (uint32_t j = 0; j < width; j++) {
        c->mean[j] /= total;
        c->about_mean -= total * c->mean[j] * c->mean[j];
    }
    if (must_keep_mean(w)) memset(c->mean, 0, width * sizeof *c->mean);
    else c->about_mean = 0;
    for (uint32_t begin = 0; begin < c->n; begin += STRIP) {
        const uint32_t m = c->n - begin < STRIP ? c->n - begin : STRIP;
        read_rows(w, c, begin, m, true, strip);
        const sqzi_dense_product moments = {.m = width,
                                            .n = width,
                                            .k = m,
                                            .a = strip,
                                            .b = strip,
                                            .lda = width,
                                            .ldb = width,
                                            .transpose_a = true,
                                            .c = c->vectors,
                                            .ldc = width,
                                            .scale = 1,
                                            .keep = 1};
        const sqz_status status = sqzi_dense_multiply(&moments, error);
        if (status != SQZ_OK) return status;
    }
    for (size_t i = 0; i < width; i++) c->about_mean += c->vectors[i * width + i];
    return SQZ_OK;
}

static sqz_status decompose(const sqzi_weights *w, const uint64_t *counts, components *c,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *c = (components){.allocator = &w->model->context->allocator,
                      .n = w->word.rows,
                      .width = w->word.columns};
    FAIL_IF(w->factor.rows, SQZ_EINVAL, 0,
            "the token embeddings are factorised already, to width %u", w->word.columns);
    FAIL_IF(w->product.parts, SQZ_EINVAL, 0, "the token embeddings are product quantised already");
    TRY(make_room(w, c, error));
    sqzi_word_frequencies(w, counts, c->frequency);
    TRY(sum_up(w, c, c->strip, error));
    TRY(sqzi_dense_eigen(c->allocator, c->width, c->vectors, c->values, true, error));
fail:
    return status;
}

/* What the components from k on hold, of what the mean alone would leave. */
static double error_at(const components *c, uint32_t k)
{
    double rest = 0;
    for (uint32_t i = c->width; i-- > k;) rest += fmax(c->values[i], 0);
    return c->about_mean > 0 ? rest / c->about_mean : 0;
}

/* z = P' (e - mu) of every row, and P. */
static sqz_status project(const sqzi_weights *w, const components *c, sqzi_weight_matrix *word,
                          sqzi_weight_matrix *factor, sqz_error *error)
{
    const uint32_t width = c->width, k = word->columns;
    double *z = c->strip + (size_t)STRIP * width;
    for (uint32_t begin = 0; begin < c->n; begin += STRIP) {
        const uint32_t m = c->n - begin < STRIP ? c->n - begin : STRIP;
        read_rows(w, c, begin, m, false, c->strip);
        const sqzi_dense_product product = {.m = m,
                                            .n = k,
                                            .k = width,
                                            .a = c->strip,
                                            .b = c->vectors,
                                            .lda = width,
                                            .ldb = width,
                                            .transpose_b = true,
                                            .c = z,
                                            .ldc = k,
                                            .scale = 1};
        const sqz_status status = sqzi_dense_multiply(&product, error);
        if (status != SQZ_OK) return status;
        for (size_t i = 0; i < (size_t)m * k; i++)
            word->values[(size_t)begin * k + i] = (float)z[i];
    }
    for (size_t j = 0; j < width; j++)
        for (size_t i = 0; i < k; i++) factor->values[j * k + i] = (float)c->vectors[i * width + j];
    return SQZ_OK;
}

/* mu is added to every row of the table of types, of which each token reads one; where there is
 * none, to the positions'. */
static void move_mean(sqzi_weights *w, const components *c)
{
    sqzi_weight_matrix *to = w->type.rows ? &w->type : &w->position;
    sqzi_weight_matrix_unround(w, to);
    for (size_t r = 0; r < to->rows; r++)
        for (size_t j = 0; j < to->columns; j++)
            to->values[r * to->columns + j] = (float)((double)to->values[r * to->columns + j] +
                                                      c->mean[j]);
}

sqz_status sqzi_squeeze_width(sqzi_weights *w, const uint64_t *counts, uint32_t k, double *error,
                              sqz_error *out)
{
    sqz_status status = SQZ_OK;
    components c = {0};
    sqzi_weight_matrix word = {0}, factor = {0};
    if (k < 1 || k > w->word.columns)
        return sqzi_fail(out, SQZ_EINVAL, 0,
                         "the width of token embeddings is %u now and can become 1 to %u, not %u",
                         w->word.columns, w->word.columns, k);
    status = decompose(w, counts, &c, out);
    if (status == SQZ_OK) status = sqzi_weight_matrix_make(w, c.n, k, 1, &word, out);
    if (status == SQZ_OK) status = sqzi_weight_matrix_make(w, c.width, k, 1, &factor, out);
    if (status == SQZ_OK) status = project(w, &c, &word, &factor, out);
    if (status == SQZ_OK) {
        move_mean(w, &c);
        if (error) *error = error_at(&c, k);
        sqzi_weight_matrix_drop(w, &w->word);
        w->word = word;
        w->factor = factor;
    } else {
        sqzi_weight_matrix_drop(w, &word);
        sqzi_weight_matrix_drop(w, &factor);
    }
    if (c.allocator) discard(&c);
    return status;
}
