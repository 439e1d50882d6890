/* SPDX-License-Identifier: Apache-2.0 */
/* CPU features: asked of cpuid, XCR0 and the system; the list that masks them. The only file
 * outside the kernels with inline assembly. */
#define _GNU_SOURCE
#include "base/cpu.h"

#include <string.h>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const struct {
    char name[12]; /* no pointer: 13 relocations less in the shared library */
    uint32_t needs; /* what a preset of this name allows besides the feature itself */
} features_by_index[SQZI_CPU_COUNT] = {
    [SQZI_CPU_INDEX_SSE2] = {"sse2", 0},
    [SQZI_CPU_INDEX_AVX2] = {"avx2", SQZI_CPU_SSE2},
    [SQZI_CPU_INDEX_AVXVNNI] = {"avxvnni", SQZI_CPU_SSE2 | SQZI_CPU_AVX2},
    [SQZI_CPU_INDEX_AVX512] = {"avx512", SQZI_CPU_SSE2 | SQZI_CPU_AVX2},
    [SQZI_CPU_INDEX_AVX512VNNI] = {"avx512vnni", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512},
    [SQZI_CPU_INDEX_AVX512BF16] = {"avx512bf16", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512 |
                                                     SQZI_CPU_AVX512VNNI | SQZI_CPU_FASTBF16},
    [SQZI_CPU_INDEX_FASTBF16] = {"fastbf16", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512 |
                                                 SQZI_CPU_AVX512VNNI | SQZI_CPU_AVX512BF16},
    [SQZI_CPU_INDEX_AMX] = {"amx", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512 |
                                       SQZI_CPU_AVX512VNNI | SQZI_CPU_AVX512BF16},
    [SQZI_CPU_INDEX_NEON] = {"neon", 0},
    [SQZI_CPU_INDEX_DOTPROD] = {"dotprod", SQZI_CPU_NEON},
    [SQZI_CPU_INDEX_I8MM] = {"i8mm", SQZI_CPU_NEON | SQZI_CPU_DOTPROD},
    [SQZI_CPU_INDEX_ARMBF16] = {"armbf16", SQZI_CPU_NEON | SQZI_CPU_DOTPROD | SQZI_CPU_I8MM},
    [SQZI_CPU_INDEX_SIMD128] = {"simd128", 0},
};

const char *sqzi_cpu_feature_name(uint32_t feature)
{
    for (uint32_t i = 0; i < SQZI_CPU_COUNT; i++)
        if (feature == 1u << i) return features_by_index[i].name;
    return NULL;
}

#if defined(__x86_64__)

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux keeps the tile state from a process until it asks for it (arch_prctl ARCH_REQ_XCOMP_PERM,
 * XTILEDATA = 18). */
static bool amx_permitted(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return false;
#endif
}

static bool made_by_intel(void)
{
    uint32_t a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && c == signature_INTEL_ecx &&
           d == signature_INTEL_edx;
}

uint32_t sqzi_cpu_detect(void)
{
    enum { XCR0_AVX = 0x6, XCR0_AVX512 = 0xE6, XCR0_AMX = 0x60000 };
    uint32_t a, b, c, d, a1, b1, c1, d1, found = SQZI_CPU_SSE2;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
    const bool osxsave = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
    const uint64_t xcr0 = osxsave ? read_xcr0() : 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    if (!__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1)) a1 = 0;
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !fma || !f16c || !(b >> 5 & 1)) return found;
    found |= SQZI_CPU_AVX2;
    if (a1 >> 4 & 1) found |= SQZI_CPU_AVXVNNI;
    const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || (b & f_dq_bw_vl) != f_dq_bw_vl) return found;
    found |= SQZI_CPU_AVX512;
    if (c >> 11 & 1) found |= SQZI_CPU_AVX512VNNI;
    if (a1 >> 5 & 1) found |= SQZI_CPU_AVX512BF16 | (made_by_intel() ? 0 : SQZI_CPU_FASTBF16);
    const uint32_t amx = 1u << 22 | 1u << 24 | 1u << 25; /* bf16, tile, int8 */
    if ((xcr0 & XCR0_AMX) == XCR0_AMX && (d & amx) == amx && amx_permitted()) found |= SQZI_CPU_AMX;
    return found;
}

const char *sqzi_cpu_brand(void)
{
    static _Thread_local char brand[49];
    uint32_t words[12];
    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                         &words[4 * i + 3]))
            return "";
    memcpy(brand, words, 48);
    brand[48] = '\0';
    return brand;
}

#elif defined(__aarch64__)

uint32_t sqzi_cpu_detect(void)
{
    uint32_t found = SQZI_CPU_NEON;
#ifdef __linux__
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    if (first >> 20 & 1) found |= SQZI_CPU_DOTPROD;
    if (second >> 13 & 1) found |= SQZI_CPU_I8MM;
    if (second >> 14 & 1) found |= SQZI_CPU_ARMBF16;
#endif
    return found;
}

const char *sqzi_cpu_brand(void)
{
    return "aarch64";
}

#else

uint32_t sqzi_cpu_detect(void)
{
#ifdef __wasm__
    /* a module that holds such code is not loaded where the engine lacks it */
    return SQZI_CPU_SIMD128;
#else
    return 0;
#endif
}

const char *sqzi_cpu_brand(void)
{
    return "";
}

#endif

/* Features that the word stands for: a feature and, as a preset, what it builds on. False for an
 * unknown word. */
static bool find_word(const char *word, size_t n, uint32_t *feature, uint32_t *preset)
{
    *feature = *preset = 0;
    if (n == 8 && memcmp(word, "portable", 8) == 0) return true;
    for (uint32_t i = 0; i < SQZI_CPU_COUNT; i++) {
        const char *name = features_by_index[i].name;
        if (strlen(name) != n || memcmp(name, word, n) != 0) continue;
        *feature = 1u << i;
        *preset = *feature | features_by_index[i].needs;
        return true;
    }
    return false;
}

/* Taking a feature away takes away what builds on it. */
static uint32_t without(uint32_t features, uint32_t feature)
{
    features &= ~feature;
    if (feature == SQZI_CPU_AVX512BF16) features &= ~(uint32_t)SQZI_CPU_FASTBF16;
    for (uint32_t i = 0; i < SQZI_CPU_COUNT; i++)
        if (features_by_index[i].needs & feature &
            (SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512 | SQZI_CPU_NEON))
            features &= ~(1u << i);
    return features;
}

sqz_status sqzi_cpu_mask(uint32_t features, const char *list, uint32_t *masked, sqz_error *error)
{
    const char *word = list ? list : "";
    while (*word) {
        const size_t n = strcspn(word, ",");
        const bool minus = *word == '-';
        uint32_t feature, preset;
        if (n > minus && !find_word(word + minus, n - minus, &feature, &preset))
            return sqzi_fail(error, SQZ_EINVAL, (uint64_t)(word - list),
                             "unknown CPU feature '%.*s' in '%s'; known: portable, sse2, avx2, "
                             "avxvnni, avx512, avx512vnni, avx512bf16, fastbf16, amx, neon, "
                             "dotprod, i8mm, armbf16, simd128, and any of them after '-'",
                             (int)(n > 40 ? 40 : n), word, list);
        if (n > minus) features = minus ? without(features, feature) : features & preset;
        word += n + (word[n] == ',');
    }
    *masked = features;
    return SQZ_OK;
}
