/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 to and from vectors of 4 floats, SIMD128. Included after vector_simd128.h. */
#ifndef SQZK_BF16_VECTOR_H
#define SQZK_BF16_VECTOR_H

#include <string.h>

/* The upper halves are bf16. */
static inline v128_t rounded_bits(v128_t bits)
{
    const v128_t odd = wasm_v128_and(wasm_u32x4_shr(bits, 16), wasm_i32x4_splat(1));
    const v128_t rounded = wasm_i32x4_add(wasm_i32x4_add(bits, wasm_i32x4_splat(0x7FFF)), odd);
    return wasm_v128_bitselect(rounded, wasm_v128_or(bits, wasm_i32x4_splat(0x400000)),
                               wasm_f32x4_eq(bits, bits));
}
static inline vec v_rounded(vec x) { return rounded_bits(x); }
/* V_WIDTH pairs: out[2i] = even[i], out[2i + 1] = odd[i]. */
#define V_PAIRS
static inline void v_store_pairs(uint16_t *out, vec even, vec odd)
{
    wasm_v128_store(out,
                    wasm_v128_bitselect(rounded_bits(odd), wasm_u32x4_shr(rounded_bits(even), 16),
                                        wasm_i32x4_splat((int)0xFFFF0000u)));
}

typedef vec operand;
static inline vec even_of(v128_t pairs) { return wasm_i32x4_shl(pairs, 16); }
static inline vec odd_of(v128_t pairs)
{
    return wasm_v128_and(pairs, wasm_i32x4_splat((int)0xFFFF0000u));
}
static inline vec load_even(const uint16_t *p) { return even_of(wasm_v128_load(p)); }
static inline vec load_odd(const uint16_t *p) { return odd_of(wasm_v128_load(p)); }
static inline vec spread_even(const uint16_t *p) { return even_of(wasm_v128_load32_splat(p)); }
static inline vec spread_odd(const uint16_t *p) { return odd_of(wasm_v128_load32_splat(p)); }

#endif
