/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX-VNNI in int8. */
#define KERNEL(name) peak_s8_avxvnni_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_s8_avx2.h"

#ifndef __AVXVNNI__
#error "compile this file with AVX-VNNI"
#endif

static inline input ones(void) { return _mm256_set1_epi8(1); }
static inline sum step(sum s, input a, input b) { return _mm256_dpbusd_avx_epi32(s, a, b); }

#define SUMS PEAK_SUMS_12
#define STEP_OPERATIONS 64
#define PEAK_NAME sqzk_peak_s8_avxvnni
#define PEAK_TEXT "vpdpbusd ymm"
#define PEAK_LEVEL "avxvnni"
#define PEAK_FEATURE SQZI_CPU_AVXVNNI
#define PEAK_TYPE SQZI_S8
#include "kernel/peak/peak_template.h"
