/* SPDX-License-Identifier: Apache-2.0 */
/* What this CPU can do, as a set of features (not a ladder), and the mask that a caller lays over
 * it. */
#ifndef SQZI_CPU_H
#define SQZI_CPU_H

#include <stdbool.h>

#include <squeezebert/context.h>

/* X(NAME, "name"). A feature counts only when cpuid, XCR0 and, for AMX, the system's permission all
 * agree. */
#define SQZI_CPU_LIST(X)                                                                           \
    X(SSE2, "sse2")                                                                                \
    X(AVX2, "avx2") X(AVXVNNI, "avxvnni") X(AVX512, "avx512") X(AVX512VNNI, "avx512vnni")          \
        X(AVX512BF16, "avx512bf16") X(FASTBF16, "fastbf16") X(AMX, "amx") X(NEON, "neon")          \
            X(DOTPROD, "dotprod") X(I8MM, "i8mm") X(ARMBF16, "armbf16") X(SIMD128, "simd128")

enum {
#define SQZI_CPU_INDEX(NAME, name) SQZI_CPU_INDEX_##NAME,
    SQZI_CPU_LIST(SQZI_CPU_INDEX)
#undef SQZI_CPU_INDEX
    SQZI_CPU_COUNT
};
enum {
#define SQZI_CPU_BIT(NAME, name) SQZI_CPU_##NAME = 1u << SQZI_CPU_INDEX_##NAME,
    SQZI_CPU_LIST(SQZI_CPU_BIT)
#undef SQZI_CPU_BIT
};

/* avx2 means AVX2, FMA and F16C; avx512 means F, BW, DQ and VL (and avx2); amx means TILE, INT8 and
 * BF16 (and avx512).
 * fastbf16 is no instruction: it says that vdpbf16ps (avx512bf16) does more multiply-adds a second
 * than an f32 fma. No bit of cpuid tells; Intel's Sapphire Rapids was measured at half as many,
 * AMD's Zen 4 and 5 are reported at twice as many. So every vendor but Intel counts. */
uint32_t sqzi_cpu_detect(void);

/* The CPU's brand string, "" when it has none. */
const char *sqzi_cpu_brand(void);

/* "avx2" for SQZI_CPU_AVX2; NULL for what is no single feature. */
const char *sqzi_cpu_feature_name(uint32_t feature);

/* Lay a list as in sqz_context_options.cpu over `features`. SQZ_EINVAL names the unknown word and
 * the known ones. */
SQZ_NODISCARD sqz_status sqzi_cpu_mask(uint32_t features, const char *list, uint32_t *masked,
                                       sqz_error *error);

#endif
