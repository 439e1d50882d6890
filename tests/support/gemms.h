/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of the gemms of every type share: the gemms of this machine, shapes, memory. */
#ifndef SQZT_GEMMS_H
#define SQZT_GEMMS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "kernel/kernel.h"
#include "support/guarded.h"
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

static inline const sqzk_gemm *sqzt_gemm_at(sqzi_type type, const char *level)
{
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzk_gemm_list(i)); i++)
        if (gemm->type == type && strcmp(gemm->level, level) == 0) break;
    assert_non_null(gemm);
    return gemm;
}

/* Outputs as bf16 against the same as f32, rounded by the level's own rows; between rows and behind
 * the last nothing is written. args.c is scratch. */
static inline void sqzt_check_bf16(const sqzk_gemm *gemm, sqzk_gemm_args args)
{
    enum { GAP = 3, HELD = 0x1234 };
    const size_t m = args.m, n = args.n, ldc = n + GAP;
    const sqzk_gemm *rounds = sqzt_gemm_at(SQZI_BF16, gemm->level);
    const size_t ldo = sqzk_gemm_prepared_bytes(rounds, n) / sizeof(uint16_t);
    sqzt_guarded memory = sqzt_guarded_open(((m - 1) * ldc + n) * sizeof(uint16_t));
    uint16_t *wanted = take(m * ldo, sizeof *wanted), *got = memory.p;
    for (size_t i = 0; i < memory.bytes / sizeof *got; i++) got[i] = HELD;
    args.ldc = n;
    gemm->run(&args);
    assert_true(rounds->prepare(&(sqzk_prepare_args){
        .m = m, .k = n, .x = args.c, .ldx = n, .out = wanted, .ldo = ldo * sizeof *wanted}));
    args.c = NULL;
    args.c_bf16 = got;
    args.ldc = ldc;
    gemm->run(&args);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++)
            if (got[i * ldc + j] != wanted[i * ldo + j])
                fail_msg("%s, %zu x %zu x %zu: (%zu, %zu) is %04x as bf16, %04x expected",
                         gemm->name, m, n, args.k, i, j, got[i * ldc + j], wanted[i * ldo + j]);
        for (size_t j = n; j < ldc && i + 1 < m; j++) assert_int_equal(got[i * ldc + j], HELD);
    }
    sqzt_guarded_close(&memory);
    free(wanted);
}

/* The same with every epilogue; GELU alone may be less exact as bf16, so its bits are not
 * compared. */
static inline void sqzt_check_bf16_outputs(const sqzk_gemm *gemm, sqzk_gemm_args args,
                                           const float *bias, const float *residual)
{
    const sqzk_epilogue epilogues[] = {
        {.bias = NULL},
        {.bias = bias},
        {.bias = bias, .residual = residual, .ldr = args.n},
        {.bias = bias, .activation = SQZK_RELU},
        {.bias = bias, .residual = residual, .ldr = args.n, .activation = SQZK_GELU}};
    if (!gemm->writes_bf16) return;
    float *c = take(args.m * args.n, sizeof *c);
    args.c = c;
    for (size_t e = 0; e <= sizeof epilogues / sizeof *epilogues; e++) {
        args.epilogue = e ? &epilogues[e - 1] : NULL;
        sqzt_check_bf16(gemm, args);
    }
    free(c);
}

/* A GELU as bf16: rounded once from within 2^-20 max(1, |x|). */
static inline double sqzt_gelu_bf16_bound(double x, double gelu)
{
    const double near = 0x1p-20 * fmax(1, fabs(x));
    return near + 0x1p-8 * (fabs(gelu) + near);
}

#endif
