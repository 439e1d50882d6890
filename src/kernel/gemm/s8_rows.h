/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of floats to rows of bytes on vectors, to the bit as gemm_s8_portable.c defines it, plus FLIP. Two passes over a row: its largest magnitude,
 * its bytes. Included after a vector_<isa>.h and its s8_vector_<isa>.h, with FLIP defined. */
#ifndef SQZK_S8_ROWS_H
#define SQZK_S8_ROWS_H

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kernel/kernel.h"

/* What an int8 layer activates is rounded to 8 bits before it is used. */
#define TILE_GELU v_gelu_near

/* Numbers j .. j+V_WIDTH-1 of a row: where they lie, or gathered or cut short in the buffer, which is filled up with zeros. */
static inline const float *row_part(const float *x, const uint32_t *gather, size_t j, size_t k, float *buffer)
{
    const size_t n = k - j < V_WIDTH ? k - j : V_WIDTH;
    if (!gather && n == V_WIDTH) return x + j;
    for (size_t i = 0; i < V_WIDTH; i++) buffer[i] = i >= n ? 0.0f : x[gather ? gather[j + i] : j + i];
    return buffer;
}

static uint32_t largest_magnitude(const float *x, const uint32_t *gather, size_t k)
{
    float buffer[V_WIDTH];
    ivec first = i_zero(), second = i_zero();
    size_t j = 0;
    for (; !gather && j + 4 * V_WIDTH <= k; j += 4 * V_WIDTH) {
        first = i_max_magnitude(i_max_magnitude(first, x + j), x + j + V_WIDTH);
        second = i_max_magnitude(i_max_magnitude(second, x + j + 2 * V_WIDTH), x + j + 3 * V_WIDTH);
    }
    for (; !gather && j + 2 * V_WIDTH <= k; j += 2 * V_WIDTH) {
        first = i_max_magnitude(first, x + j);
        second = i_max_magnitude(second, x + j + V_WIDTH);
    }
    for (; j < k; j += V_WIDTH) first = i_max_magnitude(first, row_part(x, gather, j, k, buffer));
    return i_largest(first, second);
}

static bool prepare_row(const sqzk_prepare_args *args, const float *x, unsigned char *out, float *scale)
{
    const uint32_t largest = largest_magnitude(x, args->gather, args->k);
    if (largest >= 0x7F800000u) return false;
    const float amax = sqzi_float_of_bits(largest), inverse = 127.0f / amax;
    const size_t padded = (args->k + 63) / 64 * 64;
    float buffer[V_WIDTH];
    if (largest == 0 || isinf(inverse)) {
        *scale = 0.0f;
        memset(out, FLIP, padded);
        return true;
    }
    *scale = amax / 127.0f;
    size_t j = 0;
#ifdef I_QUANTISE_4
    for (; !args->gather && j + 4 * V_WIDTH <= args->k; j += 4 * V_WIDTH) i_quantise_4(x + j, v_set(inverse), FLIP, out + j);
#endif
    for (; j < args->k; j += V_WIDTH) i_quantise(row_part(x, args->gather, j, args->k, buffer), v_set(inverse), FLIP, out + j);
    const size_t written = (args->k + V_WIDTH - 1) / V_WIDTH * V_WIDTH;
    memset(out + written, FLIP, padded - written);
    return true;
}

static bool prepare(const sqzk_prepare_args *args)
{
    for (size_t i = 0; i < args->m; i++)
        if (!prepare_row(args, args->x + i * args->ldx, (unsigned char *)args->out + i * args->ldo, args->scale + i * args->scale_stride)) return false;
    return true;
}

#endif
