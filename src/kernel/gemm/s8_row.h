/* SPDX-License-Identifier: Apache-2.0 */
/* From the two largest numbers of a row to its scale and to what a byte does not hold of its
 * outlier: the scalar part of the definition in gemm_s8_portable.c, the same function for every
 * level. */
#ifndef SQZK_S8_ROW_H
#define SQZK_S8_ROW_H

#include <math.h>

#include "base/half.h"
#include "kernel/kernel.h"

/* Steps of a byte, and how many times that an outlier may have. */
enum {
    SIGNED_STEPS = 127,
    SIGNED_RATIO = 5,
    UNSIGNED_STEPS = 255,
    UNSIGNED_RATIO = 3,
    UNSIGNED_LESS = 128 /* what is taken off, that they fit a signed byte */
};
/* where the largest number is an outlier, the others are at most this part of it */
static const float most_beside = 0.8f;

/* The largest magnitude of a row; where it is an outlier, the largest of the others and its place,
 * else a `next` above that bound and any place. */
typedef struct s8_largest {
    uint32_t most, next, place;
} s8_largest;

/* The magnitude of a float as an integer: a NaN is above infinity, and infinity above every
 * number. */
static inline uint32_t s8_magnitude(float x)
{
    return sqzi_bits_of_float(x) & 0x7FFFFFFFu;
}

/* What the others may be, at most, where a number of this magnitude is an outlier. */
static inline uint32_t s8_most_beside(uint32_t magnitude)
{
    return s8_magnitude(sqzi_float_of_bits(magnitude) * most_beside);
}

/* Symmetric; or unsigned: x + zero_point, in units of x, which is never negative. */
typedef struct s8_form {
    bool is_unsigned;
    float zero_point;
} s8_form;

static inline s8_form s8_form_of(const sqzk_prepare_args *args)
{
    return (s8_form){args->unsigned_rows, args->unsigned_rows ? args->zero_point : 0.0f};
}

/* x is the number at the place. The row's integers are round((number + zero_point) * *factor), cut
 * off at the steps of a byte. False where the row is not finite. */
static inline bool s8_row_of(float x, s8_largest largest, s8_form form, sqzk_s8_row *row,
                             float *factor)
{
    if (largest.most >= 0x7F800000u) return false;
    const uint32_t byte_steps = form.is_unsigned ? UNSIGNED_STEPS : SIGNED_STEPS;
    const float most = sqzi_float_of_bits(largest.most) + form.zero_point,
                rest = sqzi_float_of_bits(largest.next) + form.zero_point;
    const float part = most / (float)(form.is_unsigned ? UNSIGNED_RATIO : SIGNED_RATIO);
    const bool has_outlier = largest.next <= s8_most_beside(largest.most) &&
                             !(form.is_unsigned && x < 0);
    const float a = !has_outlier  ? most
                    : rest > part ? rest
                                  : part,
                inverse = (float)byte_steps / a, sign = has_outlier && x < 0 ? -1.0f : 1.0f;
    *row = (sqzk_s8_row){0};
    *factor = 0.0f;
    if (isinf(inverse)) return true;
    const uint32_t steps = has_outlier ? (uint32_t)lrintf(most * inverse) : 0;
    row->scale = sign * (a / (float)byte_steps);
    row->outlier = steps > byte_steps ? steps - byte_steps : 0;
    *factor = sign * inverse;
    return true;
}

#endif
