/* SPDX-License-Identifier: Apache-2.0 */
/* The table of words product quantised. */
#include "squeeze/embedding_levers.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/product_quantise.h"
#include "squeeze/word_weights.h"

enum { DRAFT_ROUNDS = 2 };

/* What is made before it takes the table's place. */
typedef struct making {
    const sqz_allocator *allocator;
    float *frequency, *weight, *gain;
    sqzi_weight_product product;
    uint32_t n, width;
} making;

static void discard(making *m)
{
    const sqzi_weight_product *p = &m->product;
    sqzi_release(m->allocator, m->frequency, m->n * sizeof *m->frequency);
    sqzi_release(m->allocator, m->weight, m->n * sizeof *m->weight);
    sqzi_release(m->allocator, m->gain, m->width * sizeof *m->gain);
    sqzi_release(m->allocator, p->codes, (size_t)m->n * p->parts);
    sqzi_release(m->allocator, p->centroids, (size_t)SQZI_CENTROIDS * m->width);
    sqzi_release(m->allocator, p->scale, (size_t)SQZI_CENTROIDS * p->parts * sizeof *p->scale);
}

uint32_t sqzi_squeeze_product_parts(const sqzi_weights *weights, uint32_t parts)
{
    const uint32_t width = weights->word.columns;
    if (parts > width) return width;
    while (parts > 1 && width % parts) parts--;
    return parts ? parts : 1;
}

static sqz_status check(const sqzi_weights *w, uint32_t parts, sqz_error *error)
{
    const uint32_t width = w->word.columns;
    if (w->product.parts)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "the token embeddings are product quantised already");
    if (parts >= 1 && parts <= width && width % parts == 0) return SQZ_OK;
    const uint32_t below = sqzi_squeeze_product_parts(w, parts);
    uint32_t above = parts < width ? parts + 1 : width;
    while (width % above) above++;
    return sqzi_fail(error, SQZ_EINVAL, 0,
                     "token embeddings of width %u cannot be cut into %u parts; the nearest that "
                     "can: %u and %u",
                     width, parts, below, above);
}

/* A rounding of column j is multiplied by the gain of the embedding's norm. */
static void find_gain(const sqzi_weights *w, float *gain)
{
    const sqzi_norm *norm = &w->model->encoder.embedding.norm;
    float largest = 0;
    for (uint32_t j = 0; j < w->word.columns; j++) {
        gain[j] = w->factor.rows || sqzi_weights_are_bare(w) ? 1 : fabsf(norm->weight[j]);
        largest = fmaxf(largest, gain[j]);
    }
    for (uint32_t j = 0; j < w->word.columns; j++)
        gain[j] = largest > 0 ? fmaxf(gain[j] / largest, 1e-2F) : 1;
}

static sqz_status make(const sqzi_weights *w, const uint64_t *counts, uint32_t parts,
                       uint32_t rounds, making *m, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = w->word.rows, width = w->word.columns;
    const sqz_context *context = w->model->context;
    *m = (making){.allocator = &context->allocator, .n = n, .width = width};
    TRY(check(w, parts, error));
    m->frequency = sqzi_allocate(m->allocator, n * sizeof *m->frequency);
    m->weight = sqzi_allocate(m->allocator, n * sizeof *m->weight);
    m->gain = sqzi_allocate(m->allocator, width * sizeof *m->gain);
    m->product = (sqzi_weight_product){
        .parts = parts,
        .codes = sqzi_allocate_zeroed(m->allocator, (size_t)n * parts, 1),
        .centroids = sqzi_allocate_zeroed(m->allocator, (size_t)SQZI_CENTROIDS * width, 1),
        .scale = sqzi_allocate_zeroed(m->allocator, (size_t)SQZI_CENTROIDS * parts, sizeof(float))};
    FAIL_IF(!m->frequency || !m->weight || !m->gain || !m->product.codes || !m->product.centroids ||
                !m->product.scale,
            SQZ_ENOMEM, 0, "no memory to quantise a table of %u rows", n);
    sqzi_word_frequencies(w, counts, m->frequency);
    for (uint32_t i = 0; i < n; i++) m->weight[i] = powf(m->frequency[i], 0.75F);
    find_gain(w, m->gain);
    TRY(sqzi_product_quantise(context,
                              &(sqzi_product_options){.rows = w->word.values,
                                                      .weight = m->weight,
                                                      .gain = m->gain,
                                                      .n = n,
                                                      .width = width,
                                                      .parts = parts,
                                                      .rounds = rounds},
                              m->product.codes, m->product.centroids, m->product.scale, error));
fail:
    return status;
}

/* Number j of a row's part p. */
static double value_of(const making *m, uint32_t row, uint32_t p, uint32_t j)
{
    const sqzi_weight_product *product = &m->product;
    const size_t c = (size_t)p * SQZI_CENTROIDS + product->codes[(size_t)row * product->parts + p];
    return (double)product->scale[c] * product->centroids[c * (m->width / product->parts) + j];
}

/* Against what the mean in every row's place would cost. */
static double error_of(const sqzi_weights *w, const making *m)
{
    const uint32_t d = m->width / m->product.parts;
    double errors = 0, squares = 0;
    for (uint32_t p = 0; p < m->product.parts; p++)
        for (uint32_t j = 0; j < d; j++) {
            double total = 0, sum = 0, square = 0;
            for (uint32_t i = 0; i < m->n; i++) {
                const double f = (double)m->frequency[i],
                             x = (double)w->word.values[(size_t)i * m->width + (size_t)p * d + j],
                             off = x - value_of(m, i, p, j);
                total += f;
                sum += f * x;
                square += f * x * x;
                errors += f * off * off;
            }
            squares += square - sum * sum / total;
        }
    return squares > 0 ? errors / squares : 0;
}

sqz_status sqzi_squeeze_product(sqzi_weights *w, const uint64_t *counts, uint32_t parts,
                                double *error, sqz_error *out)
{
    making m;
    const sqz_status status = make(w, counts, parts, 0, &m, out);
    if (status == SQZ_OK) {
        if (error) *error = error_of(w, &m);
        sqzi_weight_matrix_unround(w, &w->word);
        sqzi_release(m.allocator, w->word.values, (size_t)m.n * m.width * sizeof *w->word.values);
        w->word.values = NULL;
        w->product = m.product;
        m.product = (sqzi_weight_product){0};
    }
    discard(&m);
    return status;
}

sqz_status sqzi_squeeze_product_draft(const sqzi_weights *w, const uint64_t *counts, uint32_t parts,
                                      sqzi_weight_product *draft, sqz_error *error)
{
    making m;
    const sqz_status status = make(w, counts, parts, DRAFT_ROUNDS, &m, error);
    *draft = m.product;
    if (status == SQZ_OK) m.product = (sqzi_weight_product){0};
    else *draft = (sqzi_weight_product){0};
    discard(&m);
    return status;
}

void sqzi_weight_product_drop(const sqz_allocator *allocator, uint32_t rows, uint32_t width,
                              sqzi_weight_product *product)
{
    making m = {.allocator = allocator, .n = rows, .width = width, .product = *product};
    if (product->parts) discard(&m);
    *product = (sqzi_weight_product){0};
}

void sqzi_weight_product_values(const sqzi_weight_product *product, uint32_t rows, uint32_t width,
                                float *values)
{
    const uint32_t parts = product->parts, d = width / parts;
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < parts; p++) {
            const size_t c = p * SQZI_CENTROIDS + product->codes[r * parts + p];
            for (size_t j = 0; j < d; j++)
                *values++ = product->scale[c] * (float)product->centroids[c * d + j];
        }
}

uint64_t sqzi_squeeze_product_bytes(const sqzi_weights *w, uint32_t parts)
{
    return (uint64_t)w->word.rows * parts + (uint64_t)SQZI_CENTROIDS * w->word.columns +
           (uint64_t)SQZI_CENTROIDS * parts * sizeof(float);
}
