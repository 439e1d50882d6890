/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX-512 VNNI in 16 bits, which attention multiplies in. */
#define KERNEL(name) peak_s16_avx512vnni_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_s8_avx512.h"

#ifndef __AVX512VNNI__
#error "compile this file with AVX-512 VNNI"
#endif

static inline input ones(void) { return _mm512_set1_epi16(1); }
static inline sum step(sum s, input a, input b) { return _mm512_dpwssd_epi32(s, a, b); }

#define SUMS PEAK_SUMS_24
#define STEP_OPERATIONS 64
#define PEAK_NAME sqzk_peak_s16_avx512vnni
#define PEAK_TEXT "vpdpwssd zmm"
#define PEAK_LEVEL "avx512vnni"
#define PEAK_FEATURE SQZI_CPU_AVX512VNNI
#define PEAK_TYPE SQZI_S16
#include "kernel/peak/peak_template.h"
