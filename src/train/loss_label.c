/* SPDX-License-Identifier: Apache-2.0 */
/* Cross entropy, binary cross entropy and squares. */
#include "train/loss.h"

#include <math.h>

static double weight_of(const sqzi_loss *loss, uint32_t k)
{
    return loss->weights ? (double)loss->weights[k] : 1;
}

double sqzi_loss_count(const sqzi_loss *loss, const sqzi_loss_items *items)
{
    if (loss->problem != SQZ_SINGLE_LABEL) return (double)items->n * loss->classes;
    double sum = 0;
    for (size_t i = 0; i < items->n; i++)
        if (items->labels[i] >= 0) sum += weight_of(loss, (uint32_t)items->labels[i]);
    return sum;
}

/* log of the sum of e^z. */
static double log_sum(const sqzi_real *z, uint32_t n)
{
    double most = (double)z[0], sum = 0;
    for (uint32_t k = 1; k < n; k++)
        if ((double)z[k] > most) most = (double)z[k];
    for (uint32_t k = 0; k < n; k++) sum += exp((double)z[k] - most);
    return most + log(sum);
}

static double cross_entropy(const sqzi_loss *loss, uint32_t label, double count, const sqzi_real *z,
                            sqzi_real *d)
{
    const uint32_t n = loss->classes;
    const double s = loss->smoothing, all = log_sum(z, n);
    double sum = 0, mass = 0;
    for (uint32_t k = 0; k < n; k++) {
        const double w = weight_of(loss, k), share = (k == label ? (1 - s) * w : 0) + s / n * w;
        if (share > 0) sum += share * (all - (double)z[k]);
        mass += share;
    }
    for (uint32_t k = 0; k < n; k++) {
        const double w = weight_of(loss, k), share = (k == label ? (1 - s) * w : 0) + s / n * w;
        d[k] = (sqzi_real)((mass * exp((double)z[k] - all) - share) / count);
    }
    return sum / count;
}

/* log(1 + e^x). */
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double binary(const sqzi_loss *loss, const float *target, double count, const sqzi_real *z,
                     sqzi_real *d)
{
    double sum = 0;
    for (uint32_t k = 0; k < loss->classes; k++) {
        const double x = (double)z[k], t = (double)target[k], w = weight_of(loss, k),
                     p = 1 / (1 + exp(-x));
        sum += w * t * softplus(-x) + (1 - t) * softplus(x);
        d[k] = (sqzi_real)(((1 - t) * p - w * t * (1 - p)) / count);
    }
    return sum / count;
}

static double squares(const sqzi_loss *loss, const float *target, double count, const sqzi_real *z,
                      sqzi_real *d)
{
    double sum = 0;
    for (uint32_t k = 0; k < loss->classes; k++) {
        const double off = (double)z[k] - (double)target[k];
        sum += off * off;
        d[k] = (sqzi_real)(2 * off / count);
    }
    return sum / count;
}

double sqzi_loss_run(const sqzi_loss *loss, const sqzi_loss_items *items, double count,
                     const sqzi_real *logits, sqzi_real *d, size_t ld)
{
    double sum = 0;
    for (size_t i = 0; i < items->n; i++, logits += ld, d += ld) {
        const float *target = items->targets ? items->targets + i * loss->classes : NULL;
        if (loss->problem == SQZ_MULTI_LABEL) sum += binary(loss, target, count, logits, d);
        else if (loss->problem == SQZ_REGRESSION) sum += squares(loss, target, count, logits, d);
        else if (items->labels[i] >= 0)
            sum += cross_entropy(loss, (uint32_t)items->labels[i], count, logits, d);
        else
            for (uint32_t k = 0; k < loss->classes; k++) d[k] = 0;
    }
    return sum;
}
