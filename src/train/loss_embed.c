/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of embeddings across the examples of a batch. */
#include <math.h>

#include "base/error.h"
#include "base/number.h"
#include "train/loss.h"

/* ---- labels ---- */

sqz_status sqzi_check_score(const sqzi_loss *loss, const sqz_train_example *e, uint32_t row,
                            sqz_error *error)
{
    (void)loss;
    if (e->values && isfinite(e->values[0])) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, row, "example %u has no score that is a number", row);
}

sqz_status sqzi_check_cosine(const sqzi_loss *loss, const sqz_train_example *e, uint32_t row,
                             sqz_error *error)
{
    const sqz_status status = sqzi_check_score(loss, e, row, error);
    if (status != SQZ_OK || fabsf(e->values[0]) <= 1) return status;
    return sqzi_fail(error, SQZ_EINVAL, row,
                     "the score of example %u is %s, a cosine is -1 to 1: say which range scores "
                     "have, or train for their order alone (cosent)",
                     row, SQZI_REAL(6, (double)e->values[0]));
}

double sqzi_count_items(const sqzi_loss *loss, const sqzi_loss_items *items)
{
    (void)loss;
    return (double)items->n;
}

/* ---- vectors of length 1 and d loss of them ---- */

/* Row i of unit is embedding i by its length, and of d what losses add to. */
typedef struct units {
    size_t n, width;
    double *unit, *d, *length;
    double *rest; /* of the scratch */
} units;

static size_t room_of(const sqzi_loss *loss, size_t n)
{
    return n * loss->texts * (2 * (size_t)loss->dimensions + 1);
}

static units make_units(const sqzi_loss *loss, const sqzi_loss_args *args)
{
    units u = {.n = args->items->n * loss->texts, .width = loss->dimensions, .unit = args->scratch};
    u.d = u.unit + u.n * u.width;
    u.length = u.d + u.n * u.width;
    u.rest = u.length + u.n;
    for (size_t i = 0; i < u.n; i++) {
        const sqzi_real *x = args->outputs->embeddings + i * u.width;
        double squares = 0;
        for (size_t k = 0; k < u.width; k++) squares += (double)x[k] * (double)x[k];
        u.length[i] = sqrt(squares);
        for (size_t k = 0; k < u.width; k++) {
            u.unit[i * u.width + k] = u.length[i] > 0 ? (double)x[k] / u.length[i] : 0;
            u.d[i * u.width + k] = 0;
        }
    }
    return u;
}

static double cosine(const units *u, size_t i, size_t j)
{
    const double *a = u->unit + i * u->width, *b = u->unit + j * u->width;
    double sum = 0;
    for (size_t k = 0; k < u->width; k++) sum += a[k] * b[k];
    return sum;
}

/* d of the cosine of i and j. */
static void add_cosine_grad(const units *u, size_t i, size_t j, double d)
{
    const double *a = u->unit + i * u->width, *b = u->unit + j * u->width;
    double *da = u->d + i * u->width, *db = u->d + j * u->width;
    for (size_t k = 0; k < u->width; k++) {
        da[k] += d * b[k];
        db[k] += d * a[k];
    }
}

/* d x = (d u - u (u d u)) / |x|. */
static void add_grads(const units *u, const sqzi_loss *loss, const sqzi_loss_args *args)
{
    for (size_t i = 0; i < u->n; i++) {
        const double *unit = u->unit + i * u->width, *d = u->d + i * u->width;
        sqzi_real *out = args->grads->embeddings + i * u->width;
        double along = 0;
        if (!(u->length[i] > 0)) continue;
        for (size_t k = 0; k < u->width; k++) along += unit[k] * d[k];
        for (size_t k = 0; k < u->width; k++)
            out[k] += (sqzi_real)(loss->weight * (d[k] - unit[k] * along) / u->length[i]);
    }
}

/* ---- scored pairs ---- */

size_t sqzi_room_of_pairs(const sqzi_loss *loss, size_t n)
{
    return room_of(loss, n) + 2 * n;
}

double sqzi_cosine_loss(const sqzi_loss *loss, const sqzi_loss_args *args)
{
    const units u = make_units(loss, args);
    double sum = 0;
    for (size_t i = 0; i < args->items->n; i++) {
        const double off = cosine(&u, 2 * i, 2 * i + 1) - (double)args->items->targets[i];
        sum += off * off;
        add_cosine_grad(&u, 2 * i, 2 * i + 1, 2 * off / args->count);
    }
    add_grads(&u, loss, args);
    return args->count > 0 ? sum / args->count : 0;
}

/* log(1 + sum of e^(s[j] - s[i]) where t[i] > t[j]); d [n] of s. */
static double order_loss(const double *s, const float *t, size_t n, double *d)
{
    double most = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (t[i] > t[j] && s[j] - s[i] > most) most = s[j] - s[i];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (t[i] > t[j]) sum += exp(s[j] - s[i] - most);
    const double log_sum = most + log(exp(-most) + sum);
    for (size_t i = 0; i < n; i++) d[i] = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (!(t[i] > t[j])) continue;
            const double share = exp(s[j] - s[i] - log_sum);
            d[j] += share;
            d[i] -= share;
        }
    return log_sum;
}

double sqzi_cosent(const sqzi_loss *loss, const sqzi_loss_args *args)
{
    const size_t n = args->items->n;
    const units u = make_units(loss, args);
    double *s = u.rest, *d = s + n;
    for (size_t i = 0; i < n; i++) s[i] = loss->scale * cosine(&u, 2 * i, 2 * i + 1);
    const double value = order_loss(s, args->items->targets, n, d);
    for (size_t i = 0; i < n; i++) add_cosine_grad(&u, 2 * i, 2 * i + 1, loss->scale * d[i]);
    add_grads(&u, loss, args);
    return value;
}

/* ---- ranking ---- */

size_t sqzi_room_of_ranking(const sqzi_loss *loss, size_t n)
{
    return room_of(loss, n) + n * loss->texts;
}

/* The texts among which one is found: [from, to) of every example. */
typedef struct candidates {
    uint32_t from, to;
} candidates;

/* The cross entropy of embedding `wanted` among candidates for embedding i, times `weight`. */
static double rank(const units *u, const sqzi_loss *loss, candidates c, size_t i, size_t wanted,
                   double weight)
{
    double *logits = u->rest, most = -HUGE_VAL, sum = 0;
    size_t n = 0;
    for (size_t j = 0; j < u->n; j++) {
        if (j % loss->texts < c.from || j % loss->texts >= c.to) continue;
        logits[n] = loss->scale * cosine(u, i, j);
        if (logits[n] > most) most = logits[n];
        n++;
    }
    for (size_t k = 0; k < n; k++) sum += exp(logits[k] - most);
    const double log_sum = most + log(sum);
    double value = 0;
    n = 0;
    for (size_t j = 0; j < u->n; j++) {
        if (j % loss->texts < c.from || j % loss->texts >= c.to) continue;
        if (j == wanted) value = weight * (log_sum - logits[n]);
        add_cosine_grad(u, i, j, weight * loss->scale * (exp(logits[n] - log_sum) - (j == wanted)));
        n++;
    }
    return value;
}

double sqzi_ranking(const sqzi_loss *loss, const sqzi_loss_args *args)
{
    const units u = make_units(loss, args);
    const double weight = (loss->symmetric ? 0.5 : 1) / args->count;
    double sum = 0;
    for (size_t i = 0; i < u.n; i += loss->texts) {
        sum += rank(&u, loss, (candidates){1, loss->texts}, i, i + 1, weight);
        if (loss->symmetric) sum += rank(&u, loss, (candidates){0, 1}, i + 1, i, weight);
    }
    add_grads(&u, loss, args);
    return sum;
}
