/* SPDX-License-Identifier: Apache-2.0 */
/* The vector operations that the kernel templates use, in AVX-512: 16 floats. */
#ifndef SQZK_VECTOR_H
#define SQZK_VECTOR_H

#ifndef __AVX512F__
#error "compile this file with AVX-512"
#endif

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __OPTIMIZE__ /* gcc 12's intrinsics with a constant are macros then, whose masks change    \
                        sign where they are used */
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif

/* p, of which the compiler no longer knows how it was computed */
static inline const void *v_own_pointer(const void *p)
{
    __asm__("" : "+r"(p));
    return p;
}
#define v_own_pointer v_own_pointer

#define V_WIDTH 16
typedef __m512 vec;

static inline __mmask16 v_mask(size_t n) { return (__mmask16)((1u << n) - 1u); }
static inline vec v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vec v_load_part(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_mask(n), p);
}
static inline void v_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
static inline void v_store_part(float *p, vec v, size_t n)
{
    _mm512_mask_storeu_ps(p, v_mask(n), v);
}
static inline vec v_set(float x) { return _mm512_set1_ps(x); }
static inline vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
/* c + a * b, c stays where it is. In assembly: in an unrolled loop gcc 12 moves a gemm's sums from
 * register to register and spills some. */
static inline vec v_fma_onto(vec c, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
#define v_fma_onto v_fma_onto
static inline vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); } /* b where a is NaN */
static inline vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec v_round(vec a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a * 2^n for integral n in [-150, 127] */
static inline vec v_scale2(vec a, vec n) { return _mm512_scalef_ps(a, n); }
/* t - floor(t), and in *whole what stands for floor(t) as the exponent of v_scale2_from, which
 * takes the floor itself */
static inline vec v_fraction(vec t, vec *whole)
{
    *whole = t;
    return _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
/* a * 2^n where x >= least or x is NaN, else 0; what is 0 never becomes a subnormal number on the
 * way */
static inline vec v_scale2_from(vec a, vec n, vec x, float least)
{
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(least), _CMP_NLT_UQ), a, n);
}
static inline vec v_where_less(vec a, vec b, vec yes, vec no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
static inline vec v_abs(vec a) { return _mm512_abs_ps(a); }
/* n floats, the rest of the vector is `fill` */
static inline vec v_load_fill(const float *p, size_t n, float fill)
{
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), v_mask(n), p);
}
static inline float v_sum(vec a) { return _mm512_reduce_add_ps(a); }
static inline float v_largest(vec a) { return _mm512_reduce_max_ps(a); }
static inline vec v_from_s8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
static inline vec v_from_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline vec v_from_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
/* The upper halves of 16 floats: bf16, where the lower ones are 0 */
static inline void v_store_upper(uint16_t *p, vec v)
{
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(v), 16)));
}
/* Those of a, then those of b */
static inline void v_store_uppers(uint16_t *p, vec a, vec b)
{
    const __m512i odd = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35,
                                         33, 31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3,
                                         1);
    _mm512_storeu_si512(p, _mm512_permutex2var_epi16(_mm512_castps_si512(a), odd,
                                                     _mm512_castps_si512(b)));
}
/* Words a and b in turn: their lower halves to one row of halves, the upper ones to another */
static inline void v_store_halves(uint16_t *lower, uint16_t *upper, vec a, vec b)
{
    const __m512i even = _mm512_castps_si512(a), odd = _mm512_castps_si512(b);
    _mm512_storeu_si512(lower,
                        _mm512_mask_blend_epi16(0xAAAAAAAA, even, _mm512_slli_epi32(odd, 16)));
    _mm512_storeu_si512(upper,
                        _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(even, 16), odd));
}
/* The lesser of the magnitudes; b's where a is a NaN */
static inline vec v_least_magnitude(vec a, vec b) { return _mm512_range_ps(a, b, 10); }
/* table[i] for 16 i in the lower five bits of `at` */
#define V_LOOKUP_32
static inline vec v_lookup_32(const float *table, vec at)
{
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), _mm512_castps_si512(at),
                                  _mm512_loadu_ps(table + 16));
}

/* out[j][i] = in[i][j] for 16 x 16 floats; row strides in floats. Four columns at a time: rows i,
 * i + 4, i + 8 and i + 12 of them make a vector as they are loaded, where shuffling them together
 * would wait for the one port that shuffles. */
static inline __m512 v_load_fours(const float *p, size_t ld)
{
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_mask_broadcast_f32x4(v, 0x00F0, _mm_loadu_ps(p + 4 * ld));
    v = _mm512_mask_broadcast_f32x4(v, 0x0F00, _mm_loadu_ps(p + 8 * ld));
    return _mm512_mask_broadcast_f32x4(v, 0xF000, _mm_loadu_ps(p + 12 * ld));
}
static inline void v_transpose(const float *in, size_t ldi, float *out, size_t ldo)
{
    for (int j = 0; j < 16; j += 4, in += 4, out += 4 * ldo) {
        const __m512 a = v_load_fours(in, ldi), b = v_load_fours(in + ldi, ldi),
                     c = v_load_fours(in + 2 * ldi, ldi), d = v_load_fours(in + 3 * ldi, ldi);
        const __m512 ab = _mm512_unpacklo_ps(a, b), ab2 = _mm512_unpackhi_ps(a, b),
                     cd = _mm512_unpacklo_ps(c, d), cd2 = _mm512_unpackhi_ps(c, d);
        _mm512_storeu_ps(out, _mm512_shuffle_ps(ab, cd, 0x44));
        _mm512_storeu_ps(out + ldo, _mm512_shuffle_ps(ab, cd, 0xEE));
        _mm512_storeu_ps(out + 2 * ldo, _mm512_shuffle_ps(ab2, cd2, 0x44));
        _mm512_storeu_ps(out + 3 * ldo, _mm512_shuffle_ps(ab2, cd2, 0xEE));
    }
}

#endif
