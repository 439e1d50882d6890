/* SPDX-License-Identifier: Apache-2.0 */
/* What the micro-benchmarks share: CPU time of the thread, the loop over registers that a kernel is
 * compared with, medians, memory. */
#ifndef BENCH_AGAINST_PEAK_H
#define BENCH_AGAINST_PEAK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel/kernel.h"
#include "kernel/peak/peak.h"

static const double sample_seconds = 0.5e-3;

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void no_memory(size_t bytes)
{
    fprintf(stderr, "no memory for %zu bytes\n", bytes);
    exit(4);
}

static inline void *take(size_t n, size_t bytes)
{
    const size_t all = (n * bytes + 63) / 64 * 64;
    void *p = aligned_alloc(64, all ? all : 64);
    if (!p) no_memory(all);
    memset(p, 0, all);
    return p;
}

static inline float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

/* The loop of the gemm's own instruction; bf16 that is converted has that of f32. */
static inline const sqzk_peak *peak_of(const sqzk_gemm *gemm)
{
    const sqzk_peak *peak, *converted = NULL;
    for (uint32_t i = 0; (peak = sqzk_peak_list(i)); i++) {
        if (peak->type == gemm->type && peak->feature == gemm->feature) return peak;
        if (peak->type == SQZI_F32 && peak->feature == gemm->feature) converted = peak;
    }
    return converted;
}

static inline double peak_rate(const sqzk_peak *peak, uint64_t rounds)
{
    const double begin = now();
    peak->run(rounds);
    return (double)(rounds * peak->operations) / (now() - begin);
}

static inline uint64_t peak_rounds(const sqzk_peak *peak)
{
    uint64_t rounds = 64;
    while ((double)(rounds * peak->operations) / peak_rate(peak, rounds) < sample_seconds)
        rounds *= 2;
    return rounds;
}

static inline int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static inline double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_size);
    return x[n / 2];
}

#endif
