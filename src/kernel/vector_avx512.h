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
/* The lower halves of a's words, then those of b's */
static inline void v_store_lowers(uint16_t *p, vec a, vec b)
{
    const __m512i even = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36,
                                          34, 32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6,
                                          4, 2, 0);
    _mm512_storeu_si512(p, _mm512_permutex2var_epi16(_mm512_castps_si512(a), even,
                                                     _mm512_castps_si512(b)));
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

/* out[j][i] = in[i][j] for 16 x 16 floats; row strides in floats. */
static inline void v_transpose(const float *in, size_t ldi, float *out, size_t ldo)
{
    __m512 r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(in + (size_t)i * ldi);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_ps(out + (size_t)i * ldo, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
        _mm512_storeu_ps(out + (size_t)(i + 8) * ldo, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD));
        _mm512_storeu_ps(out + (size_t)(i + 4) * ldo,
                         _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
        _mm512_storeu_ps(out + (size_t)(i + 12) * ldo,
                         _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xDD));
    }
}

#endif
