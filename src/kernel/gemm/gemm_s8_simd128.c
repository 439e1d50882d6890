/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, SIMD128: bytes converted to s16, pairs of k multiplied and added by i32x4.dot_i16x8_s,
 * which is exact; the relaxed dot products are not the same on every machine. */
#define KERNEL(name) gemm_s8_simd128_##name
#include "kernel/local_names.h"

#include "kernel/vector_simd128.h"
#include "kernel/gemm/s8_vector_simd128.h"

enum { KR = 2, FLIP = 0, OUTLIER_BITS = 16 };

static inline ivec load_weights(const signed char *p) { return wasm_i16x8_load8x8(p); }
static inline ivec load_rows(const unsigned char *p)
{
    int16_t two;
    memcpy(&two, p, sizeof two);
    return wasm_i16x8_extend_low_i8x16(wasm_i16x8_splat(two));
}
static inline ivec multiply_add(ivec sum, ivec rows, ivec weights)
{
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(rows, weights));
}
static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return multiply_add(sum, i_set(outlier), load_weights(weights));
}

#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_s8_simd128
#define GEMM_TEXT "gemm_s8_6x8_simd128"
#define GEMM_LEVEL "simd128"
#define GEMM_FEATURE SQZI_CPU_SIMD128

#include "kernel/gemm/gemm_s8_template.h"
