/* SPDX-License-Identifier: Apache-2.0 */
/* From the two largest numbers of a row to its scale and the excess of the largest: the scalar part of the definition in gemm_s8_portable.c, the same
 * function for every level. */
#ifndef SQZK_S8_ROW_H
#define SQZK_S8_ROW_H

#include <math.h>

#include "base/half.h"
#include "kernel/kernel.h"

enum { MOST_STEPS = 127, MOST_RATIO = 3 };
static const float most_beside = 0.8f; /* where the largest number is kept apart, the others are at most this part of it */

/* The largest magnitude of a row; where it is kept apart, the largest of the others and its place, else a `next` above that bound and any place. */
typedef struct s8_largest {
    uint32_t most, next, place;
} s8_largest;

/* The magnitude of a float as an integer: a NaN is above infinity, and infinity above every number. */
static inline uint32_t s8_magnitude(float x)
{
    return sqzi_bits_of_float(x) & 0x7FFFFFFFu;
}

/* What the others may be, at most, where a number of this magnitude is kept apart. */
static inline uint32_t s8_most_beside(uint32_t magnitude)
{
    return s8_magnitude(sqzi_float_of_bits(magnitude) * most_beside);
}

/* x is the number at the place. The row's bytes are round(number * *factor), at most 127. False where the row is not finite. */
static inline bool s8_row_of(float x, s8_largest largest, sqzk_s8_row *row, float *factor)
{
    if (largest.most >= 0x7F800000u) return false;
    const float most = sqzi_float_of_bits(largest.most), rest = sqzi_float_of_bits(largest.next), part = most / MOST_RATIO;
    const bool apart = largest.next <= s8_most_beside(largest.most);
    const float a = !apart ? most : rest > part ? rest : part, inverse = MOST_STEPS / a, sign = apart && x < 0 ? -1.0f : 1.0f;
    *row = (sqzk_s8_row){0};
    *factor = 0.0f;
    if (isinf(inverse)) return true;
    const uint32_t steps = (uint32_t)lrintf(most * inverse);
    row->scale = sign * (a / MOST_STEPS);
    row->excess = steps > MOST_STEPS ? steps - MOST_STEPS : 0;
    *factor = sign * inverse;
    return true;
}

#endif
