/* SPDX-License-Identifier: Apache-2.0 */
/* The index of a semantic search: vectors (unit ones for cosines) in one growing array, compared
 * with the query one by one. Exact, and fast enough for some hundred thousand rows: a search reads
 * the array once. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "model/context.h"

#include <squeezebert/task.h>

enum { LANES = 16 };

struct sqz_index {
    const sqz_allocator *allocator;
    uint32_t dimensions;
    sqz_similarity_kind similarity;
    float *vectors; /* [capacity, dimensions] */
    uint64_t n, capacity;
};

sqz_status sqz_index_open(const sqz_context *context, uint32_t dimensions,
                          sqz_similarity_kind similarity, sqz_index **out, sqz_error *error)
{
    if (!context || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_index_open: an argument is NULL");
    *out = NULL;
    if (!dimensions)
        return sqzi_fail(error, SQZ_EINVAL, 0, "an index of vectors without dimensions");
    if ((unsigned)similarity > SQZ_SIMILARITY_MANHATTAN)
        return sqzi_fail(error, SQZ_EINVAL, 0, "no similarity has the number %d", (int)similarity);
    sqz_index *index = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *index);
    if (!index) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an index");
    index->allocator = &context->allocator;
    index->dimensions = dimensions;
    index->similarity = similarity == SQZ_SIMILARITY_DEFAULT ? SQZ_SIMILARITY_COSINE : similarity;
    *out = index;
    return SQZ_OK;
}

static size_t bytes_of(const sqz_index *index, uint64_t rows)
{
    return (size_t)rows * index->dimensions * sizeof(float);
}

void sqz_index_close(sqz_index *index)
{
    if (!index) return;
    if (index->vectors)
        sqzi_release(index->allocator, index->vectors, bytes_of(index, index->capacity));
    sqzi_release(index->allocator, index, sizeof *index);
}

uint64_t sqz_index_rows(const sqz_index *index)
{
    return index->n;
}

static sqz_status grow(sqz_index *index, uint64_t rows, sqz_error *error)
{
    if (rows <= index->capacity) return SQZ_OK;
    uint64_t capacity = index->capacity ? index->capacity * 2 : 64;
    if (capacity < rows) capacity = rows;
    if (capacity > SIZE_MAX / 2 / sizeof(float) / index->dimensions)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an index of %llu rows",
                         (unsigned long long)rows);
    float *vectors = sqzi_allocate(index->allocator, bytes_of(index, capacity));
    if (!vectors)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an index of %llu rows",
                         (unsigned long long)rows);
    if (index->n) memcpy(vectors, index->vectors, bytes_of(index, index->n));
    if (index->vectors)
        sqzi_release(index->allocator, index->vectors, bytes_of(index, index->capacity));
    index->vectors = vectors;
    index->capacity = capacity;
    return SQZ_OK;
}

static inline float term(float a, float b, sqz_similarity_kind similarity)
{
    const float d = a - b;
    return similarity == SQZ_SIMILARITY_EUCLIDEAN   ? d * d
           : similarity == SQZ_SIMILARITY_MANHATTAN ? fabsf(d)
                                                    : a * b;
}

/* Sixteen sums side by side, which a compiler turns into vector registers without being allowed to
 * reorder a sum. */
static inline float sum_of(const float *a, const float *b, uint32_t n,
                           sqz_similarity_kind similarity)
{
    float sums[LANES] = {0};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (uint32_t lane = 0; lane < LANES; lane++)
            sums[lane] += term(a[i + lane], b[i + lane], similarity);
    for (; i < n; i++) sums[i % LANES] += term(a[i], b[i], similarity);
    for (uint32_t half = LANES / 2; half; half /= 2)
        for (uint32_t lane = 0; lane < half; lane++) sums[lane] += sums[lane + half];
    return sums[0];
}

static float score_of(const float *a, const float *b, uint32_t n, sqz_similarity_kind similarity,
                      double scale)
{
    switch (similarity) {
    case SQZ_SIMILARITY_EUCLIDEAN: return -sqrtf(sum_of(a, b, n, SQZ_SIMILARITY_EUCLIDEAN));
    case SQZ_SIMILARITY_MANHATTAN: return -sum_of(a, b, n, SQZ_SIMILARITY_MANHATTAN);
    case SQZ_SIMILARITY_COSINE: return (float)((double)sum_of(a, b, n, SQZ_SIMILARITY_DOT) * scale);
    default: return sum_of(a, b, n, SQZ_SIMILARITY_DOT);
    }
}

/* In double: of a vector of subnormal numbers it is larger than any float. 0 of a vector without a
 * direction, and NaN where a number is no number. */
static double inverse_length(const float *vector, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)vector[i] * vector[i];
    return isfinite(sum) ? sum > 0 ? 1.0 / sqrt(sum) : 0.0 : NAN;
}

sqz_status sqz_index_add(sqz_index *index, const float *vectors, uint64_t n, sqz_error *error)
{
    if (!index || (n && !vectors))
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_index_add: an argument is NULL");
    if (n > UINT64_MAX / 2 - index->n)
        return sqzi_fail(error, SQZ_EINVAL, 0, "too many rows for an index");
    const sqz_status status = grow(index, index->n + n, error);
    if (status != SQZ_OK) return status;
    for (uint64_t row = 0; row < n; row++) {
        const float *from = vectors + row * index->dimensions;
        float *to = index->vectors + (index->n + row) * index->dimensions;
        const double scale = inverse_length(from, index->dimensions);
        if (isnan(scale))
            return sqzi_fail(error, SQZ_ENUMERIC, row, "vector %llu holds a NaN or an infinity",
                             (unsigned long long)row);
        for (uint32_t d = 0; d < index->dimensions; d++)
            to[d] = index->similarity == SQZ_SIMILARITY_COSINE ? (float)(from[d] * scale) : from[d];
    }
    index->n += n;
    return SQZ_OK;
}

static bool better(sqz_hit a, sqz_hit b)
{
    return a.score > b.score || (a.score == b.score && a.row < b.row);
}

/* Move the hit at `place` of a heap of n, worst on top, down to where it belongs. */
static void sift_down(sqz_hit *hits, uint32_t n, uint32_t place)
{
    for (;;) {
        uint32_t worst = place;
        for (uint32_t child = 2 * place + 1; child <= 2 * place + 2 && child < n; child++)
            if (better(hits[worst], hits[child])) worst = child;
        if (worst == place) return;
        const sqz_hit moved = hits[place];
        hits[place] = hits[worst];
        hits[worst] = moved;
        place = worst;
    }
}

uint32_t sqz_index_search(const sqz_index *index, const float *query, uint32_t k, sqz_hit *hits)
{
    const double scale = inverse_length(query, index->dimensions);
    if (isnan(scale)) return 0;
    if (index->n < k) k = (uint32_t)index->n;
    if (!k) return 0;
    for (uint64_t row = 0; row < index->n; row++) {
        const sqz_hit hit = {row, score_of(index->vectors + row * index->dimensions, query,
                                           index->dimensions, index->similarity, scale)};
        if (row < k) {
            hits[row] = hit;
            for (uint32_t place = row + 1 == k ? k / 2 : 0; place-- > 0;) sift_down(hits, k, place);
        } else if (better(hit, hits[0])) {
            hits[0] = hit;
            sift_down(hits, k, 0);
        }
    }
    for (uint32_t left = k; left > 1; left--) { /* the worst goes to the end, one by one */
        const sqz_hit worst = hits[0];
        hits[0] = hits[left - 1];
        hits[left - 1] = worst;
        sift_down(hits, left - 1, 0);
    }
    return k;
}
