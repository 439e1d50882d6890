/* SPDX-License-Identifier: Apache-2.0 */
/* The packed panels and prepared rows of every bf16 gemm, and the order in which all of them add.
 *
 *   panel   bf16 [k/T][NR][T] T = K_TOGETHER consecutive k lie together; k padded with zeros to a
 *           multiple of K_MULTIPLE (both 2 where the level
 *                               does not define them before), columns past n are 0; padded to 64
 *                                   bytes
 *   row     bf16 [k], zeros up to a multiple of 64 bytes
 *
 * Numbers are rounded to nearest even; a NaN stays one. A sum is one chain over all of k in f32: of
 * each pair the odd k first, then the even one, as vdpbf16ps does it. The product of two bf16 is
 * exact in f32, so a fused and an unfused multiply-add give the same bits, on every level - but for
 * subnormal numbers, which vdpbf16ps takes for zero and the others do not. AMX and Arm's BF16
 * have orders of their own (gemm_bf16_amx.c, gemm_bf16_armbf16.c).
 */
#ifndef SQZK_GEMM_BF16_PANEL_H
#define SQZK_GEMM_BF16_PANEL_H

#include <string.h>

#include "base/half.h"
#include "kernel/kernel.h"

#ifndef K_MULTIPLE
#define K_MULTIPLE 2
#endif
#ifndef K_TOGETHER
#define K_TOGETHER 2
#endif

enum { KR = K_MULTIPLE };

static inline size_t panel_numbers(size_t k)
{
    return ((k + KR - 1) / KR * KR * NR * sizeof(uint16_t) + 63) / 64 * 64 / sizeof(uint16_t);
}

static void pack_column(const sqzk_pack_args *args, size_t column, uint16_t *out)
{
    const size_t first = column * args->n_stride;
    size_t p = 0;
    if (args->type == SQZI_BF16 && args->k_stride == 1)
        for (; p + K_TOGETHER <= args->k; p += K_TOGETHER)
            memcpy(out + p * NR, (const uint16_t *)args->source + first + p,
                   K_TOGETHER * sizeof *out);
    if (args->type == SQZI_F32 && args->k_stride == 1)
        for (const sqzi_real *x = (const sqzi_real *)args->source + first;
             p + K_TOGETHER <= args->k; p += K_TOGETHER)
            for (size_t i = 0; i < K_TOGETHER; i++)
                out[p * NR + i] = sqzi_to_bf16((float)x[p + i]);
    for (; p < args->k; p++)
        out[p / K_TOGETHER * K_TOGETHER * NR + p % K_TOGETHER] = sqzi_to_bf16(
            (float)sqzi_load_real(args->source, first + p * args->k_stride, args->type));
}

#ifdef V_PAIRS
#include "kernel/gemm/bf16_pack.h"
#else
static void KERNEL(pack)(const sqzk_pack_args *args, void *packed)
{
    uint16_t *panel = packed;
    for (size_t column = 0; column < args->n; column += NR, panel += panel_numbers(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        if (n < NR || args->k % KR) memset(panel, 0, panel_numbers(args->k) * sizeof *panel);
        for (size_t j = 0; j < n; j++) pack_column(args, column + j, panel + K_TOGETHER * j);
    }
}
#endif

#endif
