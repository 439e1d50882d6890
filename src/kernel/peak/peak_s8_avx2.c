/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX2 in int8, exact: bytes converted to 16 bits, pairs multiplied and added by vpmaddwd,
 * then a vpaddd. */
#define KERNEL(name) peak_s8_avx2_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_s8_avx2.h"

#define SUMS PEAK_SUMS_12
static inline sum step(sum s, input a, input b)
{
    return _mm256_add_epi32(s, _mm256_madd_epi16(a, b));
}

static inline input ones(void) { return _mm256_set1_epi16(1); }
#define STEP_OPERATIONS 32
#define PEAK_NAME sqzk_peak_s8_avx2
#define PEAK_TEXT "vpmaddwd, vpaddd ymm"
#define PEAK_LEVEL "avx2"
#define PEAK_FEATURE SQZI_CPU_AVX2
#define PEAK_TYPE SQZI_S8
#include "kernel/peak/peak_template.h"
