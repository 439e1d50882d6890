/* SPDX-License-Identifier: Apache-2.0 */
/* The levels of the row kernels and rows for them, for the checks that run each. */
#ifndef SQZT_ROW_LEVELS_H
#define SQZT_ROW_LEVELS_H

#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "kernel/kernel.h"
#include "support/guarded.h"
#include "support/random.h"

typedef struct level {
    const char *name;
    uint32_t features;
    sqzk_table table;
} level;

/* The levels of this machine in turn; false at the end. */
static inline bool next_level(uint32_t *i, level *l)
{
    static const level all[] = {
        {.name = "portable", .features = 0},
#ifdef SQZI_DOUBLE
#elif defined(__x86_64__)
        {.name = "avx2", .features = SQZI_CPU_SSE2 | SQZI_CPU_AVX2},
        {.name = "avx512", .features = SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512},
#elif defined(__aarch64__)
        {.name = "neon", .features = SQZI_CPU_NEON},
#elif defined(__wasm__)
        {.name = "simd128", .features = SQZI_CPU_SIMD128},
#endif
    };
    while (*i < sizeof all / sizeof *all) {
        *l = all[(*i)++];
        sqzk_table_init(&l->table, l->features);
        if ((l->features & ~sqzi_cpu_detect()) == 0) return true;
        printf("row kernels, %s: not run here\n", l->name);
    }
    return false;
}

enum { ROWS = 3 };

/* [ROWS, n] with stride ld; NaN between the rows; ends at an unreadable page. */
static inline sqzt_guarded rows_of(sqzt_random *random, size_t n, size_t ld, double mean,
                                   double deviation)
{
    sqzt_guarded g = sqzt_guarded_open(((ROWS - 1) * ld + n) * sizeof(float));
    float *x = g.p;
    for (size_t i = 0; i < g.bytes / sizeof *x; i++)
        x[i] = i % ld < n ? (float)(mean + deviation * sqzt_normal(random)) : NAN;
    return g;
}

#endif
