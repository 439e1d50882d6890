/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 gemm in plain C: what the other levels are compared with, bit for bit. */
#define KERNEL(name) gemm_bf16_portable_##name
#include "kernel/local_names.h"

#include "kernel/gemm/scalar_epilogue.h"

enum { NR = 16 };

#include "kernel/gemm/gemm_bf16_panel.h"

static void run_row(const sqzk_gemm_args *args, size_t row, size_t column, size_t n,
                    const uint16_t *b)
{
    const uint16_t *a = (const uint16_t *)args->a + row * (args->lda / sizeof(uint16_t));
    sqzi_real *c = args->c + row * args->ldc + column;
    float sum[NR] = {0};
    for (size_t p = 0; p < args->k; p += 2, b += 2 * NR) {
        const float even = sqzi_from_bf16(a[p]),
                    odd = p + 1 < args->k ? sqzi_from_bf16(a[p + 1]) : 0.0f;
        for (size_t j = 0; j < NR; j++)
            sum[j] = sum[j] + odd * sqzi_from_bf16(b[2 * j + 1]) + even * sqzi_from_bf16(b[2 * j]);
    }
    for (size_t j = 0; j < n; j++)
        c[j] = finish_scalar(args->beta ? c[j] + sum[j] : sum[j], args->epilogue, row, column + j);
}

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    const uint16_t *b = args->b;
    for (size_t column = 0; column < args->n; column += NR, b += panel_numbers(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0; row < args->m; row++) run_row(args, row, column, n, b);
    }
}

static bool KERNEL(prepare)(const sqzk_prepare_args *args)
{
    for (size_t i = 0; i < args->m; i++) {
        const sqzi_real *x = args->x + i * args->ldx;
        uint16_t *out = (uint16_t *)(void *)((unsigned char *)args->out + i * args->ldo);
        for (size_t j = 0; j < args->k; j++) out[j] = sqzi_to_bf16((float)x[j]);
        memset(out + args->k, 0, (args->k + 31) / 32 * 64 - args->k * sizeof *out);
    }
    return true;
}

extern const sqzk_gemm sqzk_gemm_bf16_portable;
const sqzk_gemm sqzk_gemm_bf16_portable = {
    .name = "gemm_bf16_1x16_portable",
    .level = "portable",
    .feature = 0,
    .type = SQZI_BF16,
    .mr = 1,
    .nr = NR,
    .kr = KR,
    .run = KERNEL(run),
    .pack = KERNEL(pack),
    .prepare = KERNEL(prepare),
};
