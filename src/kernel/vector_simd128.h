/* SPDX-License-Identifier: Apache-2.0 */
/* The vector operations that the kernel templates use, in SIMD128 of WebAssembly: 4 floats. It has
 * no fused multiply-add: v_fma rounds twice. */
#ifndef SQZK_VECTOR_H
#define SQZK_VECTOR_H

#ifndef __wasm_simd128__
#error "compile this file with SIMD128"
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#include "base/half.h"

#define V_WIDTH 4
typedef v128_t vec;

static inline vec v_load(const float *p) { return wasm_v128_load(p); }
/* n floats, the rest of the vector is `fill` */
static inline vec v_load_fill(const float *p, size_t n, float fill)
{
    if (n == V_WIDTH) return wasm_v128_load(p);
    float part[V_WIDTH] = {fill, fill, fill, fill};
    memcpy(part, p, n * sizeof *part);
    return wasm_v128_load(part);
}
static inline vec v_load_part(const float *p, size_t n) { return v_load_fill(p, n, 0.0f); }
static inline void v_store(float *p, vec v) { wasm_v128_store(p, v); }
static inline void v_store_part(float *p, vec v, size_t n)
{
    if (n == V_WIDTH) {
        wasm_v128_store(p, v);
        return;
    }
    float part[V_WIDTH];
    wasm_v128_store(part, v);
    memcpy(p, part, n * sizeof *part);
}
static inline vec v_set(float x) { return wasm_f32x4_splat(x); }
static inline vec v_add(vec a, vec b) { return wasm_f32x4_add(a, b); }
static inline vec v_sub(vec a, vec b) { return wasm_f32x4_sub(a, b); }
static inline vec v_mul(vec a, vec b) { return wasm_f32x4_mul(a, b); }
static inline vec v_div(vec a, vec b) { return wasm_f32x4_div(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }
static inline vec v_max(vec a, vec b) { return wasm_f32x4_pmax(b, a); } /* b where a is NaN */
static inline vec v_min(vec a, vec b) { return wasm_f32x4_pmin(b, a); }
static inline vec v_round(vec a) { return wasm_f32x4_nearest(a); }
/* a * 2^n for integral n in [-150, 127]: two factors, so that a subnormal result rounds once */
static inline vec v_scale2(vec a, vec n)
{
    const v128_t whole = wasm_i32x4_trunc_sat_f32x4(n), half = wasm_i32x4_shr(whole, 1),
                 rest = wasm_i32x4_sub(whole, half), bias = wasm_i32x4_splat(127);
    return v_mul(v_mul(a, wasm_i32x4_shl(wasm_i32x4_add(half, bias), 23)),
                 wasm_i32x4_shl(wasm_i32x4_add(rest, bias), 23));
}
/* t - floor(t), and in *whole floor(t), as an exponent for v_scale2_from */
static inline vec v_fraction(vec t, vec *whole)
{
    *whole = wasm_f32x4_floor(t);
    return wasm_f32x4_sub(t, *whole);
}
/* a * 2^n where x >= least or x is NaN, else 0; what is 0 never becomes a subnormal number on the
 * way */
static inline vec v_scale2_from(vec a, vec n, vec x, float least)
{
    const v128_t small = wasm_f32x4_lt(x, v_set(least));
    return wasm_v128_andnot(v_scale2(a, wasm_v128_andnot(n, small)), small);
}
static inline vec v_where_less(vec a, vec b, vec yes, vec no)
{
    return wasm_v128_bitselect(yes, no, wasm_f32x4_lt(a, b));
}
static inline vec v_abs(vec a) { return wasm_f32x4_abs(a); }
static inline float v_sum(vec a)
{
    return (wasm_f32x4_extract_lane(a, 0) + wasm_f32x4_extract_lane(a, 2)) +
           (wasm_f32x4_extract_lane(a, 1) + wasm_f32x4_extract_lane(a, 3));
}
static inline float v_largest(vec a)
{
    const vec two = v_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(v_max(two, wasm_i32x4_shuffle(two, two, 1, 0, 3, 2)), 0);
}
static inline vec v_from_s8(const int8_t *p)
{
    return wasm_f32x4_convert_i32x4(
        wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p))));
}
static inline vec v_from_f16(const uint16_t *p)
{
    return wasm_f32x4_make(sqzi_from_f16(p[0]), sqzi_from_f16(p[1]), sqzi_from_f16(p[2]),
                           sqzi_from_f16(p[3]));
}
static inline vec v_from_bf16(const uint16_t *p)
{
    return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16);
}
/* The upper halves of 4 floats: bf16, where the lower ones are 0 */
static inline void v_store_upper(uint16_t *p, vec v)
{
    wasm_v128_store64_lane(p, wasm_i16x8_shuffle(v, v, 1, 3, 5, 7, 1, 3, 5, 7), 0);
}
/* Those of a, then those of b */
static inline void v_store_uppers(uint16_t *p, vec a, vec b)
{
    wasm_v128_store(p, wasm_i16x8_shuffle(a, b, 1, 3, 5, 7, 9, 11, 13, 15));
}
/* Words a and b in turn: their lower halves to one row of halves, the upper ones to another */
static inline void v_store_halves(uint16_t *lower, uint16_t *upper, vec a, vec b)
{
    wasm_v128_store(lower, wasm_i16x8_shuffle(a, b, 0, 8, 2, 10, 4, 12, 6, 14));
    wasm_v128_store(upper, wasm_i16x8_shuffle(a, b, 1, 9, 3, 11, 5, 13, 7, 15));
}

/* out[j][i] = in[i][j] for 4 x 4 floats; row strides in floats. */
static inline void v_transpose(const float *in, size_t ldi, float *out, size_t ldo)
{
    const vec a = v_load(in), b = v_load(in + ldi), c = v_load(in + 2 * ldi),
              d = v_load(in + 3 * ldi);
    const vec ac_low = wasm_i32x4_shuffle(a, c, 0, 4, 1, 5),
              ac_high = wasm_i32x4_shuffle(a, c, 2, 6, 3, 7);
    const vec bd_low = wasm_i32x4_shuffle(b, d, 0, 4, 1, 5),
              bd_high = wasm_i32x4_shuffle(b, d, 2, 6, 3, 7);
    v_store(out, wasm_i32x4_shuffle(ac_low, bd_low, 0, 4, 1, 5));
    v_store(out + ldo, wasm_i32x4_shuffle(ac_low, bd_low, 2, 6, 3, 7));
    v_store(out + 2 * ldo, wasm_i32x4_shuffle(ac_high, bd_high, 0, 4, 1, 5));
    v_store(out + 3 * ldo, wasm_i32x4_shuffle(ac_high, bd_high, 2, 6, 3, 7));
}

#endif
