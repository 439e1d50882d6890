/* SPDX-License-Identifier: Apache-2.0 */
/* f32 gemm in plain C: the reference of the others, and what runs where there is no vector unit we
 * know. Multiplies and adds without fma: where the CPU has none it would be a call. With
 * SQZI_DOUBLE it computes in double.
 *
 * Packed: panel p holds columns 16p .. 16p+15, k after k: real [k][16], columns past n are 0.
 */
#define KERNEL(name) gemm_f32_portable_##name
#include "kernel/local_names.h"

#include "base/half.h"
#include "kernel/gemm/gemm_f32_block.h"
#include "kernel/gemm/scalar_epilogue.h"

#include <string.h>

enum { NR = 16 };

static size_t panel_numbers(size_t k)
{
    return (k * NR * sizeof(sqzi_real) + 63) / 64 * 64 / sizeof(sqzi_real);
}

static void run_row(const sqzk_gemm_args *args, size_t row, size_t column, size_t n,
                    const sqzi_real *b)
{
    const sqzi_real *a = (const sqzi_real *)args->a + row * (args->lda / sizeof(sqzi_real));
    sqzi_real *c = args->c + row * args->ldc + column;
    sqzi_real sum[NR] = {0};
    if (args->beta) memcpy(sum, c, n * sizeof *sum);
    for (size_t begin = 0; begin < args->k; begin += GEMM_F32_BLOCK) {
        sqzi_real chain[NR] = {0};
        for (size_t p = begin; p < args->k && p < begin + GEMM_F32_BLOCK; p++)
            for (size_t j = 0; j < NR; j++) chain[j] += a[p] * b[p * NR + j];
        for (size_t j = 0; j < NR; j++) sum[j] += chain[j];
    }
    for (size_t j = 0; j < n; j++) c[j] = finish_scalar(sum[j], args->epilogue, row, column + j);
}

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    const sqzi_real *b = args->b;
    for (size_t column = 0; column < args->n; column += NR, b += panel_numbers(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0; row < args->m; row++) run_row(args, row, column, n, b);
    }
}

static void KERNEL(pack)(const sqzk_pack_args *args, void *packed)
{
    sqzi_real *out = packed;
    for (size_t column = 0; column < args->n; column += NR, out += panel_numbers(args->k))
        for (size_t j = 0; j < NR; j++)
            for (size_t p = 0; p < args->k; p++)
                out[p * NR + j] = column + j < args->n
                                      ? sqzi_load_real(args->source,
                                                       (column + j) * args->n_stride +
                                                           p * args->k_stride,
                                                       args->type)
                                      : 0;
}

extern const sqzk_gemm sqzk_gemm_f32_portable;
const sqzk_gemm sqzk_gemm_f32_portable = {
    .name = "gemm_f32_1x16_portable",
    .level = "portable",
    .feature = 0,
    .type = SQZI_F32,
    .mr = 1,
    .nr = NR,
    .kr = 1,
    .run = KERNEL(run),
    .pack = KERNEL(pack),
};
