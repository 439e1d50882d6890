/* SPDX-License-Identifier: Apache-2.0 */
/* Interval arithmetic of the first order with absolute values: each number carries how far it may
 * be off. */
#include "support/exact_head.h"

#include <math.h>
#include <stdio.h>

#include "support/test.h"

enum { MOST = 64 };
static const double u = 0x1p-24;

/* A row of numbers, the i-th off by at most off[i]. */
typedef struct row {
    uint32_t n;
    double x[MOST], off[MOST];
} row;

static const sqzi_gguf_tensor *tensor_of(const sqz_model *model, const char *name)
{
    return sqzi_gguf_find_tensor(model->gguf, name);
}

static double largest(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    return most;
}

/* y = W x + b. What is int8 is off by half a step, amax/254, what is bf16 by 2^-9 of itself,
 * weights and rows alike; the sum of k products and a bias by k + 4 roundings. */
static row linear(const sqz_model *exact, const sqz_model *rounded, const char *weight,
                  const char *bias, const row *in)
{
    const sqzi_gguf_tensor *w = tensor_of(exact, weight), *b = tensor_of(exact, bias);
    const sqzi_type type = tensor_of(rounded, weight)->type;
    assert_true(w && b && w->type == SQZI_F32 && w->shape[1] == in->n && w->shape[0] <= MOST);
    row out = {.n = (uint32_t)w->shape[0]};
    double x_off[MOST];
    for (uint32_t j = 0; j < in->n; j++)
        x_off[j] = type == SQZI_S8     ? (largest(in->x, in->n) + largest(in->off, in->n)) / 254
                   : type == SQZI_BF16 ? 0x1p-9 * (fabs(in->x[j]) + in->off[j])
                                       : 0;
    for (uint32_t i = 0; i < out.n; i++) {
        double weights[MOST], size = 0;
        for (uint32_t j = 0; j < in->n; j++)
            weights[j] = (double)((const float *)w->data)[i * in->n + j];
        out.x[i] = (double)((const float *)b->data)[i];
        size = fabs(out.x[i]);
        for (uint32_t j = 0; j < in->n; j++) {
            const double w_off = type == SQZI_S8     ? largest(weights, in->n) / 254
                                 : type == SQZI_BF16 ? 0x1p-9 * fabs(weights[j])
                                                     : 0,
                         moved = in->off[j] + x_off[j];
            out.x[i] += weights[j] * in->x[j];
            out.off[i] += fabs(weights[j]) * moved + w_off * (fabs(in->x[j]) + moved);
            size += (fabs(weights[j]) + w_off) * (fabs(in->x[j]) + moved);
        }
        out.off[i] += ((double)in->n + 4) * u * size;
    }
    return out;
}

/* Slopes are at most 1.13 (GELU); what computing it costs is within 2^-21 max(1, |x|) for all of
 * them. */
static void activate(sqzk_activation activation, row *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const double x = r->x[i];
        switch (activation) {
        case SQZK_GELU: r->x[i] = 0.5 * x * erfc(-x * 0.70710678118654752440); break;
        case SQZK_GELU_TANH:
            r->x[i] = 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
            break;
        case SQZK_RELU: r->x[i] = fmax(x, 0); break;
        case SQZK_TANH: r->x[i] = tanh(x); break;
        case SQZK_IDENTITY: return;
        }
        r->off[i] = 1.13 * r->off[i] + 0x1p-21 * fmax(1, fabs(x));
    }
}

/* y = (x - mean)/s w + b. The mean moves by the mean of what x may be off, and s, a norm of x -
 * mean over sqrt(n), by its root mean square. */
static void norm(const sqzi_norm *norm, row *r)
{
    double mean = 0, squares = 0, mean_off = 0, s_off = 0;
    for (uint32_t i = 0; i < r->n; i++)
        mean += r->x[i] / r->n, mean_off += r->off[i] / r->n, s_off += r->off[i] * r->off[i] / r->n;
    for (uint32_t i = 0; i < r->n; i++) squares += (r->x[i] - mean) * (r->x[i] - mean) / r->n;
    const double s = sqrt(squares + (double)norm->epsilon), least = s - sqrt(s_off);
    assert_true(least > 0);
    for (uint32_t i = 0; i < r->n; i++) {
        const double y = (r->x[i] - mean) / s, w = (double)norm->weight[i],
                     b = (double)norm->bias[i];
        const double moved = (r->off[i] + mean_off + fabs(y) * sqrt(s_off)) / least;
        r->x[i] = y * w + b;
        r->off[i] = fabs(w) * moved +
                    (r->n + 16) * u * (fabs(w) * (fabs(y) + moved + fabs(mean) / s) + fabs(b));
    }
}

static row pooled(const sqz_model *exact, const sqz_model *rounded, const float *hidden,
                  uint32_t first, uint32_t last)
{
    const sqzi_head *head = &exact->head;
    row r = {.n = head->width};
    assert_true(head->pooling != SQZ_POOLING_MEAN && first < last);
    for (uint32_t j = 0; j < r.n; j++) r.x[j] = (double)hidden[first * r.n + j];
    if (head->pooling != SQZ_POOLING_POOLER) return r;
    r = linear(exact, rounded, "pooler.weight", "pooler.bias", &r);
    activate(SQZK_TANH, &r);
    return r;
}

static void put_logits(const sqz_model *exact, const sqz_model *rounded, row r, double *logits,
                       double *bound)
{
    const sqzi_head *head = &exact->head;
    assert_true(!head->factorised);
    if (head->has_dense) {
        r = linear(exact, rounded, "head.dense.weight", "head.dense.bias", &r);
        activate(head->activation, &r);
    }
    if (head->has_norm) norm(&head->norm, &r);
    const bool own = tensor_of(exact, "head.output.weight");
    r = linear(exact, rounded, own ? "head.output.weight" : "token_embd.weight", "head.output.bias",
               &r);
    memcpy(logits, r.x, r.n * sizeof *logits);
    memcpy(bound, r.off, r.n * sizeof *bound);
}

void sqzt_exact_head(const sqz_model *exact, const sqz_model *rounded, const sqz_batch *batch,
                     const float *hidden, double *logits, double *bound)
{
    const uint32_t classes = exact->head.classes, whole = exact->head.pooling > SQZ_POOLING_NONE;
    const uint32_t rows = whole ? batch->n_sequences : batch->first[batch->n_sequences];
    assert_true(exact->head.width <= MOST && classes <= MOST && rows <= MOST);
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t first = whole ? batch->first[i] : i;
        put_logits(exact, rounded, pooled(exact, rounded, hidden, first, first + 1),
                   logits + i * classes, bound + i * classes);
    }
}
