/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, AVX-512 without VNNI: bytes converted to s16, pairs of k multiplied and added by
 * vpmaddwd, which is exact; vpmaddubsw would saturate. */
#define KERNEL(name) gemm_s8_avx512_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx512.h"
#include "kernel/gemm/s8_vector_avx512.h"

enum { KR = 2, FLIP = 0, OUTLIER_BITS = 16 };

static inline ivec load_weights(const signed char *p)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline ivec load_rows(const unsigned char *p)
{
    int16_t two;
    memcpy(&two, p, sizeof two);
    return _mm512_cvtepi8_epi16(_mm256_set1_epi16(two));
}
static inline ivec multiply_add(ivec sum, ivec rows, ivec weights)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(rows, weights));
}
static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return multiply_add(sum, i_set(outlier), load_weights(weights));
}

#define TILE_ROWS 12
#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_s8_avx512
#define GEMM_TEXT "gemm_s8_12x32_avx512"
#define GEMM_LEVEL "avx512"
#define GEMM_FEATURE SQZI_CPU_AVX512

#include "kernel/gemm/gemm_s8_template.h"
