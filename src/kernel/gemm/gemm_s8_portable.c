/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm in plain C, and the definition of what every other level computes to the bit: how a row becomes integers, and
 *
 *   product = (float)(sum over k of q[k] * w[k]) * (row scale * column scale)
 *
 * A row: amax = max |x|, q = round-half-even(x * (127 / amax)), scale = amax / 127. Where 127 / amax overflows (amax below 3.8e-37) the row counts as
 * zero: q = 0 and scale = 0. Magnitudes are compared as the integers of their bits, where a NaN is above infinity and infinity above every number.
 */
#include <math.h>

#include "base/half.h"
#include "kernel/gemm/scalar_epilogue.h"

enum { NR = 16, KR = 1, FLIP = 0 };

#include "kernel/gemm/gemm_s8_panel.h"

static void run_row(const sqzk_gemm_args *args, size_t row, size_t column, size_t n, const signed char *b)
{
    const signed char *a = (const signed char *)args->a + row * args->lda;
    const float row_scale = args->row_scale[row * args->row_scale_stride];
    const float *scale = panel_scale(b, args->k);
    sqzi_real *c = args->c + row * args->ldc + column;
    int32_t sum[NR] = {0};
    for (size_t p = 0; p < args->k; p++)
        for (size_t j = 0; j < NR; j++) sum[j] += a[p] * b[p * NR + j];
    for (size_t j = 0; j < n; j++) {
        const sqzi_real product = (float)sum[j] * (row_scale * scale[j]);
        c[j] = finish_scalar(args->beta ? c[j] + product : product, args->epilogue, row, column + j);
    }
}

static void run(const sqzk_gemm_args *args)
{
    const signed char *b = args->b;
    for (size_t column = 0; column < args->n; column += NR, b += panel_bytes(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0; row < args->m; row++) run_row(args, row, column, n, b);
    }
}

static bool prepare_row(const sqzk_prepare_args *args, const sqzi_real *x, signed char *out, float *scale)
{
    uint32_t largest = 0;
    for (size_t j = 0; j < args->k; j++) {
        const uint32_t bits = sqzi_bits_of_float((float)x[args->gather ? args->gather[j] : j]) & 0x7FFFFFFFu;
        largest = bits > largest ? bits : largest;
    }
    if (largest >= 0x7F800000u) return false;
    const float amax = sqzi_float_of_bits(largest), inverse = 127.0f / amax;
    const bool zero = largest == 0 || isinf(inverse);
    *scale = zero ? 0.0f : amax / 127.0f;
    for (size_t j = 0; j < args->k; j++) out[j] = zero ? 0 : (signed char)lrintf((float)x[args->gather ? args->gather[j] : j] * inverse);
    memset(out + args->k, 0, (args->k + 63) / 64 * 64 - args->k);
    return true;
}

static bool prepare(const sqzk_prepare_args *args)
{
    for (size_t i = 0; i < args->m; i++)
        if (!prepare_row(args, args->x + i * args->ldx, (signed char *)args->out + i * args->ldo, args->scale + i * args->scale_stride)) return false;
    return true;
}

extern const sqzk_gemm sqzk_gemm_s8_portable;
const sqzk_gemm sqzk_gemm_s8_portable = {
    .name = "gemm_s8_1x16_portable",
    .level = "portable",
    .feature = 0,
    .type = SQZI_S8,
    .mr = 1,
    .nr = NR,
    .kr = KR,
    .run = run,
    .pack = pack,
    .prepare = prepare,
};
