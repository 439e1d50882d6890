/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling backward: the rows of the batch that a pooled vector was made of. */
#include <math.h>
#include <string.h>

#include "nn/head_back_grad.h"

/* The part of d that a token gets of a mean over tokens [from, last) of a sequence. */
static double mean_share(const sqzi_head_pass *pass, uint32_t token, uint32_t first, uint32_t from,
                         uint32_t last)
{
    const double n = last - from;
    if (pass->pooling == SQZ_POOLING_MEAN) return 1 / n;
    if (pass->pooling == SQZ_POOLING_MEAN_SQRT_LEN) return 1 / sqrt(n);
    /* the sum of places from - first + 1 .. last - first */
    const double sum = n * ((double)(from - first + 1) + (double)(last - first)) / 2;
    return (double)(token - first + 1) / sum;
}

/* The token that has a column's largest number; the first of equal ones, as the forward took it. */
static bool has_max(const sqzi_head_pass *pass, uint32_t b, uint32_t from, uint32_t token, size_t j)
{
    const size_t width = pass->head->width;
    const sqzi_real largest = pass->tape->back->pooled[b * width + j];
    bool has = pass->hidden[token * width + j] == largest;
    for (uint32_t t = from; t < token && has; t++) has = pass->hidden[t * width + j] != largest;
    return has;
}

/* A token of a sequence that was pooled to one vector. */
static void sequence_grad(const sqzi_head_pass *pass, const sqzi_real *d, uint32_t b,
                          uint32_t token, sqzi_real *out)
{
    const size_t width = pass->head->width;
    const uint32_t first = pass->first[b], from = first + (pass->skip ? pass->skip[b] : 0),
                   last = pass->first[b + 1];
    uint32_t chosen = last - 1;
    switch (pass->pooling) {
    case SQZ_POOLING_MEAN:
    case SQZ_POOLING_MEAN_SQRT_LEN:
    case SQZ_POOLING_WEIGHTED_MEAN: {
        const double share = token < from ? 0 : mean_share(pass, token, first, from, last);
        for (size_t j = 0; j < width; j++) out[j] += (sqzi_real)((double)d[j] * share);
        return;
    }
    case SQZ_POOLING_MAX:
        for (size_t j = 0; j < width; j++)
            if (token >= from && has_max(pass, b, from, token, j)) out[j] += d[j];
        return;
    case SQZ_POOLING_CLS: chosen = from; break;
    case SQZ_POOLING_POOLER: chosen = first; break;
    default: break;
    }
    for (size_t j = 0; token == chosen && j < width; j++) out[j] += d[j];
}

/* Inputs are tokens: each adds to its own row, in their order where one is there twice. */
static void token_grad(const sqzi_head_pass *pass, sqzi_head_rows d, sqzi_real *d_hidden,
                       sqzi_range rows)
{
    const size_t width = pass->head->width;
    for (uint32_t i = 0; i < pass->n; i++) {
        const size_t token = pass->rows ? pass->rows[i] : i;
        if (token < rows.begin || token >= rows.end) continue;
        for (size_t j = 0; j < width; j++) d_hidden[token * width + j] += d.x[i * d.ld + j];
    }
}

void sqzi_pooling_grad(const sqzi_head_pass *pass, sqzi_head_rows d_pooled, sqzi_real *d_hidden,
                       sqzi_range rows)
{
    const size_t width = pass->head->width;
    if (!pass->add)
        memset(d_hidden + rows.begin * width, 0,
               (rows.end - rows.begin) * width * sizeof *d_hidden);
    if (pass->pooling <= SQZ_POOLING_NONE) {
        token_grad(pass, d_pooled, d_hidden, rows);
        return;
    }
    uint32_t b = 0;
    for (size_t t = rows.begin; t < rows.end; t++) {
        while (pass->first[b + 1] <= t) b++;
        sequence_grad(pass, d_pooled.x + b * d_pooled.ld, b, (uint32_t)t, d_hidden + t * width);
    }
}
