/* SPDX-License-Identifier: Apache-2.0 */
/* The integer operations of the s8 gemm's template, in SIMD128: 4 s32. Included after
 * vector_simd128.h. */
#ifndef SQZK_S8_VECTOR_H
#define SQZK_S8_VECTOR_H

#include <string.h>

typedef v128_t ivec;

static inline ivec i_zero(void) { return wasm_i32x4_splat(0); }
static inline ivec i_set(uint32_t a) { return wasm_i32x4_splat((int32_t)a); }
static inline ivec i_load(const int32_t *p) { return wasm_v128_load(p); }
static inline void i_store(int32_t *p, ivec a) { wasm_v128_store(p, a); }
static inline vec i_to_float(ivec a) { return wasm_f32x4_convert_i32x4(a); }
static inline ivec i_max_magnitude(ivec largest, vec x)
{
    return wasm_u32x4_max(largest, wasm_v128_and(x, wasm_i32x4_splat(0x7FFFFFFF)));
}
static inline ivec i_max(ivec a, ivec b) { return wasm_u32x4_max(a, b); } /* unsigned */
static inline uint32_t i_largest(ivec a)
{
    const v128_t two = wasm_u32x4_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return (uint32_t)wasm_i32x4_extract_lane(
        wasm_u32x4_max(two, wasm_i32x4_shuffle(two, two, 1, 0, 3, 2)), 0);
}
/* Of magnitudes: bit i where lane i is above x; the lanes that are not, and 0 for those that are */
static inline uint32_t i_lanes_above(ivec a, uint32_t x)
{
    return wasm_i32x4_bitmask(wasm_i32x4_gt(a, i_set(x)));
}
static inline ivec i_without_above(ivec a, uint32_t x)
{
    return wasm_v128_andnot(a, wasm_i32x4_gt(a, i_set(x)));
}
/* half to even */
static inline ivec i_round(vec x) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(x)); }
static inline ivec i_subtract(ivec a, ivec b) { return wasm_i32x4_sub(a, b); }
/* 4 numbers to 4 bytes: within a byte, + flip (0 or 128) */
static inline void i_to_bytes(ivec q, int flip, unsigned char *out)
{
    const v128_t words = wasm_i16x8_narrow_i32x4(q, q);
    const int32_t four = wasm_i32x4_extract_lane(
        wasm_v128_xor(wasm_i8x16_narrow_i16x8(words, words), wasm_i8x16_splat((int8_t)flip)), 0);
    memcpy(out, &four, sizeof four);
}

#endif
