/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AVX-512 in f32; the reader of 64 bytes at a time. */
#define KERNEL(name) peak_f32_avx512_##name
#include "kernel/local_names.h"

#include <immintrin.h>

#include "kernel/peak/peak_sums.h"

#ifndef __AVX512F__
#error "compile this file with AVX-512"
#endif

typedef __m512 sum, input;

static inline input ones(void) { return _mm512_set1_ps(1); }
static inline sum zero(void) { return _mm512_setzero_ps(); }
static inline sum step(sum s, input a, input b) { return _mm512_fmadd_ps(a, b, s); }
static inline uint64_t count(sum s) { return (uint64_t)_mm512_reduce_add_ps(s); }
#define hide(x) __asm__("" : "+v"(x))

#define SUMS PEAK_SUMS_24
#define STEP_OPERATIONS 32
#define PEAK_NAME sqzk_peak_f32_avx512
#define PEAK_TEXT "vfmadd231ps zmm"
#define PEAK_LEVEL "avx512"
#define PEAK_FEATURE SQZI_CPU_AVX512
#define PEAK_TYPE SQZI_F32
#include "kernel/peak/peak_template.h"

static uint64_t read_memory(const void *memory, size_t bytes)
{
    const unsigned char *from = memory;
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < bytes; i += 256) {
        a = _mm512_add_epi64(a, _mm512_load_si512(from + i));
        b = _mm512_add_epi64(b, _mm512_load_si512(from + i + 64));
        c = _mm512_add_epi64(c, _mm512_load_si512(from + i + 128));
        d = _mm512_add_epi64(d, _mm512_load_si512(from + i + 192));
    }
    uint64_t lane[8], total = 0; /* not the intrinsic that reduces: it adds signed numbers */
    _mm512_storeu_si512(lane, _mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d)));
    for (int i = 0; i < 8; i++) total += lane[i];
    return total;
}

extern const sqzk_reader sqzk_reader_avx512;
const sqzk_reader sqzk_reader_avx512 = {
    .name = "64-byte loads", .level = "avx512", .feature = SQZI_CPU_AVX512, .run = read_memory};
