/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of floats to rows of bf16 on vectors, rounded to nearest even. Included after a
 * vector_<isa>.h and its bf16_vector_<isa>.h; where a level rounds by an instruction of its own,
 * with STORE_BF16(to, vec, vec, n) defined. */
#ifndef SQZK_BF16_ROWS_H
#define SQZK_BF16_ROWS_H

#include <string.h>

#include "base/half.h"
#include "kernel/kernel.h"

/* 2 V_WIDTH floats */
static inline void round_two(const float *x, uint16_t *out)
{
    v_store_uppers(out, v_rounded(v_load(x)), v_rounded(v_load(x + V_WIDTH)));
}

static void prepare_row(const sqzk_prepare_args *args, const float *x, uint16_t *out)
{
    size_t j = 0;
#ifdef STORE_BF16
    for (size_t n; j < args->k; j += n) {
        n = args->k - j < 2 * V_WIDTH ? args->k - j : 2 * V_WIDTH;
        STORE_BF16(out + j, v_load_part(x + j, n < V_WIDTH ? n : V_WIDTH),
                   v_load_part(x + j + V_WIDTH, n < V_WIDTH ? 0 : n - V_WIDTH), n);
    }
#else
    for (; j + 2 * V_WIDTH <= args->k; j += 2 * V_WIDTH) round_two(x + j, out + j);
    for (; j + V_WIDTH <= args->k; j += V_WIDTH) v_store_upper(out + j, v_rounded(v_load(x + j)));
    for (; j < args->k; j++) out[j] = sqzi_to_bf16(x[j]);
#endif
    memset(out + args->k, 0, (args->k + 31) / 32 * 64 - args->k * sizeof *out);
}

static bool KERNEL(prepare)(const sqzk_prepare_args *args)
{
    for (size_t i = 0; i < args->m; i++)
        prepare_row(args, args->x + i * args->ldx,
                    (uint16_t *)(void *)((unsigned char *)args->out + i * args->ldo));
    return true;
}

#endif
