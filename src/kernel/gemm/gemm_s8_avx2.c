/* SPDX-License-Identifier: Apache-2.0 */
/* s8 gemm, AVX2: bytes converted to s16, pairs of k multiplied and added by vpmaddwd, which is
 * exact; vpmaddubsw would saturate. */
#define KERNEL(name) gemm_s8_avx2_##name
#include "kernel/local_names.h"

#include "kernel/vector_avx2.h"
#include "kernel/gemm/s8_vector_avx2.h"

enum { KR = 2, FLIP = 0, OUTLIER_BITS = 16 };

static inline ivec load_weights(const signed char *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline ivec load_rows(const unsigned char *p)
{
    int16_t two;
    memcpy(&two, p, sizeof two);
    return _mm256_cvtepi8_epi16(_mm_set1_epi16(two));
}
static inline ivec multiply_add(ivec sum, ivec rows, ivec weights)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(rows, weights));
}
static inline ivec add_outlier(ivec sum, uint32_t outlier, const signed char *weights)
{
    return multiply_add(sum, i_set(outlier), load_weights(weights));
}

#define TILE_VECTORS 2
#define GEMM_NAME sqzk_gemm_s8_avx2
#define GEMM_TEXT "gemm_s8_6x16_avx2"
#define GEMM_LEVEL "avx2"
#define GEMM_FEATURE SQZI_CPU_AVX2

#include "kernel/gemm/gemm_s8_template.h"
