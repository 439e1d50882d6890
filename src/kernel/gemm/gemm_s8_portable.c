/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm in plain C, and the definition of what every other level computes to the bit: how a row
 * becomes integers, and
 *
 *   product = (float)(sum over k of byte[k] * w[k], + outlier * w[place]) * (row scale * column
 *       scale)
 *
 * A row: with the largest magnitude M and the largest of the others r - M where two tie -
 *
 *   a = M, or where r <= 0.8 M, and the largest number is an outlier, max(r, M / 5)
 *   scale = a / 127,   q = round-half-even(x * (127 / a)), both with the sign of the largest number
 *                      where it is an outlier
 *   byte = min(q, 127),   outlier = q - 127 of the largest number or 0,   place = its k
 *
 * An unsigned row, where x + z, z the zero point in units of x, is never negative:
 *
 *   a = M + z, or where r <= 0.8 M and the largest number is positive, max(r + z, (M + z) / 3)
 *   scale = a / 255,   q = round-half-even((x + z) * (255 / a)), integer = min(q, 255), outlier
 *                      = q - 255 or 0, byte = integer - 128
 *
 * Magnitudes are those of x, so a is at least the largest x + z. The panel's column offsets make
 * up for the 128.
 *
 * So a number far above the rest does not cost the rest their digits: its q is positive, at most
 * 635 or 765, the others lie within +-127 or 0 .. 255, one is cut off at most, and nothing is
 * lost of it. Where 127 / a or 255 / a overflows the row counts
 * as zero: integers, outlier and scale are 0. Magnitudes are compared as the integers of their
 * bits, where a NaN is above infinity and infinity above every number.
 */
#define KERNEL(name) gemm_s8_portable_##name
#include "kernel/local_names.h"

#include "kernel/gemm/scalar_epilogue.h"

enum { NR = 16, KR = 1, FLIP = 0, OUTLIER_BITS = 0 };

#include "kernel/gemm/gemm_s8_panel.h"
#include "kernel/gemm/s8_row.h"

static void run_row(const sqzk_gemm_args *args, size_t row, size_t column, size_t n,
                    const signed char *b)
{
    const signed char *a = (const signed char *)args->a + row * args->lda;
    const sqzk_s8_row *s8_row = args->s8_rows + row;
    const float *scale = panel_scale(b, args->k);
    sqzi_real *c = args->c + row * args->ldc + column;
    int32_t sum[NR];
    for (size_t j = 0; j < NR; j++)
        sum[j] = panel_column_offsets(b, args->k)[j] + (int32_t)s8_row->outlier * b[s8_row->at + j];
    for (size_t p = 0; p < args->k; p++)
        for (size_t j = 0; j < NR; j++) sum[j] += a[p] * b[p * NR + j];
    for (size_t j = 0; j < n; j++) {
        const sqzi_real product = (float)sum[j] * (s8_row->scale * scale[j]);
        c[j] = finish_scalar(args->beta ? c[j] + product : product, args->epilogue, row,
                             column + j);
    }
}

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    const signed char *b = args->b;
    for (size_t column = 0; column < args->n; column += NR, b += panel_bytes(args->k)) {
        const size_t n = args->n - column < NR ? args->n - column : NR;
        for (size_t row = 0; row < args->m; row++) run_row(args, row, column, n, b);
    }
}

static s8_largest find_largest(const sqzi_real *x, size_t k)
{
    s8_largest found = {0};
    for (uint32_t j = 0; j < k; j++) {
        const uint32_t magnitude = s8_magnitude((float)x[j]),
                       smaller = magnitude > found.most ? found.most : magnitude;
        found.next = smaller > found.next ? smaller : found.next;
        found.place = magnitude > found.most ? j : found.place;
        found.most = magnitude > found.most ? magnitude : found.most;
    }
    return found;
}

static bool prepare_row(const sqzk_prepare_args *args, const sqzi_real *x, signed char *out,
                        sqzk_s8_row *row)
{
    const s8_largest largest = find_largest(x, args->k);
    const s8_form form = s8_form_of(args);
    const long less = args->unsigned_rows ? UNSIGNED_LESS : 0;
    float factor;
    if (!s8_row_of((float)x[largest.place], largest, form, row, &factor)) return false;
    place_outlier(row, largest.place);
    for (size_t j = 0; j < args->k; j++) {
        const long q = lrintf(((float)x[j] + form.zero_point) * factor) - less;
        out[j] = (signed char)(q > 127 ? 127 : q < -128 ? -128 : q);
    }
    memset(out + args->k, 0, (args->k + 63) / 64 * 64 - args->k);
    return true;
}

static bool KERNEL(prepare)(const sqzk_prepare_args *args)
{
    for (size_t i = 0; i < args->m; i++)
        if (!prepare_row(args, args->x + i * args->ldx, (signed char *)args->out + i * args->ldo,
                         args->s8_rows + i))
            return false;
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
    .run = KERNEL(run),
    .pack = KERNEL(pack),
    .prepare = KERNEL(prepare),
};
