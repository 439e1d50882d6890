/* SPDX-License-Identifier: Apache-2.0 */
/* What dropout_template.h needs in SIMD128: 2 words in the lower halves of 64 bits. */
#ifndef SQZK_DROPOUT_VECTOR_H
#define SQZK_DROPOUT_VECTOR_H

enum { W_LANES = 2 };
typedef v128_t wide;

static inline wide w_set(uint32_t x)
{
    return wasm_i64x2_splat((int64_t)x);
}
/* x, x + 1, ... modulo 2^32, which products alone read */
static inline wide w_count(uint32_t x)
{
    return wasm_i64x2_make((int64_t)x, (int64_t)x + 1);
}
/* of the lower halves */
static inline wide w_multiply(wide a, wide b)
{
    return wasm_u64x2_extmul_low_u32x4(wasm_i32x4_shuffle(a, a, 0, 2, 0, 2),
                                       wasm_i32x4_shuffle(b, b, 0, 2, 0, 2));
}
static inline wide w_upper(wide a)
{
    return wasm_u64x2_shr(a, 32);
}
static inline wide w_xor(wide a, wide b)
{
    return wasm_v128_xor(a, b);
}
/* The lower halves of x, y, z, w, lane by lane */
static inline void w_store(uint16_t *p, wide x, wide y, wide z, wide w)
{
    const wide a = wasm_i32x4_shuffle(x, y, 0, 4, 2, 6), b = wasm_i32x4_shuffle(z, w, 0, 4, 2, 6);
    wasm_v128_store(p, wasm_i64x2_shuffle(a, b, 0, 2));
    wasm_v128_store(p + 8, wasm_i64x2_shuffle(a, b, 1, 3));
}
/* x where the half-word is at least `share`, else 0 */
static inline vec w_kept(vec x, const uint16_t *halves, uint32_t share)
{
    const v128_t words = wasm_u32x4_load16x4(halves);
    return wasm_v128_and(x, wasm_u32x4_ge(words, wasm_u32x4_splat(share)));
}

#endif
