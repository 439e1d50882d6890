/* SPDX-License-Identifier: Apache-2.0 */
/* Percentile intervals of a bootstrap. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "eval/predictions.h"

enum { RESAMPLES = 1000, MOST_RESAMPLES = 1 << 20 };

sqz_status sqzi_resamples_of(const sqz_measure_options *options, sqzi_resamples *resamples,
                             sqz_error *error)
{
    static const sqz_measure_options defaults = {0};
    const sqz_measure_options *o = options ? options : &defaults;
    sqz_status status = SQZ_OK;
    const double confidence = o->confidence == 0 ? 0.95 : o->confidence;
    *resamples = (sqzi_resamples){.n = o->point       ? 0
                                       : o->resamples ? o->resamples
                                                      : RESAMPLES,
                                  .tail = (1 - confidence) / 2,
                                  .seed = o->seed};
    TRY(SQZI_RESERVED(options, "sqz_measure_options", error));
    FAIL_IF(!(confidence > 0 && confidence < 1), SQZ_EINVAL, 0,
            "the confidence of an interval is above 0 and below 1");
    FAIL_IF(resamples->n > MOST_RESAMPLES, SQZ_EINVAL, 0, "%u resamples: %d are the most",
            resamples->n, MOST_RESAMPLES);
fail:
    return status;
}

static int rising(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Between two neighbours by their distance, as numpy's quantile. */
static double quantile(const double *sorted, uint32_t n, double share)
{
    const double at = share * (n - 1), below = floor(at);
    const uint32_t i = (uint32_t)below;
    return i + 1 < n ? sorted[i] + (at - below) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

void sqzi_put_interval(const sqzi_resamples *resamples, double *values, uint32_t n,
                       sqz_figure *figure)
{
    const uint32_t all = resamples->n;
    figure->has_interval = !figure->metric.reason && n && n >= all - all / 20;
    if (!figure->has_interval) return;
    qsort(values, n, sizeof *values, rising);
    figure->low = quantile(values, n, resamples->tail);
    figure->high = quantile(values, n, 1 - resamples->tail);
}
