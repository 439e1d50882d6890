/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding of rows. Quotients are taken in double, so that a scale in the denormal range loses
 * nothing. */
#include "rewrite/rounding.h"

#include <math.h>

#include "base/half.h"

static void add(sqzi_rounding_error *error, float x, double y)
{
    const double off = (double)x - y;
    error->squares += (double)x * (double)x;
    error->errors += off * off;
}

float sqzi_s8_scale(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most / 127.0f;
}

void sqzi_s8_row(const float *x, size_t n, float scale, int8_t *q, sqzi_rounding_error *error)
{
    const double inverse = scale > 0 ? 1 / (double)scale : 0;
    for (size_t i = 0; i < n; i++) {
        double steps = rint((double)x[i] * inverse);
        steps = steps > 127 ? 127 : steps < -127 ? -127 : steps;
        q[i] = (int8_t)steps;
        add(error, x[i], (double)scale * steps);
    }
}

void sqzi_s8_row_error(const float *x, size_t n, float scale, const int8_t *q,
                       sqzi_rounding_error *error)
{
    for (size_t i = 0; i < n; i++) add(error, x[i], (double)scale * q[i]);
}

size_t sqzi_bf16_row(const float *x, size_t n, uint16_t *y, sqzi_rounding_error *error)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = sqzi_to_bf16(x[i]);
        const float rounded = sqzi_from_bf16(y[i]);
        if (!isfinite(rounded)) return i;
        add(error, x[i], (double)rounded);
    }
    return n;
}

size_t sqzi_f16_row(const float *x, size_t n, uint16_t *y, sqzi_rounding_error *error)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = sqzi_to_f16(x[i]);
        const float rounded = sqzi_from_f16(y[i]);
        if (!isfinite(rounded)) return i;
        add(error, x[i], (double)rounded);
    }
    return n;
}
