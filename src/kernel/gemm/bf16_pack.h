/* SPDX-License-Identifier: Apache-2.0 */
/* Packing for the bf16 gemms in vectors: attention packs the keys and values of every head of every
 * run. Included by gemm_bf16_panel.h where the level's bf16_vector_<isa>.h has v_store_pairs. The
 * bytes are those of pack_column, those of columns past n included. */
#ifndef SQZK_BF16_PACK_H
#define SQZK_BF16_PACK_H

#include "kernel/gemm/bf16_rows.h"

/* n <= V_WIDTH columns, each contiguous over k (f32); returns how many k it took. Pairs of k are
 * words, and a square of words is turned. */
static size_t pack_columns(const sqzk_pack_args *args, size_t column, size_t n, uint16_t *out)
{
    uint16_t square[V_WIDTH][2 * V_WIDTH] __attribute__((aligned(64)));
    const float *source = (const float *)args->source + column * args->n_stride;
    size_t p = 0;
    if (n < V_WIDTH) memset(square, 0, sizeof square);
    for (; p + 2 * V_WIDTH <= args->k; p += 2 * V_WIDTH) {
        for (size_t j = 0; j < n; j++) round_two(source + j * args->n_stride + p, square[j]);
        v_transpose((const float *)(const void *)square, V_WIDTH, (float *)(void *)(out + p * NR),
                    NR);
    }
    return p;
}

/* Two rows of a source, n <= V_WIDTH columns of them beside one another; odd is NULL past k. */
static void pack_pair(const float *even, const float *odd, size_t n, uint16_t *out)
{
    if (odd && n == V_WIDTH) v_store_pairs(out, v_load(even), v_load(odd));
    else v_store_pairs(out, v_load_part(even, n), odd ? v_load_part(odd, n) : v_set(0.0f));
}

/* All panels of columns that lie beside one another (f32), a few rows of the source for all of them
 * at a time: a panel alone would read two lines of every row. */
static void pack_rows(const sqzk_pack_args *args, uint16_t *out)
{
    enum { ROWS = 8 };
    const float *source = args->source;
    for (size_t first = 0; first < args->k; first += ROWS)
        for (size_t column = 0; column < args->n; column += V_WIDTH) {
            uint16_t *const to = out + column / NR * panel_numbers(args->k) + column % NR * 2;
            const size_t n = args->n - column < V_WIDTH ? args->n - column : V_WIDTH;
            for (size_t p = first; p < first + ROWS && p < args->k; p += 2) {
                const float *even = source + p * args->k_stride + column;
                pack_pair(even, p + 1 < args->k ? even + args->k_stride : NULL, n, to + p * NR);
            }
        }
}

#ifdef STORE_BF16
/* The same of bf16, as gemms of this level write keys and values; columns lie at an even stride. */
static size_t pack_bf16_columns(const sqzk_pack_args *args, size_t column, size_t n, uint16_t *out)
{
    uint16_t square[V_WIDTH][2 * V_WIDTH] __attribute__((aligned(64))) = {{0}};
    const uint16_t *source = (const uint16_t *)args->source + column * args->n_stride;
    size_t p = 0;
    for (; p + 2 * V_WIDTH <= args->k; p += 2 * V_WIDTH) {
        for (size_t j = 0; n < V_WIDTH && j < n; j++)
            memcpy(square[j], source + j * args->n_stride + p, sizeof square[j]);
        const void *from = n < V_WIDTH ? (const void *)square : source + p;
        v_transpose(from, n < V_WIDTH ? V_WIDTH : args->n_stride / 2,
                    (float *)(void *)(out + p * NR), NR);
    }
    return p;
}

static size_t pack_bf16_rows(const sqzk_pack_args *args, size_t column, size_t n, uint16_t *out)
{
    uint16_t parts[2][V_WIDTH] = {{0}};
    const uint16_t *source = (const uint16_t *)args->source + column;
    for (size_t p = 0; p < args->k; p += 2, source += 2 * args->k_stride) {
        const uint16_t *even = source, *odd = even;
        if (p + 1 < args->k) odd += args->k_stride;
        if (n < V_WIDTH || p + 1 == args->k) {
            memcpy(parts[0], even, n * sizeof *even);
            memcpy(parts[1], odd, n * sizeof *odd);
            even = parts[0];
            odd = parts[1];
        }
        if (p + 1 == args->k) memset(parts[1], 0, sizeof parts[1]);
        store_paired(out + p * NR, even, odd);
    }
    return args->k;
}
#endif

/* What is left from the even k p on, number by number; zeros past n and past k. */
static void pack_rest(const sqzk_pack_args *args, size_t column, size_t n, size_t p, uint16_t *out)
{
    for (; p < (args->k + 1) / 2 * 2; p++)
        for (size_t j = 0; j < V_WIDTH; j++) {
            const size_t at = (column + j) * args->n_stride + p * args->k_stride;
            out[p / 2 * 2 * NR + 2 * j + p % 2] =
                p < args->k && j < n ? sqzi_to_bf16(sqzi_load_real(args->source, at, args->type))
                                     : 0;
        }
    for (; p < (args->k + KR - 1) / KR * KR; p += 2)
        memset(out + p * NR, 0, 2 * V_WIDTH * sizeof *out);
}

static bool is_by_rows(const sqzk_pack_args *args)
{
    return args->type == SQZI_F32 && args->n_stride == 1 && args->k_stride != 1;
}

static void pack_vector(const sqzk_pack_args *args, size_t column, size_t n, uint16_t *out)
{
    size_t p = 0;
    if (args->type == SQZI_F32 && args->k_stride == 1) p = pack_columns(args, column, n, out);
    else if (is_by_rows(args)) p = args->k; /* pack_rows takes them */
#ifdef STORE_BF16
    else if (args->type == SQZI_BF16 && args->k_stride == 1)
        p = pack_bf16_columns(args, column, n, out);
    else if (args->type == SQZI_BF16 && args->n_stride == 1)
        p = pack_bf16_rows(args, column, n, out);
#endif
    pack_rest(args, column, n, (p + 1) / 2 * 2, out);
}

/* Weights in bf16: pairs are copied as they are. */
static bool copies_pairs(const sqzk_pack_args *args)
{
#ifdef STORE_BF16
    if (args->n_stride % 2 == 0) return false; /* words are turned */
#endif
    return args->type == SQZI_BF16 && args->k_stride == 1;
}

static void KERNEL(pack)(const sqzk_pack_args *args, void *packed)
{
    uint16_t *panel = packed;
    for (size_t column = 0; column < args->n; column += NR, panel += panel_numbers(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        if (copies_pairs(args)) {
            if (n < NR || args->k % KR) memset(panel, 0, panel_numbers(args->k) * sizeof *panel);
            for (size_t j = 0; j < n; j++) pack_column(args, column + j, panel + 2 * j);
            continue;
        }
        if (n + V_WIDTH <= NR) memset(panel, 0, panel_numbers(args->k) * sizeof *panel);
        for (size_t j = 0; j < n; j += V_WIDTH)
            pack_vector(args, column + j, n - j < V_WIDTH ? n - j : V_WIDTH, panel + 2 * j);
    }
    if (is_by_rows(args)) pack_rows(args, packed);
}

#endif
