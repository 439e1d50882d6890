/* SPDX-License-Identifier: Apache-2.0 */
/* Products of attention in 16 bits, AVX-512 VNNI: vpdpwssd does twice the multiply-adds of a fused
 * one in f32. Rows and columns are rounded to integers by scales of their own, symmetric:
 *
 *   row      q = round-half-even(x * (16383 / M)), scale = M / 16383, M the largest magnitude of
 *            the row
 *   column   the same with most = min(32767, floor((2^31 - 1) / (16383 k))), so that no sum of
 *            products leaves 32 bits
 *   product  (float)(sum over k of q * w) * (row scale * column scale)
 *
 * Of a zero vector scale and integers are 0; of one with a NaN or infinity the scale is a NaN. k up
 * to 131,000.
 *
 *   panel    s16 [k/2][NR][2]   k padded with a zero to a multiple of 2, columns past n are 0
 *            f32 [NR]           scale of each column; padded to a multiple of 64 bytes
 *
 * pack takes f32 alone, contiguous over k or over n, and finds the scales itself; sqzk_s8_row holds
 * a scale alone; run has no epilogue.
 */
#define KERNEL(name) gemm_s16_avx512vnni_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"
#include "kernel/gemm/s8_vector_avx512.h"

#include <math.h>

#include "base/cpu.h"
#include "kernel/kernel.h"

#ifndef __AVX512VNNI__
#error "compile this file with AVX-512 VNNI"
#endif

#define TILE_ROWS 12
#define TILE_VECTORS 2
#define TILE_STEPS 1 /* four: 1 point of the peak more, 6 kB more code */
enum { KR = 4, NR = TILE_VECTORS * V_WIDTH, ROW_MOST = 16383 }; /* KR in bytes */

#define HEIGHT_STEP 2 /* of integer_tiles.h */
#include "kernel/gemm/tile_target.h"

static inline ivec load_weights(const signed char *p) { return _mm512_loadu_si512(p); }
static inline ivec load_rows(const unsigned char *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm512_set1_epi32(two);
}
/* In assembly for the same reason as that of the s8 gemm. */
static inline ivec multiply_add(ivec sum, ivec rows, ivec weights)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(rows), "v"(weights));
    return sum;
}
static inline ivec first_sum(const sqzk_s8_row *row, const signed char *panel, size_t k, size_t j)
{
    (void)row, (void)panel, (void)k, (void)j;
    return i_zero();
}
static inline void last_sums(const sqzk_s8_row *s8_rows, size_t rows, const signed char *panel,
                             const int32_t *sums)
{
    (void)s8_rows, (void)rows, (void)panel, (void)sums;
}

/* From here to pack_vector k counts numbers where it is called n_k, else bytes. */
static inline size_t panel_number_bytes(size_t k)
{
    return (k + KR - 1) / KR * KR * NR;
}
static inline size_t panel_bytes(size_t k)
{
    return panel_number_bytes(k) + NR * sizeof(float);
}
static inline const float *panel_scale(const signed char *panel, size_t k)
{
    return (const float *)(const void *)(panel + panel_number_bytes(k));
}

#define HAS_EPILOGUE 0
#include "kernel/gemm/integer_tiles.h"

static void KERNEL(run)(const sqzk_gemm_args *args)
{
    sqzk_gemm_args bytes = *args;
    bytes.k *= sizeof(int16_t);
    run_tiles(&bytes);
}

/* magnitudes, as the integers of their bits, from infinity on */
static const int32_t not_finite = 0x7F800000;

/* What numbers of these largest magnitudes are multiplied by; their scales to *scale. */
static inline vec factors_of(ivec largest, float most, vec *scale)
{
    const vec m = _mm512_castsi512_ps(largest), factor = v_div(v_set(most), m);
    const __mmask16 finite = _mm512_cmplt_epi32_mask(largest, i_set((uint32_t)not_finite)),
                    usable = _mm512_mask_cmp_ps_mask(finite, factor, v_set(INFINITY), _CMP_LT_OQ);
    *scale = _mm512_mask_blend_ps(finite, v_set(NAN),
                                  _mm512_maskz_mul_ps(usable, m, v_set(1.0f / most)));
    return _mm512_maskz_mov_ps(usable, factor);
}

static inline ivec magnitude(vec x)
{
    return _mm512_and_si512(_mm512_castps_si512(x), i_set(0x7FFFFFFF));
}
static inline __m256i to_words(vec x, vec factor)
{
    return _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v_mul(x, factor)));
}

static inline ivec largest_of_row(const float *x, size_t k)
{
    ivec largest = i_zero();
    for (size_t j = 0; j < k; j += V_WIDTH)
        largest = i_max(largest,
                        magnitude(k - j < V_WIDTH ? v_load_part(x + j, k - j) : v_load(x + j)));
    return i_set(i_largest(largest));
}

/* Of n <= V_WIDTH vectors that are contiguous. */
static vec factors_of_rows(const float *x, size_t n, size_t stride, size_t n_k, float most,
                           float *factors)
{
    int32_t largest[V_WIDTH] __attribute__((aligned(64))) = {0};
    vec scale;
    for (size_t i = 0; i < n; i++)
        largest[i] = _mm_cvtsi128_si32(_mm512_castsi512_si128(largest_of_row(x + i * stride, n_k)));
    v_store(factors, factors_of(i_load(largest), most, &scale));
    return scale;
}

/* 16 numbers of a row as words, zeros past its end. */
static inline __m256i row_words(const float *x, size_t n_k, size_t j, vec factor)
{
    if (j >= n_k) return _mm256_setzero_si256();
    return to_words(n_k - j < V_WIDTH ? v_load_part(x + j, n_k - j) : v_load(x + j), factor);
}

static bool KERNEL(prepare)(const sqzk_prepare_args *args)
{
    const size_t padded = (args->k + 31) / 32 * 32;
    float factors[V_WIDTH], scales[V_WIDTH];
    for (size_t i = 0; i < args->m; i++) {
        const size_t at = i % V_WIDTH, left = args->m - i;
        const float *x = args->x + i * args->ldx;
        int16_t *out = (int16_t *)(void *)((unsigned char *)args->out + i * args->ldo);
        if (at == 0)
            v_store(scales, factors_of_rows(x, left < V_WIDTH ? left : V_WIDTH, args->ldx, args->k,
                                            ROW_MOST, factors));
        args->s8_rows[i] = (sqzk_s8_row){.scale = scales[at]};
        for (size_t j = 0; j < padded; j += V_WIDTH)
            _mm256_storeu_si256((__m256i *)(void *)(out + j),
                                row_words(x, args->k, j, v_set(factors[at])));
    }
    return true;
}

static float column_most(size_t n_k)
{
    const size_t most = INT32_MAX / (ROW_MOST * n_k);
    return most < INT16_MAX ? (float)most : INT16_MAX;
}

/* n <= V_WIDTH columns, each contiguous over k: pairs of k are words of 32 bits, and a square of
 * them is turned. */
static vec pack_columns(const float *source, size_t n, size_t stride, size_t n_k, int16_t *out)
{
    int16_t square[V_WIDTH][2 * V_WIDTH] __attribute__((aligned(64))) = {{0}};
    float turned[V_WIDTH * V_WIDTH] __attribute__((aligned(64))), factors[V_WIDTH];
    const vec scale = factors_of_rows(source, n, stride, n_k, column_most(n_k), factors);
    for (size_t p = 0; p < n_k; p += 2 * V_WIDTH) {
        for (size_t j = 0; j < n; j++)
            for (size_t half = 0; half < 2; half++)
                _mm256_store_si256((__m256i *)(void *)(square[j] + half * V_WIDTH),
                                   row_words(source + j * stride, n_k, p + half * V_WIDTH,
                                             v_set(factors[j])));
        const size_t pairs = n_k - p < 2 * V_WIDTH ? (n_k - p + 1) / 2 : V_WIDTH;
        v_transpose((const float *)(const void *)square, V_WIDTH, turned, V_WIDTH);
        for (size_t i = 0; i < pairs; i++)
            v_store((float *)(void *)(out + (p + 2 * i) * NR), v_load(turned + i * V_WIDTH));
    }
    return scale;
}

/* n <= V_WIDTH columns, each k contiguous over them. */
static vec pack_rows(const float *source, size_t n, size_t stride, size_t n_k, int16_t *out)
{
    ivec largest = i_zero();
    vec scale;
    for (size_t p = 0; p < n_k; p++)
        largest = i_max(largest, magnitude(v_load_part(source + p * stride, n)));
    const vec factor = factors_of(largest, column_most(n_k), &scale);
    for (size_t p = 0; p < n_k; p += 2) {
        const ivec even = _mm512_cvtps_epi32(v_mul(v_load_part(source + p * stride, n), factor));
        const ivec odd = p + 1 < n_k ? _mm512_cvtps_epi32(
                                           v_mul(v_load_part(source + (p + 1) * stride, n), factor))
                                     : i_zero();
        _mm512_storeu_si512(out + p * NR,
                            _mm512_mask_mov_epi16(even, 0xAAAAAAAA, _mm512_slli_epi32(odd, 16)));
    }
    return scale;
}

static void KERNEL(pack)(const sqzk_pack_args *args, void *packed)
{
    const size_t bytes = args->k * sizeof(int16_t);
    unsigned char *panel = packed;
    for (size_t column = 0; column < args->n; column += NR, panel += panel_bytes(bytes)) {
        float *scale = (float *)(void *)(panel + panel_number_bytes(bytes));
        for (size_t j = 0; j < NR; j += V_WIDTH) {
            const size_t left = column + j < args->n ? args->n - column - j : 0,
                         n = left < V_WIDTH ? left : V_WIDTH;
            const float *source = (const float *)args->source +
                                  (n ? (column + j) * args->n_stride : 0);
            int16_t *out = (int16_t *)(void *)panel + 2 * j;
            v_store(scale + j, args->k_stride == 1
                                   ? pack_columns(source, n, args->n_stride, args->k, out)
                                   : pack_rows(source, n, args->k_stride, args->k, out));
        }
    }
}

extern const sqzk_gemm sqzk_gemm_s16_avx512vnni;
const sqzk_gemm sqzk_gemm_s16_avx512vnni = {
    .name = "gemm_s16_12x32_avx512vnni",
    .level = "avx512vnni",
    .feature = SQZI_CPU_AVX512VNNI,
    .type = SQZI_S16,
    .mr = TILE_ROWS,
    .nr = NR,
    .kr = 2,
    .run = KERNEL(run),
    .pack = KERNEL(pack),
    .prepare = KERNEL(prepare),
};
