/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX2 and FMA in f32; the reader of 32 bytes at a time. */
#define KERNEL(name) peak_f32_avx2_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_sums.h"

#ifndef __AVX2__
#error "compile this file with AVX2 and FMA"
#endif

typedef __m256 sum, input;

static inline input ones(void) { return _mm256_set1_ps(1); }
static inline sum zero(void) { return _mm256_setzero_ps(); }
static inline sum step(sum s, input a, input b) { return _mm256_fmadd_ps(a, b, s); }
static inline uint64_t count(sum s)
{
    float lane[8], all = 0;
    _mm256_storeu_ps(lane, s);
    for (int i = 0; i < 8; i++) all += lane[i];
    return (uint64_t)all;
}
#define hide(x) __asm__("" : "+x"(x))

#define SUMS PEAK_SUMS_12
#define STEP_OPERATIONS 16
#define PEAK_NAME sqzk_peak_f32_avx2
#define PEAK_TEXT "vfmadd231ps ymm"
#define PEAK_LEVEL "avx2"
#define PEAK_FEATURE SQZI_CPU_AVX2
#define PEAK_TYPE SQZI_F32
#include "kernel/peak/peak_template.h"

static inline __m256i load(const unsigned char *p)
{
    return _mm256_load_si256((const __m256i *)(const void *)p);
}

static uint64_t read_memory(const void *memory, size_t bytes)
{
    const unsigned char *from = memory;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < bytes; i += 128) {
        a = _mm256_add_epi64(a, load(from + i));
        b = _mm256_add_epi64(b, load(from + i + 32));
        c = _mm256_add_epi64(c, load(from + i + 64));
        d = _mm256_add_epi64(d, load(from + i + 96));
    }
    uint64_t lane[4];
    _mm256_storeu_si256((__m256i *)(void *)lane,
                        _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d)));
    return lane[0] + lane[1] + lane[2] + lane[3];
}

extern const sqzk_reader sqzk_reader_avx2;
const sqzk_reader sqzk_reader_avx2 = {
    .name = "32-byte loads", .level = "avx2", .feature = SQZI_CPU_AVX2, .run = read_memory};
