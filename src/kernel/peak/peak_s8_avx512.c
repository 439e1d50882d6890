/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX-512 without VNNI in int8, exact: vpmaddwd on bytes converted to 16 bits, then a
 * vpaddd. */
#define KERNEL(name) peak_s8_avx512_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_s8_avx512.h"

static inline input ones(void) { return _mm512_set1_epi16(1); }
static inline sum step(sum s, input a, input b)
{
    return _mm512_add_epi32(s, _mm512_madd_epi16(a, b));
}

#define SUMS PEAK_SUMS_24
#define STEP_OPERATIONS 64
#define PEAK_NAME sqzk_peak_s8_avx512
#define PEAK_TEXT "vpmaddwd, vpaddd zmm"
#define PEAK_LEVEL "avx512"
#define PEAK_FEATURE SQZI_CPU_AVX512
#define PEAK_TYPE SQZI_S8
#include "kernel/peak/peak_template.h"
