/* SPDX-License-Identifier: Apache-2.0 */
/* The packed panels of every s8 gemm. Included after NR (columns of a panel), KR (consecutive k
 * that lie together) and FLIP are defined, K_MULTIPLE where k is padded to another multiple than
 * KR, and OUTLIER_BITS: how many bits an outlier's rest has for each of the KR numbers that the
 * level multiplies at once, or 0 where it takes the weights of one k.
 *
 *   s8     [k/KR][NR][KR]   k padded with zeros up to that multiple, columns past n are 0
 *   f32    [NR]             scale of each column
 *   s32    [NR] column offsets, where a sum begins: what bytes differ by from the integers that
 *          they mean, times the sum of the column. Bytes hold q + FLIP of signed rows, q - 128 +
 *          FLIP of unsigned ones
 *
 * padded to a multiple of 64 bytes. Weights lie within +-127, integers within +-127 or 0 .. 255, an
 * outlier within 0 .. 510: the magnitude of a sum is at most 127 * (255 k + 510), which an s32
 * holds up to k = 66,000. Sums may wrap on their way and are right at their end.
 */
#ifndef SQZK_GEMM_S8_PANEL_H
#define SQZK_GEMM_S8_PANEL_H

#include <string.h>

#include "kernel/kernel.h"

#ifndef K_MULTIPLE
#define K_MULTIPLE KR
#endif

static inline size_t panel_weight_bytes(size_t k)
{
    return (k + K_MULTIPLE - 1) / K_MULTIPLE * K_MULTIPLE * NR;
}

static inline size_t panel_bytes(size_t k)
{
    return (panel_weight_bytes(k) + NR * (sizeof(float) + sizeof(int32_t)) + 63) / 64 * 64;
}

static inline const float *panel_scale(const signed char *panel, size_t k)
{
    return (const float *)(const void *)(panel + panel_weight_bytes(k));
}

static inline const int32_t *panel_column_offsets(const signed char *panel, size_t k)
{
    return (const int32_t *)(const void *)(panel + panel_weight_bytes(k) + NR * sizeof(float));
}

/* The largest number of a row is its place-th: what a byte does not hold of it goes to where it
 * meets that one's weights. */
static inline void place_outlier(sqzk_s8_row *row, uint32_t place)
{
    const uint32_t within = place % KR;
    row->at = (place - within) * NR + (OUTLIER_BITS ? 0 : within);
    if (OUTLIER_BITS == 8 && row->outlier > 255) {
        row->outlier_rest = (row->outlier - 255) << within * OUTLIER_BITS;
        row->outlier = 255;
    }
    row->outlier <<= within * OUTLIER_BITS;
}

/* One column of k weights to its place. */
static void pack_column(const signed char *source, size_t k_stride, size_t k, signed char *out)
{
    size_t p = 0;
    if (k_stride == 1)
        for (; p + KR <= k; p += KR) memcpy(out + p * NR, source + p, KR);
    for (; p < k; p++) out[p / KR * KR * NR + p % KR] = source[p * k_stride];
}

static int32_t column_sum(const signed char *source, size_t k_stride, size_t k)
{
    int32_t sum = 0;
    for (size_t p = 0; p < k; p++) sum += source[p * k_stride];
    return sum;
}

static void KERNEL(pack)(const sqzk_pack_args *args, void *packed)
{
    const signed char *source = args->source;
    const int32_t difference = (args->unsigned_rows ? 128 : 0) - FLIP;
    signed char *panel = packed;
    for (size_t column = 0; column < args->n; column += NR, panel += panel_bytes(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        float *scale = (float *)(void *)(panel + panel_weight_bytes(args->k));
        int32_t *column_offsets = (int32_t *)(void *)(scale + NR);
        memset(panel, 0, panel_bytes(args->k));
        for (size_t j = 0; j < n; j++) {
            const signed char *from = source + (column + j) * args->n_stride;
            pack_column(from, args->k_stride, args->k, panel + j * KR);
            scale[j] = args->scale[column + j];
            if (difference == 0 && !args->sums) continue; /* opening a model waits for this */
            const int32_t sum = column_sum(from, args->k_stride, args->k);
            column_offsets[j] = difference * sum;
            if (args->sums) args->sums[column + j] = sum;
        }
    }
}

#endif
