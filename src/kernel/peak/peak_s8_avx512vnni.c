/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX-512 VNNI in int8. */
#define KERNEL(name) peak_s8_avx512vnni_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_s8_avx512.h"

#ifndef __AVX512VNNI__
#error "compile this file with AVX-512 VNNI"
#endif

static inline input ones(void) { return _mm512_set1_epi8(1); }
static inline sum step(sum s, input a, input b) { return _mm512_dpbusd_epi32(s, a, b); }

#define SUMS PEAK_SUMS_24
#define STEP_OPERATIONS 128
#define PEAK_NAME sqzk_peak_s8_avx512vnni
#define PEAK_TEXT "vpdpbusd zmm"
#define PEAK_LEVEL "avx512vnni"
#define PEAK_FEATURE SQZI_CPU_AVX512VNNI
#define PEAK_TYPE SQZI_S8
#include "kernel/peak/peak_template.h"
