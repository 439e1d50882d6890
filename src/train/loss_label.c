/* SPDX-License-Identifier: Apache-2.0 */
/* Cross entropy, binary cross entropy and squares. */
#include <math.h>

#include "base/error.h"
#include "train/loss.h"

/* ---- labels ---- */

static sqz_status check_tokens(const sqzi_loss *loss, const sqz_train_example *e, uint32_t row,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(!e->token_labels, SQZ_EINVAL, row, "example %u has no labels of its pieces", row);
    for (uint32_t t = 0; t < e->n_tokens; t++)
        FAIL_IF(e->token_labels[t] < -1 || e->token_labels[t] >= (int64_t)loss->classes, SQZ_EINVAL,
                row, "piece %u of example %u has label %d, there are %u", t, row,
                (int)e->token_labels[t], loss->classes);
fail:
    return status;
}

sqz_status sqzi_check_classes(const sqzi_loss *loss, const sqz_train_example *e, uint32_t row,
                              sqz_error *error)
{
    if (loss->tokens) return check_tokens(loss, e, row, error);
    if (e->label < loss->classes) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, row, "example %u has label %u, there are %u", row, e->label,
                     loss->classes);
}

static sqz_status check_values(const sqzi_loss *loss, const sqz_train_example *e, uint32_t row,
                               bool shares, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(!e->values, SQZ_EINVAL, row, "example %u has no values", row);
    for (uint32_t k = 0; k < loss->classes; k++)
        FAIL_IF(!isfinite(e->values[k]) || (shares && !(e->values[k] >= 0 && e->values[k] <= 1)),
                SQZ_EINVAL, row, "number %u of example %u is not %s", k, row,
                shares ? "0 to 1" : "finite");
fail:
    return status;
}

sqz_status sqzi_check_shares(const sqzi_loss *loss, const sqz_train_example *e, uint32_t row,
                             sqz_error *error)
{
    return check_values(loss, e, row, true, error);
}

sqz_status sqzi_check_numbers(const sqzi_loss *loss, const sqz_train_example *e, uint32_t row,
                              sqz_error *error)
{
    return check_values(loss, e, row, false, error);
}

static double weight_of(const sqzi_loss *loss, uint32_t k)
{
    return loss->weights ? (double)loss->weights[k] : 1;
}

double sqzi_count_numbers(const sqzi_loss *loss, const sqzi_loss_items *items)
{
    size_t n = 0;
    for (size_t i = 0; i < items->n; i++)
        if (!isnan(items->targets[i * loss->classes])) n++;
    return (double)n * loss->classes;
}

double sqzi_count_weights(const sqzi_loss *loss, const sqzi_loss_items *items)
{
    double sum = 0;
    for (size_t i = 0; i < items->n; i++)
        if (items->labels[i] >= 0) sum += weight_of(loss, (uint32_t)items->labels[i]);
    return sum;
}

/* ---- losses ---- */

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
        d[k] += (sqzi_real)(loss->weight * (mass * exp((double)z[k] - all) - share) / count);
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
        d[k] += (sqzi_real)(loss->weight * ((1 - t) * p - w * t * (1 - p)) / count);
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
        d[k] += (sqzi_real)(loss->weight * 2 * off / count);
    }
    return sum / count;
}

double sqzi_cross_entropy(const sqzi_loss *loss, const sqzi_loss_args *args)
{
    const sqzi_loss_items *items = args->items;
    double sum = 0;
    for (size_t i = 0; i < items->n; i++)
        if (items->labels[i] >= 0)
            sum += cross_entropy(loss, (uint32_t)items->labels[i], args->count,
                                 args->outputs->logits + i * loss->classes,
                                 args->grads->logits + i * loss->classes);
    return sum;
}

typedef double of_numbers(const sqzi_loss *loss, const float *target, double count,
                          const sqzi_real *z, sqzi_real *d);

static double all_items(const sqzi_loss *loss, const sqzi_loss_args *args, of_numbers *of_item)
{
    double sum = 0;
    for (size_t i = 0; i < args->items->n; i++) {
        const size_t at = i * loss->classes;
        if (isnan(args->items->targets[at])) continue;
        sum += of_item(loss, args->items->targets + at, args->count, args->outputs->logits + at,
                       args->grads->logits + at);
    }
    return sum;
}

double sqzi_binary_cross_entropy(const sqzi_loss *loss, const sqzi_loss_args *args)
{
    return all_items(loss, args, binary);
}

double sqzi_mse(const sqzi_loss *loss, const sqzi_loss_args *args)
{
    return all_items(loss, args, squares);
}
