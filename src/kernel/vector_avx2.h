/* SPDX-License-Identifier: Apache-2.0 */
/* The vector operations that the kernel templates use, in AVX2 with FMA and F16C: 8 floats. */
#ifndef SQZK_VECTOR_H
#define SQZK_VECTOR_H

#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "compile this file with AVX2, FMA and F16C"
#endif

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* p, of which the compiler no longer knows how it was computed */
static inline const void *v_own_pointer(const void *p)
{
    __asm__("" : "+r"(p));
    return p;
}
#define v_own_pointer v_own_pointer

#define V_WIDTH 8
typedef __m256 vec;

static inline __m256i v_mask(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vec v_load_part(const float *p, size_t n) { return _mm256_maskload_ps(p, v_mask(n)); }
static inline void v_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
static inline void v_store_part(float *p, vec v, size_t n) { _mm256_maskstore_ps(p, v_mask(n), v); }
static inline vec v_set(float x) { return _mm256_set1_ps(x); }
static inline vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
/* c + a * b, c stays where it is (vector_avx512.h says why) */
static inline vec v_fma_onto(vec c, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}
#define v_fma_onto v_fma_onto
static inline vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); } /* b where a is NaN */
static inline vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec v_round(vec a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a * 2^n for integral n in [-150, 127]: two factors, so that a subnormal result rounds once */
static inline vec v_scale2(vec a, vec n)
{
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    const __m256i rest = _mm256_sub_epi32(whole, half);
    const __m256i bias = _mm256_set1_epi32(127);
    const vec first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    const vec second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(a, first), second);
}
/* t - floor(t), and in *whole floor(t), as an exponent for v_scale2_from */
static inline vec v_fraction(vec t, vec *whole)
{
    *whole = _mm256_floor_ps(t);
    return _mm256_sub_ps(t, *whole);
}
/* a * 2^n where x >= least or x is NaN, else 0; what is 0 never becomes a subnormal number on the
 * way */
static inline vec v_scale2_from(vec a, vec n, vec x, float least)
{
    const vec kept = _mm256_cmp_ps(x, _mm256_set1_ps(least), _CMP_NLT_UQ);
    return _mm256_and_ps(kept, v_scale2(a, _mm256_and_ps(kept, n)));
}
static inline vec v_where_less(vec a, vec b, vec yes, vec no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline vec v_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
/* n floats, the rest of the vector is `fill` */
static inline vec v_load_fill(const float *p, size_t n, float fill)
{
    return _mm256_blendv_ps(_mm256_set1_ps(fill), v_load_part(p, n),
                            _mm256_castsi256_ps(v_mask(n)));
}
static inline float v_sum(vec a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float v_largest(vec a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline vec v_from_s8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
static inline vec v_from_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline vec v_from_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
/* The upper halves of 8 floats: bf16, where the lower ones are 0 */
static inline void v_store_upper(uint16_t *p, vec v)
{
    const __m256i upper = _mm256_srli_epi32(_mm256_castps_si256(v), 16);
    _mm_storeu_si128((__m128i *)(void *)p, _mm_packus_epi32(_mm256_castsi256_si128(upper),
                                                            _mm256_extracti128_si256(upper, 1)));
}
/* Those of a, then those of b */
static inline void v_store_uppers(uint16_t *p, vec a, vec b)
{
    const __m256i lanes = _mm256_packus_epi32(_mm256_srli_epi32(_mm256_castps_si256(a), 16),
                                              _mm256_srli_epi32(_mm256_castps_si256(b), 16));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(lanes, 0xD8));
}
/* Words a and b in turn: their lower halves to one row of halves, the upper ones to another */
static inline void v_store_halves(uint16_t *lower, uint16_t *upper, vec a, vec b)
{
    const __m256i even = _mm256_castps_si256(a), odd = _mm256_castps_si256(b);
    _mm256_storeu_si256((__m256i *)(void *)lower,
                        _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xAA));
    _mm256_storeu_si256((__m256i *)(void *)upper,
                        _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xAA));
}

/* out[j][i] = in[i][j] for 8 x 8 floats; row strides in floats. Four columns at a time: rows i and
 * i + 4 of them make a vector as they are loaded, where a permutation would wait for the one port
 * that crosses lanes. */
static inline __m256 v_load_fours(const float *p, size_t ld)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * ld),
                                1);
}
static inline void v_transpose(const float *in, size_t ldi, float *out, size_t ldo)
{
    for (int j = 0; j < 8; j += 4, in += 4, out += 4 * ldo) {
        const __m256 a = v_load_fours(in, ldi), b = v_load_fours(in + ldi, ldi),
                     c = v_load_fours(in + 2 * ldi, ldi), d = v_load_fours(in + 3 * ldi, ldi);
        const __m256 ab = _mm256_unpacklo_ps(a, b), ab2 = _mm256_unpackhi_ps(a, b),
                     cd = _mm256_unpacklo_ps(c, d), cd2 = _mm256_unpackhi_ps(c, d);
        _mm256_storeu_ps(out, _mm256_shuffle_ps(ab, cd, 0x44));
        _mm256_storeu_ps(out + ldo, _mm256_shuffle_ps(ab, cd, 0xEE));
        _mm256_storeu_ps(out + 2 * ldo, _mm256_shuffle_ps(ab2, cd2, 0x44));
        _mm256_storeu_ps(out + 3 * ldo, _mm256_shuffle_ps(ab2, cd2, 0xEE));
    }
}

#endif
