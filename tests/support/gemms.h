/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of the gemms of every type share: the gemms of this machine, shapes, memory. */
#ifndef SQZT_GEMMS_H
#define SQZT_GEMMS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "kernel/kernel.h"
#include "support/test.h"

typedef struct shape {
    size_t m, n, k;
} shape;

/* Stands where nothing is to be written. */
static const float canary = -12345.5f;

static inline void *take(size_t n, size_t bytes)
{
    void *p = calloc(n ? n : 1, bytes);
    assert_non_null(p);
    return p;
}

/* The gemms of a type that this machine runs, i = 0, ...; NULL at the end. The others are named. */
static inline const sqzk_gemm *sqzt_next_gemm(sqzi_type type, uint32_t *i)
{
    const uint32_t features = sqzi_cpu_detect();
    for (const sqzk_gemm *gemm; (gemm = sqzk_gemm_list((*i)++));) {
        if (gemm->type != type) continue;
        if ((gemm->feature & ~features) == 0) return gemm;
        printf("%s: not run here\n", gemm->name);
    }
    return NULL;
}

/* The one that a table has to choose. */
static inline const sqzk_gemm *sqzt_best_gemm(sqzi_type type)
{
    const sqzk_gemm *last = NULL, *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(type, &i));) last = gemm;
    return last;
}

#endif
